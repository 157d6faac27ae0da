package mailstore

import (
	"cmp"
	"slices"
	"strings"

	"teraslot/mailbox"
)

// Dot is one write to a user's mail: which slot made it, and the mod-sequence that it gave.
// Mod-sequences are Lamport clocks: a write that knew of another has a higher one.
type Dot struct {
	Slot   string // "": whose mod-sequence that is, the lineage says
	ModSeq mailbox.ModSeq
}

// before reports whether d counts as the older of two writes. Two that did not know of each
// other and have one number are in the order that all slots see: the lower slot id is the later.
func (d Dot) before(o Dot) bool {
	return d.ModSeq < o.ModSeq || d.ModSeq == o.ModSeq && d.Slot > o.Slot
}

// compare orders dots of whatever slots.
func (d Dot) compare(o Dot) int {
	return cmp.Or(cmp.Compare(d.ModSeq, o.ModSeq), strings.Compare(d.Slot, o.Slot))
}

// Provenance says where a record comes from, where its mod-sequences do not: all that a merge
// writes gets mod-sequences of the merge's own.
type Provenance struct {
	Made    Dot         // the write by which the message came to its mailbox; zero: that of CreatedModSeq
	UID     mailbox.UID // that it got then; 0: the record's
	Changed Dot         // the last change or the expunging; zero: that of ModSeq
}

// Vector says of each slot up to which of its writes mail has them all: a version vector.
type Vector map[string]mailbox.ModSeq

// has reports whether mail has a write.
func (v Vector) has(d Dot) bool { return v[d.Slot] >= d.ModSeq }

// add adds tenures.
func (v Vector) add(all []Tenure) {
	for _, t := range all {
		v[t.Slot] = max(v[t.Slot], t.UpTo)
	}
}

// covers reports whether mail has all that other mail has.
func (v Vector) covers(other Vector) bool {
	for slot, upTo := range other {
		if v[slot] < upTo {
			return false
		}
	}
	return true
}

// without returns what v has and other does not, by slot.
func (v Vector) without(other Vector) []Tenure {
	var out []Tenure
	for slot, upTo := range v {
		if other[slot] < upTo {
			out = append(out, Tenure{slot, upTo})
		}
	}
	slices.SortFunc(out, func(a, b Tenure) int { return strings.Compare(a.Slot, b.Slot) })
	return out
}

// Vector returns which writes are in the mail: those of its lineage, and what was merged.
func (i *Image) Vector() Vector {
	out := Vector{}
	out.add(i.Lineage)
	out.add(i.Seen)
	return out
}

// dot returns the write that gave a mod-sequence to mail of this lineage.
func (l Lineage) dot(m mailbox.ModSeq) Dot {
	i, _ := slices.BinarySearchFunc(l, m, func(t Tenure, m mailbox.ModSeq) int { return cmp.Compare(t.UpTo, m) })
	if m == 0 || i == len(l) {
		return Dot{l.last(), m}
	}
	return Dot{l[i].Slot, m}
}

// resolve returns a dot with its slot; of the zero one the write that gave a mod-sequence.
func (l Lineage) resolve(d Dot, m mailbox.ModSeq) Dot {
	switch {
	case d.ModSeq == 0:
		return l.dot(m)
	case d.Slot == "":
		return l.dot(d.ModSeq)
	}
	return d
}

// last is the slot that wrote last.
func (l Lineage) last() string {
	if len(l) == 0 {
		return ""
	}
	return l[len(l)-1].Slot
}
