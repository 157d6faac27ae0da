package message

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// DecodeText is the UTF-8 of text in the named charset. It never fails:
//
//   - No charset, an unknown one, UTF-8, ASCII, ISO-8859-1 and Windows-1252 with
//     octets that are not its own: see fallback.
//   - A charset of single octets: octets that it does not define are taken as
//     Windows-1252.
//   - Any other charset: what is no code in it becomes U+FFFD; but if there is such
//     and the whole text is valid UTF-8, it is taken as that.
func DecodeText(charset string, b []byte) string {
	return lookup(charset).decode(b)
}

// KnownCharset reports whether a charset is known by this name. SEARCH answers
// BADCHARSET to others.
func KnownCharset(name string) bool { return lookup(name).known }

// decoder decodes one charset.
type decoder struct {
	known  bool
	single *charmap.Charmap // charset of single octets
	multi  encoding.Encoding
	toEUC  func([]byte) []byte // before multi: a 7-bit form of it
	direct func([]byte) string // a charset of our own
}

func (d decoder) decode(b []byte) string {
	switch {
	case d.single != nil:
		return decodeSingle(d.single, b)
	case d.direct != nil:
		return d.direct(b)
	case d.multi != nil:
		return d.decodeMulti(b)
	}
	return fallback(b)
}

func (d decoder) decodeMulti(b []byte) string {
	src := b
	if d.toEUC != nil {
		src = d.toEUC(b)
	}
	out, err := d.multi.NewDecoder().Bytes(src)
	if (err != nil || bytes.Contains(out, []byte("\uFFFD"))) && utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// streams reports whether the charset may be decoded piece by piece, if no piece
// ends within a UTF-8 sequence: every octet, or sequence, stands for itself.
func (d decoder) streams() bool { return d.multi == nil && d.direct == nil }

// fallback takes valid UTF-8 for what it is and every other octet as
// Windows-1252: what text is whose charset is missing, unknown or wrong.
func fallback(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b)+len(b)/8)
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			out = append(out, b[i])
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			r = windows1252(b[i])
		}
		out = utf8.AppendRune(out, r)
		i += n
	}
	return string(out)
}

// windows1252 gives the five octets that Windows-1252 leaves open the control
// characters of their number, as browsers do.
func windows1252(c byte) rune {
	if r := charmap.Windows1252.DecodeByte(c); r != utf8.RuneError {
		return r
	}
	return rune(c)
}

func fallbackString(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return fallback([]byte(s))
}

func decodeSingle(m *charmap.Charmap, b []byte) string {
	out := make([]byte, 0, len(b)+len(b)/8)
	for _, c := range b {
		if c < utf8.RuneSelf && m != charmap.CodePage037 && m != charmap.CodePage1047 && m != charmap.CodePage1140 {
			out = append(out, c)
			continue
		}
		r := m.DecodeByte(c)
		if r == utf8.RuneError {
			r = windows1252(c)
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

// lookup finds a charset by its name as written in mail.
func lookup(name string) decoder {
	name = cleanName(name)
	if d, ok := ownCharset(name); ok {
		return d
	}
	enc, _ := ianaindex.MIME.Encoding(name)
	if enc == nil {
		enc, _ = ianaindex.MIME.Encoding("cs" + name)
	}
	if enc == nil {
		enc, _ = htmlindex.Get(name)
	}
	if enc == nil || enc == encoding.Replacement {
		return decoder{}
	}
	if m, ok := enc.(*charmap.Charmap); ok {
		return decoder{known: true, single: m}
	}
	return decoder{known: true, multi: enc}
}

// cleanName takes quotes, spaces and what was left behind off a charset's name.
func cleanName(name string) string {
	name = strings.Trim(strings.ToLower(name), " \t\r\n\"'<>")
	if i := strings.IndexAny(name, " \t;,\"'"); i >= 0 {
		name = name[:i]
	}
	return name
}

// ownCharset knows the names that the registries lack, and those that mail uses
// for a charset other than the registered one.
func ownCharset(name string) (decoder, bool) {
	switch name {
	case "utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968", "unicode-1-1-utf-8", "x-utf_8j", "utf-8-sig", "utf8mb4":
		return decoder{known: true}, true
	case "":
		return decoder{}, true
	case "iso-8859-1", "iso8859-1", "iso_8859-1", "iso88591", "latin1", "latin-1", "l1", "windows-1252", "cp1252", "cp-1252", "x-cp1252", "ansi_x3.110-1983", "win-1252":
		return decoder{known: true, single: charmap.Windows1252}, true
	case "iso-8859-9", "iso8859-9", "iso_8859-9", "latin5":
		return decoder{known: true, single: charmap.Windows1254}, true
	case "iso-8859-8-i", "iso-8859-8-e", "logical", "visual":
		return decoder{known: true, single: charmap.ISO8859_8}, true
	case "tis-620", "tis620", "iso-8859-11", "windows-874", "cp874", "x-windows-874":
		return decoder{known: true, single: charmap.Windows874}, true
	case "utf-7", "utf7", "unicode-1-1-utf-7", "unicode-2-0-utf-7", "x-unicode-2-0-utf-7", "csunicode11utf7", "unicode-1-1":
		return decoder{known: true, direct: decodeUTF7}, true
	case "utf-16", "utf16", "unicode", "iso-10646-ucs-2", "ucs-2", "csunicode":
		return decoder{known: true, multi: unicode.UTF16(unicode.BigEndian, unicode.UseBOM)}, true
	case "utf-16le", "utf16le", "unicodefffe":
		return decoder{known: true, multi: unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)}, true
	case "utf-32", "utf32", "ucs-4", "iso-10646-ucs-4":
		return decoder{known: true, multi: utf32.UTF32(utf32.BigEndian, utf32.UseBOM)}, true
	case "utf-32le", "utf-32be":
		return decoder{known: true, multi: utf32.UTF32(utf32.Endianness(name == "utf-32le"), utf32.IgnoreBOM)}, true
	}
	if d, ok := eastAsian(name); ok {
		return d, true
	}
	return codePage(name)
}

// eastAsian knows the names of Japanese, Chinese and Korean charsets. Supersets
// serve for their subsets, as they do in every mail program.
func eastAsian(name string) (decoder, bool) {
	switch name {
	case "shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "csshiftjis", "cp932", "ms932", "windows-31j", "x-ms-cp932", "cswindows31j":
		return decoder{known: true, multi: japanese.ShiftJIS}, true
	case "euc-jp", "eucjp", "x-euc-jp", "x-euc", "ujis", "cp51932", "euc_jp":
		return decoder{known: true, multi: japanese.EUCJP}, true
	case "iso-2022-jp", "iso2022-jp", "iso2022jp", "csiso2022jp", "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3", "iso-2022-jp-ms", "cp50220", "cp50221", "jis":
		return decoder{known: true, multi: japanese.ISO2022JP}, true
	case "euc-kr", "euckr", "euc_kr", "ks_c_5601-1987", "ks_c_5601", "ksc5601", "ksc_5601", "ks_c_5601-1989", "ms949", "cp949", "uhc", "x-windows-949", "windows-949", "korean":
		return decoder{known: true, multi: korean.EUCKR}, true
	case "iso-2022-kr", "csiso2022kr":
		return decoder{known: true, multi: korean.EUCKR, toEUC: shifted}, true
	case "iso-2022-cn", "iso-2022-cn-ext":
		return decoder{known: true, multi: simplifiedchinese.GB18030, toEUC: shifted}, true
	case "gb2312", "gb-2312", "gb_2312-80", "csgb2312", "gb2312-80", "euc-cn", "euccn", "x-euc-cn", "gbk", "x-gbk", "cp936", "ms936", "windows-936", "gb18030", "gb-18030", "chinese":
		return decoder{known: true, multi: simplifiedchinese.GB18030}, true
	case "hz-gb-2312", "hz", "hz-gb2312":
		return decoder{known: true, multi: simplifiedchinese.HZGB2312}, true
	case "big5", "big-5", "big5-hkscs", "big5hkscs", "cp950", "ms950", "x-x-big5", "csbig5", "windows-950", "cn-big5":
		return decoder{known: true, multi: traditionalchinese.Big5}, true
	}
	return decoder{}, false
}

// codePage knows the many ways to write windows-125x and ibm code pages.
func codePage(name string) (decoder, bool) {
	digits := strings.TrimLeft(strings.TrimPrefix(name, "x-"), "abcdefghijklmnopqrstuvwxyz-_")
	prefix := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(name, "x-"), digits), "-_")
	switch prefix {
	case "cp", "windows", "win", "ms", "ibm", "cpibm", "dos":
	default:
		return decoder{}, false
	}
	pages := map[string]*charmap.Charmap{
		"1250": charmap.Windows1250, "1251": charmap.Windows1251, "1253": charmap.Windows1253,
		"1254": charmap.Windows1254, "1255": charmap.Windows1255, "1256": charmap.Windows1256,
		"1257": charmap.Windows1257, "1258": charmap.Windows1258, "437": charmap.CodePage437,
		"850": charmap.CodePage850, "852": charmap.CodePage852, "855": charmap.CodePage855,
		"858": charmap.CodePage858, "860": charmap.CodePage860, "862": charmap.CodePage862,
		"863": charmap.CodePage863, "865": charmap.CodePage865, "866": charmap.CodePage866,
	}
	m, ok := pages[digits]
	return decoder{known: ok, single: m}, ok
}

// shifted turns ISO-2022-KR (RFC 1557) and ISO-2022-CN (RFC 1922) into their
// 8-bit forms: octets between SO and SI get their high bit, and designations go.
func shifted(b []byte) []byte {
	out := make([]byte, 0, len(b))
	high := byte(0)
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == 0x0E:
			high = 0x80
		case c == 0x0F:
			high = 0
		case c == 0x1B && i+3 < len(b) && b[i+1] == '$':
			i += 3
		case c == '\n':
			high = 0
			out = append(out, c)
		case c > ' ' && c < 0x7F:
			out = append(out, c|high)
		default:
			out = append(out, c)
		}
	}
	return out
}

// decodeUTF7 decodes UTF-7 (RFC 2152). What is no UTF-7 is taken by fallback.
func decodeUTF7(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		plus := bytes.IndexByte(b, '+')
		if plus < 0 {
			break
		}
		out.WriteString(fallback(b[:plus]))
		b = b[plus+1:]
		n := 0
		for n < len(b) && base64Value[b[n]] < 64 {
			n++
		}
		switch {
		case n > 0:
			out.WriteString(utf16Digits(b[:n]))
			if b = b[n:]; len(b) > 0 && b[0] == '-' {
				b = b[1:]
			}
		case len(b) > 0 && b[0] == '-':
			out.WriteByte('+')
			b = b[1:]
		default:
			out.WriteByte('+')
		}
	}
	out.WriteString(fallback(b))
	return out.String()
}

// utf16Digits decodes base64 digits that hold UTF-16; bits left over are padding.
func utf16Digits(digits []byte) string {
	octets := make([]byte, len(digits)+3)
	var d base64Decoder
	n, _, _ := d.Transform(octets, digits, true)
	text, _ := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder().Bytes(octets[:n&^1])
	return string(text)
}
