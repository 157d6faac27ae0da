package mailstore

import (
	"os"
	"testing"
	"time"
)

// TestDamageThatPasses: a mail.db that could not be read for a time is written to again as
// soon as all of it reads well, without a repair, and not before.
func TestDamageThatPasses(t *testing.T) {
	d := newDamaged(t, 40)
	now := time.Unix(1_700_000_000, 0)
	s, err := Open(t.Context(), Options{Conf: d.dir, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	const page = 4096
	bad := make([]byte, len(d.database))
	copy(bad, d.database)
	for at := page; at < len(bad); at += page { // all but the schema
		clear(bad[at : at+page])
	}
	put(t, d.db, bad)
	if _, err := m.View(t.Context(), d.inbox); err == nil || m.broken.Load() == nil {
		t.Fatalf("a malformed mail.db is read: %v", err)
	}
	take := func(body string) error {
		_, err := m.Append(t.Context(), "", Append{Mailbox: d.inbox, Message: spool(t, s, body)})
		return err
	}
	for range 3 {
		if err := take("while it is damaged"); err == nil {
			t.Fatal("a malformed mail.db is written to")
		}
		now = now.Add(time.Minute)
	}
	put(t, d.db, d.database)
	if err := take("afterwards"); err != nil {
		t.Errorf("mail.db is whole again, and not written to: %v", err)
	}
	if view, err := m.View(t.Context(), d.inbox); err != nil || len(view.Records) != 41 {
		t.Errorf("%v, %v, want 41 messages", view, err)
	}
	verify(t, s, user1)
}

// put replaces the bytes of a file, which stays the same one.
func put(t *testing.T, name string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
