package account

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSnapshot: a copy has the accounts of its moment, with their passwords, and is a
// slot.db like any other.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	a := open(t, filepath.Join(dir, "slot.db"), Options{})
	before, err := a.Add(t.Context(), "anna", "secret", Quota{Bytes: 5})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "copy.db")
	if err := a.Snapshot(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Add(t.Context(), "later", "secret", Quota{}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	b := open(t, path, Options{})
	all, err := b.List(t.Context())
	if err != nil || len(all) != 1 || all[0] != before {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := b.Authenticate(t.Context(), "anna", "secret"); err != nil {
		t.Error(err)
	}
	if err := a.Snapshot(t.Context(), path); err == nil {
		t.Error("it is written over")
	}
}
