package tiers

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"

	"teraslot/text"
)

// Terms are known by numbers that sort as their octets do, as far as these go:
// most of all terms fit into eight octets whole, and borders of ASCII as well.

// packed is the first eight octets of a term as a number, zeros for those that are
// missing. whole says that the term can be made of it again.
func packed(s string) (key uint64, whole bool) {
	n := len(s)
	switch {
	case n >= 8:
		return be64(s), n == 8 && s[7] != 0
	case n >= 4:
		key = uint64(be32(s))<<32 | uint64(be32(s[n-4:]))<<(64-8*n)
	case n > 0:
		key = uint64(s[0])<<56 | uint64(s[n/2])<<(56-n/2*8) | uint64(s[n-1])<<(64-8*n)
	}
	return key, n > 0 && s[n-1] != 0
}

func be32(s string) uint32 {
	return uint32(s[3]) | uint32(s[2])<<8 | uint32(s[1])<<16 | uint32(s[0])<<24
}

func be64(s string) uint64 { return uint64(be32(s))<<32 | uint64(be32(s[4:])) }

// appendPacked appends the term that packed made whole.
func appendPacked(b []byte, key uint64) []byte {
	n := 8 - bits.TrailingZeros64(key)/8
	b = binary.BigEndian.AppendUint64(b, key)
	return b[:len(b)-8+n]
}

// borderEnd is how many octets the side of a border of ASCII has at most.
const borderEnd = 4

// packedBorder packs the border between two words, the beginning of the right one
// above the end of the left one backwards, if both are ASCII. No octet of a word is
// zero, or sorts before the space between the two.
func packedBorder(left, right string) (key uint64, ok bool) {
	var l, r uint32
	if n := len(right); n >= borderEnd {
		r = be32(right)
	} else {
		for i := range n {
			r |= uint32(right[i]) << (24 - 8*i)
		}
	}
	if n := len(left); n >= borderEnd {
		l = bits.ReverseBytes32(be32(left[n-4:]))
	} else {
		for i := range n {
			l |= uint32(left[n-1-i]) << (24 - 8*i)
		}
	}
	return uint64(r)<<32 | uint64(l), (r|l)&0x80808080 == 0
}

// appendPackedBorder appends the border that packedBorder packed.
func appendPackedBorder(b []byte, key uint64) []byte {
	b = append(appendPacked(b, key>>32<<32), ' ')
	return appendPacked(b, key<<32)
}

// borderKey is the key of a border that is not all ASCII: the first octets of both
// sides, so that it sorts among those that are.
func borderKey(border string) uint64 {
	right, left, _ := strings.Cut(border, " ")
	r, _ := packed(right[:min(len(right), borderEnd)])
	if len(right) > borderEnd {
		return r | 0xFFFFFFFF // after a side that ends here
	}
	l, _ := packed(left[:min(len(left), borderEnd)])
	return r | l>>32
}

// seeds make hashes that nobody outside can tell: so nobody can make many terms meet.
type seeds [2]uint64

func newSeeds() seeds { return seeds{rand.Uint64(), rand.Uint64()} }

func (s seeds) hash(key uint64, field uint32) uint64 {
	high, low := bits.Mul64(key^s[0], s[1]^uint64(field)*0x9E3779B97F4A7C15)
	return high ^ low
}

// shortTable finds terms that are told apart by key and field: at the place that
// the hash of both says, or the next free one.
type shortTable struct {
	slots []shortSlot // a power of two
	used  int
	seeds seeds
	sum   uint32 // of what was touched
}

type shortSlot struct {
	key   uint64
	field uint32
	term  uint32 // its number and 1; 0: free
}

// reset empties the table, which has so many slots then, a power of two.
func (t *shortTable) reset(size int) {
	t.slots = sized(t.slots, size)
	clear(t.slots)
	t.used, t.seeds = 0, newSeeds()
}

// number is the number of a term; next, if it is a new one, for which there must be room.
func (t *shortTable) number(key uint64, field, next uint32) uint32 {
	mask := uint64(len(t.slots) - 1)
	for at := t.seeds.hash(key, field) & mask; ; at = (at + 1) & mask {
		s := &t.slots[at]
		if s.term == 0 {
			t.used++
			*s = shortSlot{key, field, next + 1}
			return next
		}
		if s.key == key && s.field == field {
			return s.term - 1
		}
	}
}

// touch reads where terms belong, one after the other without waiting for any: the table is
// larger than what the processor holds of it, so each has to come from memory, and all
// come at once.
func (t *shortTable) touch(terms []ownShort) {
	mask := uint64(len(t.slots) - 1)
	for i := range terms {
		t.sum += t.slots[t.seeds.hash(terms[i].key, terms[i].field)&mask].term
	}
}

// room makes room for n more terms.
func (t *shortTable) room(n int) {
	size := len(t.slots)
	for 4*(t.used+n) >= 3*size {
		size *= 2
	}
	if size == len(t.slots) {
		return
	}
	old := t.slots
	t.slots = make([]shortSlot, size)
	mask := uint64(size - 1)
	for i := range old {
		if old[i].term == 0 {
			continue
		}
		at := t.seeds.hash(old[i].key, old[i].field) & mask
		for t.slots[at].term != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = old[i]
	}
}

// longTable finds the other terms by a hash of their octets.
type longTable struct {
	slots []longSlot // a power of two
	terms []longTerm
}

type longSlot struct{ hash, place uint32 } // place: in terms, and 1; 0: free

// longTerm is a term that its key does not tell all of.
type longTerm struct {
	key   uint64
	text  string
	field uint32
	term  uint32 // its number
}

// reset empties the table, whose terms are forgotten already. It has so many slots then,
// a power of two.
func (t *longTable) reset(size int) {
	t.slots = sized(t.slots, size)
	clear(t.slots)
	t.terms = slices.Grow(t.terms, size/2)
}

// number is the number of a term; next, if it is a new one.
func (t *longTable) number(own *ownLong, next uint32) uint32 {
	hash := uint32(own.hash) + own.field*0x9E3779B9
	mask := uint32(len(t.slots) - 1)
	at := hash & mask
	for ; t.slots[at].place != 0; at = (at + 1) & mask {
		if t.slots[at].hash != hash {
			continue
		}
		if f := &t.terms[t.slots[at].place-1]; f.field == own.field && f.text == own.text {
			return f.term
		}
	}
	t.terms = append(t.terms, longTerm{key: own.key, text: own.text, field: own.field, term: next})
	t.slots[at] = longSlot{hash, uint32(len(t.terms))}
	if 2*len(t.terms) > len(t.slots) {
		t.grow()
	}
	return next
}

// grow makes the table twice as large, with room for the terms that it takes.
func (t *longTable) grow() {
	old := t.slots
	t.terms = slices.Grow(t.terms, len(old)+1-len(t.terms))
	t.slots = make([]longSlot, 2*len(old))
	mask := uint32(len(t.slots) - 1)
	for _, s := range old {
		at := s.hash & mask
		for s.place != 0 && t.slots[at].place != 0 {
			at = (at + 1) & mask
		}
		if s.place != 0 {
			t.slots[at] = s
		}
	}
}

var _ text.Sink = (*analysis)(nil)
