package message

import (
	"bytes"
	"io"

	"golang.org/x/text/transform"
)

// decoderFor undoes a transfer encoding; nil for one that leaves octets as they
// are or that is not known.
func decoderFor(encoding string) transform.Transformer {
	switch encoding {
	case "base64", "base-64", "x-base64":
		return &base64Decoder{}
	case "quoted-printable", "quotedprintable", "quoted-printible":
		return quotedPrintable{}
	case "x-uuencode", "uuencode", "x-uue", "uue":
		return &uuDecoder{}
	}
	return nil
}

func newTransferReader(r io.Reader, d transform.Transformer) io.Reader {
	return transform.NewReader(r, d)
}

// lookahead is how far a decoder waits for the end of a line or a run of white
// space; lines of mail are shorter (RFC 5322 §2.1.1).
const lookahead = 1024

// base64Decoder decodes base64 (RFC 2045 §6.8). Octets that are no digits are
// passed over. Behind padding, which ends the text, only lines of digits are more
// of it: not the footer that a list put there.
type base64Decoder struct {
	bits   uint32
	digits int // in bits, 0 to 3
	padded bool
}

func (d *base64Decoder) Reset() { *d = base64Decoder{} }

func (d *base64Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if nDst+3 > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		if d.padded {
			n, ok := d.behindPadding(src[nSrc:], atEOF)
			nSrc += n
			if !ok {
				return nDst, nSrc, transform.ErrShortSrc
			}
			continue
		}
		if d.digits == 0 && len(src)-nSrc >= 4 {
			if n := decodeQuanta(dst[nDst:], src[nSrc:]); n > 0 {
				nDst, nSrc = nDst+n/4*3, nSrc+n
				continue
			}
		}
		c := src[nSrc]
		nSrc++
		if c == '=' {
			d.padded = d.digits > 0
			nDst += d.flush(dst[nDst:])
		} else if v := base64Value[c]; v < 64 {
			nDst += d.digit(dst[nDst:], v)
		}
	}
	if atEOF {
		if nDst+3 > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += d.flush(dst[nDst:])
	}
	return nDst, nSrc, nil
}

func (d *base64Decoder) digit(dst []byte, v byte) int {
	d.bits = d.bits<<6 | uint32(v)
	if d.digits++; d.digits < 4 {
		return 0
	}
	dst[0], dst[1], dst[2] = byte(d.bits>>16), byte(d.bits>>8), byte(d.bits)
	d.bits, d.digits = 0, 0
	return 3
}

// flush writes the octets that are whole in a quantum that is not.
func (d *base64Decoder) flush(dst []byte) (n int) {
	switch d.digits {
	case 2:
		dst[0], n = byte(d.bits>>4), 1
	case 3:
		dst[0], dst[1], n = byte(d.bits>>10), byte(d.bits>>2), 2
	}
	d.bits, d.digits = 0, 0
	return n
}

// behindPadding passes the rest of a padded line, and lines with other octets
// than digits; false if src does not show the end of a line.
func (d *base64Decoder) behindPadding(src []byte, atEOF bool) (n int, ok bool) {
	i := bytes.IndexByte(src, '\n')
	if i < 0 {
		if atEOF || len(src) >= lookahead {
			return len(src), true
		}
		return 0, false
	}
	rest := src[i+1:]
	line, _ := cutLine(rest)
	if len(line) == len(rest) && !atEOF && len(rest) < lookahead && !bytes.HasSuffix(rest, []byte("\n")) {
		return i, false
	}
	d.padded = !onlyBase64(line)
	return i + 1, true
}

func onlyBase64(line []byte) bool {
	line = trimSpace(line)
	for _, c := range bytes.TrimRight(line, "=") {
		if base64Value[c] >= 64 {
			return false
		}
	}
	return len(line) > 0
}

// decodeQuanta decodes whole quanta up to the first that has another octet than
// digits in it, and gives how many octets of src it took.
func decodeQuanta(dst, src []byte) (n int) {
	for len(src)-n >= 4 && len(dst) >= 3 {
		s := src[n : n+4 : n+4]
		a, b, c, e := base64Value[s[0]], base64Value[s[1]], base64Value[s[2]], base64Value[s[3]]
		if (a|b|c|e)&0xC0 != 0 {
			break
		}
		v := uint32(a)<<18 | uint32(b)<<12 | uint32(c)<<6 | uint32(e)
		dst[0], dst[1], dst[2] = byte(v>>16), byte(v>>8), byte(v)
		dst = dst[3:]
		n += 4
	}
	return n
}

// base64Value is the value of each digit, 0xFF for other octets.
var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xFF
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	return t
}()

// quotedPrintable decodes quoted-printable (RFC 2045 §6.7). An "=" that begins no
// code is taken as it is.
type quotedPrintable struct{ transform.NopResetter }

func (quotedPrintable) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		line, _ := cutLine(src[nSrc:])
		n := bytes.IndexByte(line, '=')
		if n == 0 {
			c, n, ok := quotedCode(src[nSrc:], atEOF)
			switch {
			case !ok:
				return nDst, nSrc, transform.ErrShortSrc
			case c >= 0 && nDst == len(dst):
				return nDst, nSrc, transform.ErrShortDst
			case c >= 0:
				dst[nDst] = byte(c)
				nDst++
			}
			nSrc += n
			continue
		}
		text, end := line[:max(n, 0)], []byte(nil)
		if n < 0 {
			text, end = literal(line, atEOF)
		}
		copied := copy(dst[nDst:], text)
		nDst, nSrc = nDst+copied, nSrc+copied
		switch {
		case copied < len(text) || len(end) > len(dst)-nDst:
			return nDst, nSrc, transform.ErrShortDst
		case n < 0 && end == nil && len(text) < len(line):
			return nDst, nSrc, transform.ErrShortSrc
		case n < 0:
			nDst += copy(dst[nDst:], end)
			nSrc += len(line) - len(text)
		}
	}
	return nDst, nSrc, nil
}

// literal divides a line without codes into its text and its line end; white
// space between them is padding of the transport. Without a line end, white space
// that may turn out to be such is left out.
func literal(line []byte, atEOF bool) (text, end []byte) {
	text = bytes.TrimRight(line, " \t\r\n")
	switch n := len(line); {
	case line[n-1] == '\n' && n > 1 && line[n-2] == '\r':
		return text, line[n-2:]
	case line[n-1] == '\n':
		return text, line[n-1:]
	case atEOF || n-len(text) > lookahead:
		return line, nil
	}
	return text, nil
}

// quotedCode decodes the code that b begins with: its octet, or -1 for a soft
// line break, and its length; false if more of b has to be seen.
func quotedCode(b []byte, atEOF bool) (c, n int, ok bool) {
	if len(b) >= 3 && unhex(b[1]) >= 0 && unhex(b[2]) >= 0 {
		return unhex(b[1])<<4 | unhex(b[2]), 3, true
	}
	i := 1
	for i < len(b) && i < lookahead && isWSP(b[i]) {
		i++
	}
	cut := i == len(b) || i+1 == len(b) && b[i] == '\r'
	switch {
	case !atEOF && (len(b) < 3 || cut && i < lookahead):
		return 0, 0, false
	case cut && atEOF:
		return -1, len(b), true
	case i < len(b) && isBlank(b[i:]):
		line, _ := cutLine(b[i:])
		return -1, i + len(line), true
	}
	return '=', 1, true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// uuDecoder decodes uuencode: from a line "begin mode name" to a line "end".
type uuDecoder struct{ begun bool }

func (d *uuDecoder) Reset() { d.begun = false }

func (d *uuDecoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		line, rest := cutLine(src[nSrc:])
		if len(rest) == 0 && line[len(line)-1] != '\n' && !atEOF && len(line) < lookahead {
			return nDst, nSrc, transform.ErrShortSrc
		}
		text := bytes.TrimRight(line, "\r\n")
		switch {
		case bytes.HasPrefix(text, []byte("begin ")):
			d.begun = true
		case string(text) == "end":
			d.begun = false
		case d.begun && len(text) > 0:
			n := min(int(text[0]-' ')&63, (len(text)-1+3)/4*3)
			if nDst+n+3 > len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			uuLine(dst[nDst:], text[1:])
			nDst += n
		}
		nSrc += len(line)
	}
	return nDst, nSrc, nil
}

// uuLine decodes the digits of a line; missing ones are zero.
func uuLine(dst, digits []byte) {
	digits = digits[:min(len(digits), 84)]
	at := func(i int) uint32 {
		if i >= len(digits) {
			return 0
		}
		return uint32(digits[i]-' ') & 63
	}
	for i := 0; i < len(digits) && len(dst) >= 3; i += 4 {
		v := at(i)<<18 | at(i+1)<<12 | at(i+2)<<6 | at(i+3)
		dst[0], dst[1], dst[2] = byte(v>>16), byte(v>>8), byte(v)
		dst = dst[3:]
	}
}
