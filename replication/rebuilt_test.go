package replication

import (
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// changes are what a client that knows INBOX as of a mod-sequence has to be told (RFC 7162
// §3.2.5): its records that changed or were expunged since, without what is each slot's own.
func (n *node) changes(u mailbox.User, since mailbox.ModSeq) (out []mailbox.Record) {
	n.t.Helper()
	n.mail(u, func(m *mailstore.Mail) error {
		box, err := m.MailboxNamed(n.t.Context(), "INBOX")
		if err != nil {
			return err
		}
		out, err = m.Changes(n.t.Context(), box.ID, since)
		for i := range out {
			out[i].Num = 0
		}
		return err
	})
	return out
}

// expunge expunges messages of INBOX and sets a flag on another.
func (n *node) expunge(u mailbox.User, flagged mailbox.UID, uids ...mailbox.UID) {
	n.t.Helper()
	n.mail(u, func(m *mailstore.Mail) error {
		ctx := n.t.Context()
		box, err := m.MailboxNamed(ctx, "INBOX")
		if err != nil {
			return err
		}
		gone := mailbox.UIDs(uids...)
		if _, err := m.StoreFlags(ctx, "", box.ID, gone, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			return err
		}
		if _, _, err := m.Expunge(ctx, "", box.ID, &gone); err != nil {
			return err
		}
		_, err = m.StoreFlags(ctx, "", box.ID, mailbox.UIDs(flagged), mailstore.AddFlags, mailbox.MakeFlags(`\Flagged`), nil)
		return err
	})
}

// inbox is the INBOX's part of the image.
func (n *node) inbox(u mailbox.User) (out mailstore.BoxImage) {
	n.t.Helper()
	n.mail(u, func(m *mailstore.Mail) error {
		image, err := m.Image(n.t.Context())
		for _, b := range image.Mailboxes {
			if b.Name == "INBOX" {
				out = b
			}
		}
		return err
	})
	return out
}

// TestRebuiltReplicaKnowsWhatIsGone: a replica that was rebuilt after messages were expunged tells of them
// what the master tells, since any moment; and where the master has forgotten some, the
// replica does not claim to know.
func TestRebuiltReplicaKnowsWhatIsGone(t *testing.T) {
	id := identities(t)
	a, b := newNode(t, "a", id), newNode(t, "b", id)
	b.serve(false, "a")
	c := a.client(b)
	u := a.user("anna")
	for i := range 9 {
		a.deliver(u, "INBOX", letter(i))
	}
	a.sync(c, u)
	a.expunge(u, 4, 2, 3)
	a.sync(c, u)
	a.expunge(u, 8, 7)
	a.sync(c, u)

	rebuilt := newNode(t, "c", id)
	rebuilt.serve(false, "a")
	again := a.client(rebuilt)
	a.sync(again, u)
	last := a.inbox(u).HighestModSeq
	for since := range last + 1 {
		want := a.changes(u, since)
		if since == 0 && len(want) != 9 {
			t.Errorf("the master tells of %d of 9 messages", len(want))
		}
		for _, n := range []*node{b, rebuilt} {
			if got := n.changes(u, since); !reflect.DeepEqual(got, want) {
				t.Errorf("since %d slot %s tells\n%+v\nthe master\n%+v", since, n.name, got, want)
			}
		}
	}

	a.mail(u, func(m *mailstore.Mail) error {
		n, err := m.Forget(t.Context(), time.Now().Add(time.Hour))
		if n != 3 {
			t.Errorf("%d expunged messages were forgotten", n)
		}
		return err
	})
	late := newNode(t, "stranger", id)
	late.serve(false, "a")
	a.sync(a.client(late), u)
	if here, there := a.inbox(u).Horizon, late.inbox(u).Horizon; here == 0 || there < here {
		t.Errorf("the master knows what is gone since %d, a replica that was made later claims to since %d", here, there)
	}
	// What another slot forgets is no reason to forget it.
	a.deliver(u, "INBOX", letter(20))
	a.sync(again, u)
	if got := rebuilt.changes(u, 0); len(got) != 10 {
		t.Errorf("the rebuilt replica tells of %d messages", len(got))
	}
}

// TestSyncOfOneMailbox: all records of the mailbox that is named are compared, and of no other; what no
// checksum told is found and mended.
func TestSyncOfOneMailbox(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	r := a.channel(c, filepath.Join(t.TempDir(), "channel"))
	for i := range 3 {
		a.deliver(u, "INBOX", letter(i))
	}
	a.expunge(u, 3, 2)
	must(t, r.Sync(t.Context(), u))
	want := b.changes(u, 0)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.dir, u.Dir(), "mail.db"))
	must(t, err)
	_, err = db.Exec("UPDATE content SET refs = refs - 1 WHERE num IN (SELECT num FROM expunged); DELETE FROM expunged")
	must(t, errors.Join(err, db.Close()))
	if len(b.changes(u, 0)) != len(want)-1 {
		t.Fatal("the replica lacks nothing")
	}
	for _, ask := range []struct {
		name string
		told int
	}{{"Drafts", 0}, {"INBOX", 1}, {"INBOX", 0}} {
		told := 0
		must(t, r.SyncMailbox(t.Context(), u, ask.name, func(string) { told++ }))
		if told != ask.told {
			t.Errorf("%s: %d differences, want %d", ask.name, told, ask.told)
		}
	}
	if got := b.changes(u, 0); !reflect.DeepEqual(got, want) {
		t.Errorf("mended to %+v, want %+v", got, want)
	}
	if n := r.Status().Differences; n != 1 {
		t.Errorf("%d differences are counted", n)
	}
	if err := r.SyncMailbox(t.Context(), u, "Nothing", func(string) {}); !errors.Is(err, mailstore.ErrNoMailbox) {
		t.Errorf("a mailbox that is not there: %v", err)
	}
}
