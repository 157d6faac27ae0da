package mailstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"teraslot/mailbox"
)

// openOnes lists the users whose databases are open, sorted.
func (s *Store) openOnes() []mailbox.User {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []mailbox.User
	for u := range s.open {
		out = append(out, u)
	}
	slices.Sort(out)
	return out
}

// someUsers makes users with one message each, whose databases are left open.
func someUsers(t *testing.T, s *Store, n int) (users []mailbox.User) {
	t.Helper()
	for i := range n {
		u := mailbox.User(fmt.Sprintf("%032x", i))
		if err := s.CreateUser(t.Context(), u, UserOptions{}); err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
		use(t, s, u, 1)
	}
	return users
}

// use adds a message to a user's INBOX, which then has so many.
func use(t *testing.T, s *Store, u mailbox.User, n uint32) {
	t.Helper()
	m, err := s.Acquire(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	appendText(t, m, named(t, m, Inbox).ID, sized(int(n), 300))
	if got := named(t, m, Inbox).Counts.Exists; got != n {
		t.Fatalf("user %s has %d messages of %d", u, got, n)
	}
}

// TestCloseIdle closes whom nobody has used for IdleTime, and nobody else: the file and the
// WAL of who is closed are one file, and he can be used again.
func TestCloseIdle(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := memoryDir(t)
	s, err := Open(t.Context(), Options{Conf: dir, Now: func() time.Time { return now }, IdleTime: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	users := someUsers(t, s, 4)
	held, err := s.Acquire(t.Context(), users[0]) // in use all the time
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(9 * time.Second)
	s.CloseIdle()
	if got := s.openOnes(); !slices.Equal(got, users) {
		t.Errorf("after 9 seconds, %v are open", got)
	}
	use(t, s, users[1], 2)
	now = now.Add(time.Second)
	s.CloseIdle()
	if got := s.openOnes(); !slices.Equal(got, users[:2]) {
		t.Errorf("after 10 seconds, %v are open, want who is in use and who was used", got)
	}
	for i, u := range users {
		_, err := os.Stat(s.databasePath(u) + "-wal")
		if open := i < 2; open != (err == nil) || !open && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the WAL of user %d: %v", i, err)
		}
	}
	held.Release()
	now = now.Add(10 * time.Second)
	s.CloseIdle()
	if got := s.openOnes(); len(got) > 0 {
		t.Errorf("%v are open", got)
	}
	for _, u := range users {
		verify(t, s, u)
	}
	use(t, s, users[0], 2)
	use(t, s, users[1], 3)
	use(t, s, users[2], 2)
}

// TestRunClosesIdle leaves a store to Run, which ends with its context.
func TestRunClosesIdle(t *testing.T) {
	dir := memoryDir(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), Options{Conf: dir, IdleTime: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		users := someUsers(t, s, 3)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		for n := range uint32(4) { // used every six seconds
			time.Sleep(6 * time.Second)
			use(t, s, users[2], n+2)
		}
		synctest.Wait()
		if got := s.openOnes(); !slices.Equal(got, users[2:]) {
			t.Errorf("%v are open, want who is used", got)
		}
		time.Sleep(13 * time.Second) // the idle time, and until the next look
		synctest.Wait()
		if got := s.openOnes(); len(got) > 0 {
			t.Errorf("%v are open", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// descriptors counts how many times this process has a file open.
func descriptors(t *testing.T, path string) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == path { // one that was closed meanwhile is none
			n++
		}
	}
	return n
}

// TestOneConnection: who writes and reads by turns has one connection. A writer does not
// wait for a reader who has it, and what the reader sees does not change.
func TestOneConnection(t *testing.T) {
	s, m := newStore(t, Options{Conf: memoryDir(t)})
	id := named(t, m, Inbox).ID
	for i := range 5 {
		appendText(t, m, id, sized(i, 300))
		if _, err := m.View(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if n := descriptors(t, m.path); n != 1 {
		t.Fatalf("%d connections after one goroutine's work", n)
	}
	count := func(c *conn) int64 {
		n, err := c.integer("SELECT count(*) FROM message")
		if err != nil {
			t.Error(err)
		}
		return n
	}
	err := m.read(t.Context(), func(c *conn) error {
		if n := count(c); n != 5 {
			t.Errorf("%d messages of 5", n)
		}
		appendText(t, m, id, sized(5, 300)) // would wait for ever if it had to have that connection
		appendText(t, m, id, sized(6, 300))
		if n := count(c); n != 5 {
			t.Errorf("a reader's transaction sees %d messages, and began with 5", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	appendText(t, m, id, sized(7, 300))
	if n := descriptors(t, m.path); n != 2 {
		t.Errorf("%d connections after one reader beside the writer", n)
	}
	if got := named(t, m, Inbox).Counts.Exists; got != 8 {
		t.Errorf("%d messages of 8", got)
	}
	verify(t, s, user1)
}

// TestLentConnectionFaults lets the reader who has the writer's connection meet a fault: the
// connection is given up, with what was remembered by it, and writing goes on.
func TestLentConnectionFaults(t *testing.T) {
	s, m := newStore(t, Options{Conf: memoryDir(t)})
	id := named(t, m, Inbox).ID
	appendText(t, m, id, sized(0, 300))
	var lent *conn
	fault := caught(func() {
		m.read(t.Context(), func(c *conn) error {
			lent = c
			panic("fault")
		})
	})
	if fault == nil || lent == nil {
		t.Fatal("no fault happened: the test shows nothing")
	}
	if n := descriptors(t, m.path); n != 0 {
		t.Errorf("%d connections are left, one of them with a transaction", n)
	}
	for i := range 3 {
		appendText(t, m, id, sized(i+1, 300))
	}
	// Who gave the writer's connection up to a reader does not get it back later.
	m.read(t.Context(), func(c *conn) error {
		appendText(t, m, id, sized(4, 300))
		return nil
	})
	appendText(t, m, id, sized(5, 300))
	if got := named(t, m, Inbox).Counts.Exists; got != 6 {
		t.Errorf("%d messages of 6", got)
	}
	verify(t, s, user1)
}
