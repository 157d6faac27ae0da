package mailbox

import (
	"slices"
	"strings"
)

// System is a set of the system flags that are kept (RFC 9051 §2.3.2).
type System uint8

// The system flags. Their values are stored in records: never change one.
const (
	Seen System = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

// systemNames are in the order of the bits.
var systemNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// Flags are the system flags and keywords of a message. The zero value is no
// flags; values may be compared with ==.
type Flags struct {
	System System
	// Keywords are separated by single spaces, sorted without regard to case,
	// each once. Use Keyword lists through MakeFlags, List and the set
	// operations; the string form keeps a record small and comparable.
	Keywords string
}

// MakeFlags makes flags of names such as `\Seen` or `$Forwarded`. Names are
// compared without regard to case (RFC 9051 §2.3.2); a keyword keeps the case of
// its first use. Names that start with a backslash and are not among the kept
// system flags, \Recent for one, are left out; so are empty names and those
// with a space or an ASCII control character, which no client can name.
func MakeFlags(names ...string) Flags {
	var f Flags
	var words []string
	for _, name := range names {
		if s, ok := SystemFlag(name); ok {
			f.System |= s
		} else if name != "" && name[0] != '\\' && !strings.ContainsFunc(name, unnameable) {
			words = append(words, name)
		}
	}
	f.Keywords = joinKeywords(words)
	return f
}

func unnameable(r rune) bool { return r <= ' ' || r == 0x7f }

// SystemFlag returns the kept system flag of that name, in any case.
func SystemFlag(name string) (System, bool) {
	for i, n := range systemNames {
		if compareFold(n, name) == 0 {
			return 1 << i, true
		}
	}
	return 0, false
}

func compareFold(a, b string) int { return strings.Compare(lowerASCII(a), lowerASCII(b)) }

// lowerASCII folds only ASCII: flag names are atoms. It works on bytes: what is
// not UTF-8 stays what it is.
func lowerASCII(s string) string {
	for i := range len(s) {
		if isUpper(s[i]) {
			b := []byte(s)
			for ; i < len(b); i++ {
				if isUpper(b[i]) {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

func joinKeywords(words []string) string {
	slices.SortStableFunc(words, compareFold)
	words = slices.CompactFunc(words, func(a, b string) bool { return compareFold(a, b) == 0 })
	return strings.Join(words, " ")
}

// List returns all names, system flags first.
func (f Flags) List() []string {
	var out []string
	for i, n := range systemNames {
		if f.System&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return append(out, f.KeywordList()...)
}

// KeywordList returns the keywords.
func (f Flags) KeywordList() []string {
	if f.Keywords == "" {
		return nil
	}
	// Not strings.Fields: a keyword may hold a space that is not ASCII's.
	return strings.Split(f.Keywords, " ")
}

// Has reports whether all flags of s are set.
func (f Flags) Has(s System) bool { return f.System&s == s }

// HasKeyword reports whether the keyword is set, in any case.
func (f Flags) HasKeyword(name string) bool {
	for word := range strings.SplitSeq(f.Keywords, " ") {
		if word != "" && compareFold(word, name) == 0 {
			return true
		}
	}
	return false
}

// Union returns the flags that are in f or g; f's spelling of keywords wins.
func (f Flags) Union(g Flags) Flags {
	f.System |= g.System
	if g.Keywords != "" && f.Keywords != g.Keywords {
		f.Keywords = joinKeywords(append(f.KeywordList(), g.KeywordList()...))
	}
	return f
}

// Minus returns the flags of f that are not in g.
func (f Flags) Minus(g Flags) Flags {
	f.System &^= g.System
	if f.Keywords != "" && g.Keywords != "" {
		f.Keywords = joinKeywords(slices.DeleteFunc(f.KeywordList(), g.HasKeyword))
	}
	return f
}

// Equal reports whether both name the same flags, in any spelling.
func (f Flags) Equal(g Flags) bool {
	return f.System == g.System && lowerASCII(f.Keywords) == lowerASCII(g.Keywords)
}

// String is the flags in the form of RFC 9051's flag-list without parentheses.
func (f Flags) String() string { return strings.Join(f.List(), " ") }
