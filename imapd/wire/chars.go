package wire

// Classes of octets (RFC 9051 §9).
const (
	classAtom = 1 << iota // ATOM-CHAR
	classDigit
	classTag   // ASTRING-CHAR without "+"
	classText  // may stand in a quoted string without "\"
	classPrint // TEXT-CHAR that is no control character
	classLabel // letters, digits, "-", "_" and "."
	classPlain // classText, and ASCII
)

var classes = makeClasses()

func makeClasses() (t [256]byte) {
	for c := 1; c < 256; c++ {
		if c >= ' ' && c < 127 {
			t[c] |= classPrint
		}
		switch c {
		case '\r', '\n', '"', '\\':
		default:
			t[c] |= classText
			if c < 128 {
				t[c] |= classPlain
			}
		}
		switch c {
		case '(', ')', '{', ' ', '%', '*', '"', '\\', ']':
		default:
			if c > ' ' && c < 127 {
				t[c] |= classAtom
			}
		}
		if t[c]&classAtom != 0 && c != '+' || c == ']' {
			t[c] |= classTag
		}
		if c >= '0' && c <= '9' {
			t[c] |= classDigit | classLabel
		}
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '_' || c == '.' {
			t[c] |= classLabel
		}
	}
	return t
}

func isDigit(c byte) bool { return classes[c]&classDigit != 0 }
func isAtom(c byte) bool  { return classes[c]&classAtom != 0 }
func isTag(c byte) bool   { return classes[c]&classTag != 0 }
func isLabel(c byte) bool { return classes[c]&classLabel != 0 }
func isText(c byte) bool  { return classes[c]&classText != 0 }
func isPlain(c byte) bool { return classes[c]&classPlain != 0 }

// isAString is ASTRING-CHAR, and what is beyond ASCII: user names, passwords and
// search keys come so.
func isAString(c byte) bool { return classes[c]&classAtom != 0 || c == ']' || c >= 128 }

// isFlag is ATOM-CHAR with "]", which keywords in use have ("[Gmail]").
func isFlag(c byte) bool { return classes[c]&classAtom != 0 || c == ']' }

// isPattern is list-char, and what is beyond ASCII.
func isPattern(c byte) bool { return isAString(c) || c == '%' || c == '*' }
