package slot

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestOwnersOfRoots: a root that belongs to another user, or that everybody may write to, is refused by its name,
// by the slot and by who only checks.
func TestOwnersOfRoots(t *testing.T) {
	c := newConfig(t, "")
	open := func() error {
		s, err := Open(t.Context(), c, Options{Offline: true})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	if err := c.CheckRoots(); err != nil {
		t.Fatal(err)
	}
	check := func(key, path, want string, is error) {
		t.Helper()
		for who, err := range map[string]error{"the slot": open(), "a check": c.CheckRoots()} {
			if !errors.Is(err, is) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: %v", key, who, err)
			}
		}
	}
	for _, r := range c.roots() {
		if err := os.Chmod(r.path, 0o777); err != nil {
			t.Fatal(err)
		}
		check(r.key, r.path, "mode 0777", ErrEverybodys)
		if err := os.Chmod(r.path, 0o750); err != nil { // of a group's backups, say
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(r.path, 1, -1); err != nil {
				t.Fatal(err)
			}
			check(r.key, r.path, "belongs to user 1", ErrOwner)
			if err := os.Chown(r.path, 0, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := open(); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(c.Tiers.Temp); err != nil {
		t.Fatal(err)
	}
	if err := c.CheckRoots(); err != nil {
		t.Errorf("temp is not there: %v", err)
	}
}
