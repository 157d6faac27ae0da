package queries

import (
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Kind is a sort of query that has a row of its own.
type Kind string

// The kinds.
const (
	Word     Kind = "BODY, a word"
	Part     Kind = "BODY, part of a word"
	Phrase   Kind = "BODY, a phrase"
	Frequent Kind = "BODY, a phrase of frequent words"
	Together Kind = "BODY, what stands together"
	Most     Kind = "BODY, a word in most messages"
	Anywhere Kind = "TEXT, a word"
	Sender   Kind = "FROM, a word"
	Title    Kind = "SUBJECT, a word"
	Field    Kind = "HEADER, a word"
	Stretch  Kind = "HEADER, part of a field"
	Address  Kind = "an address, or part of one"
	Without  Kind = "BODY x NOT SUBJECT y"
	Small    Kind = "BODY x SMALLER n"
	Both     Kind = "BODY x BODY y"
	Absent   Kind = "no hit"
	Ranked   Kind = "FUZZY TEXT"
)

// Kinds are all of them, in the order of tables.
var Kinds = []Kind{Word, Part, Phrase, Frequent, Together, Most, Anywhere, Sender, Title, Field, Stretch, Address, Without, Small, Both, Absent, Ranked}

// band is a range of how many messages have a word, both ends included; most is 0
// where there is no end.
type band struct {
	name        string
	least, most int
}

var bands = []band{{"1", 1, 1}, {"2–9", 2, 9}, {"10–99", 10, 99}, {"100–999", 100, 999}, {"1,000 and more", 1000, 0}}

// Bands are the names of the bands, the rarest first.
func Bands() (names []string) {
	for _, b := range bands {
		names = append(names, b.name)
	}
	return names
}

func bandOf(n int) string {
	for _, b := range bands {
		if n >= b.least && (b.most == 0 || n <= b.most) {
			return b.name
		}
	}
	return ""
}

// Draw draws at most n distinct queries of a kind; the seed, the kind and the corpus
// decide which. There are fewer where the corpus does not have as many.
//
// What comes by turns from each band has a word, its rarest, in one message, in 2 to 9, 10
// to 99, 100 to 999, and 1,000 and more; within its band each is as likely.
//
//   - Word, Sender, Title: a word of a body, a From, a Subject; by turns from each band.
//   - Part: such a word of a body of four letters or more: any three letters or more of it
//     that stand together, but not all.
//   - Phrase: two to four neighbours from a random place of a random message, one of them
//     in at most every hundredth message; by turns from each band. Frequent: two or three,
//     each in every tenth message or more.
//   - Together, Stretch, Address: see together.go.
//   - Most: a word in every third message or more.
//   - Anywhere: a body's word and a word of any header field in turn. Field: the latter.
//   - Without, Small, Both: words of ten messages and more, or any where there are none.
//   - Absent: a word that no message read has.
//   - Ranked: two words of one passage, in at most every twentieth message each; by turns
//     from each band.
//   - Worst: frequent words, parts of them, and what stands beside them, by classes
//     (worst.go).
func (l *Lexicon) Draw(kind Kind, seed uint64, n int) []Query {
	h := fnv.New64a()
	h.Write([]byte(kind))
	d := &drawer{Lexicon: l, rand: rand.New(rand.NewPCG(seed, h.Sum64())), kind: kind, asked: map[string]bool{}}
	d.make(n)
	return d.out
}

// drawer draws the queries of one kind.
type drawer struct {
	*Lexicon
	rand  *rand.Rand
	kind  Kind
	asked map[string]bool
	out   []Query
}

func (d *drawer) add(q Query) {
	q.Kind = d.kind
	if s := q.String(); !d.asked[s] {
		d.asked[s] = true
		d.out = append(d.out, q)
	}
}

func (d *drawer) make(n int) {
	switch d.kind {
	case Word, Part:
		d.words(n)
	case Sender:
		d.plain(n, From, d.from)
	case Title:
		d.plain(n, Subject, d.subject)
	case Most:
		d.most(n)
	case Phrase, Frequent, Ranked:
		d.neighbours(n)
	case Together:
		d.together(n)
	case Stretch:
		d.stretches(n)
	case Address:
		d.addresses(n)
	case Worst:
		d.worst(n)
	default:
		d.mixed(n)
	}
}

// banded yields the words of a count by turns from each band, in random order.
func (d *drawer) banded(count map[string]int) iter.Seq2[string, string] {
	words := slices.Sorted(maps.Keys(count))
	return func(yield func(word, band string) bool) {
		for i, band := range d.byTurns(len(words), func(i int) int { return count[words[i]] }) {
			if !yield(words[i], band) {
				return
			}
		}
	}
}

// byTurns yields the numbers below n by turns from each band, in random order. rarest is how
// many of the messages read have the rarest word of what has the number; for 0 it is left out.
func (d *drawer) byTurns(n int, rarest func(i int) int) iter.Seq2[int, string] {
	byBand := make([][]int, len(bands))
	for _, i := range d.rand.Perm(n) {
		count := rarest(i) * d.every
		for at, b := range bands {
			if count >= b.least && (b.most == 0 || count <= b.most) {
				byBand[at] = append(byBand[at], i)
			}
		}
	}
	return func(yield func(int, string) bool) {
		for left, turn := true, 0; left; turn++ {
			left = false
			for at, in := range byBand {
				if turn < len(in) {
					if left = true; !yield(in[turn], bands[at].name) {
						return
					}
				}
			}
		}
	}
}

func (d *drawer) words(n int) {
	for w, band := range d.banded(d.body) {
		if len(d.out) == n {
			return
		}
		if d.kind == Part {
			if w = d.part(w); w == "" {
				continue
			}
		}
		d.add(Query{Band: band, Keys: []Key{{Scope: Body, Value: w}}})
	}
}

// part is three letters or more of a word that stand together, but not all; "" of a word
// that has no such part.
func (d *drawer) part(word string) string {
	runes := []rune(word)
	if len(runes) < 4 {
		return ""
	}
	n := 3 + d.rand.IntN(len(runes)-3)
	from := d.rand.IntN(len(runes) - n + 1)
	return string(runes[from : from+n])
}

func (d *drawer) plain(n int, scope Scope, count map[string]int) {
	for w, band := range d.banded(count) {
		if len(d.out) == n {
			return
		}
		d.add(Query{Band: band, Keys: []Key{{Scope: scope, Value: w}}})
	}
}

func (d *drawer) most(n int) {
	words := d.of(func(c int) bool { return 3*c >= d.Messages })
	for _, w := range words[:min(n, len(words))] {
		d.add(Query{Band: "most", Keys: []Key{{Scope: Body, Value: w}}})
	}
}

// of are the bodies' words whose count is wanted, shuffled.
func (d *drawer) of(wanted func(count int) bool) (words []string) {
	for _, w := range slices.Sorted(maps.Keys(d.body)) {
		if wanted(d.body[w]) {
			words = append(words, w)
		}
	}
	d.rand.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return words
}

// neighbours takes phrases from the passages.
func (d *drawer) neighbours(n int) {
	phrases := make([][]string, len(d.passages.kept))
	for i, words := range d.passages.kept {
		phrases[i] = words[:2+d.rand.IntN(map[Kind]int{Phrase: 3, Frequent: 2, Ranked: 1}[d.kind])]
	}
	for i, band := range d.byTurns(len(phrases), func(i int) int { return d.wanted(phrases[i]) }) {
		if len(d.out) == n {
			return
		}
		k := Key{Scope: Body, Value: strings.Join(phrases[i], " ")}
		if d.kind == Ranked {
			k.Scope = Text
		}
		d.add(Query{Band: band, Fuzzy: d.kind == Ranked, Keys: []Key{k}})
	}
}

// wanted is how many messages read have the rarest of a phrase's words, or 0 if the phrase
// is none of the kind's.
func (d *drawer) wanted(words []string) int {
	rarest, most := d.Messages, 0
	for _, w := range words {
		rarest, most = min(rarest, d.body[w]), max(most, d.body[w])
	}
	switch {
	case d.kind == Phrase && 100*rarest <= d.Messages, d.kind == Frequent && 10*rarest >= d.Messages, d.kind == Ranked && 20*most <= d.Messages:
		return rarest
	}
	return 0
}

// mixed makes the kinds of two parts, and of words that are nowhere.
func (d *drawer) mixed(n int) {
	known := d.of(func(c int) bool { return c*d.every >= 10 })
	rare := d.of(func(int) bool { return true })
	if len(known) == 0 {
		known = rare
	}
	if len(known) == 0 || len(d.headers.kept) == 0 {
		return
	}
	titles := slices.Sorted(maps.Keys(d.subject))
	for tries := 0; len(d.out) < n && tries < 20*n; tries++ {
		x := Key{Scope: Body, Value: known[d.rand.IntN(len(known))]}
		q := Query{Band: bandOf(d.body[x.Value] * d.every), Keys: []Key{x}}
		switch d.kind {
		case Anywhere:
			q.Keys[0], q.Band = Key{Scope: Text, Value: rare[d.rand.IntN(len(rare))]}, ""
			if tries%2 == 1 {
				q.Keys[0].Value = d.headers.kept[d.rand.IntN(len(d.headers.kept))].Value
			}
		case Field:
			q.Keys[0], q.Band = d.headers.kept[d.rand.IntN(len(d.headers.kept))], ""
		case Without:
			if len(titles) == 0 {
				return
			}
			q.Keys = append(q.Keys, Key{Scope: Subject, Value: titles[d.rand.IntN(len(titles))], Not: true})
		case Small:
			q.Smaller = 1000 + d.rand.IntN(9000)
		case Both:
			q.Keys = append(q.Keys, Key{Scope: Body, Value: known[d.rand.IntN(len(known))]})
		case Absent:
			q.Band = ""
			q.Keys[0].Value = fmt.Sprintf("%sqz%xv", x.Value, d.rand.IntN(1<<12))
		}
		d.add(q)
	}
}
