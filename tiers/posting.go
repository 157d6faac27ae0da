package tiers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// A list says which documents of a segment have a term, and, where counts are
// kept, how often. The first of them stands in the head of the list's block. What there is
// beside it, docs/formats.md draws: a head, then the gaps between the others in octets or
// bits, a bitmap of all, or the gaps between the documents that do not have the term,
// whichever is shortest, then the counts above 1. Most lists are nothing but a few gaps in
// octets: these are bare, without a head.

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
// of the segment's documents, but for the first of them. counts are as many, from 1 on, or
// none. Bare says that the list has no head.
func appendList(b []byte, docs []uint32, counts []uint8, total uint32) (_ []byte, bare bool) {
	f := shortest(docs, total)
	counted := false
	for _, n := range counts {
		counted = counted || n > 1
	}
	if f == formGaps && !counted {
		return appendGaps(b, docs), true
	}
	head := uint64(len(docs))<<3 | uint64(f)<<1
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
		b = appendRice(b, docs[1:], docs[0]+1, total)
	default:
		b = appendGaps(b, docs)
	}
	if counted {
		b = appendCounts(b, counts)
	}
	return b, false
}

// shortest is the form that takes the fewest octets; of those that take as many, the
// one that is read fastest.
func shortest(docs []uint32, total uint32) form {
	gaps, next := 0, docs[0]+1
	for _, d := range docs[1:] {
		gaps += uvarintLen(d - next)
		next = d + 1
	}
	best, least := formGaps, gaps
	if bitmap := int(total+7) / 8; bitmap < least {
		best, least = formBits, bitmap
	}
	if n := riceLen(docs[1:], docs[0]+1, total); n < least {
		best, least = formRice, n
	}
	if others := int(total) - len(docs); others < least && othersLen(docs, total) < least {
		best = formAllBut
	}
	return best
}

func uvarintLen(n uint32) int { return (bits.Len32(n|1) + 6) / 7 }

// appendGaps appends the gaps between documents, of which there is one or more.
func appendGaps(b []byte, docs []uint32) []byte {
	next := docs[0] + 1
	for _, d := range docs[1:] {
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

// docList is an encoded list.
type docList struct {
	data  []byte // nil: first is the only one, and has the term once
	bare  bool   // data are gaps and nothing else
	first uint32 // document
	total uint32 // documents of the segment
}

// head takes the head off.
func (l docList) head() (docs uint32, f form, counted bool, rest []byte, err error) {
	if l.data == nil || l.bare {
		return 1 + l.gaps(), formGaps, false, l.data, nil
	}
	h, n := binary.Uvarint(l.data)
	if n <= 0 || h>>3 == 0 || h>>3 > uint64(l.total) {
		return 0, 0, false, nil, fmt.Errorf("%w: no head", errList)
	}
	return uint32(h >> 3), form(h >> 1 & 3), h&1 != 0, l.data[n:], nil
}

// gaps is how many gaps a bare list has.
func (l docList) gaps() (n uint32) {
	for _, c := range l.data {
		if c < 0x80 {
			n++
		}
	}
	return n
}

// len is the number of documents.
func (l docList) len() (uint32, error) {
	n, _, _, _, err := l.head()
	return n, err
}

// orInto adds the documents to a set of the segment's documents.
func (l docList) orInto(set docSet) error {
	if l.data == nil {
		return set.add(l.first)
	}
	docs, f, _, rest, err := l.head()
	if err != nil {
		return err
	}
	switch f {
	case formGaps:
		_, err = l.eachGap(rest, docs, set.add)
		return err
	case formBits:
		return set.orBits(rest, l.total)
	case formAllBut:
		_, err = l.orOthers(set, rest, l.total-docs)
		return err
	case formRice:
		_, err = l.eachRice(rest, docs, set.add)
		return err
	}
	return fmt.Errorf("%w: form %d", errList, f)
}

// eachGap calls fn with the list's n documents, which are held by gaps, and returns what
// comes after them.
func (l docList) eachGap(b []byte, n uint32, fn func(uint32) error) ([]byte, error) {
	if err := fn(l.first); err != nil {
		return nil, err
	}
	return eachGap(b, l.first+1, n-1, fn)
}

// eachRice is eachGap for gaps in Rice's code.
func (l docList) eachRice(b []byte, n uint32, fn func(uint32) error) ([]byte, error) {
	if err := fn(l.first); err != nil {
		return nil, err
	}
	return eachRice(b, n-1, l.first+1, l.total, fn)
}

// orOthers adds all documents but n.
func (l docList) orOthers(set docSet, b []byte, n uint32) (rest []byte, err error) {
	from := uint32(0)
	rest, err = eachGap(b, 0, n, func(doc uint32) error {
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

// eachGap calls fn with n documents, the first of them next at a gap of 0, and returns
// what comes after them.
func eachGap(b []byte, next, n uint32, fn func(uint32) error) ([]byte, error) {
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
		return append(docs, l.first), append(counts, 1), nil
	}
	n, f, counted, rest, err := l.head()
	if err != nil {
		return docs, counts, err
	}
	from := len(docs)
	switch f {
	case formGaps:
		rest, err = l.eachGap(rest, n, func(doc uint32) error {
			docs = append(docs, doc)
			return nil
		})
		if err == nil && docs[len(docs)-1] >= l.total {
			err = fmt.Errorf("%w: document %d of %d", errList, docs[len(docs)-1], l.total)
		}
	case formRice:
		docs, rest, err = appendRiceDocs(append(docs, l.first), rest, n-1, l.first+1, l.total)
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
