package text

import (
	"strings"
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
	return r.class == word && r.count <= tripleMiddle && r.count > 0 && !strings.ContainsFunc(r.text, func(c rune) bool { return !unicode.IsLetter(c) })
}

// triples hands on the triples of a message's bodies whose middle word is there more
// than once: where it is there once only, the borders on both of its sides say as much.
type triples map[string]*middleWord

// middleWord is what is known of a short word.
type middleWord struct {
	repeated    bool
	left, right string // of the triple that it stood in when it was met first, if in one
}

// feed takes the next body.
func (t triples) feed(s string, to Sink) bool {
	to.Field(FieldTriple)
	var left, middle run
	for i := 0; i < len(s); {
		var r run
		r, i = nextRun(s, i)
		if r.class == blank {
			continue
		}
		if !t.met(left, middle, r, to) {
			return false
		}
		left, middle = middle, r
	}
	return t.met(left, middle, run{}, to)
}

// met notes that a word was met between two others, or what else stands there.
func (t triples) met(left, middle, right run, to Sink) bool {
	if !short(middle) {
		return true
	}
	within := left.count <= edge && right.count <= edge && meet(left, middle) && meet(middle, right)
	known := t[middle.text]
	if known == nil {
		known = &middleWord{}
		if within {
			known.left, known.right = left.text, right.text
		}
		t[middle.text] = known
		return true
	}
	if !known.repeated && known.left != "" && !to.Term(Triple(known.left, middle.text, known.right)) {
		return false
	}
	known.repeated = true
	return !within || to.Term(Triple(left.text, middle.text, right.text))
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
