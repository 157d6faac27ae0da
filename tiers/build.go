package tiers

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"

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
const maxTerms = 500_000

// fullSegment is how many different terms close a segment under way: so documents
// of many terms do not add up in memory.
const fullSegment = maxTerms

// build makes segments of documents, whose GUIDs differ. Large batches are split,
// so that all processors work.
func (s *Set) build(ctx context.Context, docs []Doc) ([]*built, error) {
	const least = 100 // documents that are worth a segment of their own
	parts := make([][]*built, max(1, min(runtime.GOMAXPROCS(0), len(docs)/least)))
	group, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		group.Go(func() (err error) {
			from, to := i*len(docs)/len(parts), (i+1)*len(docs)/len(parts)
			parts[i], err = s.buildPart(ctx, docs[from:to])
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(parts...), err
}

// buildPart makes one segment, or several of documents that have many terms.
func (s *Set) buildPart(ctx context.Context, docs []Doc) (out []*built, err error) {
	var b *segmentBuilder
	for i, d := range docs {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if b == nil {
			if b, err = s.newSegmentBuilder(len(docs) - i); err != nil {
				return nil, err
			}
		}
		if err := b.add(d); err != nil {
			return nil, err
		}
		if i < len(docs)-1 && b.analysis.terms < fullSegment {
			continue
		}
		one, err := b.finish()
		if err != nil {
			return nil, fmt.Errorf("build a segment: %w", err)
		}
		out, b = append(out, one), nil
	}
	return out, nil
}

// segmentBuilder is a segment under way.
type segmentBuilder struct {
	noText   bool
	analysis *analysis
	guids    []mailbox.GUID
	complete []uint32 // the numbers of complete documents
	kept     bytes.Buffer
	text     *keptWriter
}

// newSegmentBuilder begins a segment of about so many documents.
func (s *Set) newSegmentBuilder(docs int) (*segmentBuilder, error) {
	b := &segmentBuilder{noText: s.o.NoKeptText, analysis: newAnalysis(docs)}
	var err error
	b.text, err = newKeptWriter(&b.kept, s.encs)
	return b, err
}

// add adds the next document.
func (b *segmentBuilder) add(d Doc) error {
	units := d.Units
	if !d.Complete {
		units = nil
	}
	whole := b.analysis.add(units, maxTerms) && d.Complete
	if whole {
		b.complete = append(b.complete, uint32(len(b.guids)))
	}
	b.guids = append(b.guids, d.GUID)
	if whole && !b.noText {
		return b.text.add(units)
	}
	return b.text.none()
}

// finish returns the segment.
func (b *segmentBuilder) finish() (*built, error) {
	if err := b.text.close(); err != nil {
		return nil, err
	}
	complete := newDocSet(uint32(len(b.guids)))
	for _, doc := range b.complete {
		complete.addRange(doc, doc+1)
	}
	var terms, lists bytes.Buffer
	x := newIndexWriter(&terms, &lists, b.guids, complete)
	b.analysis.each(x.term)
	if err := x.close(); err != nil {
		return nil, err
	}
	return &built{docs: uint32(len(b.guids)), complete: uint32(len(b.complete)), terms: terms.Bytes(), lists: lists.Bytes(), text: b.kept.Bytes()}, nil
}
