package tiers

import (
	"bytes"
	"context"
	"fmt"
	"runtime"

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
	a := newAnalysis(len(docs))
	guids := make([]mailbox.GUID, len(docs))
	complete := newDocSet(uint32(len(docs)))
	for i, d := range docs {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		guids[i] = d.GUID
		units := d.Units
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
	a.each(x.term)
	if err := x.close(); err != nil {
		return nil, fmt.Errorf("build a segment: %w", err)
	}
	return &built{docs: uint32(len(docs)), complete: complete.count(), terms: terms.Bytes(), lists: lists.Bytes(), text: kept.Bytes()}, nil
}
