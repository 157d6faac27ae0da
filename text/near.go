package text

import (
	"strings"
	"unicode/utf8"
)

// nearFields are the header fields in which people look for each other, and for what
// they wrote about.
var nearFields = map[string]string{"from": "from:", "to": "to:", "cc": "cc:", "bcc": "bcc:", "reply-to": "reply-to:", "sender": "sender:", "subject": "subject:"}

// NearField is the field of an index that holds the stretches around what separates
// words in a header field's values; false for header fields that have none. Its name
// is no header field's, since it has a colon.
func NearField(name string) (field string, ok bool) {
	field, ok = nearFields[name]
	return field, ok
}

// Lengths in code points of a stretch: of the letters on each side, and of what
// separates them.
const (
	nearWord = 3
	nearGap  = 4
)

// part is a stretch of text of letters only (words, and scripts without spaces), or of
// none.
type part struct {
	from, to int
	gap      bool
}

// nextPart is the part that begins at an offset; an empty one at the end.
func nextPart(s string, from int) part {
	p := part{from: from, to: from}
	for p.to < len(s) {
		r, size := utf8.DecodeRuneInString(s[p.to:])
		c := classOf(r)
		gap := c == blank || c == sign
		if p.to > from && gap != p.gap {
			break
		}
		p.gap, p.to = gap, p.to+size
	}
	return p
}

// nears yields the stretches of a text around what separates its words: that, with
// some letters on both sides; of what is longer, its ends with the letters there. If
// a text contains a key, each stretch of the key lies inside one of the text's.
func nears(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var left, gap part
		for right := nextPart(s, 0); ; right = nextPart(s, right.to) {
			switch {
			case right.gap:
				gap = right
				continue
			case gap.gap && !near(s, left, gap, right, yield):
				return
			case right.from == right.to:
				return
			}
			left, gap = right, part{}
		}
	}
}

// near yields the stretches around one gap; a side that the text does not have is
// empty.
func near(s string, left, gap, right part, yield func(string) bool) bool {
	from := gap.from - len(tail(s[left.from:left.to], nearWord))
	to := gap.to + len(head(s[right.from:right.to], nearWord))
	middle := s[gap.from:gap.to]
	if utf8.RuneCountInString(middle) <= nearGap {
		return from == gap.from && to == gap.to || yield(s[from:to])
	}
	return (from == gap.from || yield(s[from:gap.from+len(head(middle, nearGap))])) &&
		(to == gap.to || yield(s[gap.to-len(tail(middle, nearGap)):to]))
}

// feedNears hands on the stretches of a header field's value.
func feedNears(name, value string, to Sink) bool {
	field, ok := NearField(name)
	if !ok {
		return true
	}
	to.Field(field)
	for s := range nears(value) {
		if !to.Term(s) {
			return false
		}
	}
	return true
}

// nearLookups appends the stretches of a pattern that is looked for in a field's values.
func nearLookups(all []Lookup, field, pattern string) []Lookup {
	known := map[string]bool{}
	for s := range nears(pattern) {
		if !known[s] && len(known) < maxSigns {
			known[s] = true
			all = append(all, Lookup{Field: field, Op: Inside, Text: s})
		}
	}
	return all
}

// nearly are the alternatives for a pattern in a field's values, of which a is one: who
// has a stretch in which all of the pattern lies, matches; and nobody else does if the
// pattern is a stretch itself. In header lines, a space at the beginning may be that
// before the value.
func nearly(a Alternative, field, pattern string) []Alternative {
	inside := pattern
	if a.AnyHeader {
		inside = strings.TrimPrefix(pattern, " ")
	}
	all := nearLookups(nil, field, inside)
	if len(all) == 0 && inside == pattern {
		return []Alternative{a}
	}
	sure := Alternative{All: []Lookup{{Field: field, Op: Inside, Text: pattern}}, AnyHeader: a.AnyHeader, Sure: true}
	if len(all) == 1 && all[0].Text == pattern && !a.AnyHeader {
		return []Alternative{sure}
	}
	a.All = append(a.All, all...)
	if utf8.RuneCountInString(pattern) > 2*nearWord+nearGap {
		return []Alternative{a}
	}
	return []Alternative{sure, a}
}
