package tiers

import (
	"bytes"
	"context"
	"fmt"
	"runtime"

	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	zap "github.com/blevesearch/zapx/v17"
	"golang.org/x/sync/errgroup"
)

// built is a new segment in memory.
type built struct {
	docs, complete   uint32
	zap, terms, text []byte
}

// maxTerms is how many different terms a document may have. One with more is
// kept as incomplete: its message is scanned, and memory stays bounded.
const maxTerms = 500_000

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
	b := &built{docs: uint32(len(docs))}
	var kept bytes.Buffer
	w, err := newKeptWriter(&kept, s.enc)
	if err != nil {
		return nil, err
	}
	shared := frequencies()
	analysed := make([]index.Document, 0, len(docs))
	for _, d := range docs {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		doc, ok := newDocument(d, shared, maxTerms)
		if !ok {
			d.Complete = false
			doc, _ = newDocument(d, shared, maxTerms)
		}
		if d.Complete {
			b.complete++
		}
		analysed = append(analysed, doc)
		if d.Complete && !s.o.NoKeptText {
			err = w.add(d.Units)
		} else {
			w.none()
		}
		if err != nil {
			return nil, err
		}
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	b.text = kept.Bytes()
	return b, guard(func() error { return b.fill(analysed) })
}

// fill makes the segment and its term list.
func (b *built) fill(analysed []index.Document) error {
	seg, _, err := new(zap.ZapPlugin).New(analysed)
	if err != nil {
		return fmt.Errorf("build a segment: %w", err)
	}
	base, ok := seg.(*zap.SegmentBase)
	if !ok {
		return fmt.Errorf("build a segment: unexpected type %T", seg)
	}
	defer base.Close()
	var buf bytes.Buffer
	if _, err := base.WriteTo(&buf); err != nil {
		return fmt.Errorf("build a segment: %w", err)
	}
	b.zap = buf.Bytes()
	b.terms, err = listTerms(base)
	return err
}

// listTerms makes the term list of a segment from its dictionaries.
func listTerms(seg segment.Segment) ([]byte, error) {
	var w termListWriter
	for _, name := range listedFields() {
		w.field(name)
		dict, err := seg.Dictionary(name)
		if err != nil {
			return nil, fmt.Errorf("dictionary of %s: %w", name, err)
		}
		d, ok := dict.(*zap.Dictionary)
		if !ok {
			continue
		}
		it := d.AutomatonIteratorOmitCount(nil, nil, nil)
		for {
			entry, err := it.Next()
			if err != nil {
				return nil, fmt.Errorf("dictionary of %s: %w", name, err)
			}
			if entry == nil {
				break
			}
			w.add(entry.Term)
		}
	}
	return w.bytes(), nil
}
