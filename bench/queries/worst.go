package queries

import (
	"maps"
	"slices"
	"strings"
)

// Worst are the keys that an index of words answers worst: frequent words, their ends, and
// what stands beside them. It is none of Kinds: no peer is asked.
const Worst Kind = "worst for an index"

// worstClasses make keys of three frequent words, of several letters each. Each class is
// the Band of its queries.
var worstClasses = []struct {
	name string
	make func(d *drawer, x, y, z string) string
}{
	{"one letter", func(_ *drawer, x, _, _ string) string { return x[:1] }},
	{"one symbol", func(d *drawer, _, _, _ string) string { return d.oneOf(".", ",", ":", "/", "-") }},
	{"part of a word", func(_ *drawer, x, _, _ string) string { return x[:2] }},
	{"a word's end, a space", func(d *drawer, x, _, _ string) string { return x[len(x)-1-d.rand.IntN(2):] + " " }},
	{"a word, a space", func(_ *drawer, x, _, _ string) string { return x + " " }},
	{"a space, a word's beginning", func(d *drawer, x, _, _ string) string { return " " + x[:1+d.rand.IntN(2)] }},
	{"two words", func(_ *drawer, x, y, _ string) string { return x + " " + y }},
	{"three words", func(_ *drawer, x, y, z string) string { return x + " " + y + " " + z }},
	{"a symbol, a word", func(d *drawer, x, _, _ string) string { return d.oneOf("(", "/", "-", " \"") + x }},
	{"a symbol, a space, a word", func(d *drawer, x, _, _ string) string { return d.oneOf(",", ".", ":") + " " + x }},
	{"a word, symbols", func(d *drawer, x, _, _ string) string { return x + d.oneOf("/", "://", "...", "->", "_") }},
	{"a word, a symbol, a space", func(d *drawer, x, _, _ string) string { return x + d.oneOf(",", ".", ":") + " " }},
	{"word, symbol, word", func(d *drawer, x, y, _ string) string { return x + d.oneOf(", ", ". ", "-", "/") + y }},
}

func (d *drawer) oneOf(s ...string) string { return s[d.rand.IntN(len(s))] }

// worst draws from all classes by turns, in every fifth query with TEXT. Words are ASCII, and
// in every tenth message or more; there are fewer queries where few words are.
func (d *drawer) worst(n int) {
	words := slices.DeleteFunc(slices.Sorted(maps.Keys(d.body)), func(w string) bool {
		return 10*d.body[w] < d.Messages || strings.ContainsFunc(w, func(r rune) bool { return r >= 0x80 })
	})
	if len(words) == 0 {
		return
	}
	word := func() string { return words[d.rand.IntN(len(words))] }
	for tries := 0; len(d.out) < n && tries < 20*n; tries++ {
		class := worstClasses[tries%len(worstClasses)]
		k := Key{Scope: Body, Value: class.make(d, word(), word(), word())}
		if d.rand.IntN(5) == 0 {
			k.Scope = Text
		}
		d.add(Query{Band: class.name, Keys: []Key{k}})
	}
}

// BandsOf are the bands of some queries, in the order in which they come first.
func BandsOf(list []Query) (names []string) {
	for _, q := range list {
		if !slices.Contains(names, q.Band) {
			names = append(names, q.Band)
		}
	}
	return names
}
