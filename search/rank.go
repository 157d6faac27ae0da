package search

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"teraslot/text"
	"teraslot/tiers"
)

// fieldKind is where in a message a word was found, as far as it says how much the
// word means there.
type fieldKind uint8

const (
	fieldBody fieldKind = iota
	fieldSubject
	fieldFrom
	fieldTo // To, Cc, Bcc
	fieldOther
)

// fieldWeights say how many occurrences in the body one in the field is worth.
var fieldWeights = [...]float32{fieldBody: 1, fieldSubject: 5, fieldFrom: 4, fieldTo: 2, fieldOther: 1}

func fieldKindOf(name string) fieldKind {
	switch name {
	case "subject":
		return fieldSubject
	case "from":
		return fieldFrom
	case "to", "cc", "bcc":
		return fieldTo
	}
	return fieldOther
}

// weights are what terms like the words of a key are worth, from the dictionary of the
// mail that is searched: nothing here decides what matches.
type weights struct{ words []wordWeights }

type wordWeights struct {
	kind   [kinds + 1]float32
	langs  languages // that the mail around the word is in
	rarity float32
}

// kindWeights are those of a word that the mail has; typoWeights of one that it
// does not have, which is then most likely mistyped in the key.
var (
	kindWeights = [kinds + 1]float32{same: 1, respelt: 0.95, begun: 0.35, inflected: 0.7, foreign: 0.15, oneTypo: 0.1, twoTypos: 0.03}
	typoWeights = [kinds + 1]float32{same: 1, respelt: 1, begun: 0.5, inflected: 0.9, foreign: 0.4, oneTypo: 0.7, twoTypos: 0.35}
)

// defaultWeights are those without a dictionary.
func defaultWeights() weights { return weights{} }

func (w *weights) of(word int) wordWeights {
	if word < len(w.words) {
		return w.words[word]
	}
	return wordWeights{kindWeights, ^languages(0), 1}
}

// spoken are the languages that the mail around a word is in.
func (w *weights) spoken(word int) languages { return w.of(word).langs }

// ofTerm is what an occurrence of a term like a word is worth.
func (w *weights) ofTerm(word int, l likeness) float32 {
	of := w.of(word)
	if l.kind == inflected && l.langs&of.langs == 0 {
		return of.kind[foreign]
	}
	return of.kind[l.kind]
}

func (w *weights) ofField(field string) float32 {
	if field == text.FieldBody {
		return fieldWeights[fieldBody]
	}
	return fieldWeights[fieldKindOf(field)]
}

// saturated grows with the amount, ever slower, up to 1: the tenth occurrence of
// a word says little that the second did not.
func saturated(amount float32) float32 { return amount / (amount + 1.5) }

// rarity is how much it says that a message has a word which so many of all have.
func rarity(docs, all uint32) float32 {
	return float32(math.Log(1 + (float64(all)+1)/(float64(docs)+0.5)))
}

// weigh weighs the terms like each word, in mail of the given languages.
func (x *expansion) weigh(langs languages) weights {
	w := weights{make([]wordWeights, len(x.words))}
	for i := range x.words {
		w.words[i] = x.words[i].weigh(x.size, langs)
	}
	return w
}

// weigh compares the terms like a word with each other: a word that hardly any
// message has, while others like it are common, was mistyped.
func (e *expandedWord) weigh(size uint32, langs languages) wordWeights {
	var count [kinds]uint32
	for _, t := range e.terms {
		count[t.like.kind] = max(count[t.like.kind], t.docs)
	}
	right := max(count[same], count[respelt], count[inflected])
	mistyped := max(count[oneTypo], count[twoTypos])
	w := wordWeights{kindWeights, langs, 0}
	meant := uint32(0)
	if right == 0 || count[same] <= 2 && count[inflected] <= 2 && mistyped > 30*(right+1) {
		w.kind = typoWeights
		meant = max(right, mistyped, count[begun])
		if right > 0 {
			w.kind[oneTypo] *= 0.6
			w.kind[twoTypos] *= 0.4
		}
	} else {
		meant = right
	}
	w.rarity = rarity(min(meant, size), size)
	return w
}

// rankedKeys appends the keys of a query that a result is ranked by: those under no
// NOT.
func rankedKeys(n node, keys []*fuzzyKey, near []nearKey) ([]*fuzzyKey, []nearKey) {
	switch n := n.(type) {
	case andNode:
		for _, kid := range n {
			keys, near = rankedKeys(kid, keys, near)
		}
	case orNode:
		for _, kid := range n {
			keys, near = rankedKeys(kid, keys, near)
		}
	case nearKey:
		near = append(near, n)
	case *fuzzyKey:
		keys = append(keys, n)
	}
	return keys, near
}

// nearness is 1 for what matches all keys on dates and sizes as they stand, less for
// what lies beside them (RFC 6203 §5).
func (e *evaluation) nearness(near []nearKey, row uint32) float32 {
	f := float32(1)
	for _, k := range near {
		if !k.exact(e, &e.records[row]) {
			f *= 0.7
		}
	}
	return f
}

// reranked is how many of the best messages are ranked again by their text.
const reranked = 200

// leastReranked is how many they are of each mailbox where several are searched.
const leastReranked = 20

// rerankedOf is how many messages of each of so many mailboxes are ranked by their text:
// one search of several costs about as much as one of one.
func rerankedOf(mailboxes int) int { return max(reranked/max(1, mailboxes), leastReranked) }

// ranking is how relevant the rows of a result are.
type ranking struct {
	rows  []uint32
	score []float32
}

// rank scores the rows of a result: the sum over the fuzzy keys of what the rows
// have of their words, for those under no NOT; then, for the best, by how close the
// words stand; and a little more for what came lately.
func (e *evaluation) rank(ctx context.Context, root node, rows *roaring.Bitmap) ([]float32, error) {
	r := ranking{rows.ToArray(), nil}
	r.score = make([]float32, len(r.rows))
	keys, near := rankedKeys(root, nil, nil)
	for _, k := range keys {
		if err := k.expand(ctx, e); err != nil {
			return nil, err
		}
	}
	for i, row := range r.rows {
		for _, k := range keys {
			r.score[i] += k.scoreOf(e, row)
		}
		r.score[i] *= e.freshness(row) * e.brevity(row) * e.nearness(near, row)
	}
	return r.score, e.rerank(ctx, keys, &r)
}

// scoreOf is what a row has of a key's words.
func (k *fuzzyKey) scoreOf(e *evaluation, row uint32) float32 {
	if doc := e.docOf(row); doc != noDoc && k.expansion != nil && k.expansion.score != nil {
		if s := k.expansion.score[doc]; s > 0 && k.expansion.has(doc) {
			return s
		}
		return exactOnly
	}
	if r := e.readings[row][k]; r != nil && r.matches() {
		return r.score()
	}
	return exactOnly
}

// exactOnly is the score of a message that matches exactly only, inside of words.
const exactOnly = 0.1

// has reports whether a document has all words.
func (x *expansion) has(doc uint32) bool { return x.alive[doc/64]>>(doc%64)&1 == 1 }

// score is what the text read has of the words.
func (r *reading) score() float32 {
	var sum float32
	for i := range r.amount {
		w := r.key.weights.of(i)
		var amount float32
		for k, a := range r.amount[i] {
			amount += a * w.kind[k]
		}
		sum += w.rarity * saturated(amount)
	}
	return sum * (1 + r.close)
}

// freshness is a little more than 1 for what came lately.
func (e *evaluation) freshness(row uint32) float32 {
	const halfLife = 180 * 24 * 3600
	age := max(0, e.now-e.records[row].InternalDate.Unix)
	return 1 + 0.2*float32(math.Exp2(-float64(age)/halfLife))
}

// brevity is a little less than 1 for long messages: they have many words.
func (e *evaluation) brevity(row uint32) float32 {
	return 1 / (1 + 0.04*float32(math.Log2(1+float64(e.records[row].Size)/4096)))
}

// rerankedAtOnce is how many messages are ranked by their text as one task.
const rerankedAtOnce = 16

// rerank raises those of the best rows in whose bodies the words stand close together. Rows
// that were read before have it in their score.
func (e *evaluation) rerank(ctx context.Context, keys []*fuzzyKey, r *ranking) error {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k *fuzzyKey) bool { return len(k.words) < 2 })
	if len(keys) == 0 || e.snap == nil || e.blind {
		return nil
	}
	top := slices.DeleteFunc(best(r.score, e.shared.reranked), func(i int) bool { return !e.covers(r.rows[i]) })
	slices.SortFunc(top, func(a, b int) int { return cmp.Compare(e.docOf(r.rows[a]), e.docOf(r.rows[b])) })
	for _, k := range keys {
		if k.expansion != nil {
			k.expansion.byTerm() // made here, before it is read by several
		}
	}
	tasks := slices.Collect(slices.Chunk(top, rerankedAtOnce))
	return e.share(ctx, len(tasks), func(ctx context.Context, texts *tiers.Texts, n int) error {
		for _, i := range tasks[n] {
			f, err := e.closeness(ctx, keys, texts, r.rows[i])
			if err != nil {
				return err
			}
			r.score[i] *= 1 + f
		}
		return nil
	})
}

// closeness is how close together the words of the keys stand in the body of a row that the
// index covers, from 0 to 1.
func (e *evaluation) closeness(ctx context.Context, keys []*fuzzyKey, texts *tiers.Texts, row uint32) (float32, error) {
	units, ok, err := texts.Units(ctx, e.docOf(row), tiers.BodyParts)
	if err != nil || !ok {
		return 0, err // where no text is kept, reading mail for this would take too long
	}
	var sum float32
	for _, k := range keys {
		f, err := k.closenessIn(ctx, units)
		if err != nil {
			return 0, err
		}
		sum += f
	}
	return sum / float32(len(keys)), nil
}

// rerankedText is how much of a message's text is looked at for that.
const rerankedText = 64 << 10

// closenessIn is how close together the units, of a message that the index covers, have
// the key's words.
func (k *fuzzyKey) closenessIn(ctx context.Context, units []text.Unit) (float32, error) {
	if k.expansion == nil {
		return 0, nil
	}
	r := k.newReading()
	r.terms = k.expansion.byTerm()
	left := rerankedText
	for _, u := range units {
		if left -= len(u.Text); left < 0 {
			u.Text = strings.ToValidUTF8(u.Text[:len(u.Text)+left], "")
		}
		if err := r.read(ctx, u); err != nil {
			return 0, err
		}
		if left < 0 {
			break
		}
	}
	return r.close, nil
}

// best returns the places of the n highest scores, in their order.
func best(score []float32, n int) []int {
	if n > len(score) {
		n = len(score)
	}
	heap := make([]int, 0, n+1) // sorted, lowest last
	for i, s := range score {
		if len(heap) == n && (n == 0 || s <= score[heap[n-1]]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(heap, s, func(j int, s float32) int {
			if score[j] >= s {
				return -1
			}
			return 1
		})
		heap = slices.Insert(heap, at, i)
		heap = heap[:min(len(heap), n)]
	}
	return heap
}

// Scores turns the relevance of a result into scores from 1 to 100 (RFC 6203 §4): the
// best has 100.
func Scores(relevance []float32) []uint8 {
	out := make([]uint8, len(relevance))
	if len(relevance) == 0 {
		return out
	}
	top := slices.Max(relevance)
	for i, r := range relevance {
		out[i] = 1
		if top > 0 {
			out[i] = uint8(1 + cmp.Compare(r, 0)*int(99*(r/top))) // the quotient first: of the best it is 1 exactly
		}
	}
	return out
}
