package tiers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// A list says which documents of a segment have a term, and, where counts are
// kept, how often. docs/formats.md has its form: a head, then the gaps between
// documents in octets or bits, a bitmap, or the gaps between the documents that do
// not have the term, whichever is shortest, then the counts above 1.

// form is how a list holds its documents.
type form uint8

const (
	formGaps   form = iota // the documents, by gaps
	formBits               // a bit for each document of the segment
	formAllBut             // the others, by gaps
	formRice               // the documents, by gaps in Rice's code
)

var errList = errors.New("damaged list of documents")

// appendList appends the list of docs, which rise and are below total, the number
// of the segment's documents. counts are as many, from 1 on, or none.
func appendList(b []byte, docs []uint32, counts []uint8, total uint32) []byte {
	f := shortest(docs, total)
	head := uint64(len(docs))<<3 | uint64(f)<<1
	counted := false
	for _, n := range counts {
		counted = counted || n > 1
	}
	if counted {
		head |= 1
	}
	b = binary.AppendUvarint(b, head)
	switch f {
	case formBits:
		b = appendBits(b, docs, total)
	case formAllBut:
		b = appendOthers(b, docs, total)
	case formRice:
		b = appendRice(b, docs, total)
	default:
		b = appendGaps(b, docs)
	}
	if counted {
		b = appendCounts(b, counts)
	}
	return b
}

// shortest is the form that takes the fewest octets; of those that take as many, the
// one that is read fastest.
func shortest(docs []uint32, total uint32) form {
	gaps, next := 0, uint32(0)
	for _, d := range docs {
		gaps += uvarintLen(d - next)
		next = d + 1
	}
	best, least := formGaps, gaps
	if bitmap := int(total+7) / 8; bitmap < least {
		best, least = formBits, bitmap
	}
	if n := riceLen(docs, total); n < least {
		best, least = formRice, n
	}
	if others := int(total) - len(docs); others < least && othersLen(docs, total) < least {
		best = formAllBut
	}
	return best
}

func uvarintLen(n uint32) int { return (bits.Len32(n|1) + 6) / 7 }

func appendGaps(b []byte, docs []uint32) []byte {
	next := uint32(0)
	for _, d := range docs {
		if gap := d - next; gap < 0x80 {
			b = append(b, byte(gap))
		} else {
			b = binary.AppendUvarint(b, uint64(gap))
		}
		next = d + 1
	}
	return b
}

func appendBits(b []byte, docs []uint32, total uint32) []byte {
	from := len(b)
	b = append(b, make([]byte, (total+7)/8)...)
	for _, d := range docs {
		b[from+int(d/8)] |= 1 << (d % 8)
	}
	return b
}

// eachOther calls fn with the gaps between the documents that are not in docs.
func eachOther(docs []uint32, total uint32, fn func(gap uint32)) {
	doc, next := uint32(0), uint32(0)
	others := func(end uint32) {
		for ; doc < end; doc++ {
			fn(doc - next)
			next = doc + 1
		}
		doc = end + 1
	}
	for _, d := range docs {
		others(d)
	}
	others(total)
}

func othersLen(docs []uint32, total uint32) (n int) {
	eachOther(docs, total, func(gap uint32) { n += uvarintLen(gap) })
	return n
}

func appendOthers(b []byte, docs []uint32, total uint32) []byte {
	eachOther(docs, total, func(gap uint32) { b = binary.AppendUvarint(b, uint64(gap)) })
	return b
}

// countSteps are the counts above 1 that are told apart; others are rounded down.
var countSteps = [15]uint8{2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 255}

// countStep is the number of the last step that is not above n, which is 2 or more.
func countStep(n uint8) byte {
	step := 0
	for step+1 < len(countSteps) && countSteps[step+1] <= n {
		step++
	}
	return byte(step)
}

// rounded is a count as it is kept.
func rounded(n uint8) uint8 {
	if n < 2 {
		return n
	}
	return countSteps[countStep(n)]
}

// appendCounts appends a bit for each document, set where the count is above 1,
// and half an octet for each of those.
func appendCounts(b []byte, counts []uint8) []byte {
	from := len(b)
	b = append(b, make([]byte, (len(counts)+7)/8)...)
	half := false
	for i, n := range counts {
		if n < 2 {
			continue
		}
		b[from+i/8] |= 1 << (i % 8)
		if half {
			b[len(b)-1] |= countStep(n) << 4
		} else {
			b = append(b, countStep(n))
		}
		half = !half
	}
	return b
}

// docList is an encoded list, or the only document of a term.
type docList struct {
	data  []byte // nil: doc is the only one, and has it once
	doc   uint32
	total uint32 // documents of the segment
}

// head takes the head off.
func (l docList) head() (docs uint32, f form, counted bool, rest []byte, err error) {
	h, n := binary.Uvarint(l.data)
	if n <= 0 || h>>3 > uint64(l.total) {
		return 0, 0, false, nil, fmt.Errorf("%w: no head", errList)
	}
	return uint32(h >> 3), form(h >> 1 & 3), h&1 != 0, l.data[n:], nil
}

// len is the number of documents.
func (l docList) len() (uint32, error) {
	if l.data == nil {
		return 1, nil
	}
	n, _, _, _, err := l.head()
	return n, err
}

// orInto adds the documents to a set of the segment's documents.
func (l docList) orInto(set docSet) error {
	if l.data == nil {
		return set.add(l.doc)
	}
	docs, f, _, rest, err := l.head()
	if err != nil {
		return err
	}
	switch f {
	case formGaps:
		_, err = eachGap(rest, docs, set.add)
		return err
	case formBits:
		return set.orBits(rest, l.total)
	case formAllBut:
		_, err = l.orOthers(set, rest, l.total-docs)
		return err
	case formRice:
		_, err = eachRice(rest, docs, l.total, set.add)
		return err
	}
	return fmt.Errorf("%w: form %d", errList, f)
}

// orOthers adds all documents but n.
func (l docList) orOthers(set docSet, b []byte, n uint32) (rest []byte, err error) {
	from := uint32(0)
	rest, err = eachGap(b, n, func(doc uint32) error {
		if doc >= l.total {
			return fmt.Errorf("%w: document %d of %d", errList, doc, l.total)
		}
		set.addRange(from, doc)
		from = doc + 1
		return nil
	})
	if err == nil {
		set.addRange(from, l.total)
	}
	return rest, err
}

// eachGap calls fn with n documents, and returns what comes after them.
func eachGap(b []byte, n uint32, fn func(uint32) error) ([]byte, error) {
	next := uint32(0)
	for ; n > 0; n-- {
		if len(b) == 0 {
			return nil, fmt.Errorf("%w: it is cut short", errList)
		}
		gap, size := uint64(b[0]), 1
		if gap >= 0x80 {
			gap, size = binary.Uvarint(b)
		}
		if size <= 0 || gap >= 1<<32-uint64(next)-1 {
			return nil, fmt.Errorf("%w: a gap is wrong", errList)
		}
		b = b[size:]
		if err := fn(next + uint32(gap)); err != nil {
			return nil, err
		}
		next += uint32(gap) + 1
	}
	return b, nil
}

// appendTo appends the documents to docs, and their counts to counts.
func (l docList) appendTo(docs []uint32, counts []uint8) ([]uint32, []uint8, error) {
	if l.data == nil {
		return append(docs, l.doc), append(counts, 1), nil
	}
	n, f, counted, rest, err := l.head()
	if err != nil {
		return docs, counts, err
	}
	from := len(docs)
	switch f {
	case formGaps:
		rest, err = eachGap(rest, n, func(doc uint32) error {
			docs = append(docs, doc)
			return nil
		})
		if err == nil && len(docs) > from && docs[len(docs)-1] >= l.total {
			err = fmt.Errorf("%w: document %d of %d", errList, docs[len(docs)-1], l.total)
		}
	case formRice:
		docs, rest, err = appendRiceDocs(docs, rest, n, l.total)
	default:
		docs, rest, err = l.appendDense(docs, n, f, rest)
	}
	if err != nil {
		return docs, counts, err
	}
	at := len(counts)
	for range len(docs) - from {
		counts = append(counts, 1)
	}
	if counted {
		err = readCounts(rest, counts[at:])
	}
	return docs, counts, err
}

// appendDense is appendTo for lists of many documents.
func (l docList) appendDense(docs []uint32, n uint32, f form, b []byte) ([]uint32, []byte, error) {
	set := newDocSet(l.total)
	var err error
	switch f {
	case formBits:
		if err = set.orBits(b, l.total); err == nil {
			b = b[(l.total+7)/8:]
		}
	case formAllBut:
		b, err = l.orOthers(set, b, l.total-n)
	default:
		err = fmt.Errorf("%w: form %d", errList, f)
	}
	if err == nil && set.count() != n {
		err = fmt.Errorf("%w: %d documents where %d are said to be", errList, set.count(), n)
	}
	if err != nil {
		return docs, nil, err
	}
	return set.appendTo(docs), b, nil
}

// readCounts fills in the counts above 1.
func readCounts(b []byte, counts []uint8) error {
	mask := (len(counts) + 7) / 8
	if len(b) < mask {
		return fmt.Errorf("%w: the counts are cut short", errList)
	}
	steps := b[mask:]
	n := 0
	for i := range counts {
		if b[i/8]>>(i%8)&1 == 0 {
			continue
		}
		if n/2 >= len(steps) || steps[n/2]>>(n%2*4)&15 >= byte(len(countSteps)) {
			return fmt.Errorf("%w: a count is wrong", errList)
		}
		counts[i] = countSteps[steps[n/2]>>(n%2*4)&15]
		n++
	}
	return nil
}
