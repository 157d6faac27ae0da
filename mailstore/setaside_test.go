package mailstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"teraslot/disk"
)

// TestSetAsideInterrupted: a repair that sets a mail.db with a damaged WAL aside is cut off at each rename and each sync. mail.db is never left there without its
// WAL, as which it would be served without what was committed; the next run brings all messages back.
func TestSetAsideInterrupted(t *testing.T) {
	c := newCrashed(t)
	wal := bytes.Clone(c.wal)
	wal[c.ends[0]+40] ^= 1
	path := filepath.Join(c.o.Conf, user1.Dir(), "mail.db")
	fail := errors.New("the disk fails")
	for at := 1; ; at++ {
		c.put(t, wal)
		if at == 1 && !errors.Is(checkWAL(disk.OS(), path), errWAL) {
			t.Fatal("the WAL is not damaged")
		}
		was, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		o := c.o
		o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: disk.FailFrom(at, fail, disk.OpRename, disk.OpSyncDir)})
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Repair(t.Context(), user1, func(string) {})
		if closed := s.Close(); closed != nil {
			t.Error(closed)
		}
		if err == nil {
			if at < 5 {
				t.Errorf("a repair takes %d renames and syncs", at-1)
			}
			break
		}
		if !errors.Is(err, fail) {
			t.Fatalf("cut off at %d: %v", at, err)
		}
		left, _ := os.ReadFile(path + "-wal")
		if now, err := os.Stat(path); err == nil && os.SameFile(was, now) && !bytes.Equal(left, wal) {
			t.Errorf("cut off at %d: mail.db is there without its WAL", at)
		}
		c.bringsBack(t, at)
	}
	var err error
	if c.s, err = Open(t.Context(), c.o); err != nil { // for the cleanup
		t.Fatal(err)
	}
}

// bringsBack repairs what an interrupted repair has left.
func (c *crashed) bringsBack(t *testing.T, at int) {
	t.Helper()
	s, err := Open(t.Context(), c.o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reconstruct(t.Context(), user1, ReconstructOptions{}, func(string) {}); err != nil && !errors.Is(err, ErrWhole) {
		t.Fatalf("cut off at %d: %v", at, err)
	}
	m := acquireUnreleased(t, s)
	v, err := m.View(t.Context(), c.inbox)
	if err != nil || len(v.Records) != len(c.text) {
		t.Fatalf("cut off at %d: %d messages of %d, %v", at, len(v.Records), len(c.text), err)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestSetAsideOverNothing: what was set aside before under any of the names that would be given now stays as it is.
func TestSetAsideOverNothing(t *testing.T) {
	for _, taken := range databaseFiles {
		dir := t.TempDir()
		now := time.Date(2026, 11, 22, 10, 15, 0, 0, time.UTC)
		s, err := Open(t.Context(), Options{Conf: dir, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "mail.db")
		there := path + ".damaged-20261122T101500" + taken
		for name, content := range map[string]string{path: "new", path + "-wal": "new", there: "old", path + ".damaged-20261122T101500-2-shm": "old"} {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		said := ""
		if err := s.setAside(path, func(line string) { said += line }); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{there: "old", path + ".damaged-20261122T101500-2-shm": "old",
			path + ".damaged-20261122T101500-3": "new", path + ".damaged-20261122T101500-3-wal": "new"} {
			if b, err := os.ReadFile(name); err != nil || string(b) != want {
				t.Errorf("%q taken: %s is %q, want %q, %v", taken, name, b, want, err)
			}
		}
		if want := "what was there is set aside as " + path + ".damaged-20261122T101500-3"; said != want {
			t.Errorf("said %q", said)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
