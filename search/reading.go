package search

import (
	"context"
	"slices"

	"teraslot/text"
)

// reading is what a message's text says about a fuzzy key, unit by unit: which words
// it has and how much of them, its phrases, and how close together the words stand.
type reading struct {
	key      *fuzzyKey
	found    []bool // by word
	phrases  []bool // by phrase
	amount   [][kinds + 1]float32
	close    float32 // from 0 to 1: the words stand side by side
	hits     []hit   // of the unit at hand
	position int
	// terms are all that the text can have that is like the words, if that is known.
	terms map[string][]int
	// known are the likenesses of terms met before, to the words that they may be like.
	known map[string][]alike
}

// alike is a word that a term is like.
type alike struct {
	word int
	likeness
}

// maxRemembered bounds the terms whose likenesses a reading remembers.
const maxRemembered = 4096

// hit is a term like a word, at its place among the words of a unit.
type hit struct{ word, position int }

// foreign stands beside the kinds: a form of the word in a language that the mail is not in.
const foreign = kinds

// maxHits bounds the hits of a unit that closeness looks at; keptHits those that are
// kept of it at once.
const (
	maxHits  = 4096
	keptHits = 4 * maxHits
)

func (k *fuzzyKey) newReading() *reading {
	return &reading{key: k, found: make([]bool, len(k.words)), phrases: make([]bool, len(k.phrases)),
		amount: make([][kinds + 1]float32, len(k.words))}
}

// matches reports whether the units read so far have all words and phrases.
func (r *reading) matches() bool {
	return !slices.Contains(r.found, false) && !slices.Contains(r.phrases, false)
}

// lookUp is after how many words of a unit a reading looks whether it goes on.
const lookUp = 1 << 10

// read takes a unit, of whatever size: it keeps no more of it than keptHits, and fails
// with ctx's cause.
func (r *reading) read(ctx context.Context, u text.Unit) error {
	field, s, ok := r.key.looksAt(u)
	if !ok {
		return nil
	}
	r.hits, r.position = r.hits[:0], 0
	weight := fieldWeights[field]
	first := true
	for token := range text.Tokens(s) {
		if !isWord(token) {
			continue
		}
		if r.position++; r.position%lookUp == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !r.key.first[token[0]] {
			continue
		}
		if r.term(token, weight); len(r.hits) >= keptHits {
			r.looked(first)
			first = false
			r.forget()
		}
	}
	r.looked(first)
	return nil
}

// looked notes what the hits at hand say; how close together they are, if they are the
// first of their unit.
func (r *reading) looked(first bool) {
	for i, p := range r.key.phrases {
		r.phrases[i] = r.phrases[i] || r.hasPhrase(p)
	}
	if first {
		r.close = max(r.close, r.closeness())
	}
}

// forget drops the hits with which no phrase can begin that goes on behind them.
func (r *reading) forget() {
	longest := 0
	for _, p := range r.key.phrases {
		longest = max(longest, len(p)+slop)
	}
	from, _ := slices.BinarySearchFunc(r.hits, r.position-longest, func(h hit, least int) int { return h.position - least })
	r.hits = append(r.hits[:0], r.hits[from:]...)
}

// term takes a term that may be like some of the words.
func (r *reading) term(token string, weight float32) {
	if r.terms != nil {
		for _, word := range r.terms[token] {
			r.hits = append(r.hits, hit{word, r.position})
		}
		return
	}
	for _, a := range r.likenesses(token) {
		r.found[a.word] = true
		k := a.kind
		if k == inflected && a.langs&r.key.weights.spoken(a.word) == 0 {
			k = foreign
		}
		r.amount[a.word][k] += weight
		r.hits = append(r.hits, hit{a.word, r.position})
	}
}

// likenesses are the words that a term is like.
func (r *reading) likenesses(token string) (out []alike) {
	if known, ok := r.known[token]; ok {
		return known
	}
	asked := false
	for i, w := range r.key.words {
		if w.farFrom(token) {
			continue
		}
		asked = true
		if l := w.like(token); l.kind != unlike {
			out = append(out, alike{i, l})
		}
	}
	if asked {
		if r.known == nil || len(r.known) >= maxRemembered {
			r.known = map[string][]alike{}
		}
		r.known[token] = out
	}
	return out
}

// slop is how many other words may stand within a phrase.
const slop = 3

// hasPhrase reports whether the unit at hand has the words of a phrase in their
// order, with at most slop others between them.
func (r *reading) hasPhrase(phrase []int) bool {
	for i, h := range r.hits {
		if h.word != phrase[0] {
			continue
		}
		end, next := h.position, 1
		for _, later := range r.hits[i+1:] {
			if next == len(phrase) || later.position-h.position > len(phrase)-1+slop {
				break
			}
			if later.word == phrase[next] && later.position > end {
				end, next = later.position, next+1
			}
		}
		if next == len(phrase) {
			return true
		}
	}
	return false
}

// closeness is how close together the unit at hand has the key's words, from 0 for
// fewer than two of them to 1 for all, side by side.
func (r *reading) closeness() float32 {
	n := len(r.key.words)
	hits := r.hits[:min(len(r.hits), maxHits)]
	if n < 2 || len(hits) < 2 {
		return 0
	}
	count := make([]int, n)
	distinct := 0
	for _, h := range hits {
		if count[h.word]++; count[h.word] == 1 {
			distinct++
		}
	}
	if distinct < 2 {
		return 0
	}
	span := shortestSpan(hits, make([]int, n), distinct)
	part := float32(distinct) / float32(n)
	return part * part * float32(distinct) / float32(max(span, distinct))
}

// shortestSpan is how many words the shortest stretch has that has all distinct
// words of the hits.
func shortestSpan(hits []hit, count []int, distinct int) int {
	best, have, from := 1<<30, 0, 0
	for _, h := range hits {
		if count[h.word]++; count[h.word] == 1 {
			have++
		}
		for have == distinct {
			best = min(best, h.position-hits[from].position+1)
			if count[hits[from].word]--; count[hits[from].word] == 0 {
				have--
			}
			from++
		}
	}
	return best
}

// reading returns what the message says about a fuzzy key.
func (c *candidate) reading(ctx context.Context, k *fuzzyKey) (*reading, error) {
	if !c.loaded {
		if err := c.load(ctx); err != nil {
			return nil, err
		}
	}
	if r, ok := c.readings[k]; ok {
		return r, nil
	}
	r := k.newReading()
	for _, u := range c.units {
		if err := r.read(ctx, u); err != nil {
			return nil, err
		}
	}
	if c.readings == nil {
		c.readings = map[*fuzzyKey]*reading{}
	}
	c.readings[k] = r
	return r, nil
}
