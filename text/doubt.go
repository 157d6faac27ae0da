package text

import (
	"strings"
	"unicode/utf8"
)

// Doubt is what may make a message a candidate that is no match, of those that the
// lookups of an alternative find: that it has a term that Has means and But does not;
// or, with Twice, that it has the term of Has more than once. Candidates about which
// there is no doubt match.
type Doubt struct {
	Has   Lookup
	But   Lookup // of the same field; zero: none
	Twice bool   // Has is Exact, its field FieldBody
	// Longer: a term counts only if it has more code points.
	Longer int
	// Full: a term counts only if what stands on this side of its space is as much as a
	// border holds, so that the word may be longer. Has is of FieldBorder.
	Full Side
}

// Side is one of the sides of a border's space.
type Side uint8

// The sides; zero is none of them.
const (
	Before Side = iota + 1 // the beginning of the word on the right
	Behind                 // the end of the word on the left
)

// full reports whether a border's side has as much of a word as a border holds.
func (s Side) full(border string) bool {
	before, behind, _ := strings.Cut(border, " ")
	if s == Before {
		return utf8.RuneCountInString(before) >= edge
	}
	return utf8.RuneCountInString(behind) >= edge
}

// Means reports whether a term of Has's field, which a message has so often, makes
// the message doubtful.
func (d Doubt) Means(term string, count int) bool {
	if d.Twice {
		return term == d.Has.Text && count > 1
	}
	return d.Has.Means(term) && !d.But.Means(term) && (d.Full == 0 || d.Full.full(term)) &&
		(d.Longer == 0 || utf8.RuneCountInString(term) > d.Longer)
}

// doubts are what may be wrong with a candidate that has all borders of a pattern,
// which is nothing but words with a space between two of them; ok is false for other
// patterns. A border shows of a word its first or last code points, so that a longer
// word may stand in its place; and where there are three words or more, those that a
// border shows on its right may be others than those that the next one shows on its
// left, unless there is one only.
func doubts(pattern string) (all []Doubt, ok bool) {
	words := words(pattern)
	if len(words) < 2 {
		return nil, false
	}
	for i, w := range words {
		inner := i > 0 && i < len(words)-1
		if inner {
			all = append(all, Doubt{Has: Lookup{Field: FieldBody, Op: Exact, Text: w.text}, Twice: true})
		}
		// A word that is shorter than the edge stands in the border whole.
		if w.count < edge || w.count == edge && !inner {
			continue
		}
		begins := Lookup{Field: FieldBody, Op: Prefix, Text: head(w.text, edge)}
		ends := Lookup{Field: FieldBody, Op: Suffix, Text: tail(w.text, edge)}
		but := Lookup{Field: FieldBody, Op: Exact, Text: w.text}
		if i > 0 {
			if !inner {
				but.Op = Prefix
			}
			all = append(all, Doubt{Has: begins, But: but})
		}
		if i < len(words)-1 {
			if !inner {
				but.Op = Suffix
			}
			all = append(all, Doubt{Has: ends, But: but})
		}
	}
	return all, true
}

// words are the runs of a pattern that is nothing but words with a space between
// two of them; none for others, and where a word may be the piece of a longer one.
func words(pattern string) (all []run) {
	for r := range runs(pattern) {
		if r.class != word || r.count >= window || len(all) > 0 && !meet(all[len(all)-1], r) {
			return nil
		}
		all = append(all, r)
	}
	if strings.HasPrefix(pattern, " ") || strings.HasSuffix(pattern, " ") {
		return nil
	}
	return all
}
