package mailstore

import (
	"context"
	"slices"
	"strings"
	"testing"

	"teraslot/mailbox"
)

// subjects are the messages of INBOX, live ones, by UID.
func (s *side) subjects(t testing.TB) (out []string) {
	t.Helper()
	inbox := named(t, s.m, "INBOX")
	all, err := s.m.Entries(t.Context(), inbox.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if !e.Expunged {
			out = append(out, bytesOf(t, s.m, inbox.ID, e.Record))
		}
	}
	return out
}

func (s *side) deliver(t testing.TB, body string) mailbox.Record {
	t.Helper()
	return appendText(t, s.m, named(t, s.m, "INBOX").ID, body)
}

func mustConverge(t testing.TB, from, to *side) {
	t.Helper()
	if _, err := converge(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
}

// TestRenewedMailOverwritesNothing: mail that was put back from a copy is older than what a
// replica has, whatever its mod-sequences are: what came since the copy is merged, and what
// the copy says of flags counts for less than what was done since.
func TestRenewedMailOverwritesNothing(t *testing.T) {
	a, b, restored := newSide(t, "a", true), newSide(t, "b", false), newSide(t, "a", false)
	first := a.deliver(t, "Subject: first\r\n\r\n")
	second := a.deliver(t, "Subject: second\r\n\r\n")
	mustConverge(t, a, restored) // the copy
	a.deliver(t, "Subject: third\r\n\r\n")
	inbox := named(t, a.m, "INBOX").ID
	flag := func(uid mailbox.UID, name string) {
		t.Helper()
		if _, err := a.m.StoreFlags(t.Context(), "", inbox, mailbox.UIDs(uid), AddFlags, mailbox.MakeFlags(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	flag(first.UID, `\Seen`)
	flag(second.UID, `\Deleted`)
	if _, _, err := a.m.Expunge(t.Context(), "", inbox, nil); err != nil {
		t.Fatal(err)
	}
	mustConverge(t, a, b)
	for range 2 { // and what was put back twice, too
		if err := restored.m.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := reconcile(t.Context(), restored, b); err != nil {
		t.Fatal(err)
	}
	same(t, restored, b)
	want := []string{"Subject: first\r\n\r\n", "Subject: third\r\n\r\n"}
	if got := b.subjects(t); !slices.Equal(got, want) {
		t.Errorf("after the restore INBOX has %q, want %q", got, want)
	}
	if st := named(t, b.m, "INBOX"); st.Counts.Unseen != 1 {
		t.Errorf("%d messages are unseen, want 1: the flags of the copy won", st.Counts.Unseen)
	}
	restored.deliver(t, "Subject: fourth\r\n\r\n")
	mustConverge(t, restored, b)
	same(t, restored, b)
}

// TestReconstructedMailOverwritesNothing: mail.db was made of packs alone, and knows of the
// replica's nothing.
func TestReconstructedMailOverwritesNothing(t *testing.T) {
	a, b := newSide(t, "a", true), newSide(t, "b", false)
	for _, s := range []string{"first", "second", "third", "fourth"} {
		a.deliver(t, "Subject: "+s+"\r\n\r\n")
	}
	mustConverge(t, a, b)
	a.m.Release()
	err := loseDatabase(t.Context(), a.s)
	if err == nil {
		err = a.s.Reconstruct(t.Context(), user1, ReconstructOptions{}, func(string) {})
	}
	m, err2 := a.s.Acquire(t.Context(), user1)
	if a.m = m; err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	for _, s := range []string{"fifth", "sixth", "seventh", "eighth"} {
		a.deliver(t, "Subject: "+s+"\r\n\r\n")
	}
	if _, err := reconcile(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	same(t, a, b)
	have := map[string]bool{}
	for _, box := range allBoxes(t, b.m) {
		all, err := b.m.Entries(t.Context(), box.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if !e.Expunged && strings.HasPrefix(box.Name, "INBOX") {
				have[bytesOf(t, b.m, box.ID, e.Record)] = true
			}
		}
	}
	if len(have) != 8 {
		t.Errorf("the replica's INBOX had four messages, as the new one, and of these there are %d", len(have))
	}
}

// loseDatabase removes mail.db, of which nobody is to have any part open.
func loseDatabase(ctx context.Context, s *Store) error {
	e, err := s.reserve(ctx, user1)
	if err != nil {
		return err
	}
	defer s.vanish(e)
	return removeDatabase(s.o.FS, s.databasePath(user1))
}

func allBoxes(t testing.TB, m *Mail) []mailbox.State {
	t.Helper()
	all, err := m.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}
