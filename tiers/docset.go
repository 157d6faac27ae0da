package tiers

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"
)

// docSet is a set of a segment's documents, a bit for each: the union of the many
// short lists that a key inside of terms leads to.
type docSet []uint64

func newDocSet(total uint32) docSet { return make(docSet, (int(total)+63)/64) }

// add fails for a document that is beyond the segment's.
func (s docSet) add(doc uint32) error {
	if int(doc/64) >= len(s) {
		return fmt.Errorf("%w: document %d is too many", errList, doc)
	}
	s[doc/64] |= 1 << (doc % 64)
	return nil
}

func (s docSet) has(doc uint32) bool { return s[doc/64]>>(doc%64)&1 != 0 }

// addRange adds the documents from from to below end, which are the segment's.
func (s docSet) addRange(from, end uint32) {
	for from < end {
		n := min(64-from%64, end-from)
		s[from/64] |= ^uint64(0) >> (64 - n) << (from % 64)
		from += n
	}
}

// orBits adds the documents of a bitmap of total ones.
func (s docSet) orBits(b []byte, total uint32) error {
	size := int(total+7) / 8
	if len(b) < size || total%8 != 0 && b[size-1]>>(total%8) != 0 {
		return fmt.Errorf("%w: the bitmap is wrong", errList)
	}
	b = b[:size]
	for i := 0; len(b) >= 8; i++ {
		s[i] |= binary.LittleEndian.Uint64(b)
		b = b[8:]
	}
	for i, c := range b {
		s[len(s)-1] |= uint64(c) << (8 * i)
	}
	return nil
}

func (s docSet) or(other docSet) {
	for i, w := range other {
		s[i] |= w
	}
}

func (s docSet) and(other docSet) {
	for i, w := range other {
		s[i] &= w
	}
}

func (s docSet) andNot(other docSet) {
	for i, w := range other {
		s[i] &^= w
	}
}

// holds reports whether all documents of other are in s.
func (s docSet) holds(other docSet) bool {
	for i, w := range other {
		if w&^s[i] != 0 {
			return false
		}
	}
	return true
}

func (s docSet) count() (n uint32) {
	for _, w := range s {
		n += uint32(bits.OnesCount64(w))
	}
	return n
}

// appendTo appends the documents in order.
func (s docSet) appendTo(docs []uint32) []uint32 {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			docs = append(docs, uint32(i*64+bits.TrailingZeros64(w)))
		}
	}
	return docs
}

// bitmap is the set for callers, with the numbers of a snapshot.
func (s docSet) bitmap(base uint32) *roaring.Bitmap {
	b := roaring.FromDense(s, true)
	if base == 0 {
		return b
	}
	return roaring.AddOffset(b, base)
}
