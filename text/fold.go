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
		if end := i + asciiPrefix(s[i:]); end > i {
			from := len(dst)
			dst = append(dst, s[i:end]...)
			upper(dst[from:])
			i = end
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		dst = foldRune(dst, r)
		i += n
	}
	return dst
}

// asciiPrefix is the length of the ASCII text that s begins with: nearly all of
// most mail, so that what is done for each octet decides how fast mail is read.
func asciiPrefix(s string) int {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return i
		}
	}
	return len(s)
}

// upper folds ASCII in place.
func upper(b []byte) {
	for i, c := range b {
		if c-'a' <= 'z'-'a' {
			b[i] = c - ('a' - 'A')
		}
	}
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
	end, inSpace := 0, false
	for i := 0; i < len(b); {
		c, n := b[i], 1
		isSpace := c == ' ' || c-'\t' <= '\r'-'\t'
		if c >= utf8.RuneSelf {
			var r rune
			r, n = utf8.DecodeRune(b[i:])
			isSpace = unicode.IsSpace(r)
		}
		switch {
		case !isSpace && n == 1:
			b[end] = c
			end++
		case !isSpace:
			end += copy(b[end:], b[i:i+n])
		case !inSpace:
			b[end] = ' '
			end++
		}
		inSpace = isSpace
		i += n
	}
	return b[:end]
}
