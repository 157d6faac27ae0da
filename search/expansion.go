package search

import (
	"context"
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"golang.org/x/sync/errgroup"

	"teraslot/text"
	"teraslot/tiers"
)

// expansion is what an index has of the words of a fuzzy key: the terms that are like
// them, and the documents with all words.
type expansion struct {
	fields []string
	words  []expandedWord
	size   uint32           // documents in the snapshot
	alive  []uint64         // a bit for each document that has all words
	terms  map[string][]int // words by the terms like them; made when asked for
	// score is what each document has of the words, by weight; nil if nobody asked.
	score []float32
}

// expandedWord are the terms like a word.
type expandedWord struct {
	terms []expandedTerm
	docs  uint32 // documents of the terms, as if no two had one in common
}

type expandedTerm struct {
	text  string
	field int
	docs  uint32
	like  likeness
}

// expand looks for the terms like each word in the fields, for as many words at once as there
// are workers.
func expand(ctx context.Context, snap *tiers.Snapshot, words []*fuzzyWord, fields []string, workers int) (*expansion, error) {
	x := &expansion{fields: fields, words: make([]expandedWord, len(words)), size: snap.Docs()}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, workers))
	for i, w := range words {
		group.Go(func() error { return x.words[i].expand(ctx, snap, w, fields) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return x, nil
}

// expand adds the terms of all fields that are like w.
func (e *expandedWord) expand(ctx context.Context, snap *tiers.Snapshot, w *fuzzyWord, fields []string) error {
	known := map[string]likeness{}
	for f, field := range fields {
		for _, prefix := range w.prefixes {
			if err := e.add(ctx, snap, w, f, field, prefix, known); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds the terms of a field that begin with prefix and are like w. Known are the
// likenesses of those that other fields had.
func (e *expandedWord) add(ctx context.Context, snap *tiers.Snapshot, w *fuzzyWord, f int, field, prefix string, known map[string]likeness) error {
	terms, err := snap.Select(ctx, field, prefix, func(term []byte) bool {
		if w.farFrom(string(term)) {
			return false
		}
		if _, ok := known[string(term)]; ok {
			return true
		}
		l := w.like(string(term))
		if l.kind == unlike || !text.IsToken(string(term)) {
			return false
		}
		known[string(term)] = l
		return true
	})
	for _, t := range terms {
		word := string(t.Text)
		e.terms = append(e.terms, expandedTerm{word, f, t.Docs, known[word]})
		e.docs += t.Docs
	}
	return err
}

// collect reads which documents have all words, and with weights also how much
// they have of them.
func (x *expansion) collect(ctx context.Context, snap *tiers.Snapshot, w *weights, ranked bool) error {
	order := make([]int, len(x.words))
	for i := range order {
		order[i] = i
	}
	// The rarest word leaves the fewest documents for the others.
	slices.SortStableFunc(order, func(a, b int) int { return int(int64(x.words[a].docs) - int64(x.words[b].docs)) })
	var amount []float32
	if ranked {
		x.score, amount = make([]float32, x.size), make([]float32, x.size)
	}
	for n, i := range order {
		found := make([]uint64, (x.size+63)/64)
		for _, t := range x.words[i].terms {
			list, err := snap.Postings(ctx, x.fields[t.field], t.text)
			if err != nil {
				return err
			}
			x.add(list, found, n > 0, amount, w.ofTerm(i, t.like)*w.ofField(x.fields[t.field]))
		}
		x.alive = found
		if ranked {
			x.settle(amount, w.words[i].rarity)
		}
	}
	return nil
}

// add notes the documents of a list, of those that have the words before.
func (x *expansion) add(list []tiers.Posting, found []uint64, narrow bool, amount []float32, weight float32) {
	for _, p := range list {
		word, bit := p.Doc/64, uint64(1)<<(p.Doc%64)
		if narrow && x.alive[word]&bit == 0 {
			continue
		}
		found[word] |= bit
		if amount != nil {
			amount[p.Doc] += weight * float32(p.Count)
		}
	}
}

// settle turns what the documents alive have of one word into score.
func (x *expansion) settle(amount []float32, rarity float32) {
	for n, word := range x.alive {
		for ; word != 0; word &= word - 1 {
			doc := n*64 + bits.TrailingZeros64(word)
			x.score[doc] += rarity * saturated(amount[doc])
		}
	}
	clear(amount)
}

// docs are the documents with all words.
func (x *expansion) docs() *roaring.Bitmap { return roaring.FromDense(x.alive, false) }

// byTerm are the numbers of the words that each term is like.
func (x *expansion) byTerm() map[string][]int {
	if x.terms != nil {
		return x.terms
	}
	x.terms = map[string][]int{}
	for i, w := range x.words {
		for _, t := range w.terms {
			if words := x.terms[t.text]; !slices.Contains(words, i) {
				x.terms[t.text] = append(words, i)
			}
		}
	}
	return x.terms
}
