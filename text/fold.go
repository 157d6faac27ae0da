package text

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// FoldVersion rises whenever Fold or Normalize gives another result for any
// input.
const FoldVersion = 1

// Fold appends the fold of s to dst: RFC 5051 i;unicode-casemap, per code
// point (§2): simple titlecase, then decomposition of any kind, recursively.
// It is context-free, so Fold(ab) = Fold(a)Fold(b). Octets that are not UTF-8
// become U+FFFD, one for each.
func Fold(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		dst = foldRune(dst, r)
		i += n
	}
	return dst
}

// foldRune appends the fold of one code point that is not ASCII.
func foldRune(dst []byte, r rune) []byte {
	if 0xAC00 <= r && r <= 0xD7A3 {
		// Hangul syllables have no decomposition in UnicodeData.txt.
		return utf8.AppendRune(dst, r)
	}
	var buf [utf8.UTFMax]byte
	n := utf8.EncodeRune(buf[:], unicode.ToTitle(r))
	d := norm.NFKD.Properties(buf[:n]).Decomposition()
	if d == nil {
		return append(dst, buf[:n]...)
	}
	return append(dst, d...)
}

// Normalize folds s and makes each run of white space (line ends and no-break
// spaces among it) one space.
func Normalize(s string) string {
	folded := Fold(make([]byte, 0, len(s)+len(s)/8), s)
	return string(space(folded))
}

// space collapses white space in place.
func space(b []byte) []byte {
	out, inSpace := b[:0], false
	for i := 0; i < len(b); {
		r, n := rune(b[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(b[i:])
		}
		if unicode.IsSpace(r) {
			if !inSpace {
				out = append(out, ' ')
			}
			inSpace = true
		} else {
			out = append(out, b[i:i+n]...)
			inSpace = false
		}
		i += n
	}
	return out
}
