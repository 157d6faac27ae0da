package text

import "unicode/utf8"

// FieldSign holds the stretches of three code points of body units whose middle one
// is a symbol: "L.C" of "mail.com", "T, " of "that, and". Words and runs of symbols
// tell little of a key in which they stand without white space between them, or with
// few of their letters: most mail has all of them somewhere.
const FieldSign = ":sign"

// feedSigns hands on the stretches around the symbols of a text.
func feedSigns(s string, to Sink) bool {
	for at, end := range signs(s) {
		if !to.Term(s[at:end]) {
			return false
		}
	}
	return true
}

// signs yields where the stretches of s around its symbols begin and end.
func signs(s string) func(yield func(at, end int) bool) {
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
			if c == sign && before > 0 && next < len(s) && !yield(i-before, next+len(head(s[next:], 1))) {
				return
			}
			i, before = next, size
		}
	}
}

// maxSigns bounds the stretches of a key that are looked for.
const maxSigns = 16

// signLookups appends the stretches of a pattern. Of a single run, they say nothing
// that its token does not.
func signLookups(all []Lookup, pattern string) []Lookup {
	if r, end := nextRun(pattern, 0); r.class != blank && end == len(pattern) {
		return all
	}
	known := map[string]bool{}
	for at, end := range signs(pattern) {
		if s := pattern[at:end]; !known[s] && len(known) < maxSigns {
			known[s] = true
			all = append(all, Lookup{Field: FieldSign, Op: Exact, Text: s})
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
