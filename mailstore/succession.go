package mailstore

import (
	"hash/fnv"
	"math"
	"strings"

	"teraslot/mailbox"
)

// A slot that becomes the master by force has not heard of all that the last one told its clients: of
// mod-sequences, UIDs and UIDVALIDITYs. Clients go from one to the other, and back, before anything is merged.
// So a number must mean the same on all slots, or be seen to be another's:
//
//   - mod-sequences come in spans, and each slot gives only those of its own: from the first span up the
//     middle bits are a mark of the slot's name. Span 0 is the founder's, whose name is that of the mail's first
//     tenure. Who writes after another, or merges, goes on in the next span of its own. So
//     of a mod-sequence that a client brings it is known who gave it, and whether this mail has that write
//     (reached): if not, the client is told everything;
//   - UIDs leap where a mailbox's mod-sequences pass into another span (leap), above all
//     that the last master may have given meanwhile;
//   - UIDVALIDITYs leap when a slot first writes after another.
const (
	spanBits = 36 // of a span's mod-sequences
	markBits = 16 // of these, above those that count
	markBase = spanBits - markBits

	leapUIDs     = 1 << 18 // more than a replica lacks of a mailbox
	leapApart    = 1 << 14 // by which two slots that leap from one UID are apart, mostly
	leapValidity = 1 << 10
)

// markOf is the mark of a slot's name.
func markOf(slot string) mailbox.ModSeq {
	h := fnv.New32a()
	h.Write([]byte(slot))
	sum := h.Sum32()
	return mailbox.ModSeq(sum>>markBits ^ sum&(1<<markBits-1))
}

// span returns in which span a mod-sequence is, and whose mark it has there.
func span(m mailbox.ModSeq) (n, mark mailbox.ModSeq) {
	return m >> spanBits, m >> markBase & (1<<markBits - 1)
}

// sameSpan reports whether one slot gave both mod-sequences, and no other wrote in between.
func sameSpan(a, b mailbox.ModSeq) bool {
	n, mark := span(a)
	o, other := span(b)
	return n == o && (n == 0 || mark == other)
}

// nextSpan is what lies before the first mod-sequence above m of a slot that may not go on from m.
func nextSpan(m mailbox.ModSeq, slot string) mailbox.ModSeq {
	return (m>>spanBits+1)<<spanBits | markOf(slot)<<markBase
}

// leap returns the UIDNEXT of a mailbox that had next as of the mod-sequence was, and changes by now. One that
// has no UIDs left for a leap does without.
func leap(next mailbox.UID, was, now mailbox.ModSeq) mailbox.UID {
	if was == 0 || sameSpan(was, now) {
		return next
	}
	_, mark := span(now)
	if out := uint64(next) + leapUIDs + uint64(mark%16)*leapApart; out < math.MaxUint32 {
		return mailbox.UID(out)
	}
	return next
}

// strangers are the UIDs, from next on, that others may have given in a mailbox that has not changed here since was, and
// there by now: it leapt at most once in each span. How many of those that lie behind this slot it went through without the other is not known.
func strangers(next mailbox.UID, was, now mailbox.ModSeq) (out mailbox.UIDSet) {
	if next == math.MaxUint32 {
		return out
	}
	from, _ := span(was)
	to, _ := span(now)
	most := uint64(max(from, to)+1) * 2 * leapUIDs
	out.AddRange(next, mailbox.UID(min(uint64(next)+most, math.MaxUint32)-1))
	return out
}

// pass lets a mailbox's numbers leap if a mod-sequence is of another span than its own. It is
// called before any UID is given with that.
func (b *box) pass(modseq mailbox.ModSeq) {
	next := leap(b.UIDNext, b.HighestModSeq, modseq)
	if next == b.UIDNext {
		return
	}
	if b.recent+1 >= b.UIDNext { // nothing is recent, and nothing becomes so by this
		b.recent = next - 1
	}
	b.UIDNext, b.HighestModSeq, b.dirty = next, max(b.HighestModSeq, modseq), true
}

// succeed lets the numbers of the account leap if the next of them are not this slot's to give. It costs
// nothing as long as nobody else gives any.
func (t *txn) succeed() error {
	if t.account.modseq == t.own && sameSpan(t.own, t.own+1) {
		return nil
	}
	l, err := loadLineage(t.c)
	if err != nil {
		return err
	}
	name, err := tenant(t.c)
	if err != nil {
		return err
	}
	name = t.m.s.o.Slot + name
	if l = l.of(t.m.s.o.Slot); l.End() == t.account.modseq && l.last() != name && len(l) > 0 {
		if next := max(int64(t.account.uidvalidity), t.now) + leapValidity; next < math.MaxUint32 {
			t.account.uidvalidity = mailbox.UIDValidity(next)
		}
	}
	if !l.with(name, t.account.modseq).gives(name, t.account.modseq+1) {
		t.account.modseq = nextSpan(t.account.modseq, name)
	}
	t.own = t.account.modseq
	return nil
}

// gives reports whether a slot may go on from a mod-sequence, in mail of this lineage.
func (l Lineage) gives(slot string, m mailbox.ModSeq) bool {
	n, mark := span(m)
	if n == 0 { // two slots may both have made their mail of packs alone: neither founded it
		return !strings.Contains(slot, renewedMark) && (len(l) == 0 || len(l) == 1 && l[0].Slot == slot)
	}
	return mark == markOf(slot)
}

// reached reports whether mail has had the write that gave a mod-sequence, and so all that was told with it,
// whoever gave it.
func (i *Image) reached(m mailbox.ModSeq) bool {
	had := i.Vector()
	n, mark := span(m)
	if n == 0 {
		return m == 0 || len(i.Lineage) > 0 && !strings.Contains(i.Lineage[0].Slot, renewedMark) && had[i.Lineage[0].Slot] >= m
	}
	known := false
	for slot, upTo := range had {
		if markOf(slot) == mark {
			if upTo < m {
				return false
			}
			known = true
		}
	}
	return known
}

// reached is that of the mail as it is now.
func (m *Mail) reached(c *conn, since mailbox.ModSeq) (bool, error) {
	var i Image
	upTo, err := c.integer(`SELECT modseq FROM {account}`)
	if err == nil {
		i.Lineage, _, err = m.wholeLineage(c, mailbox.ModSeq(upTo))
	}
	if err == nil {
		i.Seen, err = loadSeen(c)
	}
	return i.reached(since), err
}
