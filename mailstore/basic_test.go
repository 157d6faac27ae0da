package mailstore

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"teraslot/mailbox"
)

// TestMain sets how often property tests run: COUNT times, with SEED.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": cmp.Or(os.Getenv("COUNT"), "8"), "rapid.seed": cmp.Or(os.Getenv("SEED"), "1")} {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// memoryDir is a new directory in memory, for tests that sync often and do not
// ask what a sync is worth.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mailstore")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

const user1 = mailbox.User("0123456789abcdef0123456789abcdef")

// newStore opens a store in a new directory, with one user.
func newStore(t testing.TB, o Options) (*Store, *Mail) {
	t.Helper()
	if o.Conf == "" {
		o.Conf = t.TempDir()
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateUser(t.Context(), user1, UserOptions{}); err != nil {
		t.Fatal(err)
	}
	return s, acquire(t, s, user1)
}

// savedOf is where the nightly copy of user1's mail.db lies.
func savedOf(t testing.TB, s *Store) string {
	t.Helper()
	path, err := s.savedPath(user1)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// packOf is where a pack of user1's lies.
func packOf(t testing.TB, s *Store, p Pack) string {
	t.Helper()
	path, err := s.o.PackFile(user1, p)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func acquire(t testing.TB, s *Store, u mailbox.User) *Mail {
	t.Helper()
	m, err := s.Acquire(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		verify(t, s, u)
		m.Release()
	})
	return m
}

// verify runs the full consistency check.
func verify(t testing.TB, s *Store, u mailbox.User) {
	t.Helper()
	err := s.Verify(context.Background(), u, func(f Finding) { t.Errorf("verify: %v", f) })
	if err != nil {
		t.Errorf("verify: %v", err)
	}
}

func mailText(n int) string {
	return fmt.Sprintf("From: a@example.org\r\nTo: b@example.org\r\nSubject: message %d\r\nMessage-ID: <%d@example.org>\r\n"+
		"Date: Mon, 2 Jan 2006 15:04:05 +0200\r\n\r\nBody of message %d\r\n", n, n, n)
}

func spool(t testing.TB, s *Store, body string) *Message {
	t.Helper()
	m, err := s.Spool(t.Context(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func named(t testing.TB, m *Mail, name string) mailbox.State {
	t.Helper()
	st, err := m.MailboxNamed(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func appendText(t testing.TB, m *Mail, id mailbox.ID, body string, flags ...string) mailbox.Record {
	t.Helper()
	recs, err := m.Append(t.Context(), "", Append{Mailbox: id, Message: spool(t, m.s, body), Flags: mailbox.MakeFlags(flags...)})
	if err != nil {
		t.Fatal(err)
	}
	return recs[0]
}

func bytesOf(t testing.TB, m *Mail, id mailbox.ID, r mailbox.Record) string {
	t.Helper()
	c, err := m.Open(t.Context(), id, r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAppendAndReopen(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Conf: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateUser(t.Context(), user1, UserOptions{}); err != nil {
		t.Fatal(err)
	}
	m, err := s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	inbox := named(t, m, "inbox")
	var recs []mailbox.Record
	for i := range 5 {
		recs = append(recs, appendText(t, m, inbox.ID, mailText(i), `\Seen`, "$Work"))
	}
	verify(t, s, user1)
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(t.Context(), Options{Conf: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err = s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	v, err := m.View(t.Context(), inbox.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Records) != 5 || v.State.UIDNext != 6 || v.State.Counts.Exists != 5 || v.State.UIDValidity != inbox.UIDValidity {
		t.Fatalf("state after reopening: %+v", v.State)
	}
	for i, r := range v.Records {
		if r != recs[i] {
			t.Errorf("record %d is %+v, was %+v", i, r, recs[i])
		}
		if got := bytesOf(t, m, inbox.ID, r); got != mailText(i) {
			t.Errorf("message %d is %q", i, got)
		}
	}
}

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
