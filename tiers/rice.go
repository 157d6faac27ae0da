package tiers

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Rice's code of gaps: the part of a gap above its k low bits as so many zeros and a
// one, then the k bits, the lowest first; bits fill octets from the lowest on. k is
// that which suits documents that are spread evenly, so it need not be kept.

// riceBits is k for n documents of total.
func riceBits(n, total uint32) uint {
	if n == 0 {
		return 0
	}
	mean := uint64(total) * 69 / 100 / uint64(n) // the median of gaps whose mean is total/n
	return uint(max(0, bits.Len64(mean)-1))
}

// riceLen is how many octets the gaps between documents take.
func riceLen(docs []uint32, total uint32) int {
	k := riceBits(uint32(len(docs)), total)
	n, next := uint64(len(docs))*uint64(k+1), uint32(0)
	for _, d := range docs {
		n += uint64((d - next) >> k)
		next = d + 1
	}
	return int((n + 7) / 8)
}

// appendRice appends the gaps between documents.
func appendRice(b []byte, docs []uint32, total uint32) []byte {
	k := riceBits(uint32(len(docs)), total)
	var word uint64 // bits that are not in b yet
	var n uint      // how many; below 8 between two steps
	octets := func() {
		for ; n >= 8; n -= 8 {
			b = append(b, byte(word))
			word >>= 8
		}
	}
	next := uint32(0)
	for _, d := range docs {
		gap := d - next
		next = d + 1
		for zeros := gap >> k; ; zeros -= 32 {
			if zeros < 32 {
				word |= 1 << (n + uint(zeros))
				n += uint(zeros) + 1
				octets()
				break
			}
			n += 32
			octets()
		}
		word |= uint64(gap&(1<<k-1)) << n
		n += k
		octets()
	}
	if n > 0 {
		b = append(b, byte(word))
	}
	return b
}

// eachRice calls fn with n documents, and returns what comes after them.
func eachRice(b []byte, n, total uint32, fn func(uint32) error) ([]byte, error) {
	k := riceBits(n, total)
	next, at := uint64(0), uint64(0) // at: the next bit
	for ; n > 0; n-- {
		zeros, ok := zerosAt(b, &at)
		gap := zeros<<k | bitsAt(b, at)&(1<<k-1)
		at += uint64(k)
		next += gap
		if !ok || at > 8*uint64(len(b)) || next >= uint64(total) {
			return nil, fmt.Errorf("%w: bits that are no gap", errList)
		}
		if err := fn(uint32(next)); err != nil {
			return nil, err
		}
		next++
	}
	return b[(at+7)/8:], nil
}

// zerosAt counts the zeros from a bit on, and goes behind the one that ends them;
// false if there is none.
func zerosAt(b []byte, at *uint64) (zeros uint64, ok bool) {
	for *at < 8*uint64(len(b)) {
		if w := bitsAt(b, *at); w != 0 {
			n := uint64(bits.TrailingZeros64(w))
			*at += n + 1
			return zeros + n, true
		}
		zeros += sureBits
		*at += sureBits
	}
	return zeros, false
}

// sureBits is how many bits bitsAt returns wherever they begin.
const sureBits = 64 - 7

// bitsAt is the bits from a bit on, zeros for those behind the end.
func bitsAt(b []byte, at uint64) uint64 {
	from := at / 8
	if from+8 <= uint64(len(b)) {
		return binary.LittleEndian.Uint64(b[from:]) >> (at % 8)
	}
	var w uint64
	for i := uint64(len(b)); i > from; i-- {
		w = w<<8 | uint64(b[i-1])
	}
	return w >> (at % 8)
}
