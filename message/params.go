package message

import (
	"bytes"
	"strconv"
	"strings"
)

// maxParams is how many parameters of one field are looked at.
const maxParams = 256

// setType reads the first Content-Type of header. The type stays "" where there
// is none or none valid (RFC 2045 §5.2 then says what it is).
func (p *Part) setType(header []byte) {
	for f := range fields(header) {
		if f.is("content-type") {
			p.Type, p.Subtype, p.Params = parseType(f.value)
			return
		}
	}
}

// mimeField is a MIME header field, with the bit by which the first of its name is
// known.
type mimeField uint8

const (
	contentType mimeField = 1 << iota
	contentID
	contentDescription
	contentEncoding
	contentMD5
	contentDisposition
	contentLanguage
	contentLocation
)

// setField reads a field whose name is given in lower case; the first of each
// name counts. seen are those that have been.
func (p *Part) setField(name, value []byte, seen *mimeField) {
	first := func(f mimeField) bool {
		ok := *seen&f == 0
		*seen |= f
		return ok
	}
	switch string(name) {
	case "content-type":
		if first(contentType) {
			p.Type, p.Subtype, p.Params = parseType(value)
		}
	case "content-id":
		if first(contentID) {
			p.ID = unfold(value)
		}
	case "content-description":
		if first(contentDescription) {
			p.Description = unfold(value)
		}
	case "content-transfer-encoding":
		if first(contentEncoding) {
			p.Encoding = parseEncoding(value)
		}
	case "content-md5":
		if first(contentMD5) {
			p.MD5 = unfold(value)
		}
	case "content-disposition":
		if first(contentDisposition) {
			p.Disposition, p.DispositionParams = parseDisposition(value)
		}
	case "content-language":
		if first(contentLanguage) {
			p.Language = parseLanguage(value)
		}
	case "content-location":
		if first(contentLocation) {
			p.Location = strings.Join(strings.Fields(unfold(value)), "")
		}
	}
}

// parseType parses Content-Type (RFC 2045 §5.1): "" where it has no type/subtype.
func parseType(value []byte) (t, subtype string, params []Param) {
	s := scanner{b: value}
	main := s.token("/;")
	if !s.take('/') {
		return "", "", nil
	}
	sub := s.token(";")
	if len(main) == 0 || len(sub) == 0 || bytes.IndexByte(sub, '/') >= 0 {
		return "", "", nil
	}
	return lower(main), lower(sub), s.params()
}

func parseDisposition(value []byte) (disposition string, params []Param) {
	s := scanner{b: value}
	return lower(s.token(";")), s.params()
}

// parseEncoding parses Content-Transfer-Encoding, with the quotes and trailing
// punctuation that some put there.
func parseEncoding(value []byte) string {
	s := scanner{b: value}
	return lower(bytes.Trim(s.token(";,"), `"'.`))
}

// parseLanguage parses Content-Language (RFC 3282).
func parseLanguage(value []byte) []string {
	var tags []string
	s := scanner{b: value}
	for !s.done() && len(tags) < maxParams {
		if tag := s.token(","); len(tag) > 0 {
			tags = append(tags, string(tag))
		}
		s.until(",")
		s.take(',')
	}
	return tags
}

// scanner goes through a structured field value.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) done() bool { return s.i >= len(s.b) }

// space passes white space and comments (RFC 5322 §3.2.2).
func (s *scanner) space() {
	for !s.done() {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n', 0:
			s.i++
		case '(':
			s.comment()
		default:
			return
		}
	}
}

// comment passes a comment, nested ones included, and gives what is in it.
func (s *scanner) comment() []byte {
	start, depth := s.i+1, 0
	for ; !s.done(); s.i++ {
		switch s.b[s.i] {
		case '\\':
			s.i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				s.i++
				return s.b[start : s.i-1]
			}
		}
	}
	s.i = len(s.b)
	return s.b[min(start, s.i):]
}

// take passes c, and white space before it.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.done() || s.b[s.i] != c {
		return false
	}
	s.i++
	return true
}

// token is a run without white space, comments and the octets of stop.
func (s *scanner) token(stop string) []byte {
	s.space()
	start := s.i
	for !s.done() {
		c := s.b[s.i]
		if c <= ' ' || c == '(' || strings.IndexByte(stop, c) >= 0 {
			break
		}
		s.i++
	}
	return s.b[start:s.i]
}

// until passes everything up to one of stop, quoted strings whole.
func (s *scanner) until(stop string) []byte {
	start := s.i
	for !s.done() && strings.IndexByte(stop, s.b[s.i]) < 0 {
		if s.b[s.i] == '"' {
			s.quoted()
		} else {
			s.i++
		}
	}
	return s.b[start:s.i]
}

// quoted is the content of a quoted string (RFC 5322 §3.2.4), which ends with
// the value where its closing quote is missing.
func (s *scanner) quoted() []byte {
	s.i++
	start, plain := s.i, true
	for !s.done() && s.b[s.i] != '"' {
		if c := s.b[s.i]; c == '\\' || c == '\r' || c == '\n' || c == 0 {
			plain = false
			if c == '\\' && s.i+1 < len(s.b) {
				s.i++
			}
		}
		s.i++
	}
	raw := s.b[start:s.i]
	s.i = min(s.i+1, len(s.b))
	if plain {
		return raw
	}
	return unquote(raw)
}

// unquote undoes quoted pairs and folds. A backslash before a letter or a digit
// quotes nothing: it is one of "C:\dir\3d.txt", which many write as it is.
func unquote(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\r' || c == '\n' || c == 0:
		case c == '\\' && i+1 < len(raw) && !isLetter(raw[i+1]) && !isDigit(raw[i+1]):
			i++
			out = append(out, raw[i])
		default:
			out = append(out, c)
		}
	}
	return out
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// params reads the parameters of Content-Type and Content-Disposition.
func (s *scanner) params() []Param {
	var list []rawParameter
	for len(list) < maxParams {
		for s.take(';') {
		}
		if s.done() {
			break
		}
		name := s.token("=;")
		if !s.take('=') {
			if len(name) == 0 {
				s.i++ // what no token can begin with
			}
			continue
		}
		if value := s.value(lower(name)); len(name) > 0 {
			list = append(list, newRawParameter(lower(name), value))
		}
	}
	return joinParams(list)
}

// value is a parameter's value. One that should have been quoted and was not
// goes on to the next semicolon.
func (s *scanner) value(name string) []byte {
	for !s.done() && s.b[s.i] <= ' ' {
		s.i++
	}
	if !s.done() && s.b[s.i] == '"' {
		value := s.quoted()
		s.until(";")
		return value
	}
	value := s.until(";")
	if i := bytes.IndexByte(value, '('); i > 0 && value[i-1] <= ' ' && !strings.Contains(name, "name") {
		value = value[:i] // a comment, unless it may be "report (2).txt"
	}
	return []byte(unfold(value))
}

// rawParameter is a parameter, or a piece of one (RFC 2231 §3).
type rawParameter struct {
	name     string // without what RFC 2231 puts behind it
	section  int    // -1: not a piece
	extended bool   // charset'language'percent-encoded, or a piece of that
	value    []byte
}

func newRawParameter(name string, value []byte) rawParameter {
	p := rawParameter{name: name, section: -1, value: value}
	base, extended := strings.CutSuffix(name, "*")
	if star := strings.LastIndexByte(base, '*'); star > 0 {
		if n, err := strconv.ParseUint(base[star+1:], 10, 16); err == nil {
			p.name, p.section, p.extended = base[:star], int(n), extended
			return p
		}
	}
	if extended && base != "" {
		p.name, p.extended = base, true
	}
	return p
}

// joinParams joins the pieces of continued parameters, which may come in any
// order, at the place of the first.
func joinParams(list []rawParameter) []Param {
	var out []Param
	for i, p := range list {
		if p.section < 0 {
			name := p.name
			if p.extended {
				name += "*"
			}
			out = append(out, Param{name, string(p.value)})
		} else if firstPiece(list, i) {
			out = append(out, joinPieces(list, p.name))
		}
	}
	return out
}

func firstPiece(list []rawParameter, i int) bool {
	for _, p := range list[:i] {
		if p.section >= 0 && p.name == list[i].name {
			return false
		}
	}
	return true
}

// joinPieces joins the pieces 0, 1, 2 … of one parameter; those behind a gap are
// lost, as RFC 2231 has no place for them. If one piece is in the extended form
// the whole is.
func joinPieces(list []rawParameter, name string) Param {
	pieces := make(map[int]rawParameter)
	extended := false
	for _, p := range list {
		if _, ok := pieces[p.section]; p.section >= 0 && p.name == name && !ok {
			pieces[p.section] = p
			extended = extended || p.extended
		}
	}
	var value []byte
	for n := 0; ; n++ {
		p, ok := pieces[n]
		if !ok {
			break
		}
		switch {
		case !extended || p.extended:
			value = append(value, p.value...)
		case n == 0:
			value = appendPercent(append(value, "''"...), p.value)
		default:
			value = appendPercent(value, p.value)
		}
	}
	if extended {
		name += "*"
	}
	return Param{name, string(value)}
}

// appendPercent encodes what an extended value may not hold as it is.
func appendPercent(dst, value []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range value {
		if c <= ' ' || c >= 0x7F || strings.IndexByte(`*'%()<>@,;:\"/[]?=`, c) >= 0 {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// rawParam is the value of a parameter in its plain form, "" where there is none.
func rawParam(params []Param, name string) string {
	for _, p := range params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// decodedParam is a parameter's value in UTF-8. The extended form is preferred
// where both are there (RFC 6266 §4.3 has a reason for it that holds here too).
func decodedParam(params []Param, name string) string {
	for _, p := range params {
		if base, ok := strings.CutSuffix(p.Name, "*"); ok && base == name {
			return decodeExtended(p.Value)
		}
	}
	return DecodeHeader(rawParam(params, name))
}

// decodeExtended decodes RFC 2231 §4's charset'language'percent-encoded octets.
// Without the quotes it is percent-encoded all the same.
func decodeExtended(value string) string {
	charset := ""
	if parts := strings.SplitN(value, "'", 3); len(parts) == 3 {
		charset, value = parts[0], parts[2]
	}
	return DecodeText(charset, percentDecoded(value))
}

func percentDecoded(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}
