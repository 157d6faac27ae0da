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

// Terms yields what an index holds of a unit: pairs of field and term, repeated
// ones too.
func Terms(u Unit) iter.Seq2[string, string] {
	return func(yield func(field, term string) bool) {
		if u.Kind != Header {
			_ = yieldAll(FieldBody, Tokens(u.Text), yield) &&
				yieldAll(FieldBorder, borders(u.Text), yield) &&
				yieldAll(FieldRune, Runes(u.Text), yield)
			return
		}
		value := u.Value()
		_ = yield(FieldName, nameTerm(u.Name)) &&
			yieldAll(HeaderField(u.Name), Tokens(value), yield) &&
			yieldAll(FieldHeader, Runes(u.Text), yield) &&
			(isLine(u.Name, u.Text, value) || yieldAll(FieldLine, Tokens(u.Text), yield))
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

// Runes yields each code point of s once or more often, as a string.
func Runes(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		var seen [utf8.RuneSelf]bool
		for i := 0; i < len(s); {
			n := 1
			if c := s[i]; c < utf8.RuneSelf {
				if seen[c] {
					i++
					continue
				}
				seen[c] = true
			} else {
				_, n = utf8.DecodeRuneInString(s[i:])
			}
			if !yield(s[i : i+n]) {
				return
			}
			i += n
		}
	}
}

// edge is how many code points of a word a border holds.
const edge = 4

// borders yields a term for each place in folded text where a space stands
// between two words: the first edge code points of the right one, a space, and the
// last edge ones of the left one backwards. A word that is shorter stands there
// whole, so what is known of both sides of a space in a key is the beginning of
// what stands on both sides of the space in the term: the terms for a phrase of
// frequent words lie together, and few others are looked through to find them.
func borders(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		var last run
		for r := range runs(s) {
			if meet(last, r) && !yield(border(last.text, r.text)) {
				return
			}
			last = r
		}
	}
}

// meet reports whether there is a border between two runs, neighbours in a text.
func meet(left, right run) bool {
	return left.class == word && right.class == word && right.start == left.start+len(left.text)+1
}

// border is the term for the place where two words meet.
func border(left, right string) string {
	b := make([]byte, 0, 2*edge*utf8.UTFMax+1)
	b = append(append(b, head(right, edge)...), ' ')
	return string(appendTail(b, left, edge))
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

// appendTail appends the last n code points of s, or all, the last first.
func appendTail(b []byte, s string, n int) []byte {
	for ; n > 0 && s != ""; n-- {
		size := 1
		if s[len(s)-1] >= utf8.RuneSelf {
			_, size = utf8.DecodeLastRuneInString(s)
		}
		b = append(b, s[len(s)-size:]...)
		s = s[:len(s)-size]
	}
	return b
}
