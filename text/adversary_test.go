package text

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// adversary makes texts of few words that are ends, beginnings and joins of each other,
// so that what an index knows of a text is seldom all of it.
type adversary struct {
	*rand.Rand
	words []string
	seps  []string
}

func pick[T any](g *adversary, s []T) T { return s[g.IntN(len(s))] }

// alphabets of words: few letters, scripts without spaces, marks, symbols, letters that
// fold to several.
var alphabets = []string{"ab", "a", "abc", "a1", "aé", "日本語", "ก็า", "한글", "a\u0301", "-+", "-", "ꜳβ", "が゛ー", "a日", "a-", "a\x00",
	"\x00\x01", "ﷺ", "σς", "İıß", "𐐀a"}

// separators are what may stand between words beside a space.
var separators = []string{"", "-", ".", ", ", " - ", "_", "  ", "\u00a0", "\u0301", " \u0301", "日", "--", "...", "\n", ": ", ":", "\u200b", "´", "¨a",
	"\u2028", "\x00", "\u3000", "\ufffd", "+", "/", ">, <", " -- > "}

func (g *adversary) letters(n int, alphabet string) string {
	letters := []rune(alphabet)
	var b strings.Builder
	for range n {
		b.WriteRune(pick(g, letters))
	}
	return b.String()
}

func newAdversary(r *rand.Rand) *adversary {
	g := &adversary{Rand: r, seps: []string{" ", " ", " "}}
	known := []int{3, 5, len(alphabets), len(alphabets)}[r.IntN(4)]
	for range 2 + r.IntN(5) {
		n := 1 + r.IntN(6)
		switch r.IntN(40) {
		case 0:
			n = window - 5 + r.IntN(10)
		case 1:
			n = longest - 4 + r.IntN(10)
		case 2:
			n = longest + stride - 6 + r.IntN(44)
		}
		g.words = append(g.words, g.letters(n, alphabets[r.IntN(known)]))
	}
	for range 3 {
		x, y := pick(g, g.words), pick(g, g.words)
		g.words = append(g.words, []string{x + y, "z" + x, x + "z", tail(x, 2)}[r.IntN(4)])
	}
	for range r.IntN(4) {
		g.seps = append(g.seps, pick(g, separators))
	}
	return g
}

func (g *adversary) text(n int) string {
	var b strings.Builder
	if g.IntN(6) == 0 {
		b.WriteString(pick(g, g.seps))
	}
	for range n {
		b.WriteString(pick(g, g.words) + pick(g, g.seps))
	}
	return b.String()
}

func (g *adversary) units() (units []Unit) {
	for range 1 + g.IntN(3) {
		if s := g.text(g.IntN(8)); g.IntN(3) == 0 {
			units = append(units, HeaderUnit(pick(g, []string{"Subject", "To", "X-Odd"}), s))
		} else {
			units = append(units, BodyUnit(s))
		}
	}
	return units
}

// key is a stretch of a text, one that was spoilt, or another text without its ends.
func (g *adversary) key(units []Unit) Key {
	k := Key{Scope: pick(g, []Scope{InBody, InBody, InText, InHeader})}
	if k.Scope == InHeader {
		k.Name = pick(g, []string{"subject", "to", "x-odd"})
	}
	if rs := []rune(pick(g, units).Text); g.IntN(2) == 0 && len(rs) > 0 {
		most := pick(g, []int{4, 12, 12, 140})
		from := g.IntN(len(rs))
		k.Pattern = string(rs[from:min(len(rs), from+1+g.IntN(most))])
		if g.IntN(4) == 0 {
			k.Pattern = g.spoil([]rune(k.Pattern))
		}
		return k
	}
	rs := []rune(Normalize(g.text(1 + g.IntN(4))))
	if from, to := g.IntN(3), len(rs)-g.IntN(3); from < to {
		rs = rs[from:to]
	}
	k.Pattern = string(rs)
	return k
}

func (g *adversary) spoil(rs []rune) string {
	i := g.IntN(len(rs))
	switch g.IntN(3) {
	case 0:
		return Normalize(string(rs[:i]) + pick(g, g.words) + string(rs[i+1:]))
	case 1:
		return Normalize(string(rs[:i]) + string(rs[i+1:]))
	}
	rs[i], rs[0] = rs[0], rs[i]
	return Normalize(string(rs))
}

// TestAdversary: whatever a key and a text are, a match is a candidate, and what an index
// is sure of matches. COUNT and SEED make it longer, and another.
func TestAdversary(t *testing.T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	r := rand.New(rand.NewPCG(uint64(number("SEED", 1)), 7))
	compared, hits, sures, wrong := 0, 0, 0, 0
	for range number("COUNT", 400) {
		g := newAdversary(r)
		texts := [][]Unit{g.units(), g.units(), g.units()}
		indexes := []index{indexOf(texts[0]), indexOf(texts[1]), indexOf(texts[2])}
		for range 30 {
			k := g.key(pick(g, texts))
			p := k.Plan()
			for i, x := range indexes {
				found, sure, match := x.candidate(p), x.sure(p), k.Match(texts[i])
				if compared++; match {
					hits++
				}
				if sure {
					sures++
				}
				if match && !found || sure && !match {
					t.Errorf("%+q in %+q: matches %v, is a candidate %v, sure %v, by %+v", k, texts[i], match, found, sure, p)
					if wrong++; wrong == 5 {
						t.FailNow()
					}
				}
			}
		}
	}
	if t.Logf("proof: %d comparisons, %d matches, %d sure", compared, hits, sures); 10*hits < compared || 4*sures < hits {
		t.Errorf("of %d comparisons %d match and %d are sure: too few to say much", compared, hits, sures)
	}
}
