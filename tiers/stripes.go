package tiers

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// A field with much text has a table that says where to look for a string: the
// text is cut into stripes, and for each pair of octets (several share a row) there
// is a bit for each stripe in which some term has it. A string can only lie in the
// stripes that have all of its pairs. On a list whose headers are full of signatures
// that leaves a hundredth of the text to be looked through.
const (
	stripe     = 1 << 10  // octets of text; a term belongs to the one that it begins in
	stripeRows = 1 << 10  // pairs of octets are hashed to these
	stripeMin  = 64 << 10 // octets of text that are worth a table
)

// stripeRow is the row of a pair of octets.
func stripeRow(a, b byte) uint32 { return (uint32(a)<<8 | uint32(b)) * 0x9E3779B1 >> 22 }

// stripeWriter collects the pairs of a field's terms.
type stripeWriter struct {
	size int      // octets of text so far
	cols [][]byte // of each stripe, a bit for each row
}

func (w *stripeWriter) reset() { w.size, w.cols = 0, w.cols[:0] }

// add adds the next term; a line feed follows it in the text.
func (w *stripeWriter) add(term []byte) {
	n := w.size / stripe
	for len(w.cols) <= n {
		if len(w.cols) < cap(w.cols) && w.cols[:len(w.cols)+1][len(w.cols)] != nil {
			w.cols = w.cols[:len(w.cols)+1]
			clear(w.cols[len(w.cols)-1])
		} else {
			w.cols = append(w.cols, make([]byte, stripeRows/8))
		}
	}
	col := w.cols[n]
	for i := range len(term) {
		next := byte('\n')
		if i+1 < len(term) {
			next = term[i+1]
		}
		row := stripeRow(term[i], next)
		col[row/8] |= 1 << (row % 8)
	}
	w.size += len(term) + 1
}

// rowSize is how many octets a row has for a text of size octets.
func rowSize(size uint64) uint64 { return (size/stripe + 8) / 8 }

// table is the field's table, row by row; nil if it is not worth it.
func (w *stripeWriter) table() []byte {
	if w.size < stripeMin {
		return nil
	}
	row := int(rowSize(uint64(w.size)))
	t := make([]byte, row*stripeRows)
	for n, col := range w.cols {
		for i := 0; i < len(col); i += 8 {
			for word := binary.LittleEndian.Uint64(col[i:]); word != 0; word &= word - 1 {
				t[(8*i+bits.TrailingZeros64(word))*row+n/8] |= 1 << (n % 8)
			}
		}
	}
	return t
}

// stripes returns a bit for each stripe of a field in which a string may lie; nil
// if that cannot be told.
func (x *segmentIndex) stripes(f fieldRange, pattern string) []byte {
	if f.table == 0 || len(pattern) < 2 {
		return nil
	}
	row := rowSize(f.end - f.start)
	if f.table > uint64(len(x.lists)) || row*stripeRows > uint64(len(x.lists))-f.table {
		panic(fmt.Errorf("%w: a table of stripes", errIndex))
	}
	table := x.lists[f.table:][:row*stripeRows]
	found := make([]byte, row)
	for i := range len(pattern) - 1 {
		bits := table[row*uint64(stripeRow(pattern[i], pattern[i+1])):][:row]
		if i == 0 {
			copy(found, bits)
			continue
		}
		for j := range found {
			found[j] &= bits[j]
		}
	}
	return found
}

// regions yields the stretches of a field's text, of whole terms each, in which a
// string may lie.
func (x *segmentIndex) regions(f fieldRange, pattern string) func(yield func(from, to uint64) bool) {
	return func(yield func(from, to uint64) bool) {
		found := x.stripes(f, pattern)
		if found == nil {
			yield(f.start, f.end)
			return
		}
		has := func(n uint64) bool { return n/8 < uint64(len(found)) && found[n/8]>>(n%8)&1 != 0 }
		for n := uint64(0); n < 8*uint64(len(found)); n++ {
			if found[n/8] == 0 {
				n |= 7
				continue
			}
			if !has(n) {
				continue
			}
			first := n
			for has(n + 1) {
				n++
			}
			from, to := x.termFrom(f, f.start+first*stripe), x.termFrom(f, f.start+(n+1)*stripe)
			if from < to && !yield(from, to) {
				return
			}
		}
	}
}

// termFrom is where the first term of a field begins at or after an offset.
func (x *segmentIndex) termFrom(f fieldRange, at uint64) uint64 {
	if at <= f.start {
		return f.start
	}
	if at >= f.end {
		return f.end
	}
	return at + uint64(len(x.lineAt(at-1)))
}
