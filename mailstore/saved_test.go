package mailstore

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSaveDatabase saves mail.db when something changed, also when it is killed at any step.
func TestSaveDatabase(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	var on func(string)
	o.Step = func(s string) {
		if on != nil {
			on(s)
		}
	}
	s, m := newStore(t, o)
	id := named(t, m, Inbox).ID
	save := func(want bool) {
		t.Helper()
		if got, err := m.SaveDatabase(t.Context()); err != nil || got != want {
			t.Errorf("saved %v: %v", got, err)
		}
	}
	save(true)
	save(false)
	appendText(t, m, id, mailText(1))
	states := killAtSteps(t, o, &on, func() { save(true) })
	save(false)
	if len(states) != 1 {
		t.Errorf("%d steps", len(states))
	}
	for _, k := range states {
		s, m := openFor(t, k.o)
		if saved, err := lookAt(savedOf(t, s)); err != nil || len(saved.Packs) != 0 {
			t.Errorf("killed at %q: the copy before is %+v: %v", k.step, saved, err)
		}
		if got, err := m.SaveDatabase(t.Context()); err != nil || !got {
			t.Errorf("killed at %q: saved %v: %v", k.step, got, err)
		}
		verify(t, s, user1)
		m.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if saved, err := lookAt(savedOf(t, s)); err != nil || len(saved.Packs) != 1 {
		t.Errorf("the copy has %+v: %v", saved, err)
	}
}

// TestRemoveUserRemovesAll: nothing of a user is left below any root.
func TestRemoveUserRemovesAll(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	s, m := openFor(t, o)
	id := named(t, m, Inbox).ID
	appendText(t, m, id, mailText(1))
	if _, err := m.Archive(t.Context(), ArchiveOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.SaveDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Release()
	// What repairs and restores have set aside.
	for _, name := range []string{
		s.databasePath(user1) + ".damaged-20261122T101500",
		s.databasePath(user1) + ".damaged-20261122T101500-wal",
		s.databasePath(user1) + ".damaged-20261122T101500-2-shm",
		s.databasePath(user1) + ".before-20261122T101500Z",
		s.databasePath(user1) + "-wal.before-20261122T101500Z",
		s.databasePath(user1) + ".new-wal",
		filepath.Join(o.Spool, user1.Dir(), "3.pack.before-20261122T101500Z"),
		filepath.Join(o.Spool, user1.Dir(), "5.pack.new"),
		filepath.Join(o.Archive, user1.Dir(), "4.pack.before-20261122T101500Z"),
	} {
		if err := os.WriteFile(name, []byte("mail"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RemoveUser(t.Context(), user1); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{o.Conf, o.Spool, o.Archive} {
		if _, err := os.Stat(filepath.Join(root, user1.Dir())); !os.IsNotExist(err) {
			t.Errorf("%s: %v", root, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestMadeHere: what is removed with a user, and what somebody else has put there.
func TestMadeHere(t *testing.T) {
	for name, want := range map[string]bool{
		"1.pack":                                  true,
		"1.pack.before-20261122T101500Z":          true,
		"1.pack.before-20261122T101500Z-2":        true,
		"1.pack.before-20261122T101500Z-":         false,
		"mail.db.damaged-20261122T101500":         true,
		"mail.db.damaged-20261122T101500-3":       true,
		"mail.db.damaged-20261122T101500-3-wal":   true,
		"mail.db-wal.before-20261122T101500Z":     true,
		"mail.db-journal.before-20261122T101500Z": true,
		"mail.db.before-20261122T101500Z":         true,
		"mail.db":                                 false, // removed first, by its name
		"1.pack.new":                              true,
		"x.pack":                                  false,
		"1.pack.before-yesterday":                 false,
		"1.pack.before-20261122T101500Z.txt":      false,
		"mail.db.damaged-":                        false,
		"mail.db.damaged-notes":                   false,
		"mail.db.before-the-move":                 false,
		"mail.db.bak":                             false,
		"index.active":                            false,
		"":                                        false,
	} {
		if got := madeHere(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
