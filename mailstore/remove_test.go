package mailstore

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestLeftoverWAL puts the WAL of a mail.db that is gone where a new one is to be
// made: it is not replayed into it, nor removed, for it may hold the only copy of
// records.
func TestLeftoverWAL(t *testing.T) {
	dir := t.TempDir()
	s, m := openFor(t, Options{Conf: dir})
	id := named(t, m, Inbox).ID
	for n := range 3 {
		appendText(t, m, id, mailText(n))
	}
	db := s.databasePath(user1)
	wal, err := os.ReadFile(db + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(db); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(db+"-wal", wal, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = Open(t.Context(), Options{Conf: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.CreateUser(t.Context(), user1, UserOptions{}); err == nil || !strings.Contains(err.Error(), db+"-wal") {
		t.Errorf("a new mail.db beside an old WAL: %v", err)
	}
	if _, err := s.Acquire(t.Context(), user1); !errors.Is(err, ErrNoUser) {
		t.Errorf("the user opens: %v", err)
	}
	if got, err := os.ReadFile(db + "-wal"); err != nil || string(got) != string(wal) {
		t.Errorf("the WAL was touched: %v", err)
	}
	// What RemoveUser leaves is nothing, and then there is room for a new one.
	if err := s.RemoveUser(t.Context(), user1); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateUser(t.Context(), user1, UserOptions{}); err != nil {
		t.Fatal(err)
	}
	if m, err = s.Acquire(t.Context(), user1); err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	if got := named(t, m, Inbox); got.ID == id || got.Counts.Exists != 0 {
		t.Errorf("the new user has the old one's INBOX: %+v", got)
	}
	verify(t, s, user1)
}
