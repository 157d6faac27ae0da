package tiers

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Rice's code of the gaps between documents from one on: the part of a gap above its k low bits as so many zeros and a
// one, then the k bits, the lowest first; bits fill octets from the lowest on. k is
// that which suits documents that are spread evenly, so it need not be kept.

// riceBits is k for n documents of those from from to below total.
func riceBits(n, from, total uint32) uint {
	if n == 0 || from >= total {
		return 0
	}
	mean := uint64(total-from) * 69 / 100 / uint64(n) // the median of gaps whose mean is (total-from)/n
	return uint(max(0, bits.Len64(mean)-1))
}

// riceLen is how many octets the gaps between documents take.
func riceLen(docs []uint32, from, total uint32) int {
	k := riceBits(uint32(len(docs)), from, total)
	n, next := uint64(len(docs))*uint64(k+1), from
	for _, d := range docs {
		n += uint64((d - next) >> k)
		next = d + 1
	}
	return int((n + 7) / 8)
}

// appendRice appends the gaps between documents.
func appendRice(b []byte, docs []uint32, from, total uint32) []byte {
	k := riceBits(uint32(len(docs)), from, total)
	var word uint64 // bits that are not in b yet
	var n uint      // how many; below 32 between two steps
	next := from
	for _, d := range docs {
		gap := d - next
		next = d + 1
		zeros := gap >> k
		for ; zeros >= 32; zeros -= 32 {
			b = binary.LittleEndian.AppendUint32(b, uint32(word))
			word >>= 32
		}
		word |= 1 << (n + uint(zeros))
		if n += uint(zeros) + 1; n >= 32 {
			b = binary.LittleEndian.AppendUint32(b, uint32(word))
			word, n = word>>32, n-32
		}
		word |= uint64(gap&(1<<k-1)) << n
		if n += k; n >= 32 {
			b = binary.LittleEndian.AppendUint32(b, uint32(word))
			word, n = word>>32, n-32
		}
	}
	for ; n > 0; n -= min(n, 8) {
		b = append(b, byte(word))
		word >>= 8
	}
	return b
}

// eachRice calls fn with n documents, and returns what comes after them.
func eachRice(b []byte, n, from, total uint32, fn func(uint32) error) ([]byte, error) {
	r := riceReader{b: b, k: riceBits(n, from, total), next: uint64(from), total: uint64(total)}
	for ; n > 0; n-- {
		doc, ok := r.doc()
		if !ok {
			return nil, errRice
		}
		if err := fn(doc); err != nil {
			return nil, err
		}
	}
	return r.rest(), nil
}

// appendRiceDocs appends n documents to docs, and returns what comes after them.
func appendRiceDocs(docs []uint32, b []byte, n, from, total uint32) ([]uint32, []byte, error) {
	r := riceReader{b: b, k: riceBits(n, from, total), next: uint64(from), total: uint64(total)}
	for ; n > 0; n-- {
		doc, ok := r.doc()
		if !ok {
			return docs, nil, errRice
		}
		docs = append(docs, doc)
	}
	return docs, r.rest(), nil
}

var errRice = fmt.Errorf("%w: bits that are no gap", errList)

// riceReader reads documents whose gaps are in Rice's code.
type riceReader struct {
	b     []byte
	at    uint64 // the next bit
	k     uint
	next  uint64 // the document at a gap of 0
	total uint64
}

// doc reads the next document; false if there is none below total.
func (r *riceReader) doc() (doc uint32, ok bool) {
	w := bitsAt(r.b, r.at)
	zeros := uint64(bits.TrailingZeros64(w))
	if size := zeros + 1 + uint64(r.k); size <= sureBits { // nearly always
		r.next += zeros<<r.k | w>>(zeros+1)&(1<<r.k-1)
		r.at += size
	} else {
		if zeros, ok = zerosAt(r.b, &r.at); !ok {
			return 0, false
		}
		r.next += zeros<<r.k | bitsAt(r.b, r.at)&(1<<r.k-1)
		r.at += uint64(r.k)
	}
	if r.at > 8*uint64(len(r.b)) || r.next >= r.total {
		return 0, false
	}
	doc = uint32(r.next)
	r.next++
	return doc, true
}

// rest is what comes after what was read.
func (r *riceReader) rest() []byte { return r.b[(r.at+7)/8:] }

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
