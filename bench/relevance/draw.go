package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	snowball "github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"

	"teraslot/bench/corpus"
	"teraslot/message"
	"teraslot/text"
)

// query is what somebody types who has one message in mind.
type query struct {
	target int    // number of the message
	words  string // small letters
	change string // "", "typo" or "form": what was done to one of the words
}

// terms are the words of a message, with how often each is there.
type terms struct{ subject, from, body map[string]int }

// lexicon is what the corpus says about words.
type lexicon struct {
	mail  []terms
	docs  map[string]int      // messages that have a word
	forms map[string][]string // words by their English stem, sorted
}

// read extracts the words of the messages.
func read(mail []corpus.Message) (*lexicon, error) {
	l := &lexicon{docs: map[string]int{}, forms: map[string][]string{}}
	for i, m := range mail {
		x, err := message.Extract(context.Background(), bytes.NewReader(m.Raw), int64(len(m.Raw)), message.Limits{})
		if err != nil {
			return nil, fmt.Errorf("message %d (%s): %w", i, m.Name, err)
		}
		t := termsOf(x.Units)
		l.mail = append(l.mail, t)
		all := map[string]bool{}
		for _, part := range []map[string]int{t.subject, t.from, t.body} {
			for w := range part {
				all[w] = true
			}
		}
		for w := range all {
			l.docs[w]++
		}
	}
	for w, n := range l.docs {
		if n >= 3 {
			l.forms[stemOf(w)] = append(l.forms[stemOf(w)], w)
		}
	}
	for _, forms := range l.forms {
		slices.Sort(forms)
	}
	return l, nil
}

func stemOf(w string) string {
	env := snowball.NewEnv(w)
	english.Stem(env)
	return env.Current()
}

func termsOf(units []text.Unit) terms {
	t := terms{map[string]int{}, map[string]int{}, map[string]int{}}
	for _, u := range units {
		into := t.body
		switch {
		case u.Kind == text.Header && u.Name == "subject":
			into = t.subject
		case u.Kind == text.Header && u.Name == "from":
			into = t.from
		case u.Kind == text.Header:
			continue
		}
		for token := range text.Tokens(u.Value()) {
			if n := len(token); n >= 4 && n <= 16 && !strings.ContainsFunc(token, func(r rune) bool { return !unicode.IsLetter(r) }) {
				into[strings.ToLower(token)]++
			}
		}
	}
	return t
}

// draw draws n queries: seed, corpus and n decide which.
//
// The message is any with 15 different words in its body. The words are ones that
// at least three messages have, so that they are words, and at most one in twenty, so
// that they say something: with even chances one of the Subject or none, one time in
// four one of From, the others of the 15 of the body with the highest tf·idf, until
// there are two, three or four. In every second query one word of five letters or more
// is changed: with even chances into another word of the corpus that has the same
// English stem and is not in the message, if there is one, otherwise one letter behind
// the first is swapped with the next, dropped, doubled or another one.
func (l *lexicon) draw(seed uint64, n int) []query {
	r := rand.New(rand.NewPCG(seed, 0x6b6e6f776e))
	var out []query
	for len(out) < n {
		q := query{target: r.IntN(len(l.mail))}
		words := l.remembered(r, l.mail[q.target])
		if len(words) < 2 {
			continue
		}
		if len(out)%2 == 1 {
			if q.change = l.change(r, l.mail[q.target], words); q.change == "" {
				continue
			}
		}
		q.words = strings.Join(words, " ")
		out = append(out, q)
	}
	return out
}

// telling are the words of a part that say something, the most telling first.
func (l *lexicon) telling(part map[string]int) []string {
	var out []string
	for w := range part {
		if n := l.docs[w]; n >= 3 && n*20 <= len(l.mail) {
			out = append(out, w)
		}
	}
	weight := func(w string) float64 {
		return float64(part[w]) * math.Log(float64(len(l.mail))/float64(l.docs[w]))
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a, b))
	})
	return out
}

// remembered draws the words of a query, in no order.
func (l *lexicon) remembered(r *rand.Rand, t terms) []string {
	body := l.telling(t.body)
	if len(t.body) < 15 || len(body) < 4 {
		return nil
	}
	var words []string
	add := func(from []string) {
		if w := from[r.IntN(len(from))]; !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	count := 2 + r.IntN(3)
	if subject := l.telling(t.subject); len(subject) > 0 && r.IntN(2) == 0 {
		add(subject)
	}
	if from := l.telling(t.from); len(from) > 0 && r.IntN(4) == 0 {
		add(from)
	}
	for tries := 0; len(words) < count && tries < 20; tries++ {
		add(body[:min(15, len(body))])
	}
	r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return words
}

// change changes one of the words, and says how.
func (l *lexicon) change(r *rand.Rand, t terms, words []string) string {
	long := slices.IndexFunc(words, func(w string) bool { return utf8.RuneCountInString(w) >= 5 })
	if long < 0 {
		return ""
	}
	w := words[long]
	if r.IntN(2) == 0 {
		others := slices.DeleteFunc(slices.Clone(l.forms[stemOf(w)]), func(o string) bool {
			return o == w || t.body[o]+t.subject[o]+t.from[o] > 0
		})
		if len(others) > 0 {
			words[long] = others[r.IntN(len(others))]
			return "form"
		}
	}
	words[long] = mistyped(r, w)
	return "typo"
}

// mistyped changes one letter behind the first.
func mistyped(r *rand.Rand, w string) string {
	b := []rune(w)
	for {
		at := 1 + r.IntN(len(b)-2)
		out := slices.Clone(b)
		switch r.IntN(4) {
		case 0:
			out[at], out[at+1] = out[at+1], out[at]
		case 1:
			out = slices.Delete(out, at, at+1)
		case 2:
			out = slices.Insert(out, at, out[at])
		case 3:
			out[at] = 'a' + rune(r.IntN(26))
		}
		if string(out) != w {
			return string(out)
		}
	}
}
