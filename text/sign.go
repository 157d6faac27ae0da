package text

import "unicode/utf8"

// FieldSign holds the stretches of body units around a symbol: the code point before it
// and the two behind it, as far as there are so many; FieldLineSign those of header
// lines, with one behind it, but for the symbols of base64, of which signatures are full:
// "L.CO" of "mail.com", "T, A" of "that, and". Words and runs of symbols tell little of a
// key in which they stand without white space between them, or with few of their
// letters: most mail has all of them somewhere.
const (
	FieldSign     = ":sign"
	FieldLineSign = ":linesign"
)

// signAfter is how many code points there are behind the symbol.
func signAfter(field string) int {
	if field == FieldSign {
		return 2
	}
	return 1
}

// feedSigns hands on the stretches around the symbols of a text for a field.
func feedSigns(field, s string, to Sink) bool {
	to.Field(field)
	for at, end := range signs(field, s) {
		if !to.Term(s[at:end]) {
			return false
		}
	}
	return true
}

// signs yields where the stretches of s around its symbols begin and end that a field has.
func signs(field, s string) func(yield func(at, end int) bool) {
	after, lines := signAfter(field), field == FieldLineSign
	return func(yield func(at, end int) bool) {
		before := 0 // octets of the code point before
		for i := 0; i < len(s); {
			size, c := 1, octetClasses[s[i]]
			if c == beyond {
				var r rune
				r, size = utf8.DecodeRuneInString(s[i:])
				c = classOf(r)
			}
			next := i + size
			of64 := lines && (s[i] == '+' || s[i] == '/')
			if c == sign && before > 0 && next < len(s) && !of64 && !yield(i-before, next+len(head(s[next:], after))) {
				return
			}
			i, before = next, size
		}
	}
}

// maxSigns bounds the stretches of a key that are looked for.
const maxSigns = 16

// signLookup asks for a stretch of a pattern. One at the pattern's end may be the
// beginning of what the text has.
func signLookup(field, stretch string) Lookup {
	if utf8.RuneCountInString(stretch) < 2+signAfter(field) {
		return Lookup{Field: field, Op: Prefix, Text: stretch}
	}
	return Lookup{Field: field, Op: Exact, Text: stretch}
}

// oneSign is the lookup for a pattern that is such a stretch, or the beginning of one.
func oneSign(field, pattern string) (l Lookup, ok bool) {
	for at, end := range signs(field, pattern) {
		return signLookup(field, pattern), at == 0 && end == len(pattern)
	}
	return l, false
}

// signLookups appends the stretches of a pattern. Of a single run, they say nothing
// that its token does not.
func signLookups(all []Lookup, field, pattern string) []Lookup {
	if r, end := nextRun(pattern, 0); r.class != blank && end == len(pattern) {
		return all
	}
	known := map[string]bool{}
	for at, end := range signs(field, pattern) {
		if s := pattern[at:end]; !known[s] && len(known) < maxSigns {
			known[s] = true
			all = append(all, signLookup(field, s))
		}
	}
	return all
}

// shown reports whether the stretches of a pattern say all about one of its runs: a
// single symbol with something else on both sides, or a single code point at the
// pattern's end with a symbol beside it.
func (s span) shown(pattern string) bool {
	if s.count != 1 {
		return false
	}
	end := s.start + len(s.text)
	switch {
	case s.class == sign:
		return s.left && s.right
	case !s.left && end < len(pattern):
		r, next := utf8.DecodeRuneInString(pattern[end:])
		return classOf(r) == sign && end+next < len(pattern)
	case !s.right && s.start > 0:
		r, size := utf8.DecodeLastRuneInString(pattern[:s.start])
		return classOf(r) == sign && s.start > size
	}
	return false
}
