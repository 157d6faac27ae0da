package source

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"teraslot/mailbox"
)

// TestZones: internal dates have the zones that an export wrote down; without that file, as
// other programs' Maildirs are, this machine's.
func TestZones(t *testing.T) {
	dir := write(t, map[string]string{"cur/1.a:2,S": "A: 1\n\n", "cur/2.b": "B: 2\n\n", "new/3.c:2,": "C: 3\n\n"})
	at := time.Unix(1_700_000_000, 0)
	for _, name := range []string{"cur/1.a:2,S", "cur/2.b", "new/3.c:2,"} {
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...int16) {
		t.Helper()
		for i, it := range items(t, dir, Options{}) {
			if got := mailbox.DateOf(it.Date); it.Err != nil || got != (mailbox.Date{Unix: at.Unix(), Zone: want[i]}) {
				t.Errorf("%s: %+v, want the zone %d", it.Place, it, want[i])
			}
		}
	}
	here := mailbox.DateOf(at).Zone
	check(here, here, here)
	file := filepath.Join(dir, ZonesFile)
	if err := os.WriteFile(file, []byte("-330 1.a\n840 3.c\n60 gone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check(-330, 0, 840)
	for _, bad := range []string{"60\n", "x 1.a\n", "1440 1.a\n", "-1440 1.a\n", "99999999 1.a\n", "\n", " 1.a\n"} {
		if err := os.WriteFile(file, []byte("60 2.b\n"+bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrZones) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
