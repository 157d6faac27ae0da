package mailbox

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Range is the UIDs from Lo to Hi, both included; Lo ≤ Hi.
type Range struct{ Lo, Hi UID }

// UIDSet is a set of UIDs as sorted ranges that neither overlap nor touch. The
// zero value is the empty set. Its size in memory is that of its ranges: a set
// such as 1:4294967295 costs one. It is not safe for concurrent change.
type UIDSet struct{ ranges []Range }

// ErrUIDSet is returned for text that is not a set of UIDs.
var ErrUIDSet = errors.New("not a UID set")

// UIDs returns the set of the given UIDs, in any order; zeros are left out.
func UIDs(uids ...UID) UIDSet {
	if !slices.IsSorted(uids) {
		uids = slices.Clone(uids)
		slices.Sort(uids)
	}
	var s UIDSet
	for _, u := range uids {
		s.Add(u)
	}
	return s
}

// UIDRange returns the set of lo to hi in either order.
func UIDRange(lo, hi UID) UIDSet {
	var s UIDSet
	s.AddRange(lo, hi)
	return s
}

// Add adds one UID; 0 is no UID and is not added.
func (s *UIDSet) Add(u UID) { s.AddRange(u, u) }

// AddRange adds lo to hi, in either order (RFC 9051 §9, seq-range). Adding in
// rising order takes constant time.
func (s *UIDSet) AddRange(lo, hi UID) {
	if lo > hi {
		lo, hi = hi, lo
	}
	if hi == 0 {
		return
	}
	lo = max(lo, 1)
	if n := len(s.ranges); n == 0 || lo > s.ranges[n-1].Hi && lo-s.ranges[n-1].Hi > 1 {
		s.ranges = append(s.ranges, Range{lo, hi})
		return
	} else if last := &s.ranges[n-1]; lo >= last.Lo {
		last.Hi = max(last.Hi, hi)
		return
	}
	s.insert(Range{lo, hi})
}

// insert merges r with all ranges that it overlaps or touches.
func (s *UIDSet) insert(r Range) {
	i, _ := slices.BinarySearchFunc(s.ranges, r.Lo, func(a Range, lo UID) int {
		if uint64(a.Hi)+1 < uint64(lo) {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(s.ranges) && uint64(s.ranges[j].Lo) <= uint64(r.Hi)+1; j++ {
		r.Lo, r.Hi = min(r.Lo, s.ranges[j].Lo), max(r.Hi, s.ranges[j].Hi)
	}
	s.ranges = slices.Replace(s.ranges, i, j, r)
}

// AddSet adds every UID of t.
func (s *UIDSet) AddSet(t UIDSet) {
	for _, r := range t.ranges {
		s.AddRange(r.Lo, r.Hi)
	}
}

// Contains reports whether u is in the set, in time logarithmic in its ranges.
func (s UIDSet) Contains(u UID) bool {
	_, found := slices.BinarySearchFunc(s.ranges, u, func(r Range, u UID) int {
		switch {
		case r.Hi < u:
			return -1
		case r.Lo > u:
			return 1
		}
		return 0
	})
	return found
}

// IsEmpty reports whether the set holds nothing.
func (s UIDSet) IsEmpty() bool { return len(s.ranges) == 0 }

// Len is the number of UIDs in the set.
func (s UIDSet) Len() uint64 {
	var n uint64
	for _, r := range s.ranges {
		n += uint64(r.Hi-r.Lo) + 1
	}
	return n
}

// Ranges are the set's ranges in rising order. They belong to the set.
func (s UIDSet) Ranges() []Range { return s.ranges }

// Clone returns a copy that shares nothing with s.
func (s UIDSet) Clone() UIDSet { return UIDSet{slices.Clone(s.ranges)} }

// Equal reports whether both hold the same UIDs.
func (s UIDSet) Equal(t UIDSet) bool { return slices.Equal(s.ranges, t.ranges) }

// All yields the UIDs in rising order. A set that came from a client may span
// all 4294967295: intersect it first, by Of.
func (s UIDSet) All() iter.Seq[UID] {
	return func(yield func(UID) bool) {
		for _, r := range s.ranges {
			for u := r.Lo; ; u++ {
				if !yield(u) {
					return
				}
				if u == r.Hi {
					break
				}
			}
		}
	}
}

// Of yields the positions in uids, which must be sorted and unique, of the UIDs
// that the set holds. Its cost is that of the answer and the ranges, not of the
// width of the ranges.
func (s UIDSet) Of(uids []UID) iter.Seq[int] {
	return func(yield func(int) bool) {
		at := 0
		for _, r := range s.ranges {
			if at == len(uids) {
				return
			}
			skip, _ := slices.BinarySearch(uids[at:], r.Lo)
			for at += skip; at < len(uids) && uids[at] <= r.Hi; at++ {
				if !yield(at) {
					return
				}
			}
		}
	}
}

// String is the set in the form of RFC 9051's uid-set, such as "1:3,7"; "" for
// the empty set.
func (s UIDSet) String() string { return string(s.Append(nil)) }

// Append appends what String returns to b.
func (s UIDSet) Append(b []byte) []byte {
	for i, r := range s.ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.Lo), 10)
		if r.Hi > r.Lo {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(r.Hi), 10)
		}
	}
	return b
}

// ParseUIDSet reads a uid-set of RFC 9051 §9, in any order and with overlaps: what
// String writes, but for the empty set, which has no text there. It knows no "*":
// what that means depends on a mailbox.
func ParseUIDSet(text string) (UIDSet, error) {
	var ranges []Range
	for part := range strings.SplitSeq(text, ",") {
		lo, hi, isRange := strings.Cut(part, ":")
		if !isRange {
			hi = lo
		}
		a, err := parseUID(lo)
		if err != nil {
			return UIDSet{}, fmt.Errorf("%q: %w", text, err)
		}
		b, err := parseUID(hi)
		if err != nil {
			return UIDSet{}, fmt.Errorf("%q: %w", text, err)
		}
		ranges = append(ranges, Range{min(a, b), max(a, b)})
	}
	// Added in falling order, each would move all others.
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.Lo, b.Lo) })
	var s UIDSet
	for _, r := range ranges {
		s.AddRange(r.Lo, r.Hi)
	}
	return s, nil
}

func parseUID(s string) (UID, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || s[0] == '0' { // nz-number
		return 0, ErrUIDSet
	}
	return UID(n), nil
}
