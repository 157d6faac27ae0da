package mailstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"teraslot/mailbox"
)

// TestUIDNextOfAnotherServer: UIDs that another server has given are not given by any slot, also if a
// slot becomes the master that has not heard of them.
func TestUIDNextOfAnotherServer(t *testing.T) {
	a, b := newSide(t, "a", true), newSide(t, "b", false)
	mustConverge(t, a, b)
	box := named(t, a.m, "INBOX").ID
	const next = 10_000_000 // farther than any leap
	if err := a.m.RaiseUIDNext(t.Context(), "", box, next); err != nil {
		t.Fatal(err)
	}
	b.deliver(t, "Subject: of b\r\n\r\n") // is the master now
	mustReconcile(t, b, a)
	if r := a.deliver(t, "Subject: next\r\n\r\n"); r.UID < next {
		t.Errorf("UID %d is given, which another server gave", r.UID)
	}
}

// TestUnearthedOfReplica: a replica that lags has of a deleted mailbox not all UIDs that were given
// there. When it brings the mailbox back, none of them stands for another message.
func TestUnearthedOfReplica(t *testing.T) {
	ctx := t.Context()
	for _, heard := range []int{0, 1} { // messages of the mailbox that the replica has heard of
		a, b := newSide(t, "a", true), newSide(t, "b", false)
		work, err := a.m.Create(ctx, "", "work", "")
		if err != nil {
			t.Fatal(err)
		}
		var told mailbox.Record
		for n := range 2 {
			if n == heard {
				mustConverge(t, a, b)
			}
			told = a.put(t, "work", fmt.Sprintf("Subject: %d\r\n\r\n", n))
		}
		if err := a.m.Delete(ctx, "", work.ID); err != nil {
			t.Fatal(err)
		}
		mustConverge(t, a, b)
		back, err := b.m.Unearth(ctx, "", work.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			again := b.put(t, "work", fmt.Sprintf("Subject: another %d\r\n\r\n", n))
			if back.UIDValidity == work.UIDValidity && again.UID <= told.UID && int(again.UID) > heard {
				t.Errorf("%d heard of: UIDVALIDITY %d and UID %d stand for two messages", heard, back.UIDValidity, again.UID)
			}
		}
		mustReconcile(t, b, a)
	}
}

// TestMergeOfAnotherMoment: records of a slot that are not those of its image are not merged.
func TestMergeOfAnotherMoment(t *testing.T) {
	ctx := t.Context()
	for name, write := range map[string]func(b *side, box mailbox.ID){
		"delivered": func(b *side, _ mailbox.ID) { b.deliver(t, "Subject: late\r\n\r\n") },
		"changed":   func(b *side, box mailbox.ID) { b.store(t, box, 1, `\Seen`) },
		"expunged":  func(b *side, box mailbox.ID) { b.remove(t, box, 1) },
		"delivered and expunged": func(b *side, box mailbox.ID) {
			b.remove(t, box, b.deliver(t, "Subject: late\r\n\r\n").UID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, _, box := parted(t)
			theirs, err := b.m.Image(ctx)
			if err != nil {
				t.Fatal(err)
			}
			write(b, box)
			entries, all := map[mailbox.ID][]Entry{}, &Change{}
			for i := range theirs.Mailboxes {
				id := theirs.Mailboxes[i].ID
				if entries[id], err = b.m.Entries(ctx, id); err != nil {
					t.Fatal(err)
				}
				all.Boxes = append(all.Boxes, BoxChange{ID: id, Entries: entries[id]})
			}
			if err := supply(ctx, b, a, all); err != nil {
				t.Fatal(err)
			}
			if _, err := a.m.Merge(ctx, &theirs, entries); !errors.Is(err, ErrChecksum) {
				t.Errorf("merged: %v", err)
			}
			mustReconcile(t, a, b)
		})
	}
}

// TestRenewedMailIsNoLaterWrite: what the copy of a slot says of a message is as old as the last change of
// it that the copy knows, and not as the copy.
func TestRenewedMailIsNoLaterWrite(t *testing.T) {
	a, b, restored := newSide(t, "a", true), newSide(t, "b", false), newSide(t, "a", false)
	a.deliver(t, "Subject: first\r\n\r\n")
	a.deliver(t, "Subject: second\r\n\r\n")
	mustConverge(t, a, b)
	box := named(t, a.m, "INBOX").ID
	b.put(t, "Drafts", "Subject: a master by force\r\n\r\n")
	b.store(t, box, 1, `\Seen`)
	b.remove(t, box, 2)
	for i := range 9 {
		a.put(t, "Drafts", fmt.Sprintf("Subject: %d\r\n\r\n", i))
	}
	mustConverge(t, a, restored) // the copy
	if err := restored.m.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustReconcile(t, restored, b)
	v, err := b.m.View(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Records) != 1 || !v.Records[0].Flags.Has(mailbox.Seen) {
		t.Errorf("INBOX has %+v: the copy counts for more than what was done later", v.Records)
	}
}

// TestNamesOfTwoMailboxes: whatever other mailboxes are called, the one that loses its name to another
// gets one that can be used.
func TestNamesOfTwoMailboxes(t *testing.T) {
	ctx := t.Context()
	for _, name := range []string{"x", strings.Repeat("ä", 511) + "x", strings.Repeat("é/", 60) + "e"} {
		a, b := newSide(t, "a", true), newSide(t, "b", false)
		mustConverge(t, a, b)
		x, err := a.m.Create(ctx, "", name, "")
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.m.Create(ctx, "", name, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*side{a, b} { // one that never had a message would go
			s.put(t, name, "Subject: there\r\n\r\n")
		}
		loser := max(x.ID, y.ID)
		for n := 4; n <= len(loser) && len(name) < 100; n++ {
			if _, err := a.m.Create(ctx, "", fmt.Sprintf("%s (%s)", name, loser[:n]), ""); err != nil {
				t.Fatal(err)
			}
		}
		mustReconcile(t, a, b)
		for _, id := range []mailbox.ID{x.ID, y.ID} {
			st, err := b.m.Mailbox(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := b.m.MailboxNamed(ctx, st.Name); err != nil || got.ID != id {
				t.Errorf("mailbox %s is called %q: %v", id, st.Name, err)
			}
		}
	}
}

// TestBroughtBackIsThereToStay: what a slot brings back with its mailbox does not go because another slot,
// which had brought it back as well, has let it go since.
func TestBroughtBackIsThereToStay(t *testing.T) {
	ctx := t.Context()
	a, b := newSide(t, "a", true), newSide(t, "b", false)
	st, err := a.m.Create(ctx, "", "Work", "")
	if err != nil {
		t.Fatal(err)
	}
	a.put(t, "Work", "Subject: stays\r\n\r\n")
	mustConverge(t, a, b)
	b.put(t, "Drafts", "Subject: a master by force\r\n\r\n")
	mustConverge(t, b, a) // a has taken mail over
	if err := b.m.Delete(ctx, "", st.ID); err != nil {
		t.Fatal(err)
	}
	mustConverge(t, b, a)
	for _, s := range []*side{a, b} {
		if _, err := s.m.Unearth(ctx, "", st.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	b.remove(t, st.ID, 1)
	mustReconcile(t, a, b)
	for _, s := range []*side{a, b} {
		if now := named(t, s.m, "Work"); now.Counts.Exists != 1 {
			t.Errorf("slot %s has %d messages there", s.s.o.Slot, now.Counts.Exists)
		}
	}
}
