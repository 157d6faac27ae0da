package message

import (
	"bytes"
	"iter"
)

// field is one occurrence of a header field, in its raw form.
type field struct {
	name  []byte // as written; nil for a line that is no field
	value []byte // after the colon, with folds and line end
	raw   []byte // the whole of it
}

// is reports whether the field has this name (lower-case).
func (f field) is(name string) bool { return equalFold(f.name, name) }

// maxFieldName is longer than the names of the fields that mean anything here.
const maxFieldName = 32

// lowerName is the field's name in lower case, in buf; nil for a longer one.
func (f field) lowerName(buf *[maxFieldName]byte) []byte {
	if len(f.name) > len(buf) {
		return nil
	}
	for i, c := range f.name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(f.name)]
}

// equalFold compares ASCII without regard to case; name is lower-case.
func equalFold(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

// fields goes through a header's fields up to its blank line. Lines that are
// neither a field nor the continuation of one come as fields without a name; an
// mbox From line at the start is passed over.
func fields(header []byte) iter.Seq[field] {
	return func(yield func(field) bool) {
		if isMboxLine(header) {
			_, header = cutLine(header)
		}
		for len(header) > 0 && !isBlank(header) {
			var raw []byte
			raw, header = cutField(header)
			if !yield(newField(raw)) {
				return
			}
		}
	}
}

// newField takes a field, or a line that is none, apart.
func newField(raw []byte) field {
	f := field{raw: raw}
	if colon := nameEnd(raw); colon >= 0 {
		f.name = bytes.TrimRight(raw[:colon], " \t")
		f.value = raw[colon+1:]
	}
	return f
}

// cutField cuts a line and the lines that continue it (RFC 5322 §2.2.3).
func cutField(b []byte) (raw, rest []byte) {
	_, rest = cutLine(b)
	for len(rest) > 0 && isWSP(rest[0]) {
		_, rest = cutLine(rest)
	}
	return b[:len(b)-len(rest)], rest
}

func cutLine(b []byte) (line, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1], b[i+1:]
	}
	return b, nil
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

// isBlank reports whether the line that b begins with is empty.
func isBlank(b []byte) bool {
	return len(b) > 0 && b[0] == '\n' || len(b) > 1 && b[0] == '\r' && b[1] == '\n'
}

// nameEnd is the place of the colon that ends a field's name at the start of
// line, -1 where line begins no field. White space before the colon is allowed
// (RFC 5322 §4.5).
func nameEnd(line []byte) int {
	i := 0
	for i < len(line) && line[i] > ' ' && line[i] < 0x7F && line[i] != ':' {
		i++
	}
	if i == 0 {
		return -1
	}
	for i < len(line) && isWSP(line[i]) {
		i++
	}
	if i < len(line) && line[i] == ':' {
		return i
	}
	return -1
}

// isMboxLine reports whether b begins with the line that separates messages in
// an mbox file (RFC 4155), which some deliver with the message.
func isMboxLine(b []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimPrefix(b, []byte(">")), []byte("From "))
	return ok && nameEnd(b) < 0 && len(rest) > 0
}

// unfold is a field's value on one line, without white space at its ends. NUL
// and lone CR, which no IMAP string may carry, go with the line ends.
func unfold(value []byte) string {
	value = trimSpace(value)
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 && bytes.IndexByte(value, 0) < 0 {
		return string(value)
	}
	out := make([]byte, 0, len(value))
	for _, c := range value {
		if c != '\r' && c != '\n' && c != 0 {
			out = append(out, c)
		}
	}
	return string(out)
}

// trimSpace trims ASCII white space only: other octets are not yet text.
func trimSpace(b []byte) []byte { return bytes.Trim(b, " \t\r\n\x00") }
