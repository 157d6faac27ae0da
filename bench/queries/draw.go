package queries

import (
	"fmt"
	"hash/fnv"
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
	Most     Kind = "BODY, a word in most messages"
	Anywhere Kind = "TEXT, a word"
	Sender   Kind = "FROM, a word"
	Title    Kind = "SUBJECT, a word"
	Field    Kind = "HEADER, a word"
	Without  Kind = "BODY x NOT SUBJECT y"
	Small    Kind = "BODY x SMALLER n"
	Both     Kind = "BODY x BODY y"
	Absent   Kind = "no hit"
	Ranked   Kind = "FUZZY TEXT"
)

// Kinds are all of them, in the order of tables.
var Kinds = []Kind{Word, Part, Phrase, Frequent, Most, Anywhere, Sender, Title, Field, Without, Small, Both, Absent, Ranked}

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
// A word comes from each band in turn: those of one message, of 2 to 9, of 10 to 99, of
// 100 to 999, and of 1,000 and more; within its band each is as likely. Part: a word of
// six letters or more without its first and its last. Phrase: two to four neighbours from
// a random place of a random message, one of them in at most every hundredth message;
// Frequent: two or three, each in every tenth message or more. Most: a word in every third
// message or more. Anywhere: a body's word and a word of any header field in turn. Without,
// Small, Both: words of ten messages and more, or any where there are none. Absent: a word that no message read has.
// Ranked: two words of one passage, in at most every twentieth message each. Worst: frequent
// words, parts of them, and what stands beside them, by classes (worst.go).
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
	case Worst:
		d.worst(n)
	default:
		d.mixed(n)
	}
}

// banded yields the words of a count by turns from each band, in random order.
func (d *drawer) banded(count map[string]int) func(func(string, string) bool) {
	byBand := make([][]string, len(bands))
	for _, w := range slices.Sorted(maps.Keys(count)) {
		for i, b := range bands {
			if n := count[w] * d.every; n >= b.least && (b.most == 0 || n <= b.most) {
				byBand[i] = append(byBand[i], w)
			}
		}
	}
	for _, words := range byBand {
		d.rand.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	}
	return func(yield func(word, band string) bool) {
		for left, at := true, 0; left; at++ {
			left = false
			for i, words := range byBand {
				if at < len(words) {
					if left = true; !yield(words[at], bands[i].name) {
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
			runes := []rune(w)
			if len(runes) < 6 {
				continue
			}
			w = string(runes[1 : len(runes)-1])
		}
		d.add(Query{Band: band, Keys: []Key{{Scope: Body, Value: w}}})
	}
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
	for _, i := range d.rand.Perm(len(d.passages.kept)) {
		if len(d.out) == n {
			return
		}
		words := d.passages.kept[i]
		rarest := d.Messages
		words = words[:2+d.rand.IntN(map[Kind]int{Phrase: 3, Frequent: 2, Ranked: 1}[d.kind])]
		frequent := false
		for _, w := range words {
			rarest = min(rarest, d.body[w])
			frequent = frequent || 20*d.body[w] > d.Messages
		}
		q := Query{Band: bandOf(rarest * d.every), Keys: []Key{{Scope: Body, Value: strings.Join(words, " ")}}}
		switch {
		case d.kind == Phrase && 100*rarest <= d.Messages, d.kind == Frequent && 10*rarest >= d.Messages:
			d.add(q)
		case d.kind == Ranked && !frequent:
			q.Fuzzy, q.Keys[0].Scope = true, Text
			d.add(q)
		}
	}
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
