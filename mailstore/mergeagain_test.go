package mailstore

import (
	"fmt"
	"slices"
	"testing"

	"teraslot/mailbox"
)

// TestMergeAgainAfterWrites: the line breaks between a merge and the moment at which the other side
// takes it over, and that side is written to. The next merge, on whichever side, doubles nothing, and
// does to messages that have new UIDs what was done to them under their old ones.
func TestMergeAgainAfterWrites(t *testing.T) {
	const before, onA, onB, late = "Subject: before\r\n\r\n", "Subject: on a\r\n\r\n", "Subject: on b\r\n\r\n", "Subject: late\r\n\r\n"
	ops := map[string]struct {
		do   func(t *testing.T, b *side, box mailbox.ID, own mailbox.UID)
		want []string
		seen bool // the message on b
	}{
		"nothing":  {func(*testing.T, *side, mailbox.ID, mailbox.UID) {}, []string{before, onA, onB}, false},
		"delivery": {func(t *testing.T, b *side, _ mailbox.ID, _ mailbox.UID) { b.deliver(t, late) }, []string{before, late, onA, onB}, false},
		"flags": {func(t *testing.T, b *side, box mailbox.ID, own mailbox.UID) { b.store(t, box, own, `\Seen`) },
			[]string{before, onA, onB}, true},
		"expunge": {func(t *testing.T, b *side, box mailbox.ID, own mailbox.UID) {
			b.store(t, box, own, `\Deleted`)
			if _, _, err := b.m.Expunge(t.Context(), "", box, nil); err != nil {
				t.Fatal(err)
			}
		}, []string{before, onA}, false},
	}
	for name, op := range ops {
		for _, backwards := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/backwards=%v", name, backwards), func(t *testing.T) {
				a, b, c := newSide(t, "a", true), newSide(t, "b", false), newSide(t, "c", false)
				a.deliver(t, before)
				mustConverge(t, a, b)
				a.deliver(t, onA)
				own := b.deliver(t, onB).UID
				if _, _, err := mergeOnly(t.Context(), a, b); err != nil {
					t.Fatal(err)
				}
				mustConverge(t, a, c) // what was merged is known to whoever takes it over
				box, err := b.m.MailboxNamed(t.Context(), "INBOX")
				if err != nil {
					t.Fatal(err)
				}
				op.do(t, b, box.ID, own)
				from, to := c, b
				if backwards {
					from, to = b, c
				}
				if _, err := reconcile(t.Context(), from, to); err != nil {
					t.Fatal(err)
				}
				same(t, from, to)
				got := to.subjects(t)
				slices.Sort(got)
				if !slices.Equal(got, op.want) {
					t.Errorf("INBOX has %q, want %q", got, op.want)
				}
				v, err := to.m.View(t.Context(), box.ID)
				if err != nil {
					t.Fatal(err)
				}
				seen := slices.ContainsFunc(v.Records, func(r mailbox.Record) bool { return r.Flags.Has(mailbox.Seen) })
				if seen != op.seen {
					t.Errorf("a message is \\Seen: %v, want %v", seen, op.seen)
				}
			})
		}
	}
}

// store adds a flag to a message.
func (s *side) store(t *testing.T, box mailbox.ID, uid mailbox.UID, flag string) {
	t.Helper()
	if _, err := s.m.StoreFlags(t.Context(), "", box, mailbox.UIDs(uid), AddFlags, mailbox.MakeFlags(flag), nil); err != nil {
		t.Fatal(err)
	}
}
