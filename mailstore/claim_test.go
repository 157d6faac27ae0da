package mailstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"teraslot/disk"
)

// TestCopyOfAnotherSlot: mail that is put back on another slot than that where the copy was made has what
// that slot wrote, and not what this one did.
func TestCopyOfAnotherSlot(t *testing.T) {
	ctx := t.Context()
	a, b, c := newSide(t, "a", true), newSide(t, "b", false), newSide(t, "c", false)
	a.deliver(t, "Subject: first\r\n\r\n")
	mustConverge(t, a, b)
	a.deliver(t, "Subject: only in the copy\r\n\r\n")
	path := filepath.Join(t.TempDir(), "mail.db")
	if _, err := a.m.Snapshot(ctx, path); err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		b.put(t, "Drafts", fmt.Sprintf("Subject: %d\r\n\r\n", i))
	}
	mustConverge(t, b, c)
	back := a.putBack(t, "b", path)
	mustReconcile(t, back, c)
	if got := c.subjects(t); len(got) != 2 {
		t.Errorf("INBOX has %q: what was put back is held for expunged", got)
	}
}

// putBack makes another slot of a copy of this one's mail.db, and of its packs, as a backup does.
func (s *side) putBack(t *testing.T, slot, path string) *side {
	t.Helper()
	dir := memoryDir(t)
	err := os.CopyFS(dir, os.DirFS(s.s.o.Conf))
	o := Options{Conf: dir, Slot: slot, RetainDeleted: true}
	if err == nil {
		err = removeDatabase(disk.OS(), o.DatabaseFile(user1))
	}
	b, err2 := os.ReadFile(path)
	if err = errors.Join(err, err2); err == nil {
		err = os.WriteFile(o.DatabaseFile(user1), b, 0o600)
	}
	if err == nil {
		err = Disown(o.DatabaseFile(user1))
	}
	if err != nil {
		t.Fatal(err)
	}
	store, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := store.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	out := &side{s: store, m: m}
	t.Cleanup(func() { out.close(t) })
	if err := m.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out
}
