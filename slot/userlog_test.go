package slot

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"teraslot/account"
)

// TestUsersAreLogged: whatever is done to a user is one line of the log, with who he is and none of his passwords; what is
// refused is none.
func TestUsersAreLogged(t *testing.T) {
	var log lines
	r := start(t, newConfig(t, twoPartitions), Options{Logger: log.logger()})
	passwords := []string{"first pass phrase", "second pass phrase"}
	if err := r.client.AddUser(t.Context(), AddUser{Name: "anna", Password: passwords[0], Quota: &account.Quota{Messages: 7}}); err != nil {
		t.Fatal(err)
	}
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	change := func(what string, c ChangeUser) func() error {
		return func() error { return r.client.Change(t.Context(), what, c) }
	}
	who := func(name string) string { return fmt.Sprintf(" user=%s id=%s", name, a.ID) }
	seen := []string{`msg="user added"` + who("anna") + " quota_bytes=0 quota_messages=7"}
	for _, step := range []struct {
		do   func() error
		line string // "": it is refused
	}{
		{change("passwd", ChangeUser{Name: "anna", Password: passwords[1]}), `msg="user has another password"` + who("anna")},
		{change("quota", ChangeUser{Name: "anna", Quota: account.Quota{Bytes: 1 << 20}}), `msg="user has another quota"` + who("anna") + " quota_bytes=1048576 quota_messages=0"},
		{change("rename", ChangeUser{Name: "anna", To: "annette"}), `msg="user renamed"` + who("annette") + " was=anna"},
		{change("rename", ChangeUser{Name: "anna", To: "berta"}), ""},
		{func() error {
			return r.client.Move(t.Context(), MoveUser{Name: "annette", To: "other", MailOnly: true})
		},
			`msg="user moved"` + who("annette") + " partition=other what=mail"},
		{func() error { return r.client.Move(t.Context(), MoveUser{Name: "annette", To: "other"}) },
			`msg="user moved"` + who("annette") + ` partition=other what="mail and index"`},
		{func() error { return r.client.Move(t.Context(), MoveUser{Name: "annette", To: "nowhere"}) }, ""},
		{change("del", ChangeUser{Name: "annette"}), `msg="user removed"` + who("annette")},
		{change("passwd", ChangeUser{Name: "annette", Password: passwords[0]}), ""},
	} {
		if err := step.do(); (err == nil) != (step.line != "") {
			t.Fatalf("%s: %v", step.line, err)
		}
		if step.line != "" {
			seen = append(seen, step.line)
		}
		var told []string
		for line := range strings.Lines(log.String()) {
			if i := strings.Index(line, `msg="user `); i >= 0 {
				told = append(told, strings.TrimSuffix(line[i:], "\n"))
			}
		}
		if !slices.Equal(told, seen) {
			t.Fatalf("the log has\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(seen, "\n"))
		}
	}
	for _, p := range passwords {
		if strings.Contains(log.String(), p) || strings.Contains(log.String(), "$argon2") {
			t.Errorf("the log has a secret:\n%s", &log)
		}
	}
}
