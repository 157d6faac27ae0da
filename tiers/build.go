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
	memory             *segmentBuilder // whose that is, if it is used again
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

// segmentBuilder is a segment under way. One that was small is used again: what comes in
// for many users at once is built of a few messages each, and would take a megabyte of
// fresh memory for each of them.
type segmentBuilder struct {
	noText   bool
	analysis *analysis
	guids    []mailbox.GUID
	complete []uint32 // the numbers of complete documents
	text     *keptWriter
	index    indexWriter

	keptFile, termsFile, listsFile bytes.Buffer
}

// newSegmentBuilder begins a segment of about so many documents.
func (s *Set) newSegmentBuilder(docs int) (*segmentBuilder, error) {
	b, again := s.builders.Get().(*segmentBuilder)
	if again {
		b.analysis.reset(docs)
		return b, b.text.reset(&b.keptFile)
	}
	b = &segmentBuilder{noText: s.o.NoKeptText, analysis: newAnalysis(docs)}
	var err error
	b.text, err = newKeptWriter(&b.keptFile, s.encs)
	return b, err
}

// smallFiles is how many octets of a small segment's files are kept in memory for the
// next one, each.
const smallFiles = 1 << 20

// small reports whether a builder's memory is worth being kept.
func (b *segmentBuilder) small() bool {
	return b.analysis.small() && max(b.keptFile.Cap(), b.termsFile.Cap(), b.listsFile.Cap(), b.text.memory()) <= smallFiles
}

// recycle takes back the memory of segments, which nobody uses any more.
func (s *Set) recycle(segments []*built) {
	for _, one := range segments {
		b := one.memory
		if b == nil {
			continue
		}
		b.analysis.forget()
		b.keptFile.Reset()
		b.termsFile.Reset()
		b.listsFile.Reset()
		b.guids, b.complete = b.guids[:0], b.complete[:0]
		s.builders.Put(b)
	}
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

// finish returns the segment, whose memory is the builder's.
func (b *segmentBuilder) finish() (*built, error) {
	if err := b.text.close(); err != nil {
		return nil, err
	}
	complete := newDocSet(uint32(len(b.guids)))
	for _, doc := range b.complete {
		complete.addRange(doc, doc+1)
	}
	b.index.reset(&b.termsFile, &b.listsFile, b.guids, complete)
	b.analysis.each(b.index.term)
	if err := b.index.close(); err != nil {
		return nil, err
	}
	one := &built{docs: uint32(len(b.guids)), complete: uint32(len(b.complete)), terms: b.termsFile.Bytes(), lists: b.listsFile.Bytes(), text: b.keptFile.Bytes()}
	if b.small() {
		one.memory = b // else all but the files goes now: others are built before these are written
	}
	return one, nil
}
