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

// Terms yields what an index holds of a message's units: pairs of field and term,
// most of them as often as they occur. The terms share the units' memory but for
// those of FieldBorder, FieldName and single code points.
func Terms(units []Unit) iter.Seq2[string, string] {
	return func(yield func(field, term string) bool) {
		var header, body runeSet
		var borders borderWriter
		for _, u := range units {
			ok := true
			if u.Kind != Header {
				body.add(u.Text)
				ok = bodyTerms(u.Text, &borders, yield)
			} else {
				header.add(u.Text)
				value := u.Value()
				ok = yield(FieldName, nameTerm(u.Name)) && yieldAll(HeaderField(u.Name), Tokens(value), yield) &&
					(isLine(u.Name, u.Text, value) || yieldAll(FieldLine, Tokens(u.Text), yield))
			}
			if !ok {
				return
			}
		}
		_ = yieldAll(FieldHeader, header.all(), yield) && yieldAll(FieldRune, body.all(), yield)
	}
}

func yieldAll(field string, terms iter.Seq[string], yield func(field, term string) bool) bool {
	for term := range terms {
		if !yield(field, term) {
			return false
		}
	}
	return true
}

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

// all yields the code points of the set, each as a string.
func (r *runeSet) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		for c, there := range r.ascii {
			if there && !yield(asciiStrings[c:c+1]) {
				return
			}
		}
		for c := range r.other {
			if !yield(string(c)) {
				return
			}
		}
	}
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

// bodyTerms yields the tokens of a body, and a border for each place where a space
// stands between two words: the first edge code points of the right one, a space,
// and the last edge ones of the left one backwards. A word that is shorter stands
// there whole, so what is known of both sides of a space in a key is the beginning
// of what stands on both sides of the space in the term: the terms for a phrase of
// frequent words lie together, and few others are looked through to find them.
func bodyTerms(s string, borders *borderWriter, yield func(field, term string) bool) bool {
	token := func(t string) bool { return yield(FieldBody, t) }
	var last run
	for r := range runs(s) {
		if !r.tokens(token) || meet(last, r) && !yield(FieldBorder, borders.border(last.text, r.text)) {
			return false
		}
		last = r
	}
	return true
}

// meet reports whether there is a border between two runs, neighbours in a text.
func meet(left, right run) bool {
	return left.class == word && right.class == word && right.start == left.start+len(left.text)+1
}

// borderWriter makes borders, many in one piece of memory.
type borderWriter struct{ b strings.Builder }

// border is the term for the place where two words meet.
func (w *borderWriter) border(left, right string) string {
	const most, piece = 2*edge*utf8.UTFMax + 1, 4 << 10
	if w.b.Cap()-w.b.Len() < most {
		w.b = strings.Builder{}
		w.b.Grow(piece)
	}
	from := w.b.Len()
	w.b.WriteString(head(right, edge))
	w.b.WriteByte(' ')
	for n := 0; n < edge && left != ""; n++ {
		size := lastSize(left)
		w.b.WriteString(left[len(left)-size:])
		left = left[:len(left)-size]
	}
	return w.b.String()[from:]
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
