package tiers

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Terms are merged by one goroutine and written by another, so that two processors have
// work: to find the next term and read its lists takes about as long as to write them.

// What a batch on its way holds, and how many there are: memory, too, is bounded by them.
const (
	batchTerms  = 1 << 10
	batchDocs   = 1 << 15 // more only if a single term has more
	mergedAhead = 3       // being filled, waiting, being written
)

// termBatch is some merged terms of a field, with their documents.
type termBatch struct {
	field  string
	terms  []byte // one after the other
	docs   []uint32
	counts []uint8
	ends   []termEnd
}

// termEnd is where a term ends in its batch, and where its documents do.
type termEnd struct{ term, docs int }

// mergedTerms hands batches from the goroutine that merges to the one that writes.
type mergedTerms struct {
	at    *termBatch      // being filled
	ready chan *termBatch // in order
	free  chan *termBatch
}

// takeMerged writes the terms of a merge's sources, which are read in a goroutine of its
// own, guarded.
func (w *indexWriter) takeMerged(ctx context.Context, from *merge) error {
	m := &mergedTerms{at: new(termBatch), ready: make(chan *termBatch), free: make(chan *termBatch, mergedAhead)}
	for range mergedAhead - 1 {
		m.free <- new(termBatch)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(m.ready)
		return guard(from.yielding(func() error {
			if err := from.mergeFields(ctx, m); err != nil {
				return err
			}
			return m.next(ctx)
		}))
	})
	group.Go(from.yielding(func() error {
		for b := range m.ready {
			if err := w.take(b); err != nil {
				return err
			}
			m.free <- b
		}
		return nil
	}))
	return group.Wait()
}

// take writes a batch.
func (w *indexWriter) take(b *termBatch) error {
	var from termEnd
	for _, end := range b.ends {
		w.term(b.field, b.terms[from.term:end.term], b.docs[from.docs:end.docs], b.counts[from.docs:end.docs])
		from = end
	}
	return w.err()
}

// begin begins a field.
func (m *mergedTerms) begin(ctx context.Context, field string) error {
	if err := m.next(ctx); err != nil {
		return err
	}
	m.at.field = field
	return nil
}

// add ends a term, whose documents have been added to the batch; one that has none is
// left out.
func (m *mergedTerms) add(ctx context.Context, term []byte) error {
	b := m.at
	var last termEnd
	if n := len(b.ends); n > 0 {
		last = b.ends[n-1]
	}
	if len(b.docs) == last.docs {
		return nil
	}
	b.terms = append(b.terms, term...)
	b.ends = append(b.ends, termEnd{len(b.terms), len(b.docs)})
	if len(b.ends) < batchTerms && len(b.docs) < batchDocs {
		return nil
	}
	return m.next(ctx)
}

// next hands the batch at hand over, and takes an empty one for the same field.
func (m *mergedTerms) next(ctx context.Context) error {
	if len(m.at.ends) == 0 {
		return nil
	}
	field := m.at.field
	select {
	case m.ready <- m.at:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case m.at = <-m.free:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	b := m.at
	b.field, b.terms, b.docs, b.counts, b.ends = field, b.terms[:0], b.docs[:0], b.counts[:0], b.ends[:0]
	return nil
}

// termSource goes through the terms of a field of a source.
type termSource struct {
	*mergeSource
	walk
	key   uint64 // what the term at hand begins with: see firstOctets
	terms uint32 // gone through, with that at hand
	lists *blockLists
}

func newTermSource(s *mergeSource, f fieldRange) *termSource {
	x := s.h.index
	t := &termSource{mergeSource: s, walk: x.walkAll(f), lists: x.blockLists(f)}
	t.forth() // no field is without terms
	return t
}

// forth goes to the next term; false if there is none.
func (t *termSource) forth() bool {
	if !t.walk.forth() {
		return false
	}
	t.key = firstOctets(t.term)
	t.terms++
	return true
}

// firstOctets are the first eight octets of a term as a number, zeros for those that are
// missing: of two terms whose numbers differ, the one with the lower number is the lower.
func firstOctets(term []byte) (key uint64) {
	if len(term) >= 8 {
		return binary.BigEndian.Uint64(term)
	}
	for i, c := range term {
		key |= uint64(c) << (56 - 8*i)
	}
	return key
}

// append appends the kept documents of the source's term to a batch.
func (t *termSource) append(b *termBatch) error {
	l, err := t.lists.nth(t.terms-1, t.at)
	if err != nil {
		return err
	}
	n := len(b.docs)
	if b.docs, b.counts, err = l.appendTo(b.docs, b.counts); err != nil {
		return err
	}
	d, c := t.number(b.docs[n:], b.counts[n:])
	b.docs, b.counts = b.docs[:n+len(d)], b.counts[:n+len(c)]
	return nil
}

// termHeap has the source with the least term first; of those with the same term,
// the one that was added first.
type termHeap []*termSource

func less(a, b *termSource) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	c := bytes.Compare(a.term, b.term)
	return c < 0 || c == 0 && a.nth < b.nth
}

// down puts the ith source where it belongs among those below it.
func (h termHeap) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if right := least + 1; right < len(h) && less(h[right], h[least]) {
			least = right
		}
		if !less(h[least], h[i]) {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// mergeInto puts out the terms of all sources of a field.
func (h termHeap) mergeInto(ctx context.Context, out *mergedTerms, name string) error {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
	if err := out.begin(ctx, name); err != nil {
		return err
	}
	var term []byte
	for len(h) > 0 {
		key := h[0].key
		term = append(term[:0], h[0].term...)
		for len(h) > 0 && h[0].key == key && bytes.Equal(h[0].term, term) {
			if err := h[0].append(out.at); err != nil {
				return fmt.Errorf("term %.40q: %w", term, err)
			}
			if !h[0].forth() {
				h[0] = h[len(h)-1]
				h = h[:len(h)-1]
			}
			h.down(0)
		}
		if err := out.add(ctx, term); err != nil {
			return err
		}
	}
	return nil
}
