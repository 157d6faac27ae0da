package replication

import (
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// visible are the things that a client can see of a user's mail, each changed alone.
var visible = []struct {
	name string
	// change makes of what a slot has what it must not have. box is that of all records.
	change func(image *mailstore.Image, box *mailstore.BoxImage, all []mailstore.Entry)
	// unsummed: it is in no checksum, and so only a comparison of all records sees it.
	unsummed bool
	// rises: it was told, and never falls again: the master's rises beyond.
	rises bool
}{
	{name: "flags (FETCH FLAGS)", change: record(func(e *mailstore.Entry) { e.Flags = mailbox.MakeFlags(`\Flagged`) })},
	{name: "keywords", change: record(func(e *mailstore.Entry) { e.Flags = mailbox.MakeFlags(`\Seen`, "Other") })},
	{name: "the internal date", change: record(func(e *mailstore.Entry) { e.InternalDate.Unix++ })},
	{name: "its zone", change: record(func(e *mailstore.Entry) { e.InternalDate.Zone += 60 })},
	{name: "the save date (SAVEDATE)", change: record(func(e *mailstore.Entry) { e.SaveDate++ })},
	{name: "the mod-sequence (MODSEQ)", change: record(func(e *mailstore.Entry) { e.ModSeq-- })},
	{name: "the mod-sequence of creation", change: record(func(e *mailstore.Entry) { e.CreatedModSeq-- })},
	{name: "the message itself (EMAILID)", change: func(_ *mailstore.Image, _ *mailstore.BoxImage, all []mailstore.Entry) {
		all[0].GUID, all[0].Size, all[0].Thread = all[1].GUID, all[1].Size, all[1].Thread
	}},
	{name: "the thread (THREADID)", unsummed: true, change: record(func(e *mailstore.Entry) { e.Thread[0] ^= 1 })},
	{name: "when a message vanished", unsummed: true, change: func(_ *mailstore.Image, _ *mailstore.BoxImage, all []mailstore.Entry) { all[2].ModSeq-- }},
	{name: "the mailbox's name", change: func(_ *mailstore.Image, b *mailstore.BoxImage, _ []mailstore.Entry) { b.Name = "Elsewhere" }},
	{name: "its special use", change: func(_ *mailstore.Image, b *mailstore.BoxImage, _ []mailstore.Entry) { b.SpecialUse = "" }},
	{name: "UIDVALIDITY", change: func(_ *mailstore.Image, b *mailstore.BoxImage, _ []mailstore.Entry) { b.UIDValidity-- }},
	{name: "UIDNEXT", rises: true, change: func(_ *mailstore.Image, b *mailstore.BoxImage, _ []mailstore.Entry) { b.UIDNext++ }},
	{name: "HIGHESTMODSEQ", rises: true, change: func(_ *mailstore.Image, b *mailstore.BoxImage, _ []mailstore.Entry) { b.HighestModSeq++ }},
	{name: "when it was made", change: func(_ *mailstore.Image, b *mailstore.BoxImage, _ []mailstore.Entry) { b.CreatedModSeq++ }},
	{name: "its settings", change: func(_ *mailstore.Image, b *mailstore.BoxImage, _ []mailstore.Entry) { b.Settings = nil }},
	{name: "the quota", change: func(i *mailstore.Image, _ *mailstore.BoxImage, _ []mailstore.Entry) { i.Quota.Messages++ }},
	{name: "subscriptions", change: func(i *mailstore.Image, _ *mailstore.BoxImage, _ []mailstore.Entry) {
		i.Subscriptions = i.Subscriptions[1:]
	}},
	{name: "what names have given up", change: func(i *mailstore.Image, _ *mailstore.BoxImage, _ []mailstore.Entry) { i.Retired = nil }},
}

// record changes the first record.
func record(change func(*mailstore.Entry)) func(*mailstore.Image, *mailstore.BoxImage, []mailstore.Entry) {
	return func(_ *mailstore.Image, _ *mailstore.BoxImage, all []mailstore.Entry) { change(&all[0]) }
}

// visibleMail makes mail of a user that has all of it.
func visibleMail(t *testing.T, a *node) mailbox.User {
	u := a.user("anna")
	for n := range 3 {
		a.deliver(u, "Archive", letter(n))
	}
	a.mail(u, func(m *mailstore.Mail) error {
		ctx := t.Context()
		st, err := m.MailboxNamed(ctx, "Archive")
		must(t, err)
		_, err = m.StoreFlags(ctx, "", st.ID, mailbox.UIDRange(1, 1), mailstore.ReplaceFlags, mailbox.MakeFlags(`\Seen`, "Key"), nil)
		must(t, err)
		_, err = m.StoreFlags(ctx, "", st.ID, mailbox.UIDRange(3, 3), mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
		must(t, err)
		_, _, err = m.Expunge(ctx, "", st.ID, nil)
		must(t, err)
		must(t, m.SetSetting(ctx, st.ID, mailstore.SettingExpire, &mailstore.Age{After: 9999 * time.Hour}))
		must(t, m.SetQuota(ctx, mailstore.Quota{Messages: 1000}))
		gone, err := m.Create(ctx, "", "gone", "")
		must(t, err)
		_, err = m.Copy(ctx, "", st.ID, mailbox.UIDRange(1, 1), gone.ID)
		must(t, err)
		return m.Delete(ctx, "", gone.ID)
	})
	return u
}

// falsify makes a slot have a user's mail otherwise than all others, with checksums and counters that are right.
func (n *node) falsify(u mailbox.User, change func(*mailstore.Image, *mailstore.BoxImage, []mailstore.Entry)) {
	n.t.Helper()
	n.mail(u, func(m *mailstore.Mail) error {
		ctx := n.t.Context()
		image, err := m.Image(ctx)
		must(n.t, err)
		st, err := m.MailboxNamed(ctx, "Archive")
		must(n.t, err)
		all, err := m.Entries(ctx, st.ID)
		must(n.t, err)
		was := image.Digest()
		box := image.Box(st.ID)
		change(&image, box, all)
		box.Counts, box.Checksum = mailbox.Counts{}, mailbox.Checksum{}
		for i := range all {
			if r := &all[i].Record; !r.Expunged {
				box.Checksum.Add(r)
				box.Counts.Exists++
				box.Counts.Size += r.Size
				if !r.Flags.Has(mailbox.Seen) {
					box.Counts.Unseen++
				}
			}
		}
		return m.Apply(ctx, was, &mailstore.Change{Image: image, Boxes: []mailstore.BoxChange{{ID: st.ID, Entries: all, Whole: true}}})
	})
}

// TestEachVisibleThing: whatever a client can see, if it alone is another on a replica, the comparison of the two finds it and mends
// it: that of checksums, but for what is in none, and that of all records.
func TestEachVisibleThing(t *testing.T) {
	for _, v := range visible {
		t.Run(v.name, func(t *testing.T) {
			a, b, _ := pair(t)
			u := visibleMail(t, a)
			c := a.client(b)
			a.sync(c, u)
			want := b.seen(u)
			b.falsify(u, v.change)
			if b.seen(u) == want {
				t.Fatal("nothing is changed")
			}
			digest := func(n *node) (d mailstore.Digest) {
				n.mail(u, func(m *mailstore.Mail) error {
					image, err := m.Image(t.Context())
					d = image.Digest()
					return err
				})
				return d
			}
			if summed := digest(a) != digest(b); summed == v.unsummed {
				t.Errorf("its digest differs: %v", summed)
			}
			told := 0
			if v.unsummed {
				must(t, c.Verify(t.Context(), u, false, func(string) { told++ }))
				if told == 0 {
					t.Error("verify told nothing")
				}
			} else {
				c.forget(u)
				a.sync(c, u)
			}
			same(t, u, a, b)
			told = 0
			must(t, c.Verify(t.Context(), u, true, func(what string) { t.Errorf("after it was mended: %s", what) }))
			if got := b.seen(u); (got != want) != v.rises {
				t.Errorf("it is\n%s\nand was\n%s", got, want)
			}
		})
	}
}

// TestVerifyTellsEachVisibleThing: verify tells of it, whether the checksums did or not.
func TestVerifyTellsEachVisibleThing(t *testing.T) {
	for _, v := range visible {
		a, b, _ := pair(t)
		u := visibleMail(t, a)
		c := a.client(b)
		a.sync(c, u)
		b.falsify(u, v.change)
		var told []string
		must(t, c.Verify(t.Context(), u, false, func(what string) { told = append(told, what) }))
		if len(told) == 0 {
			t.Errorf("%s: nothing is told", v.name)
		}
		same(t, u, a, b)
	}
}
