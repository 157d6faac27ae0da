package text

import (
	"unicode"
	"unicode/utf8"
)

// class sorts code points of folded text for Tokens. It depends on nothing but
// the code point, so every part of a text has the classes that it has in the
// whole: that is what lets a key be planned without its surroundings.
type class uint8

const (
	blank class = iota // separates tokens and is part of none
	word               // letters, numbers and marks
	sign               // everything else that is not white space: a run of symbols
	dense              // scripts that put no spaces between words
)

// classOf returns the class of a code point.
func classOf(r rune) class {
	switch {
	case r < 0x80:
		return asciiClass(byte(r))
	case r >= 0x0E00 && isDense(r):
		return dense
	case unicode.IsSpace(r):
		return blank
	case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r):
		return word
	}
	return sign
}

// beyond marks an octet that is no code point.
const beyond class = 0xFF

// octetClasses are the classes of the ASCII characters, and beyond for other octets.
var octetClasses = func() (all [256]class) {
	for c := range all {
		all[c] = beyond
		if c < utf8.RuneSelf {
			all[c] = asciiClass(byte(c))
		}
	}
	return all
}()

func asciiClass(c byte) class {
	switch {
	case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return word
	case c == ' ', '\t' <= c && c <= '\r':
		return blank
	}
	return sign
}

// isDense reports whether r belongs to a script written without spaces. Code
// points that such scripts share with others by Unicode's script property
// (the voiced sound marks, which Fold splits off, and the prolonged sound mark)
// are counted in.
func isDense(r rune) bool {
	switch {
	case 0x4E00 <= r && r <= 0x9FFF, 0x3041 <= r && r <= 0x3096, 0x3400 <= r && r <= 0x4DBF:
		return true
	case 0xAC00 <= r && r <= 0xD7A3: // Hangul has spaces
		return false
	case r == 0x3006, 0x3031 <= r && r <= 0x3035, r == 0x303C, 0x3099 <= r && r <= 0x309C, r == 0x30FC:
		return true
	}
	return unicode.In(r, unicode.Thai, unicode.Lao, unicode.Myanmar, unicode.Khmer,
		unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Yi,
		unicode.Tai_Le, unicode.New_Tai_Lue, unicode.Tai_Tham, unicode.Tai_Viet,
		unicode.Javanese, unicode.Balinese, unicode.Tangut, unicode.Nushu)
}
