package text

import "unicode/utf8"

// FieldSign holds the stretches of body units around a symbol: the code point before it,
// two before an underscore, and the two behind it, as far as there are so many;
// FieldLineSign those of header lines, with one on both sides, but for the symbols of
// base64, of which signatures are full: "L.CO" of "mail.com", "T, A" of "that, and",
// "ST_LA" of "first_last". Words and runs of symbols tell little of a key in which they
// stand without white space between them, or with few of their letters: most mail has
// all of them somewhere, and code is made of the same few words.
const (
	FieldSign     = ":sign"
	FieldLineSign = ":linesign"
)

// signBefore and signAfter are how many code points there are before a symbol and behind
// it.
func signBefore(field string, symbol byte) int {
	if field == FieldSign && symbol == '_' {
		return 2
	}
	return 1
}

func signAfter(field string) int {
	if field == FieldSign {
		return 2
	}
	return 1
}

// feedSigns hands on the stretches around the symbols of a text for a field.
func feedSigns(field, s string, to Sink) bool {
	to.Field(field)
	for at := range signs(field, s) {
		if !to.Term(s[at.from:at.to]) {
			return false
		}
	}
	return true
}

// stretch is where a stretch around a symbol begins and ends, and where the symbol is.
type stretch struct{ from, symbol, to int }

// signs yields the stretches of s around its symbols that a field has.
func signs(field, s string) func(yield func(stretch) bool) {
	after, lines := signAfter(field), field == FieldLineSign
	return func(yield func(stretch) bool) {
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
			if c == sign && before > 0 && next < len(s) && !of64 {
				at := stretch{i - before, i, next + len(head(s[next:], after))}
				if signBefore(field, s[i]) > 1 {
					at.from = i - len(tail(s[:i], signBefore(field, s[i])))
				}
				if !yield(at) {
					return
				}
			}
			i, before = next, size
		}
	}
}

// maxSigns bounds the stretches of a key that are looked for.
const maxSigns = 16

// signLookup asks for a stretch of a pattern. One at the pattern's end may be the
// beginning of what the text has, and one at its beginning a part of it.
func signLookup(field, pattern string, at stretch) Lookup {
	l := Lookup{Field: field, Op: Exact, Text: pattern[at.from:at.to]}
	_, size := utf8.DecodeRuneInString(pattern[at.symbol:])
	switch {
	case utf8.RuneCountInString(pattern[at.from:at.symbol]) < signBefore(field, pattern[at.symbol]):
		l.Op = Inside
	case utf8.RuneCountInString(pattern[at.symbol+size:at.to]) < signAfter(field):
		l.Op = Prefix
	}
	return l
}

// oneSign is the lookup for a pattern that is such a stretch, or a part of one.
func oneSign(field, pattern string) (l Lookup, ok bool) {
	for at := range signs(field, pattern) {
		return signLookup(field, pattern, at), at.from == 0 && at.to == len(pattern)
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
	for at := range signs(field, pattern) {
		if s := pattern[at.from:at.to]; !known[s] && len(known) < maxSigns {
			known[s] = true
			all = append(all, signLookup(field, pattern, at))
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
