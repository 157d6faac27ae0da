package search_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

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
	"golang.org/x/text/unicode/norm"

	"teraslot/search"
	"teraslot/text"
)

// What FUZZY matches, written down a second time from docs/search.md, one message and
// one word at a time, as slow as it comes.

// fuzzyOracle decides about a key behind FUZZY.
func fuzzyOracle(t testing.TB, q search.Query, m *mail, now time.Time) bool {
	t.Helper()
	switch q := q.(type) {
	case search.And:
		return !slices.ContainsFunc(q, func(k search.Query) bool { return !fuzzyOracle(t, k, m, now) })
	case search.Or:
		return slices.ContainsFunc(q, func(k search.Query) bool { return fuzzyOracle(t, k, m, now) })
	case search.Fuzzy:
		return fuzzyOracle(t, q.Key, m, now)
	case search.Text:
		return q.Key.Match(m.text(t)) || plainFuzzy(q.Key, m.text(t))
	case search.Larger:
		return int64(len(m.raw)) > q.Bytes-q.Bytes/10
	case search.Smaller:
		return int64(len(m.raw)) < q.Bytes+q.Bytes/10
	case search.Older:
		return now.Sub(m.internal) >= time.Duration(q.Seconds-q.Seconds/10)*time.Second
	case search.Younger:
		return now.Sub(m.internal) <= time.Duration(q.Seconds+q.Seconds/10)*time.Second
	case search.InternalDate:
		return fuzzyDay(q.When, q.Day, func(w search.When, d int32) bool { return oracleDay(w, m.internal, d) })
	case search.SentDate:
		return fuzzyDay(q.When, q.Day, func(w search.When, d int32) bool { return oracleDay(w, m.sent, d) })
	case search.SaveDate:
		return fuzzyDay(q.When, q.Day, func(w search.When, d int32) bool { return oracleDay(w, time.Unix(m.saved, 0).UTC(), d) })
	}
	return oracle(t, q, m, now)
}

// fuzzyDay asks about a day and the three around it.
func fuzzyDay(w search.When, day int32, holds func(search.When, int32) bool) bool {
	for d := day - 3; d <= day+3; d++ {
		if holds(w, d) {
			return true
		}
	}
	return false
}

// plainFuzzy: each word is like a term of the units that count, and each phrase is there.
func plainFuzzy(k text.Key, units []text.Unit) bool {
	var texts [][]string
	for _, u := range units {
		if s, ok := fuzzyText(k, u); ok {
			texts = append(texts, plainWords(s))
		}
	}
	words := plainWords(strings.ReplaceAll(k.Pattern, `"`, " "))
	terms := distinct(slices.Concat(texts...))
	for _, w := range distinct(words) {
		if !slices.ContainsFunc(terms, func(term string) bool { return plainLike(w, term) }) {
			return false
		}
	}
	parts := strings.Split(k.Pattern, `"`)
	for i := 1; i+1 < len(parts); i += 2 {
		phrase := plainWords(parts[i])
		if len(phrase) > 1 && !slices.ContainsFunc(texts, func(terms []string) bool { return plainPhrase(phrase, terms, -1, len(phrase)+3) }) {
			return false
		}
	}
	return len(words) > 0
}

// distinct are the words once each: whether one is like another does not depend on how often
// they are there.
func distinct(words []string) []string { return slices.Compact(slices.Sorted(slices.Values(words))) }

// fuzzyText is what of a unit counts.
func fuzzyText(k text.Key, u text.Unit) (string, bool) {
	switch {
	case u.Kind == text.Body:
		return u.Text, k.Scope != text.InHeader
	case k.Scope == text.InHeader:
		return u.Value(), u.Name == k.Name
	case k.Scope == text.InText:
		return u.Value(), slices.Contains([]string{"subject", "from", "to", "cc", "bcc"}, u.Name)
	}
	return "", false
}

// plainWords are the tokens that are no runs of symbols.
func plainWords(s string) []string {
	var out []string
	for token := range text.Tokens(s) {
		if r := []rune(token)[0]; unicode.In(r, unicode.L, unicode.N, unicode.M) {
			out = append(out, token)
		}
	}
	return out
}

// plainPhrase looks for the words in order behind place at, all within room places.
func plainPhrase(words, terms []string, at, room int) bool {
	if len(words) == 0 {
		return true
	}
	for i := at + 1; i < len(terms); i++ {
		if at >= 0 && i-at >= room {
			return false
		}
		left := room
		if at >= 0 {
			left = room - (i - at)
		}
		if plainLike(words[0], terms[i]) && plainPhrase(words[1:], terms, i, left) {
			return true
		}
	}
	return false
}

// plainLike says whether a term is like a word.
func plainLike(word, term string) bool {
	if word == term {
		return true
	}
	bare, term2 := []rune(plainBare(word, false)), []rune(plainBare(term, false))
	if len(bare) == 0 {
		bare = []rune(word)
	}
	if len(term2) == 0 {
		term2 = []rune(term)
	}
	swapped := len(bare) > 1 && bare[0] != bare[1] && strings.HasPrefix(term, string([]rune{bare[1], bare[0]}))
	first := []rune(term)[0]
	begins := first == []rune(word)[0] || first == bare[0] || strings.ContainsRune(plainCompounds, first) && []rune(plainBare(string(first), false))[0] == bare[0]
	letters := !slices.ContainsFunc(bare, func(r rune) bool { return !unicode.IsLetter(r) }) && len(bare) <= 32
	if !begins && !(swapped && letters && len(bare) >= 4) {
		return false
	}
	for _, a := range []bool{false, true} {
		for _, b := range []bool{false, true} {
			if plainBare(word, a) == plainBare(term, b) && plainBare(word, a) != "" {
				return true
			}
		}
		if len(bare) >= 3 && strings.HasPrefix(plainBare(term, a), plainBare(word, a)) && plainBare(word, a) != "" {
			return true
		}
	}
	if !letters {
		return false
	}
	if plainInflected(word, term, bare, term2) {
		return true
	}
	typos := 0
	if len(bare) >= 4 {
		typos = 1
	}
	if len(bare) >= 8 {
		typos = 2
	}
	digit := slices.ContainsFunc(term2, unicode.IsNumber)
	return !digit && (term2[0] == bare[0] || swapped) && plainEdits(bare, term2) <= typos
}

const plainCompounds = "ÆŒØßẞĐÐŁÞŦĦ"

// Diacritics that are no marks, left out and spelled out.
var (
	plainOut   = strings.NewReplacer("Æ", "AE", "Œ", "OE", "Ø", "O", "ß", "SS", "ẞ", "SS", "Đ", "D", "Ð", "D", "Ł", "L", "Þ", "TH", "Ŧ", "T", "Ħ", "H")
	plainSpelt = strings.NewReplacer("Ø", "OE", "A\u0308", "AE", "O\u0308", "OE", "U\u0308", "UE", "A\u030a", "AA", "Æ", "AE", "Œ", "OE", "ß", "SS", "ẞ", "SS",
		"Đ", "D", "Ð", "D", "Ł", "L", "Þ", "TH", "Ŧ", "T", "Ħ", "H")
)

// plainBare leaves out diacritics, or spells them out.
func plainBare(token string, spell bool) string {
	bare := plainOut
	if spell {
		bare = plainSpelt
	}
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) && r != '\u3099' && r != '\u309a' && unicode.In(r, unicode.Inherited, unicode.Hebrew, unicode.Arabic) {
			return -1
		}
		return r
	}, bare.Replace(token))
}

// plainEdits is the distance of optimal string alignment, from its definition.
func plainEdits(a, b []rune) int {
	if len(a) == 0 || len(b) == 0 {
		return len(a) + len(b)
	}
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], 1+d[i-2][j-2])
			}
		}
	}
	return d[len(a)][len(b)]
}

var plainStemmers = []func(*snowball.Env) bool{english.Stem, german.Stem, french.Stem, spanish.Stem, italian.Stem, portuguese.Stem,
	dutch.Stem, swedish.Stem, norwegian.Stem, danish.Stem, finnish.Stem, hungarian.Stem, romanian.Stem, turkish.Stem}

// plainInflected: the stems are the same in some language, and the words agree in all
// letters of the stem but the last, three at least.
func plainInflected(word, term string, bare, bareTerm []rune) bool {
	stemmers := plainStemmers
	switch first := []rune(word)[0]; {
	case unicode.Is(unicode.Cyrillic, first):
		stemmers = []func(*snowball.Env) bool{russian.Stem}
	case !unicode.Is(unicode.Latin, first):
		return false
	}
	shared := 0
	for shared < min(len(bare), len(bareTerm)) && bare[shared] == bareTerm[shared] {
		shared++
	}
	if shared < 3 {
		return false
	}
	for _, stem := range stemmers {
		a, b := plainStem(stem, word), plainStem(stem, term)
		if n := len([]rune(a)); a == b && n >= 3 && shared >= n-1 {
			return true
		}
	}
	return false
}

func plainStem(stem func(*snowball.Env) bool, token string) string {
	env := snowball.NewEnv(norm.NFC.String(strings.ToLower(token)))
	stem(env)
	return plainBare(norm.NFD.String(env.Current()), false)
}
