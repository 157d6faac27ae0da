package search

import (
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// likeness says how a term of a message is like a word of a fuzzy key, the
// closest of the ways it is. docs/search.md, "FUZZY", has the rule.
type likeness struct {
	kind kind
	// langs are the languages in which the two are forms of one word, for inflected.
	langs languages
}

// kind orders likenesses: the closer, the higher.
type kind uint8

const (
	unlike    kind = iota
	twoTypos       // two letters are added, dropped, changed or swapped with a neighbour
	oneTypo        // one is
	inflected      // another form of the word, in some language
	begun          // the term goes on where the word ends
	respelt        // the same but for diacritics
	same
	kinds // how many there are
)

// Limits of likeness, in letters of the word without its diacritics.
const (
	minBegun    = 3 // a word of fewer letters is no beginning of others
	minStem     = 3 // a stem of fewer letters says nothing
	minOneTypo  = 4 // a word of so many letters may have one typo
	minTwoTypos = 8 // of so many, two
	maxTypo     = 32
)

// fuzzyWord is a word of a fuzzy key: a token of the folded pattern.
type fuzzyWord struct {
	token    string
	bare     string   // without diacritics: MULLER
	spelt    string   // with those spelt out: MUELLER; the same as bare if there are none
	letters  int      // of bare, in code points
	typos    int      // how many are allowed
	has      uint64   // its letters, by lettersOf
	prefixes []string // a term that is like the word begins with one of these
	swapped  string   // the last of them, if it is for the first two letters swapped
	stems    []stem
	leastCut int // letters that a term has to share for any of the stems
}

// newFuzzyWord makes a word of a token.
func newFuzzyWord(token string) *fuzzyWord {
	w := &fuzzyWord{token: token}
	w.bare, w.spelt = bareForms(token)
	w.letters, w.has = utf8.RuneCountInString(w.bare), lettersOf(w.bare)
	lettersOnly := !strings.ContainsFunc(w.bare, func(r rune) bool { return !unicode.IsLetter(r) })
	first, n := utf8.DecodeRuneInString(w.bare)
	w.prefixes = append([]string{w.bare[:n]}, compounds[first]...)
	if r, _ := utf8.DecodeRuneInString(token); !slices.Contains(w.prefixes, string(r)) {
		w.prefixes = append(w.prefixes, string(r))
	}
	if !lettersOnly || w.letters > maxTypo {
		return w
	}
	if w.typos = allowedTypos(w.letters); w.typos > 0 {
		second, m := utf8.DecodeRuneInString(w.bare[n:])
		if second != first {
			w.swapped = w.bare[n:n+m] + w.bare[:n]
			w.prefixes = append(w.prefixes, w.swapped)
		}
	}
	w.stems = stemsOf(token)
	w.leastCut = w.letters + 1
	for _, s := range w.stems {
		w.leastCut = min(w.leastCut, s.shared)
	}
	return w
}

func allowedTypos(letters int) int {
	switch {
	case letters >= minTwoTypos:
		return 2
	case letters >= minOneTypo:
		return 1
	}
	return 0
}

// like says how term is like the word. It depends on nothing but the two: that
// is why the index and a scan agree.
func (w *fuzzyWord) like(term string) likeness {
	if term == w.token {
		return likeness{kind: same}
	}
	if !w.begins(term) {
		return likeness{}
	}
	bare, spelt := bareForms(term)
	if bare == w.bare || spelt == w.bare || bare == w.spelt || spelt == w.spelt {
		return likeness{kind: respelt}
	}
	if w.letters >= minBegun && (strings.HasPrefix(bare, w.bare) || strings.HasPrefix(spelt, w.spelt)) {
		// What is both is a form of the word, which says more.
		if langs := w.sameStem(term, w.letters); langs != 0 {
			return likeness{inflected, langs}
		}
		return likeness{kind: begun}
	}
	if shared := sharedLetters(bare, w.bare); shared >= w.leastCut {
		if langs := w.sameStem(term, shared); langs != 0 {
			return likeness{inflected, langs}
		}
	}
	return w.typo(term, bare)
}

// farFrom reports, at little cost, whether a term cannot be like the word. It may
// say no of terms that are not.
func (w *fuzzyWord) farFrom(term string) bool {
	if w.bare != w.spelt || !isASCII(w.bare) || term == w.bare {
		return false
	}
	if d := len(term) - len(w.bare); w.typos > 0 && d <= w.typos && -d <= w.typos && w.mayBeTypo(term) {
		return false
	}
	need := w.leastCut
	if w.letters >= minBegun {
		need = min(need, w.letters)
	}
	shared := 0
	for shared < len(term) && shared < len(w.bare) && term[shared] == w.bare[shared] {
		shared++
	}
	return shared < need && isASCII(term[shared:])
}

// mayBeTypo compares which letters there are: each edit adds one to those of one side
// that the other has not, at most.
func (w *fuzzyWord) mayBeTypo(term string) bool {
	has := lettersOf(term)
	return bits.OnesCount64(has&^w.has) <= w.typos && bits.OnesCount64(w.has&^has) <= w.typos
}

// lettersOf is a set of the octets in s, some of which share a place.
func lettersOf(s string) (set uint64) {
	for i := range len(s) {
		set |= 1 << (s[i] & 63)
	}
	return set
}

// begins reports whether term has one of the word's prefixes.
func (w *fuzzyWord) begins(term string) bool {
	for _, p := range w.prefixes {
		if strings.HasPrefix(term, p) {
			return true
		}
	}
	return false
}

// typo says whether a term, whose bare form is given, is the word mistyped. The
// first letter is right, or the first two are swapped.
func (w *fuzzyWord) typo(term, bare string) likeness {
	if w.typos == 0 || hasDigit(bare) {
		return likeness{}
	}
	_, n := utf8.DecodeRuneInString(w.bare)
	if !strings.HasPrefix(bare, w.bare[:n]) && (w.swapped == "" || !strings.HasPrefix(term, w.swapped)) {
		return likeness{}
	}
	switch n := edits(w.bare, bare, w.typos); {
	case n > w.typos:
		return likeness{}
	case n == 1:
		return likeness{kind: oneTypo}
	}
	return likeness{kind: twoTypos}
}

func hasDigit(s string) bool {
	return strings.ContainsFunc(s, unicode.IsNumber)
}

// sharedLetters is how many letters two strings have in common at the start.
func sharedLetters(a, b string) int {
	n, at := 0, 0
	for at < len(a) && at < len(b) {
		if a[at] != b[at] {
			break
		}
		if utf8.RuneStart(a[at]) {
			n++
		}
		at++
	}
	if at < len(a) && !utf8.RuneStart(a[at]) && n > 0 {
		n-- // they differ within a code point
	}
	return n
}

// compounds are letters that Fold keeps and that are written with two others, or
// another one, where a keyboard lacks them; by the first of those.
var compounds = map[rune][]string{
	'A': {"Æ"}, 'O': {"Œ", "Ø"}, 'S': {"ß", "ẞ"}, 'D': {"Đ", "Ð"}, 'L': {"Ł"}, 'T': {"Þ", "Ŧ"}, 'H': {"Ħ"},
}

// plainLetters are the same letters with what is written for them: bare, and
// spelt out.
var plainLetters = map[rune][2]string{
	'Æ': {"AE", "AE"}, 'Œ': {"OE", "OE"}, 'Ø': {"O", "OE"}, 'ß': {"SS", "SS"}, 'ẞ': {"SS", "SS"}, 'Đ': {"D", "D"},
	'Ð': {"D", "D"}, 'Ł': {"L", "L"}, 'Þ': {"TH", "TH"}, 'Ŧ': {"T", "T"}, 'Ħ': {"H", "H"},
}

const (
	diaeresis = '\u0308'
	ringAbove = '\u030a'
)

// bareForms returns a folded token without diacritics, and with those spelt out
// that German and the Scandinavian languages spell out: "MU\u0308LLER" is MULLER and
// MUELLER. A token of nothing but marks is left as it is.
func bareForms(token string) (bare, spelt string) {
	if isASCII(token) {
		return token, token
	}
	var b, s strings.Builder
	last := rune(0)
	for _, r := range token {
		plain, compound := plainLetters[r]
		switch {
		case compound:
			b.WriteString(plain[0])
			s.WriteString(plain[1])
		case !isDiacritic(r):
			b.WriteRune(r)
			s.WriteRune(r)
		case r == diaeresis && strings.ContainsRune("AOU", last):
			s.WriteByte('E')
		case r == ringAbove && last == 'A':
			s.WriteByte('A')
		}
		last = r
	}
	if b.Len() == 0 {
		return token, token
	}
	return b.String(), s.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isDiacritic reports whether a mark may be left out without changing the word: the
// marks that all scripts share, and the points of Hebrew and Arabic. Those of
// Indic scripts are vowels, and the voiced sound marks of Kana make other letters.
func isDiacritic(r rune) bool {
	if r < 0x300 || r == '\u3099' || r == '\u309A' || !unicode.Is(unicode.Mn, r) {
		return false
	}
	return unicode.In(r, unicode.Inherited, unicode.Hebrew, unicode.Arabic)
}

// lowerForm is a token as a dictionary of its language writes it: small letters,
// composed.
func lowerForm(token string) string {
	if isASCII(token) {
		return strings.ToLower(token)
	}
	return norm.NFC.String(strings.ToLower(token))
}

// decomposed takes composed letters apart again.
func decomposed(s string) string { return norm.NFD.String(s) }

// edits counts the letters that have to be added, dropped, changed or swapped
// with their neighbour to make b of a, each place of a edited once; limit+1 if more
// than limit, which is 1 or 2.
func edits(a, b string, limit int) int {
	if isASCII(a) && isASCII(b) {
		return editsOf([]byte(a), []byte(b), limit)
	}
	return editsOf([]rune(a), []rune(b), limit)
}

func editsOf[T byte | rune](a, b []T, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) == 0 || len(b) == 0 {
		return max(len(a), len(b))
	}
	// Two edits lie in a row or have something right between them.
	var rows [3][maxTypo + 4]uint8
	before, prev, cur := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		prev[j] = uint8(j)
	}
	for i := range a {
		cur[0] = uint8(i + 1)
		best := cur[0]
		for j := range b {
			c := prev[j]
			if a[i] != b[j] {
				c = 1 + min(c, prev[j+1], cur[j])
				if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
					c = min(c, before[j-1]+1)
				}
			}
			cur[j+1] = c
			best = min(best, c)
		}
		if int(best) > limit+1 {
			return limit + 1
		}
		before, prev, cur = prev, cur, before
	}
	return min(int(prev[len(b)]), limit+1)
}
