package wire

import (
	"encoding/base64"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7Encoding is base64 with "," for "/" and no padding (RFC 3501 §5.1.3).
var utf7Encoding = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

// AppendUTF7 appends a UTF-8 name in modified UTF-7 (RFC 3501 §5.1.3). What is not
// UTF-8 becomes U+FFFD. The form is the only one the RFC allows for a name, so
// names are equal if and only if their encodings are.
func AppendUTF7(b []byte, name string) []byte {
	for i := 0; i < len(name); {
		c := name[i]
		if c >= ' ' && c < 127 {
			b = append(b, c)
			if c == '&' {
				b = append(b, '-')
			}
			i++
			continue
		}
		end := i
		for end < len(name) && (name[end] < ' ' || name[end] >= 127) {
			end++
		}
		b = appendShifted(b, name[i:end])
		i = end
	}
	return b
}

// appendShifted appends "&", the base64 of the text in UTF-16, and "-".
func appendShifted(b []byte, text string) []byte {
	var units []byte
	for _, r := range text {
		for _, u := range utf16.AppendRune(nil, r) {
			units = append(units, byte(u>>8), byte(u))
		}
	}
	b = append(b, '&')
	b = utf7Encoding.AppendEncode(b, units)
	return append(b, '-')
}

// DecodeUTF7 decodes a name in modified UTF-7 (RFC 3501 §5.1.3) to UTF-8. ok is
// false if it is not one: octets outside of printable ASCII, broken base64 or UTF-16, printable ASCII
// in base64, or base64 next to base64, which would give a name a second form.
func DecodeUTF7(s string) (name string, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c > 126 {
			return "", false
		}
		if c != '&' {
			b = append(b, c)
			continue
		}
		end := i + 1
		for end < len(s) && s[end] != '-' && s[end] > ' ' {
			end++
		}
		if end == len(s) || s[end] != '-' {
			return "", false
		}
		if end == i+1 {
			b = append(b, '&')
		} else if b, ok = appendUnshifted(b, s[i+1:end]); !ok || nextShift(s[end+1:]) {
			return "", false
		}
		i = end
	}
	return string(b), true
}

// nextShift reports whether s begins with base64.
func nextShift(s string) bool { return len(s) > 1 && s[0] == '&' && s[1] != '-' }

// appendUnshifted appends what base64 text stands for, in UTF-8.
func appendUnshifted(b []byte, text string) ([]byte, bool) {
	units, err := utf7Encoding.DecodeString(text)
	if err != nil || len(units)%2 != 0 || len(units) == 0 {
		return b, false
	}
	for i := 0; i < len(units); i += 2 {
		r := rune(units[i])<<8 | rune(units[i+1])
		if utf16.IsSurrogate(r) {
			if i += 2; i == len(units) {
				return b, false
			}
			r = utf16.DecodeRune(r, rune(units[i])<<8|rune(units[i+1]))
			if r == utf8.RuneError {
				return b, false
			}
		}
		if r >= ' ' && r < 127 {
			return b, false
		}
		b = utf8.AppendRune(b, r)
	}
	return b, true
}
