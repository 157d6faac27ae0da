package mailstore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"teraslot/mailbox"
)

// TestUnitedMessageOfThirdSlot: two deliveries of the same bytes under one UID are one message, also for a third slot
// that has one of them, and has changed it.
func TestUnitedMessageOfThirdSlot(t *testing.T) {
	const text = "Subject: the same\r\n\r\n"
	for _, late := range []string{"a", "b"} {
		a, b, c := newSide(t, "a", true), newSide(t, "b", false), newSide(t, "c", false)
		mustConverge(t, a, b)
		for i := range map[string]int{"a": 2, "b": 0}[late] { // who delivers later gives a higher mod-sequence
			a.put(t, "Drafts", fmt.Sprintf("Subject: %d\r\n\r\n", i))
		}
		box := named(t, a.m, "INBOX").ID
		r := b.deliver(t, text)
		if err := a.m.RaiseUIDNext(t.Context(), "", box, r.UID); err != nil { // as if it had given more than b lacks
			t.Fatal(err)
		}
		a.deliver(t, text)
		mustConverge(t, b, c)
		for i := range 5 {
			c.put(t, "Drafts", fmt.Sprintf("Subject: on c, %d\r\n\r\n", i))
		}
		c.store(t, box, r.UID, `\Flagged`)
		mustReconcile(t, a, b)
		mustReconcile(t, a, c)
		mustReconcile(t, a, b)
		for name, s := range map[string]*side{"a": a, "b": b, "c": c} {
			v, err := s.m.View(t.Context(), box)
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Records) != 1 || v.Records[0].UID != r.UID || !v.Records[0].Flags.Has(mailbox.Flagged) {
				t.Errorf("delivered last on %s: slot %s has %+v", late, name, v.Records)
			}
		}
	}
}

// TestForgottenExpungeIsAsOldAsItWas: what a slot has expunged and forgotten is expunged by a merge, and does not so count for
// later than what a third slot did before that merge.
func TestForgottenExpungeIsAsOldAsItWas(t *testing.T) {
	for _, changed := range []bool{false, true} {
		a, b, c, box := parted(t)
		b.remove(t, box, 1)
		if _, err := b.m.Forget(t.Context(), b.s.o.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			c.put(t, "Drafts", fmt.Sprintf("Subject: %d\r\n\r\n", i))
		}
		if changed {
			c.store(t, box, 1, `\Flagged`) // later than the expunging
		}
		for i := range 20 {
			a.put(t, "Sent", fmt.Sprintf("Subject: %d\r\n\r\n", i))
		}
		mustReconcile(t, a, b)
		if got := a.subjects(t); slices.Contains(got, "Subject: first\r\n\r\n") {
			t.Fatalf("what was forgotten is back: %q", got)
		}
		mustReconcile(t, a, c)
		if got := c.subjects(t); slices.Contains(got, "Subject: first\r\n\r\n") != changed {
			t.Errorf("changed after the expunging: %v, and INBOX has %q", changed, got)
		}
		mustReconcile(t, a, b)
	}
}

// TestExpungedUnderGivenUpNumbers: a mailbox that was deleted on one slot and is kept for the other's sake may have given fewer UIDs
// than the slot that deleted it. A replica of that one keeps none of its records beyond them, though it forgets later.
func TestExpungedUnderGivenUpNumbers(t *testing.T) {
	a, b, c := newSide(t, "a", true), newSide(t, "b", false), newSide(t, "c", false)
	a.put(t, "Archive", "Subject: first\r\n\r\n")
	mustConverge(t, a, b)
	box := named(t, b.m, "Archive").ID
	if err := b.m.RaiseUIDNext(t.Context(), "", box, 1<<22); err != nil {
		t.Fatal(err)
	}
	b.remove(t, box, b.put(t, "Archive", "Subject: second\r\n\r\n").UID)
	mustConverge(t, b, c)
	before := named(t, c.m, "Archive")
	if err := b.m.Delete(t.Context(), "", box); err != nil {
		t.Fatal(err)
	}
	a.store(t, box, 1, `\Flagged`)
	mustReconcile(t, b, a)
	b.remove(t, box, b.put(t, "Archive", "Subject: third\r\n\r\n").UID)
	if _, err := b.m.Forget(t.Context(), b.s.o.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	mustReconcile(t, b, c) // c is verified when it is closed
	if now := named(t, c.m, "Archive"); now.UIDNext >= before.UIDNext || now.UIDValidity == before.UIDValidity {
		t.Errorf("the mailbox is %+v and was %+v", now, before)
	}
}
