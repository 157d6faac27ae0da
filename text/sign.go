package text

import "unicode/utf8"

// FieldSign holds the stretches of body units around a symbol: "ER_NA" of "user_name",
// "T, AND" and "THAT, " of "that, and", "TTPS://" of "https://". FieldLineSign holds those of header lines, with one
// code point on both sides, but for the symbols of base64, of which signatures are full:
// "L.C" of "mail.com". Words and runs of symbols tell little of a key in which they
// stand without white space between them, or with few of their letters: most mail has
// all of them somewhere, and code is made of the same few words.
const (
	FieldSign     = ":sign"
	FieldLineSign = ":linesign"
)

// Lengths in code points of what a stretch of FieldSign has beside its symbol: of a word
// that ends there, if another symbol, or nothing, follows, or if it is a part of a path or of a
// name in code; elsewhere, one. Of what follows white space, as far as it is
// of one class; of what follows otherwise, after a word or before another symbol, and elsewhere.
const (
	signWord  = 4
	signSpace = 3
	signNext  = 2
	signLone  = 3
)

// telling is how many code points of a word tell it from most others: who has less in
// common with a word is looked up for nothing.
const telling = 3

// stretch is where a stretch around a symbol begins and ends, and where the symbol is.
// Of one in a key, as much is known as lies in every text's that has the key there;
// begins and ends say that the text's does so there as well.
type stretch struct {
	from, symbol, next, to int
	begins, ends           bool
}

// symbols yields where the symbols of s begin and end.
func symbols(s string) func(yield func(i, next int) bool) {
	return func(yield func(i, next int) bool) {
		for i := 0; i < len(s); {
			size, c := 1, octetClasses[s[i]]
			if c == beyond {
				var r rune
				r, size = utf8.DecodeRuneInString(s[i:])
				c = classOf(r)
			}
			if c == sign && !yield(i, i+size) {
				return
			}
			i += size
		}
	}
}

// feedSigns hands on the stretches around the symbols of a text for a field.
func feedSigns(field, s string, to Sink) bool {
	to.Field(field)
	for i, next := range symbols(s) {
		if at, ok := stretchAt(field, s, i, next, false); ok && !to.Term(s[at.from:at.to]) {
			return false
		}
		if field != FieldSign || i == 0 || next == len(s) || classFirst(s[next:]) != blank {
			continue
		}
		if w := shortBefore(s[:i]); w != "" && !to.Term(s[i-len(w):next+len(head(s[next:], 1))]) {
			return false
		}
	}
	return true
}

// shortBefore is the word at the end of s, if it has no more code points than a stretch has of
// one: such words are frequent, so where white space follows a symbol behind one of them, it
// stands with both in a stretch of its own.
func shortBefore(s string) string {
	w := tailOf(s, word, signWord)
	if len(w) < len(s) && classBefore(s[:len(s)-len(w)]) == word {
		return ""
	}
	return w
}

// stretchAt is the stretch that a field has around a symbol of a text, or as much of it
// as a key tells; false if there is none, or if it tells nothing.
func stretchAt(field, s string, i, next int, key bool) (stretch, bool) {
	if field == FieldSign {
		return bodyStretch(s, i, next, key), next < len(s) || i > 0 && !key
	}
	if i == 0 || next == len(s) || s[i] == '+' || s[i] == '/' {
		return stretch{}, false
	}
	return stretch{i - lastSize(s[:i]), i, next, next + len(head(s[next:], 1)), true, true}, true
}

// bodyStretch is stretchAt for bodies.
func bodyStretch(s string, i, next int, key bool) stretch {
	at := stretch{from: i, symbol: i, next: next, to: next, begins: !key, ends: !key}
	before, behind := blank, blank
	if i > 0 {
		before = classBefore(s[:i])
	}
	if next < len(s) {
		behind = classFirst(s[next:])
	}
	if i > 0 {
		most := 1
		known := before != word || next < len(s) // how much the text's has of a word
		if before == word && (known || !key) {
			most = shownBefore(s[i], behind, next == len(s))
		}
		shown := tailOf(s[:i], before, most)
		at.from = i - len(shown)
		at.begins = !key || known && (at.from > 0 || utf8.RuneCountInString(shown) == most)
	}
	if next == len(s) {
		return at
	}
	shown, most := "", signNext
	switch {
	case behind == blank:
		size := len(head(s[next:], 1))
		most = 1 + signSpace
		shown = s[next : next+size+len(headOf(s[next+size:], signSpace))]
	case behind != sign && before != word && (i > 0 || !key):
		most = signLone
		fallthrough
	default:
		shown = head(s[next:], most)
	}
	at.to = next + len(shown)
	full := utf8.RuneCountInString(shown) == most || behind == blank && at.to < len(s)
	at.ends = !key || full && (i > 0 || behind == blank || behind == sign)
	return at
}

// shownBefore is how much a stretch has of a word before a symbol.
func shownBefore(symbol byte, behind class, end bool) int {
	switch {
	case end, behind == sign:
		return signWord
	case behind == blank:
		return 1
	case symbol == '/', symbol == '_':
		return signWord
	}
	return 1
}

// classFirst is the class of the first code point of s, classBefore that of the last.
func classFirst(s string) class {
	if c := octetClasses[s[0]]; c != beyond {
		return c
	}
	r, _ := utf8.DecodeRuneInString(s)
	return classOf(r)
}

func classBefore(s string) class {
	if c := octetClasses[s[len(s)-1]]; c != beyond {
		return c
	}
	r, _ := utf8.DecodeLastRuneInString(s)
	return classOf(r)
}

// tailOf is the last n code points of s, as far as they are of a class.
func tailOf(s string, c class, n int) string {
	at := len(s)
	for ; n > 0 && at > 0 && classBefore(s[:at]) == c; n-- {
		at -= lastSize(s[:at])
	}
	return s[at:]
}

// headOf is the first n code points of s, as far as they are of the first one's class.
func headOf(s string, n int) string {
	at := 0
	for ; n > 0 && at < len(s) && classFirst(s[at:]) == classFirst(s); n-- {
		at += len(head(s[at:], 1))
	}
	return s[:at]
}

// maxSigns bounds the stretches of a key that are looked for.
const maxSigns = 16

// lookup asks for a stretch of a pattern.
func (at stretch) lookup(field, pattern string) Lookup {
	l := Lookup{Field: field, Op: Inside, Text: pattern[at.from:at.to]}
	switch {
	case at.begins && at.ends:
		l.Op = Exact
	case at.begins:
		l.Op = Prefix
	case at.ends:
		l.Op = Suffix
	}
	return l
}

// oneSign is the lookup for a pattern that is such a stretch, or a part of one.
func oneSign(field, pattern string) (l Lookup, ok bool) {
	for i, next := range symbols(pattern) {
		if at, ok := stretchAt(field, pattern, i, next, true); ok && at.from == 0 && at.to == len(pattern) {
			return at.lookup(field, pattern), true
		}
	}
	return l, false
}

// signLookups appends the stretches of a pattern. Of a single run, they say nothing
// that its token does not.
func signLookups(all []Lookup, field, pattern string) []Lookup {
	if r, end := nextRun(pattern, 0); r.class != blank && end == len(pattern) {
		return all
	}
	known := map[Lookup]bool{}
	for i, next := range symbols(pattern) {
		at, ok := stretchAt(field, pattern, i, next, true)
		if l := at.lookup(field, pattern); ok && !known[l] && len(known) < maxSigns {
			known[l] = true
			all = append(all, l)
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

// besideSign plans a pattern of one or two words with symbols between or beside them, if
// a is its plan by all of its stretches and words.
func besideSign(pattern string, a Alternative) []Alternative {
	for i, next := range symbols(pattern) {
		at := bodyStretch(pattern, i, next, true)
		switch {
		case next == len(pattern), pattern[next:] == " ":
			if found := beforeSign(pattern, at, a); found != nil {
				return found
			}
			continue
		case i == 0 && utf8.RuneCountInString(pattern[next:]) == signLone && classFirst(pattern[next:]) != sign:
			// After a word, the stretch ends earlier.
			short := Lookup{Field: FieldSign, Op: Suffix, Text: pattern[at.from:at.to]}
			a.All = append([]Lookup{short}, a.All...)
			return []Alternative{{All: []Lookup{{Field: FieldSign, Op: Inside, Text: pattern}}, Sure: true}, a}
		}
		if doubts, ok := at.doubts(pattern); ok {
			a.Provable, a.Doubts = true, doubts
			return []Alternative{a}
		}
	}
	return []Alternative{a}
}

// doubts are what may be wrong with a candidate that has a stretch of a pattern, of which
// only parts of words stand beside it: words that begin or end as these do. False
// if there is more beside it, or nothing.
func (at stretch) doubts(pattern string) (all []Doubt, ok bool) {
	if at.from > 0 {
		r, end := nextRun(pattern, 0)
		if r.class != word || end != at.symbol || r.count >= window || utf8.RuneCountInString(pattern[at.from:at.symbol]) < telling {
			return nil, false
		}
		all = append(all, Doubt{Has: Lookup{Field: FieldBody, Op: Suffix, Text: pattern[at.from:at.symbol]}, But: Lookup{Field: FieldBody, Op: Suffix, Text: r.text}})
	}
	if at.to == len(pattern) {
		return all, true
	}
	from := at.next
	if classFirst(pattern[from:]) == blank {
		from += len(head(pattern[from:], 1))
	}
	r, end := nextRun(pattern, from)
	if r.class != word || end != len(pattern) || r.count >= window || from >= at.to || utf8.RuneCountInString(pattern[from:at.to]) < telling {
		return nil, false
	}
	return append(all, Doubt{Has: Lookup{Field: FieldBody, Op: Prefix, Text: pattern[from:at.to]}, But: Lookup{Field: FieldBody, Op: Prefix, Text: r.text}}), true
}

// beforeSign plans a word with a symbol behind it, and maybe a space: stretches show the end of
// the word, and words that are short; but of a longer one, if white space follows the symbol, or
// of any, if a word does, its last letter only.
func beforeSign(pattern string, at stretch, a Alternative) []Alternative {
	r, end := nextRun(pattern, 0)
	if r.class != word || end != at.symbol || r.count >= window {
		return nil
	}
	short, spaced := r.count <= signWord, at.next < len(pattern)
	if spaced && !short {
		return nil
	}
	proved := Alternative{All: []Lookup{{Field: FieldSign, Op: Inside, Text: tail(r.text, signWord) + pattern[at.symbol:]}}, Sure: true}
	if !short {
		proved = atSpace(proved.All[0], Lookup{Field: FieldBody, Op: Suffix, Text: r.text}, tail(r.text, signWord))
	}
	last := Lookup{Field: FieldSign, Op: Prefix, Text: tail(r.text, 1) + pattern[at.symbol:at.next]}
	behind := last
	behind.Text += " "
	apart := shownBefore(pattern[at.symbol], word, false) == 1 // of words with one behind the symbol, too
	if spaced || !apart {
		last = behind
	}
	a.All = append([]Lookup{last}, a.All...)
	if a.Settled = short; short {
		a.Open = []Doubt{{Has: Lookup{Field: FieldBody, Op: Suffix, Text: r.text}, Longer: signWord}}
		if last != behind {
			a.Open = append(a.Open, Doubt{Has: last, But: behind})
		}
	}
	return []Alternative{proved, a}
}
