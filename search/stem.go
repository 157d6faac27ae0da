package search

import (
	"context"
	"slices"
	"unicode"
	"unicode/utf8"

	snowball "github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/danish"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/finnish"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/hungarian"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/norwegian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/romanian"
	"github.com/blevesearch/snowballstem/russian"
	"github.com/blevesearch/snowballstem/spanish"
	"github.com/blevesearch/snowballstem/swedish"
	"github.com/blevesearch/snowballstem/turkish"

	"teraslot/text"
	"teraslot/tiers"
)

// languages is a set of the languages below, by their place there.
type languages uint32

// inflections are the languages whose word forms are known. All of them are
// asked about every word, since nothing says in which one a key or a message is;
// which of their answers count for much is decided by ranking, from the mail.
var inflections = []struct {
	name   string
	script *unicode.RangeTable
	stem   func(*snowball.Env) bool
	// common are words that most texts of the language have, folded. None of them is as
	// common in another of the languages.
	common []string
}{
	{"english", unicode.Latin, english.Stem, []string{"THE", "AND", "WITH"}},
	{"german", unicode.Latin, german.Stem, []string{"UND", "NICHT", "IST"}},
	{"french", unicode.Latin, french.Stem, []string{"LES", "EST", "POUR"}},
	{"spanish", unicode.Latin, spanish.Stem, []string{"EL", "LOS", "MUY"}},
	{"italian", unicode.Latin, italian.Stem, []string{"IL", "CHE", "DELLA"}},
	{"portuguese", unicode.Latin, portuguese.Stem, []string{"NA\u0303O", "UMA", "EM"}},
	{"dutch", unicode.Latin, dutch.Stem, []string{"HET", "EEN", "VAN"}},
	{"swedish", unicode.Latin, swedish.Stem, []string{"OCH", "ATT", "A\u0308R"}},
	{"norwegian", unicode.Latin, norwegian.Stem, []string{"IKKE", "JEG", "OGSA\u030a"}},
	{"danish", unicode.Latin, danish.Stem, []string{"IKKE", "JEG", "AF"}},
	{"finnish", unicode.Latin, finnish.Stem, []string{"JA", "ETTA\u0308", "EI"}},
	{"hungarian", unicode.Latin, hungarian.Stem, []string{"HOGY", "NEM", "EGY"}},
	{"romanian", unicode.Latin, romanian.Stem, []string{"S\u0326I", "ESTE", "PENTRU"}},
	{"turkish", unicode.Latin, turkish.Stem, []string{"BIR", "VE", "BU"}},
	{"russian", unicode.Cyrillic, russian.Stem, nil},
}

// stem is what a word is derived from in a language, as far as that is known.
type stem struct {
	lang   int
	text   string
	shared int // letters that forms of the word have in common at the start, at least
}

// stemsOf returns a word's stems; a token with anything but letters of one script
// has none.
func stemsOf(token string) []stem {
	lower := lowerForm(token)
	first, _ := utf8.DecodeRuneInString(lower)
	var out []stem
	for i, l := range inflections {
		if !unicode.Is(l.script, first) {
			continue
		}
		s := stemIn(i, lower)
		if n := utf8.RuneCountInString(s); n >= minStem {
			out = append(out, stem{i, s, max(minStem, n-1)})
		}
	}
	return out
}

// stemIn stems a word, in small letters and composed, and leaves out its diacritics.
func stemIn(lang int, lower string) string {
	env := snowball.NewEnv(lower)
	inflections[lang].stem(env)
	s := env.Current()
	if isASCII(s) {
		return s
	}
	bare, _ := bareForms(decomposed(s))
	return bare
}

// sameStem returns the languages in which a term, which shares so many letters
// with the word at the start, has the word's stem.
func (w *fuzzyWord) sameStem(term string, shared int) (in languages) {
	lower := ""
	for _, s := range w.stems {
		if shared < s.shared {
			continue
		}
		if lower == "" {
			lower = lowerForm(term)
		}
		if stemIn(s.lang, lower) == s.text {
			in |= 1 << s.lang
		}
	}
	return in
}

// spokenIn returns the languages that some of the indexed mail is in: those with two of
// whose common words in one document of a hundred, and those of a script of their own.
// If there are none, all.
func spokenIn(ctx context.Context, snap *tiers.Snapshot) (in languages, err error) {
	any := false
	for i, l := range inflections {
		if l.common == nil {
			in |= 1 << i
			continue
		}
		var counts []uint32
		for _, word := range l.common {
			n, err := snap.DocsWith(ctx, text.FieldBody, word)
			if err != nil {
				return 0, err
			}
			counts = append(counts, n)
		}
		slices.Sort(counts)
		if second := counts[len(counts)-2]; second > 0 && uint64(second)*100 >= uint64(snap.Docs()) {
			in |= 1 << i
			any = true
		}
	}
	if !any {
		return ^languages(0), nil
	}
	return in, nil
}
