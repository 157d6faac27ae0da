package tiers

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"teraslot/mailbox"

	"golang.org/x/sync/errgroup"
)

// built is a new segment in memory.
type built struct {
	docs, complete     uint32
	terms, lists, text []byte
}

// maxTerms is how many different terms a document may have. One with more is
// kept as incomplete: its message is scanned, and memory stays bounded.
const maxTerms = 1_000_000

// build makes segments of documents, whose GUIDs differ. Large batches are split,
// so that all processors work.
func (s *Set) build(ctx context.Context, docs []Doc) ([]*built, error) {
	const least = 100 // documents that are worth a segment of their own
	parts := max(1, min(runtime.GOMAXPROCS(0), len(docs)/least))
	out := make([]*built, parts)
	group, ctx := errgroup.WithContext(ctx)
	for i := range out {
		group.Go(func() (err error) {
			from, to := i*len(docs)/parts, (i+1)*len(docs)/parts
			out[i], err = s.buildOne(ctx, docs[from:to])
			return err
		})
	}
	return out, group.Wait()
}

// buildOne makes one segment.
func (s *Set) buildOne(ctx context.Context, docs []Doc) (*built, error) {
	var kept, terms, lists bytes.Buffer
	w, err := newKeptWriter(&kept, s.enc)
	if err != nil {
		return nil, err
	}
	a := newAnalysis()
	guids := make([]mailbox.GUID, len(docs))
	complete := newDocSet(uint32(len(docs)))
	for i, d := range docs {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		guids[i] = d.GUID
		var units = d.Units
		if !d.Complete {
			units = nil
		}
		ok := a.add(units, maxTerms) && d.Complete
		if ok {
			complete.addRange(uint32(i), uint32(i)+1)
		}
		if ok && !s.o.NoKeptText {
			err = w.add(d.Units)
		} else {
			err = w.none()
		}
		if err != nil {
			return nil, err
		}
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	x := newIndexWriter(&terms, &lists, guids, complete)
	a.each(func(field, term string, docs []uint32, counts []uint8) {
		x.term(field, term, docs, counts)
	})
	if err := x.close(); err != nil {
		return nil, fmt.Errorf("build a segment: %w", err)
	}
	return &built{docs: uint32(len(docs)), complete: complete.count(), terms: terms.Bytes(), lists: lists.Bytes(), text: kept.Bytes()}, nil
}

// each calls fn with the terms of all fields, in order, and their documents. The
// slices are valid during the call.
func (a *analysis) each(fn func(field, term string, docs []uint32, counts []uint8)) {
	for _, name := range slices.SortedFunc(maps.Keys(a.fields), compareFields) {
		a.fields[name].each(func(term string, docs []uint32, counts []uint8) { fn(name, term, docs, counts) })
	}
}

// each sorts the postings by term, which leaves those of a term in the order of
// documents, and goes through the terms in order.
func (f *fieldTerms) each(fn func(term string, docs []uint32, counts []uint8)) {
	at := make([]uint32, len(f.terms)+1) // where each term's postings begin
	for i, t := range f.terms {
		at[i+1] = at[i] + t.n
	}
	docs := make([]uint32, len(f.posts))
	var counts []uint8
	if f.counted {
		counts = make([]uint8, len(f.posts))
	}
	next := slices.Clone(at)
	for i, p := range f.posts {
		to := next[p.term]
		next[p.term]++
		docs[to] = p.doc
		if f.counted {
			counts[to] = f.counts[i]
		}
	}
	for _, id := range f.inOrder() {
		from, to := at[id], at[id+1]
		if from == to {
			continue
		}
		var c []uint8
		if f.counted {
			c = counts[from:to]
		}
		fn(f.terms[id].text, docs[from:to], c)
	}
}

// inOrder are the numbers of the terms in the order of their octets. Most differ
// in their first eight.
func (f *fieldTerms) inOrder() []uint32 {
	type key struct {
		first uint64
		id    uint32
	}
	keys := make([]key, len(f.terms))
	for i, t := range f.terms {
		k := key{id: uint32(i)}
		for j := range min(8, len(t.text)) {
			k.first |= uint64(t.text[j]) << (56 - 8*j)
		}
		keys[i] = k
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return strings.Compare(f.terms[a.id].text, f.terms[b.id].text)
	})
	out := make([]uint32, len(keys))
	for i, k := range keys {
		out[i] = k.id
	}
	return out
}
