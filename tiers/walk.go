package tiers

import (
	"bytes"
	"sort"

	"teraslot/text"
)

// Borders, which are the most of all terms, and stretches around symbols in bodies are
// looked up by their beginnings and lie close together: each is held by what it does not
// share with the one before it in its block, after an octet that says how much it shares.
// Terms that are made of words have no octet below a space, so in their fields that octet
// is below it and ends the term before as well; elsewhere a line feed does.

// sharing says how the terms of a field are held.
type sharing struct {
	none byte // the octet for nothing shared; 0: terms are whole
	most int  // octets shared
	ends bool // the octet ends the term before
}

// sharingOf is how the terms of a field are held.
func sharingOf(field string) sharing {
	switch field {
	case text.FieldBorder, text.FieldTriple:
		return sharing{none: 1, most: ' ' - 2, ends: true}
	case text.FieldSign:
		return sharing{none: ' ', most: 0x7F - ' '}
	}
	return sharing{}
}

// shared is how many octets a term begins with as the one before it does.
func (s sharing) shared(before, term []byte) int {
	n := 0
	for n < min(len(before), len(term), s.most) && before[n] == term[n] {
		n++
	}
	return n
}

// walk goes through the terms of a field, in order.
type walk struct {
	x    *segmentIndex
	f    fieldRange
	at   uint64 // where the term at hand begins
	next uint64 // where the one after it does
	term []byte // at hand; valid until the walk goes on
	made []byte // of shared terms
}

// walkBlock begins at the first term of a block.
func (x *segmentIndex) walkBlock(f fieldRange, block uint32) walk {
	return walk{x: x, f: f, next: max(x.blockText(block), f.start)}
}

// walkAll begins at a field's first term.
func (x *segmentIndex) walkAll(f fieldRange) walk { return walk{x: x, f: f, next: f.start} }

// forth goes to the next term; false if there is none.
func (w *walk) forth() bool {
	if w.next >= w.f.end || w.f.ends && w.next+1 >= w.f.end {
		return false
	}
	w.at = w.next
	line := w.x.line(w.f, w.at)
	w.next += uint64(len(line))
	if !w.f.ends {
		w.next++
	}
	if w.f.none == 0 {
		w.term = line
		return true
	}
	w.made = append(w.made[:w.share(line)], line[min(1, len(line)):]...)
	w.term = w.made
	return true
}

// share is how much of the term before is one of a line; in damaged ones, no more
// than there is.
func (w *walk) share(line []byte) int {
	if len(line) == 0 {
		return 0
	}
	return min(max(int(line[0])-int(w.f.none), 0), len(w.made))
}

// first is the first term of a block, which shares nothing.
func (x *segmentIndex) first(f fieldRange, at uint64) []byte {
	line := x.line(f, at)
	if f.none != 0 {
		line = line[min(1, len(line)):]
	}
	return line
}

// seek goes to the first term of a field that is not below key; false if there is none.
func (x *segmentIndex) seek(f fieldRange, key []byte) (w walk, ok bool) {
	n := sort.Search(int(f.blocks), func(i int) bool {
		at := x.blockText(f.first + uint32(i))
		return at == uint64(len(x.text)) || bytes.Compare(x.first(f, at), key) > 0
	})
	for w = x.walkBlock(f, f.first+uint32(max(n-1, 0))); w.forth(); {
		if bytes.Compare(w.term, key) >= 0 {
			return w, true
		}
	}
	return w, false
}
