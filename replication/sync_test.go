package replication

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// pair is a master and a replica.
func pair(t testing.TB) (a, b *node, c *Client) {
	t.Helper()
	id := identities(t)
	a, b = newNode(t, "a", id), newNode(t, "b", id)
	b.serve(false, "a")
	return a, b, a.client(b)
}

func TestSyncMakesAUserEqual(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	for i := range 40 {
		a.deliver(u, "INBOX", letter(i))
	}
	a.deliver(u, "Archive", "Subject: large\r\n\r\n"+strings.Repeat("all work and no play\r\n", 60_000))
	if s := a.sync(c, u); s.Messages != 41 {
		t.Errorf("sent %d messages, want 41", s.Messages)
	}
	same(t, u, a, b)
	if _, err := b.accounts.Authenticate(t.Context(), "anna", "secret of anna"); err != nil {
		t.Errorf("login at the replica: %v", err)
	}
	a.mail(u, func(m *mailstore.Mail) error {
		ctx := t.Context()
		inbox, err := m.MailboxNamed(ctx, "INBOX")
		if err != nil {
			return err
		}
		sent, err := m.MailboxNamed(ctx, "Sent")
		if err != nil {
			return err
		}
		_, err = m.StoreFlags(ctx, "", inbox.ID, mailbox.UIDRange(3, 9), mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`, "Work"), nil)
		_, err2 := m.Move(ctx, "", inbox.ID, mailbox.UIDRange(20, 30), sent.ID)
		_, _, err3 := m.Expunge(ctx, "", inbox.ID, nil)
		return errors.Join(err, err2, err3, m.Rename(ctx, "", "Archive", "Old/Archive"), m.Subscribe(ctx, "", "News", true),
			m.SetQuota(ctx, mailstore.Quota{Bytes: 1e9}), m.SetSetting(ctx, sent.ID, mailstore.SettingExpire, &mailstore.Age{Never: true}),
			m.SetSpecialUse(ctx, sent.ID, `\Archive`))
	})
	if s := a.sync(c, u); s.Messages != 0 || s.Rounds != 1 {
		t.Errorf("the second sync sent %d messages in %d rounds, want none in one", s.Messages, s.Rounds)
	}
	same(t, u, a, b)
	if s := a.sync(c, u); s.Rounds != 0 {
		t.Errorf("a sync of what is equal took %d rounds", s.Rounds)
	}
}

// TestSyncFollowsAccounts: passwords, names, also exchanged ones, and removals.
func TestSyncFollowsAccounts(t *testing.T) {
	a, b, c := pair(t)
	ctx := t.Context()
	u, v := a.user("anna"), a.user("bert")
	a.sync(c, u)
	a.sync(c, v)
	must(t, a.accounts.Passwd(ctx, "anna", "another"))
	must(t, a.accounts.Rename(ctx, "anna", "x"))
	must(t, a.accounts.Rename(ctx, "bert", "anna"))
	must(t, a.accounts.Rename(ctx, "x", "bert"))
	a.sync(c, v) // takes the name from u
	if _, err := b.accounts.Authenticate(ctx, "anna", "another"); !errors.Is(err, account.ErrCredentials) {
		t.Errorf("the other user logs in under the name: %v", err)
	}
	a.sync(c, u)
	same(t, u, a, b)
	same(t, v, a, b)
	if got, err := b.accounts.Authenticate(ctx, "bert", "another"); err != nil || got.ID != u {
		t.Errorf("bert is %v, %v", got, err)
	}
	must(t, a.store.RemoveUser(ctx, u))
	must(t, a.accounts.Remove(ctx, "bert"))
	a.sync(c, u)
	if _, err := b.store.Acquire(ctx, u); !errors.Is(err, mailstore.ErrNoUser) {
		t.Errorf("mail of a removed user: %v", err)
	}
	if e, err := b.accounts.Entry(ctx, u); err != nil || !e.Removed {
		t.Errorf("account of a removed user: %+v, %v", e, err)
	}
	a.sync(c, u) // once more does no harm
}

// forge changes a record of the INBOX as no client could: the sums are right, the
// mod-sequences say nothing.
func (n *node) forge(u mailbox.User) {
	n.t.Helper()
	n.mail(u, func(m *mailstore.Mail) error {
		ctx := context.Background()
		image, err := m.Image(ctx)
		if err != nil {
			return err
		}
		box := inboxOf(&image)
		entries, err := m.Entries(ctx, box.ID)
		if err != nil {
			return err
		}
		expect := image.Digest()
		e := entries[4]
		box.Checksum.Remove(&e.Record)
		e.Flags = mailbox.MakeFlags("Forged")
		box.Checksum.Add(&e.Record)
		return m.Apply(ctx, expect, &mailstore.Change{Image: image, Boxes: []mailstore.BoxChange{{ID: box.ID, Whole: true, Entries: []mailstore.Entry{e}}}})
	})
}

// TestSyncMendsSilentDifferences: what differs although the mod-sequences do not say so is
// found by the checksum and mended.
func TestSyncMendsSilentDifferences(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	for i := range 10 {
		a.deliver(u, "INBOX", letter(i))
	}
	a.sync(c, u)
	b.forge(u)
	s := a.sync(a.client(b), u)
	if s.Compared != 1 || s.Records != 1 {
		t.Errorf("compared %d mailboxes and sent %d records, want one and one", s.Compared, s.Records)
	}
	same(t, u, a, b)
	// The client that remembers what the replica had is told that it has another state.
	a.deliver(u, "INBOX", letter(99))
	a.sync(c, u)
	same(t, u, a, b)
}

func inboxOf(i *mailstore.Image) *mailstore.BoxImage {
	for k := range i.Mailboxes {
		if i.Mailboxes[k].Name == "INBOX" {
			return &i.Mailboxes[k]
		}
	}
	return nil
}

// TestStrangersAreRefused: no certificate, a name that is not configured, another
// authority, another store, another version, and an Apply at the master.
func TestStrangersAreRefused(t *testing.T) {
	id := identities(t)
	a, b := newNode(t, "a", id), newNode(t, "b", id)
	b.serve(false, "a")
	u := a.user("anna")
	stranger := newNode(t, "stranger", id)
	w := stranger.user("walter")
	if _, err := stranger.client(b).Sync(t.Context(), w); !Unreachable(err) {
		t.Errorf("a stranger with a certificate: %v", err)
	}
	foreign := newNode(t, "a", identities(t))
	w = foreign.user("walter")
	if _, err := foreign.client(b).Sync(t.Context(), w); !Unreachable(err) {
		t.Errorf("a certificate of another authority: %v", err)
	}
	other := a.client(b)
	other.o.StoreName = "s2"
	if _, err := other.Sync(t.Context(), u); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another store: %v", err)
	}
	other = a.client(b)
	other.peer = &welcome{version: newestVersion + 1}
	if _, err := other.Sync(t.Context(), u); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("another version: %v", err)
	}
	if _, err := agree(newestVersion+1, newestVersion+3); err == nil {
		t.Error("versions that are not spoken were agreed upon")
	}
	master := newNode(t, "c", id)
	master.serve(true, "a")
	if _, err := a.client(master).Sync(t.Context(), u); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a master took over a user: %v", err)
	}
	if users, err := b.store.Users(context.Background()); err != nil || len(users) > 0 {
		t.Errorf("users of the replica: %v, %v", users, err)
	}
}

// TestSplitBrainIsMerged: after a failover by force both slots have changes, and a user
// whom only one knows. The new master takes over what the old one has, and both are equal.
func TestSplitBrainIsMerged(t *testing.T) {
	id := identities(t)
	a, b := newNode(t, "a", id), newNode(t, "b", id)
	b.serve(false, "a")
	u := a.user("anna")
	a.deliver(u, "INBOX", letter(1))
	a.sync(a.client(b), u)
	a.deliver(u, "INBOX", letter(2))
	b.deliver(u, "INBOX", letter(3))
	v, w := a.user("bert"), b.user("bert")
	a.deliver(v, "INBOX", letter(4))
	b.stop()
	a.serve(false, "b")
	c := b.client(a)
	if s := b.sync(c, u); s.Merged.Users != 1 || s.Merged.Mail.Taken != 1 || s.Merged.Mail.SameUID != 0 {
		t.Errorf("met %+v", s.Merged)
	}
	same(t, u, a, b)
	if text := a.seen(u); !strings.Contains(text, letter(2)) || !strings.Contains(text, letter(3)) {
		t.Errorf("a message is lost:\n%s", text)
	}
	if s := b.sync(c, u); s.Rounds != 0 {
		t.Errorf("after the merge it took %d rounds", s.Rounds)
	}
	b.sync(c, v)
	b.sync(c, w)
	same(t, v, a, b)
	same(t, w, a, b)
	if x, err := b.accounts.Entry(t.Context(), min(v, w)); err != nil || x.Name != "bert" {
		t.Errorf("the lower id has the name %q, %v", x.Name, err)
	}
}

// TestMailStaysOpen: a replica does not close and open a user's mail for each change that
// comes, which costs many times what the change does.
func TestMailStaysOpen(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	a.sync(c, u)
	var first *mailstore.Mail
	for i := range 3 {
		a.deliver(u, "INBOX", letter(i))
		a.sync(c, u)
		b.mail(u, func(m *mailstore.Mail) error {
			if first == nil {
				first = m
			}
			if m != first {
				t.Errorf("change %d closed the mail", i)
			}
			return nil
		})
	}
}
