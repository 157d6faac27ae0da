package oracle

import (
	"strings"
	"testing"
)

// TestAgreements: order.py's lines, and lines that are none of its.
func TestAgreements(t *testing.T) {
	got, err := agreements("answer\tSORT (CC)\tequal\t3\t\nanswer\tTHREAD REFS\trefused\t0\tBAD unknown\nanswer\tSORT (TO)\twrong\t1\tplace 1\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Agreement{
		"SORT (CC)": {Equal: true, LeftOut: 3}, "THREAD REFS": {Refused: true, Why: "BAD unknown"}, "SORT (TO)": {LeftOut: 1, Why: "place 1"},
	} {
		if got[name] != want {
			t.Errorf("%s: %+v, want %+v", name, got[name], want)
		}
	}
	for _, bad := range []string{"\n", "answer\tSORT (CC)\tequal\n", "answer\tSORT (CC)\tequal\tmany\t\n", "Traceback\t\t\t\t\n"} {
		if _, err := agreements(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	if _, err := Orders(t.Context(), "nowhere", "u", "p"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("an address without a port: %v", err)
	}
}
