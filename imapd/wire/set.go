package wire

import (
	"cmp"
	"iter"
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

// rises reports whether the numbers, of which none is "*", come in rising order, each once.
func (s Set) rises() bool {
	last := uint32(0)
	for _, r := range s.Ranges {
		if r.From <= last || r.To < r.From {
			return false
		}
		last = r.To
	}
	return true
}

// length is how many numbers a set has that rises.
func (s Set) length() uint64 {
	n := uint64(0)
	for _, r := range s.Ranges {
		n += uint64(r.To-r.From) + 1
	}
	return n
}

// Pairs yields the numbers of two sets that rise, the first with the first and so on (RFC 7162 §3.2.5.2). The sets may be
// of all numbers there are: whoever takes the pairs knows when to stop.
func Pairs(numbers, uids Set) iter.Seq2[uint32, mailbox.UID] {
	return func(yield func(uint32, mailbox.UID) bool) {
		others, at := uids.Ranges, uint32(0)
		for _, r := range numbers.Ranges {
			for n := uint64(r.From); n <= uint64(r.To) && len(others) > 0; n++ {
				if !yield(uint32(n), mailbox.UID(others[0].From+at)) {
					return
				}
				if at++; others[0].From+at > others[0].To || others[0].From+at == 0 {
					others, at = others[1:], 0
				}
			}
		}
	}
}
