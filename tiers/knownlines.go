package tiers

import (
	"hash/maphash"

	"teraslot/text"
)

// knownLines are header lines with the numbers of their terms: half of all lines stood in
// another message of the same batch, octet by octet, and have the same terms there.
type knownLines struct {
	met   []uint32 // hashes of lines that came once
	slots []knownLine
	seed  maphash.Seed

	// Of the document at hand: the lines whose terms are noted, and their terms by place
	// among its own, a long one's with the lowest bit set.
	notes  []lineNote
	terms  []uint32
	noting bool
}

type knownLine struct {
	unit  text.Unit
	terms []uint32 // by number; some more than once
}

type lineNote struct {
	unit text.Unit
	slot uint32
	end  int // of its terms
}

// How many lines are known, and how many hashes; both are powers of two. A line is
// known when it comes for the third time, if it has so many octets at most.
const (
	linesKnown = 1 << 12
	linesMet   = 1 << 13
	lineMost   = 512
)

// linesWorth is from how many documents on lines are worth being known.
const linesWorth = 32

// reset begins with no line, for a segment of about so many documents.
func (l *knownLines) reset(docs int) {
	if docs < linesWorth {
		*l = knownLines{}
		return
	}
	l.forget()
	l.met, l.slots = sized(l.met, linesMet), sized(l.slots, linesKnown)
	clear(l.met)
	l.seed = maphash.MakeSeed()
}

// forget lets go of what belongs to the documents.
func (l *knownLines) forget() {
	for i := range l.slots {
		l.slots[i].unit, l.slots[i].terms = text.Unit{}, l.slots[i].terms[:0]
	}
	l.begin()
}

// begin begins another document.
func (l *knownLines) begin() {
	clear(l.notes)
	l.notes, l.terms, l.noting = l.notes[:0], l.terms[:0], false
}

// of returns the terms of a line, if they are known. If they are not, but worth it, those
// that follow are noted.
func (l *knownLines) of(u text.Unit) (terms []uint32, ok bool) {
	if len(l.slots) == 0 || len(u.Text) > lineMost {
		return nil, false
	}
	hash := maphash.String(l.seed, u.Text)
	slot := uint32(hash & (linesKnown - 1))
	if s := &l.slots[slot]; s.unit == u {
		return s.terms, true
	}
	met := &l.met[hash>>32&(linesMet-1)]
	if *met == uint32(hash)|1 {
		l.noting = true
		l.notes = append(l.notes, lineNote{unit: u, slot: slot})
		return nil, false
	}
	*met = uint32(hash) | 1
	return nil, false
}

// note notes a term of the line at hand.
func (l *knownLines) note(place uint32) {
	if l.noting {
		l.terms = append(l.terms, place)
	}
}

// end ends the line at hand.
func (l *knownLines) end() {
	if l.noting {
		l.noting = false
		l.notes[len(l.notes)-1].end = len(l.terms)
	}
}

// learn takes what was noted in a document, whose own terms have their numbers.
func (l *knownLines) learn(own *ownTerms) {
	from := 0
	for _, n := range l.notes {
		s := &l.slots[n.slot]
		s.unit, s.terms = n.unit, s.terms[:0]
		for _, place := range l.terms[from:n.end] {
			if place&1 == 0 {
				s.terms = append(s.terms, own.short[place>>1].term)
			} else {
				s.terms = append(s.terms, own.long[place>>1].term)
			}
		}
		from = n.end
	}
}
