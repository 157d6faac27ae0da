package text

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// The fields of an index that are not those of header fields' values. A colon
// ends the name of a header field, so none of them is one.
const (
	FieldBody   = ":body"   // tokens of body units
	FieldBorder = ":border" // where words of body units meet, by border
	FieldTriple = ":triple" // a short word of body units between two others, by triple
	FieldRune   = ":rune"   // code points of body units
	FieldName   = ":name"   // names of the header fields present, by nameTerm
	FieldLine   = ":line"   // tokens of header lines that are not "NAME: value"
	FieldHeader = ":header" // code points of header lines
)

// maxNameTerm bounds what an index holds of a header field's name, in octets.
const maxNameTerm = 255

// HeaderField is the field of an index that holds the tokens of the values of a
// header field; name is its lower-case name. Names that are equal in their first
// 255 octets have the same.
func HeaderField(name string) string { return name[:min(len(name), maxNameTerm)] }

// ValueFields are the header fields that SEARCH has a key of its own for (RFC 9051
// §6.4.4).
func ValueFields() []string { return []string{"from", "to", "cc", "bcc", "subject"} }

// Sink takes what an index holds of a message's units. A method that returns false
// ends it.
type Sink interface {
	// Line begins a header line, and LineEnds ends it. The terms between depend on nothing but
	// the line: if Line returns false they are left out, and LineEnds with them.
	Line(u Unit) bool
	LineEnds()
	// Field says of which field the terms that follow are.
	Field(name string)
	// Term takes a term of that field; most come as often as they occur. It shares the
	// units' memory, but for names of fields and single code points.
	Term(term string) bool
	// Border takes the words left and right of a space in a body, one of which may be empty:
	// the term Border makes of them is one of FieldBorder, whatever the field at hand.
	Border(left, right string) bool
}

// Feed hands on what an index holds of a message's units.
func Feed(units []Unit, to Sink) {
	var header, body runeSet
	short := triples{words: map[string]int{}}
	for _, u := range units {
		ok := true
		if u.Kind == Header {
			header.add(u.Text)
			if to.Line(u) {
				ok = feedHeader(u, to)
				to.LineEnds()
			}
		} else {
			body.add(u.Text)
			to.Field(FieldBody)
			ok = feedText(u.Text, to, &short) && feedSigns(FieldSign, u.Text, to) && short.feed(to)
		}
		if !ok {
			return
		}
	}
	to.Field(FieldHeader)
	if header.feed(to) {
		to.Field(FieldRune)
		body.feed(to)
	}
}

// feedHeader hands on the terms of a header line.
func feedHeader(u Unit, to Sink) bool {
	value := u.Value()
	to.Field(FieldName)
	if !to.Term(nameTerm(u.Name)) {
		return false
	}
	to.Field(HeaderField(u.Name))
	usual := isLine(u.Name, u.Text, value)
	if !feedText(value, to, nil) || !feedClauses(u.Name, value, usual, to) || !feedNears(u.Name, value, to) {
		return false
	}
	if !feedSigns(FieldLineSign, u.Text, to) {
		return false
	}
	if usual {
		return true
	}
	to.Field(FieldLine)
	return feedText(u.Text, to, nil)
}

// feedText hands on the tokens of a text, and of a body, whose triples are wanted, the
// places where its words meet.
func feedText(s string, to Sink, body *triples) bool {
	var before, last run
	for i := 0; i < len(s); {
		var r run
		r, i = nextRun(s, i)
		switch {
		case r.class == blank:
			continue
		case r.class != dense && r.count <= longest:
			if !to.Term(r.text) {
				return false
			}
		case !r.tokens(to.Term):
			return false
		}
		if body != nil {
			if !feedBorder(s, last, r, to) {
				return false
			}
			body.met(before, last, r)
		}
		before, last = last, r
	}
	if body == nil {
		return true
	}
	body.met(before, last, run{})
	return feedBorder(s, last, run{start: len(s)}, to)
}

// feedBorder hands on what words there are on both sides of a space between two runs of a
// body. If one is no word, the other stands alone; but for one behind a symbol, which
// is shown in FieldSign.
func feedBorder(s string, left, right run, to Sink) bool {
	if meet(left, right) {
		return to.Border(left.text, right.text)
	}
	end := left.start + len(left.text)
	if left.class == word && end < len(s) && s[end] == ' ' && !to.Border(left.text, "") {
		return false
	}
	begins := right.class == word && right.start > 0 && s[right.start-1] == ' '
	if begins && !(left.class == sign && end == right.start-1) {
		return to.Border("", right.text)
	}
	return true
}

// Terms yields what Feed hands on: pairs of field and term.
func Terms(units []Unit) iter.Seq2[string, string] {
	return func(yield func(field, term string) bool) { Feed(units, &yielder{yield: yield}) }
}

// yielder is a Sink that yields pairs.
type yielder struct {
	yield func(field, term string) bool
	field string
}

func (y *yielder) Line(Unit) bool                 { return true }
func (y *yielder) LineEnds()                      {}
func (y *yielder) Field(name string)              { y.field = name }
func (y *yielder) Term(term string) bool          { return y.yield(y.field, term) }
func (y *yielder) Border(left, right string) bool { return y.yield(FieldBorder, Border(left, right)) }

// nameTerm is the term of a field's name. The colon keeps it from being empty; it
// is all there is of names that are not as RFC 5322 §3.6.8 has them, or too long.
func nameTerm(name string) string {
	if !plainName(name) {
		return ":"
	}
	return strings.ToUpper(name) + ":"
}

// plainName reports whether a lower-case name is told apart by its term.
func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7F || c == ':' || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return name != "" && len(name) < maxNameTerm
}

// isLine reports whether a header line is a plain name, a colon, a space and the
// value, so that the terms of name and value say all about the line.
func isLine(name, line, value string) bool {
	n := len(name)
	return plainName(name) && len(line) == n+2+len(value) && line[n:n+2] == ": " &&
		strings.EqualFold(line[:n], name) && line[n+2:] == value
}

// runeSet is a set of code points.
type runeSet struct {
	ascii [utf8.RuneSelf]bool
	other map[rune]struct{}
}

// add adds the code points of s.
func (r *runeSet) add(s string) {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			r.ascii[c] = true
			i++
			continue
		}
		c, n := utf8.DecodeRuneInString(s[i:])
		if r.other == nil {
			r.other = map[rune]struct{}{}
		}
		r.other[c] = struct{}{}
		i += n
	}
}

// feed hands the code points of the set on, each as a term.
func (r *runeSet) feed(to Sink) bool {
	for c, there := range r.ascii {
		if there && !to.Term(asciiStrings[c:c+1]) {
			return false
		}
	}
	for c := range r.other {
		if !to.Term(string(c)) {
			return false
		}
	}
	return true
}

// asciiStrings has each ASCII character at its place.
var asciiStrings = func() string {
	var b [utf8.RuneSelf]byte
	for i := range b {
		b[i] = byte(i)
	}
	return string(b[:])
}()

// edge is how many code points of a word a border holds.
const edge = 4

// Border is the term for the place where two words meet: the first edge code points
// of the right one, a space, and the last edge ones of the left one backwards. Where there
// is no word on one side, there is nothing of it. A word that is shorter stands there whole, so what is known of both sides of a space in a
// key is the beginning of what stands on both sides of the space in the term: the
// terms for a phrase of frequent words lie together, and few others are looked
// through to find them.
func Border(left, right string) string {
	var b strings.Builder
	b.Grow(2*edge*utf8.UTFMax + 1)
	b.WriteString(head(right, edge))
	b.WriteByte(' ')
	b.WriteString(backwards(left, edge))
	return b.String()
}

// meet reports whether there is a border between two runs, neighbours in a text.
func meet(left, right run) bool {
	return left.class == word && right.class == word && right.start == left.start+len(left.text)+1
}

// lastSize is how many octets the last code point of s has.
func lastSize(s string) int {
	if s[len(s)-1] < utf8.RuneSelf {
		return 1
	}
	_, size := utf8.DecodeLastRuneInString(s)
	return size
}

// head is the first n code points of s, or all.
func head(s string, n int) string {
	at := 0
	for ; n > 0 && at < len(s); n-- {
		if s[at] < utf8.RuneSelf {
			at++
			continue
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return s[:at]
}

// tail is the last n code points of s, or all.
func tail(s string, n int) string {
	at := len(s)
	for ; n > 0 && at > 0; n-- {
		at -= lastSize(s[:at])
	}
	return s[at:]
}

// backwards is the last n code points of s, or all, the last first.
func backwards(s string, n int) string {
	var b []byte
	for ; n > 0 && s != ""; n-- {
		size := lastSize(s)
		b = append(b, s[len(s)-size:]...)
		s = s[:len(s)-size]
	}
	return string(b)
}
