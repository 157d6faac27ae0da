package message

import (
	"bytes"
	"strings"
)

// maxCharset is how long the name of a charset may be.
const maxCharset = 80

// DecodeHeader decodes a header field's value to UTF-8: it is unfolded, encoded
// words (RFC 2047) are decoded wherever they stand, and octets above 0x7F outside
// of them are taken as UTF-8 or Windows-1252. White space between two encoded
// words means nothing (RFC 2047 §6.2). The octets of adjacent words of one charset
// are put together first, since many cut characters in two.
func DecodeHeader(value string) string {
	if strings.ContainsAny(value, "\r\n\x00") {
		value = unfold([]byte(value))
	}
	if !strings.Contains(value, "=?") {
		return fallbackString(value)
	}
	d := wordDecoder{rest: value}
	for d.next() {
	}
	return d.out.String()
}

// wordDecoder goes through a value.
type wordDecoder struct {
	out     strings.Builder
	rest    string
	charset string // of pending
	pending []byte // octets of the encoded words just passed
	inWords bool   // the last thing passed was an encoded word
	endless bool   // no "?=" is left
}

// next takes the text up to an encoded word, and the word; false at the end.
func (d *wordDecoder) next() bool {
	from := 0
	for {
		i := strings.Index(d.rest[from:], "=?")
		if i < 0 || d.endless {
			d.text(d.rest)
			d.flush()
			return false
		}
		from += i
		charset, octets, n := d.word(d.rest[from:])
		if n == 0 {
			from += len("=?")
			continue
		}
		d.text(d.rest[:from])
		d.rest = d.rest[from+n:]
		if !strings.EqualFold(charset, d.charset) {
			d.flush()
		}
		d.charset, d.inWords = charset, true
		d.pending = append(d.pending, octets...)
		return true
	}
}

// text passes what stands between encoded words.
func (d *wordDecoder) text(s string) {
	if s == "" || d.inWords && strings.Trim(s, " \t") == "" && len(s) < len(d.rest) {
		return
	}
	d.flush()
	d.inWords = false
	d.out.WriteString(fallbackString(s))
}

func (d *wordDecoder) flush() {
	if len(d.pending) > 0 {
		d.out.WriteString(DecodeText(d.charset, d.pending))
		d.pending = d.pending[:0]
	}
}

// word decodes the encoded word at the start of s; n is its length, 0 if there
// is none.
func (d *wordDecoder) word(s string) (charset string, octets []byte, n int) {
	q := strings.IndexByte(s[2:min(len(s), 2+maxCharset)], '?')
	if q <= 0 || len(s) < 2+q+3 || s[2+q+2] != '?' {
		return "", nil, 0
	}
	charset, text := s[2:2+q], s[2+q+3:]
	if strings.ContainsAny(charset, " \t") {
		return "", nil, 0
	}
	end := strings.Index(text, "?=")
	if end < 0 {
		d.endless = true
		return "", nil, 0
	}
	n = 2 + q + 3 + end + 2
	if text = text[:end]; strings.Contains(text, "=?") {
		return "", nil, 0 // this one has no end, and that is the next one's
	}
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 §5: a language
	switch s[2+q+1] {
	case 'B', 'b':
		return charset, decodeB(text), n
	case 'Q', 'q':
		return charset, decodeQ(text), n
	}
	return "", nil, 0
}

func decodeB(text string) []byte {
	var d base64Decoder
	dst := make([]byte, len(text)+3)
	n, _, _ := d.Transform(dst, []byte(text), true)
	return dst[:n]
}

func decodeQ(text string) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(text) && unhex(text[i+1]) >= 0 && unhex(text[i+2]) >= 0:
			out = append(out, byte(unhex(text[i+1])<<4|unhex(text[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return bytes.TrimRight(out, "\x00")
}
