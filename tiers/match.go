package tiers

import (
	"context"
	"encoding/binary"
	"fmt"

	"teraslot/text"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	zap "github.com/blevesearch/zapx/v17"
)

// Match answers a key by the index alone: sure are the documents that match,
// maybe those that have to be verified by their text, and no other complete
// document matches. Nothing is said about incomplete documents. Both bitmaps are
// the caller's.
//
// A segment that turns out to be unreadable makes all its complete documents
// candidates. The only error is ctx's.
func (s *Snapshot) Match(ctx context.Context, k text.Key) (sure, maybe *roaring.Bitmap, err error) {
	plan := k.Plan()
	sure, maybe = roaring.New(), roaring.New()
	for _, seg := range s.segments {
		var found *roaring.Bitmap
		err := guard(func() (err error) {
			found, err = seg.h.match(ctx, plan)
			return err
		})
		if cause := context.Cause(ctx); cause != nil {
			return nil, nil, cause
		}
		into := maybe
		switch {
		case err != nil:
			s.set.fault(seg, err)
			found = seg.h.complete
		case plan.Sure:
			into = sure
		}
		into.Or(roaring.AddOffset(found, seg.base))
	}
	return sure, maybe, nil
}

// match returns the candidates among the complete documents.
func (h *handle) match(ctx context.Context, plan text.Plan) (*roaring.Bitmap, error) {
	found := roaring.New()
	for _, all := range plan.Any {
		one, err := h.matchAll(ctx, all)
		if err != nil {
			return nil, err
		}
		if found.Or(one); h.all(found) {
			break
		}
	}
	return found, nil
}

// matchAll returns the complete documents for which all lookups find a term.
func (h *handle) matchAll(ctx context.Context, all []text.Lookup) (*roaring.Bitmap, error) {
	found := h.complete.Clone()
	for _, exact := range []bool{true, false} { // the cheap ones first
		for _, l := range all {
			if (l.Op == text.Exact) != exact {
				continue
			}
			if found.IsEmpty() {
				return found, nil
			}
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
			docs, err := h.postings(ctx, l)
			if err != nil {
				return nil, err
			}
			found.And(docs)
		}
	}
	return found, nil
}

// postings returns the documents that have one of the terms that l means, in a
// bitmap of the caller's own.
func (h *handle) postings(ctx context.Context, l text.Lookup) (*roaring.Bitmap, error) {
	found, err := h.collect(ctx, l)
	if err != nil {
		return nil, err
	}
	// Parts that came from one list only still lie in the mapped file: they would
	// be gone with it.
	found.CloneCopyOnWriteContainers()
	return found, h.intact()
}

// intact looks, after a mapped file was read, whether it still has its end. A
// file that was cut short faults where its pages are gone, but reads as zeros in
// the rest of its last page.
func (h *handle) intact() error {
	end := h.mapped[len(h.mapped)-1] == '\n'
	if seg, ok := h.seg.(*zap.Segment); ok {
		data := seg.Data()
		end = end && binary.BigEndian.Uint32(data[len(data)-4:]) == seg.CRC()
	}
	if !end {
		return fmt.Errorf("%s: a file was cut short: %w", h.dir, errFault)
	}
	return nil
}

// collect is postings in a bitmap that shares memory with the mapped file.
func (h *handle) collect(ctx context.Context, l text.Lookup) (*roaring.Bitmap, error) {
	found := roaring.New()
	dict, err := h.seg.Dictionary(l.Field)
	if err != nil {
		return nil, fmt.Errorf("dictionary of %s: %w", l.Field, err)
	}
	var reuse segment.PostingsList
	or := func(term []byte) error {
		list, err := dict.PostingsList(term, nil, reuse)
		if err != nil {
			return fmt.Errorf("documents with a term of %s: %w", l.Field, err)
		}
		p, ok := list.(*zap.PostingsList)
		if !ok {
			return fmt.Errorf("documents with a term of %s: unexpected type %T", l.Field, list)
		}
		p.OrInto(found)
		reuse = list
		return nil
	}
	if l.Op == text.Exact {
		return found, or([]byte(l.Text))
	}
	const often = 32
	n := 0
	for term := range h.terms.find(l) {
		if err := or(term); err != nil {
			return nil, err
		}
		// Short keys are in so many terms that a part of them leads to all documents.
		if n++; n%often == 0 {
			if err := context.Cause(ctx); err != nil || h.all(found) {
				return found, err
			}
		}
	}
	return found, nil
}

// all reports whether no more documents can be found: only complete ones have
// terms.
func (h *handle) all(found *roaring.Bitmap) bool {
	return found.GetCardinality() >= uint64(h.info.Complete)
}
