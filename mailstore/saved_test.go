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
		if saved, err := lookAt(s.savedPath(user1)); err != nil || len(saved.Packs) != 0 {
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
	if saved, err := lookAt(s.savedPath(user1)); err != nil || len(saved.Packs) != 1 {
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
