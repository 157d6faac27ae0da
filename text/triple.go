package text

import (
	"unicode"
)

// tripleMiddle is how many code points the middle word of a triple has at most; the outer
// ones have at most edge.
const tripleMiddle = 3

// Triple is the term for a short word with a short one on each side: the middle one, a
// hyphen, and the border that the outer ones would make, which holds both whole. Phrases
// of frequent words are made of them, and their borders are in most messages somewhere.
func Triple(left, middle, right string) string { return middle + "-" + Border(left, right) }

// short reports whether a word may stand in the middle of a triple.
func short(r run) bool {
	if r.class != word || r.count > tripleMiddle {
		return false
	}
	for _, c := range r.text {
		if !('A' <= c && c <= 'Z') && !unicode.IsLetter(c) {
			return false
		}
	}
	return true
}

// triples are those of a message's bodies whose middle word is there more than once: where
// it is there once only, the borders on both of its sides say as much.
type triples struct {
	words map[string]int // the places of their middle words in first
	first []triple       // that each stood in when it was met first, if in one, until it is met again
	found []triple       // and not handed on yet
}

type triple struct{ left, middle, right string }

// met notes that a word was met between two others, or what else stands there.
func (t *triples) met(left, middle, right run) {
	if middle.count > tripleMiddle || !short(middle) {
		return
	}
	var at triple
	if left.count <= edge && right.count <= edge && meet(left, middle) && meet(middle, right) {
		at = triple{left.text, middle.text, right.text}
	}
	known, met := t.words[middle.text]
	if !met {
		t.words[middle.text] = len(t.first)
		t.first = append(t.first, at)
		return
	}
	for _, one := range [...]triple{t.first[known], at} {
		if one.middle != "" {
			t.found = append(t.found, one)
		}
	}
	t.first[known] = triple{}
}

// feed hands on what was found.
func (t *triples) feed(to Sink) bool {
	to.Field(FieldTriple)
	for _, one := range t.found {
		if !to.Term(Triple(one.left, one.middle, one.right)) {
			return false
		}
	}
	t.found = t.found[:0]
	return true
}

// planTriple plans a pattern of three words that make a triple, if a is the plan by
// borders: who has the triple matches. Who has both borders, the middle word more than
// once, and no triple does not, unless an outer word of the message goes on
// where the pattern ends and is longer than those of triples.
func planTriple(pattern string, a *Alternative) (triple Alternative, ok bool) {
	w := words(pattern)
	if len(w) != 3 || !short(w[1]) || w[0].count > edge || w[2].count > edge {
		return triple, false
	}
	l := borderLookup(span{run: w[0]}, span{run: w[2]})
	l.Field, l.Text = FieldTriple, w[1].text+"-"+l.Text
	a.Settled = true
	a.Open = []Doubt{longer(w[0], w[1], Behind), longer(w[2], w[1], Before)}
	return Alternative{All: []Lookup{l}, Sure: true}, true
}

// longer is the doubt whether an outer word of a pattern is a part of one that is longer
// than those of triples. A word of fewer code points than a border holds may be the part
// of a long one only where the border is full; one that fills it, only in a message that
// has a longer word.
func longer(outer, middle run, side Side) Doubt {
	inner := span{run: middle, left: true, right: true}
	switch {
	case outer.count < edge && side == Before:
		return Doubt{Has: borderLookup(inner, span{run: outer}), Full: side}
	case outer.count < edge:
		return Doubt{Has: borderLookup(span{run: outer}, inner), Full: side}
	}
	has := Lookup{Field: FieldBody, Op: Prefix, Text: outer.text}
	if side == Behind {
		has.Op = Suffix
	}
	return Doubt{Has: has, But: Lookup{Field: FieldBody, Op: Exact, Text: outer.text}}
}
