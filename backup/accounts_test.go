package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestAccounts: the accounts of a generation come out as they went in, to a file that was not there; what is damaged, or not in it, leaves none.
func TestAccounts(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "anna", 1)
	_, g := w.backup()
	r := w.repository(w.options())
	path := filepath.Join(t.TempDir(), "slot.db")
	w.check(r.Accounts(g, path))
	if b, err := os.ReadFile(path); err != nil || string(b) != accountsText {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := r.Accounts(g, path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another file: %v", err)
	}
	without, damaged := *g, *g
	without.Accounts = Object{}
	damaged.Accounts.Size++
	for g, want := range map[*Generation]error{&without: ErrNoAccounts, &damaged: errObject} {
		other := filepath.Join(t.TempDir(), "slot.db")
		if err := r.Accounts(g, other); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		if _, err := os.Stat(other); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file was left: %v", err)
		}
	}
}
