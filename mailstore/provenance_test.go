package mailstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
)

// parted are three slots with two messages, on each of which one came then that has the same UID.
func parted(t *testing.T) (a, b, c *side, box mailbox.ID) {
	t.Helper()
	a, b, c = newSide(t, "a", true), newSide(t, "b", false), newSide(t, "c", false)
	a.deliver(t, "Subject: first\r\n\r\n")
	mustConverge(t, a, b)
	mustConverge(t, a, c)
	for i, s := range []*side{a, b, c} {
		s.deliver(t, fmt.Sprintf("Subject: of %c\r\n\r\n", 'a'+i))
	}
	return a, b, c, named(t, a.m, "INBOX").ID
}

func mustReconcile(t *testing.T, from, to *side) {
	t.Helper()
	if _, err := reconcile(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	same(t, from, to)
}

func mustMergeOnly(t *testing.T, from, to *side) {
	t.Helper()
	if _, _, err := mergeOnly(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
}

// TestTwoMergesOfAThird: two slots merge what a third has, each for itself and without its hearing of
// it; the message gets another UID on each. It stays one message, and what is done to it
// under any of its UIDs is done to it.
func TestTwoMergesOfAThird(t *testing.T) {
	const ofC = "Subject: of c\r\n\r\n"
	want := []string{"Subject: first\r\n\r\n", "Subject: of a\r\n\r\n", "Subject: of b\r\n\r\n", ofC}
	for name, op := range map[string]struct {
		do   func(a, b, c *side, box mailbox.ID)
		want []string
		seen int
	}{
		"nothing":           {func(a, b, c *side, box mailbox.ID) {}, want, 0},
		"flag at the third": {func(a, b, c *side, box mailbox.ID) { c.store(t, box, c.uidOf(t, ofC), `\Seen`) }, want, 1},
		"flags at two": {func(a, b, c *side, box mailbox.ID) {
			c.store(t, box, c.uidOf(t, ofC), `\Seen`)
			b.store(t, box, b.uidOf(t, ofC), `\Flagged`) // later
		}, want, 0},
		"expunged by a merger": {func(a, b, c *side, box mailbox.ID) {
			a.remove(t, box, a.uidOf(t, ofC))
		}, want[:3], 0},
		"expunged at the third": {func(a, b, c *side, box mailbox.ID) { c.remove(t, box, c.uidOf(t, ofC)) }, want[:3], 0},
		"expunged, and then changed elsewhere": {func(a, b, c *side, box mailbox.ID) {
			c.remove(t, box, c.uidOf(t, ofC))
			uid := b.uidOf(t, ofC)
			for _, flag := range []string{`\Flagged`, `\Answered`, `\Seen`} {
				b.store(t, box, uid, flag)
			}
		}, want, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, c, box := parted(t)
			mustMergeOnly(t, a, c)
			mustMergeOnly(t, b, c)
			op.do(a, b, c, box)
			mustReconcile(t, a, b)
			mustReconcile(t, b, c)
			mustReconcile(t, c, a)
			mustReconcile(t, a, b)
			for _, s := range []*side{a, b, c} {
				got := s.subjects(t)
				if slices.Sort(got); !slices.Equal(got, op.want) {
					t.Errorf("INBOX has %q, want %q", got, op.want)
				}
				if unseen := int(named(t, s.m, "INBOX").Counts.Unseen); unseen != len(op.want)-op.seen {
					t.Errorf("%d messages are unseen, want %d", unseen, len(op.want)-op.seen)
				}
			}
		})
	}
}

// uidOf is the UID of a message of INBOX.
func (s *side) uidOf(t *testing.T, body string) mailbox.UID {
	t.Helper()
	box := named(t, s.m, "INBOX").ID
	all, err := s.m.Entries(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if !e.Expunged && bytesOf(t, s.m, box, e.Record) == body {
			return e.UID
		}
	}
	t.Fatalf("INBOX has no %q", body)
	return 0
}

// remove expunges a message.
func (s *side) remove(t *testing.T, box mailbox.ID, uid mailbox.UID) {
	t.Helper()
	uids := mailbox.UIDs(uid)
	if _, err := s.m.StoreFlags(t.Context(), "", box, uids, AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.m.Expunge(t.Context(), "", box, &uids); err != nil {
		t.Fatal(err)
	}
}

// TestMailboxesOfTwoSides: what was done to a mailbox last holds, and a mailbox with
// something new in it is not deleted.
func TestMailboxesOfTwoSides(t *testing.T) {
	ctx := t.Context()
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, op := range map[string]struct {
		do   func(t *testing.T, a, b *side, work mailbox.State)
		want string // the mailbox's name in the end; "": none
	}{
		"renamed on both": {func(t *testing.T, a, b *side, work mailbox.State) {
			must(t, a.m.Rename(ctx, "", "work", "here"))
			b.put(t, "Drafts", "Subject: so that it is later\r\n\r\n")
			must(t, b.m.Rename(ctx, "", "work", "there"))
		}, "there"},
		"renamed here": {func(t *testing.T, a, b *side, work mailbox.State) {
			must(t, a.m.Rename(ctx, "", "work", "here"))
			for i := range 5 { // later, and no renaming
				b.put(t, "work", fmt.Sprintf("Subject: %d\r\n\r\n", i))
			}
		}, "here"},
		"deleted": {func(t *testing.T, a, b *side, work mailbox.State) {
			must(t, b.m.Delete(ctx, "", work.ID))
			a.put(t, "Drafts", "Subject: elsewhere\r\n\r\n")
		}, ""},
		"deleted and delivered to": {func(t *testing.T, a, b *side, work mailbox.State) {
			must(t, b.m.Delete(ctx, "", work.ID))
			a.put(t, "work", "Subject: late\r\n\r\n")
		}, "work"},
		"deleted and brought back": {func(t *testing.T, a, b *side, work mailbox.State) {
			must(t, b.m.Delete(ctx, "", work.ID))
			mustConverge(t, b, a)
			_, err := b.m.Unearth(ctx, "", work.ID, "")
			must(t, err)
			a.put(t, "Drafts", "Subject: elsewhere\r\n\r\n")
		}, "work"},
	} {
		for _, backwards := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/backwards=%v", name, backwards), func(t *testing.T) {
				a, b := newSideAt(t, "a", true, time.Now), newSideAt(t, "b", false, time.Now)
				work, err := a.m.Create(ctx, "", "work", "")
				must(t, err)
				a.put(t, "work", "Subject: first\r\n\r\n")
				mustConverge(t, a, b)
				op.do(t, a, b, work)
				from, to := a, b
				if backwards {
					from, to = b, a
				}
				mustReconcile(t, from, to)
				got, err := to.m.Mailbox(ctx, work.ID)
				if (err == nil) != (op.want != "") || got.Name != op.want {
					t.Errorf("the mailbox is %q, %v; want %q", got.Name, err, op.want)
				}
			})
		}
	}
}

// TestDamagedProvenance: where a record comes from is not believed when it does not match its CRC;
// it is named, and a repair forgets it.
func TestDamagedProvenance(t *testing.T) {
	ctx := t.Context()
	a, b, _, box := parted(t)
	mustReconcile(t, a, b)
	has := func() (n int) {
		all, err := a.m.Entries(ctx, box)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Provenance != (Provenance{}) {
				n++
			}
		}
		return n
	}
	before := has()
	if before < 2 {
		t.Fatalf("%d records with provenance", before)
	}
	err := a.m.write(ctx, "", func(txn *txn) error {
		return txn.c.exec(`UPDATE provenance SET made = made + 1 WHERE record = (SELECT max(record) FROM provenance)`)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := has(); n != before-1 {
		t.Errorf("of %d records with provenance, one damaged, %d are believed", before, n)
	}
	var found []string
	if err := a.s.Verify(ctx, user1, func(f Finding) { found = append(found, f.String()) }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || !strings.Contains(found[0], "comes from") {
		t.Errorf("found: %q", found)
	}
	a.m.Release()
	if err := a.s.Repair(ctx, user1, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if a.m, err = a.s.Acquire(ctx, user1); err != nil {
		t.Fatal(err)
	}
	if n := has(); n != before-1 {
		t.Errorf("after the repair %d records have provenance", n)
	}
}
