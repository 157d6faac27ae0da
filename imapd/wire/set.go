package wire

import (
	"cmp"
	"slices"

	"teraslot/mailbox"
)

// Star stands for "*" in a SetRange: the largest number in use.
const Star = 0

// SetRange is two numbers and all between them, in either order, as sent.
type SetRange struct{ From, To uint32 } // Star is "*"

// Set is a sequence-set of RFC 9051 §9 as sent: of sequence numbers or of UIDs,
// as the command says. It is never expanded; "*" means something only for a
// mailbox.
type Set struct {
	Ranges []SetRange // at least one, unless Saved
	Saved  bool       // "$": the saved result of RFC 9051 §6.4.4.1
}

// HasStar reports whether "*" occurs.
func (s Set) HasStar() bool {
	return slices.ContainsFunc(s.Ranges, func(r SetRange) bool { return r.From == Star || r.To == Star })
}

// Beyond reports whether the set names anything above last, as "*" may.
func (s Set) Beyond(last mailbox.UID) bool {
	return s.HasStar() || slices.ContainsFunc(s.Ranges, func(r SetRange) bool { return max(r.From, r.To) > uint32(last) })
}

// UIDs returns the set's UIDs, where last is the largest UID in the mailbox:
// "3291:*" holds it always (RFC 9051 §9, seq-range). If the mailbox is empty, last
// is 0, and "*" stands for nothing. The saved result is not in it.
func (s Set) UIDs(last mailbox.UID) mailbox.UIDSet {
	var out mailbox.UIDSet
	for _, r := range s.resolved(uint32(last)) {
		out.AddRange(mailbox.UID(r.From), mailbox.UID(r.To))
	}
	return out
}

// Numbers returns the set's sequence numbers in a mailbox of so many messages, as
// rising ranges that neither overlap nor touch. ok is false if one is larger than
// exists, or "*" is there and the mailbox is empty, which RFC 9051 §9
// (seq-number) calls an error of the client; the ranges are then cut off there. The saved result is
// not in it.
func (s Set) Numbers(exists uint32) (ranges []SetRange, ok bool) {
	ok = exists > 0 || !s.HasStar()
	for _, r := range s.resolved(exists) {
		if r.To > exists {
			ok = false
			if r.To = exists; r.From > exists {
				continue
			}
		}
		if n := len(ranges); n > 0 && uint64(r.From) <= uint64(ranges[n-1].To)+1 {
			ranges[n-1].To = max(ranges[n-1].To, r.To)
		} else {
			ranges = append(ranges, r)
		}
	}
	return ranges, ok
}

// resolved puts star for "*", turns ranges the right way round, and sorts them,
// so that adding them up takes linear time whatever their order was. Where star
// is 0 only what is named by a number remains.
func (s Set) resolved(star uint32) []SetRange {
	out := make([]SetRange, 0, len(s.Ranges))
	for _, r := range s.Ranges {
		a, b := orStar(r.From, star), orStar(r.To, star)
		if a = orStar(a, b); a == 0 {
			continue
		}
		b = orStar(b, a)
		out = append(out, SetRange{min(a, b), max(a, b)})
	}
	slices.SortFunc(out, func(a, b SetRange) int { return cmp.Compare(a.From, b.From) })
	return out
}

func orStar(n, star uint32) uint32 {
	if n == Star {
		return star
	}
	return n
}
