package mailstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"teraslot/disk"
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

// TestRemoveBesideDelivery opens the user's mail at the moment when mail.db is
// removed. Whoever gets it then writes into a file that has no name any longer.
func TestRemoveBesideDelivery(t *testing.T) {
	var s *Store
	var once sync.Once
	fsys := disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if op == disk.OpRemove && filepath.Base(name) == "mail.db" {
			once.Do(func() {
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // do not wait for what cannot end before this call does
				if m, err := s.Acquire(ctx, user1); err == nil {
					t.Error("mail opens while it is being removed")
					m.Release()
				}
			})
		}
		return nil
	}})
	dir := t.TempDir()
	s, m := openFor(t, Options{Conf: dir, FS: fsys})
	defer s.Close()
	appendText(t, m, named(t, m, Inbox).ID, mailText(1))
	if err := s.RemoveUser(t.Context(), user1); !errors.Is(err, ErrBusy) {
		t.Errorf("removal of a user in use: %v", err)
	}
	m.Release()
	if err := s.RemoveUser(t.Context(), user1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Acquire(t.Context(), user1); !errors.Is(err, ErrNoUser) {
		t.Errorf("after the removal: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, user1.Dir(), "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestRemoveBesideReaders makes and removes a user whom others open and leave all
// the while: both end, and then the user is gone.
func TestRemoveBesideReaders(t *testing.T) {
	s, err := Open(t.Context(), Options{Conf: memoryDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range rounds(40) {
		stop := make(chan struct{})
		var others sync.WaitGroup
		for range 2 {
			others.Go(func() { acquireUntil(t, s, stop) })
		}
		if err := s.CreateUser(t.Context(), user1, UserOptions{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := ErrBusy
		for errors.Is(err, ErrBusy) && ctx.Err() == nil {
			err = s.RemoveUser(ctx, user1)
		}
		cancel()
		close(stop)
		others.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Acquire(t.Context(), user1); !errors.Is(err, ErrNoUser) {
			t.Fatalf("after the removal: %v", err)
		}
	}
}

// acquireUntil opens a user's mail again and again.
func acquireUntil(t *testing.T, s *Store, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		m, err := s.Acquire(context.Background(), user1)
		if err == nil {
			m.Release()
		} else if !errors.Is(err, ErrNoUser) {
			t.Error(err)
			return
		}
	}
}
