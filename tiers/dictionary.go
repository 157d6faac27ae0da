package tiers

import (
	"context"
	"maps"
	"slices"
)

// Term is a distinct term of a field.
type Term struct {
	Text []byte
	Docs uint32 // documents that have it; those of one GUID count each
}

// Posting is a document that has a term.
type Posting struct {
	Doc   uint32
	Count uint8 // how often in text.FieldBody, 1 to 255, rounded down from 5 on; 1 in other fields
}

// Fields lists the fields of which some segment has terms, sorted: those of package
// text whose names begin with a colon, and text.HeaderField of each header field.
func (s *Snapshot) Fields() []string {
	all := map[string]bool{}
	for _, seg := range s.segments {
		err := guard(func() error {
			for i := range seg.h.index.len() {
				all[seg.h.index.name(i)] = true
			}
			return nil
		})
		if err != nil {
			s.set.fault(seg, err)
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// DocsWith is how many documents have a term; those of one GUID count each.
func (s *Snapshot) DocsWith(ctx context.Context, field, term string) (docs uint32, err error) {
	for _, seg := range s.segments {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		err := guard(func() error {
			n, err := seg.h.docsWith(field, term)
			docs += n
			return err
		})
		if err != nil {
			s.set.fault(seg, err)
			return 0, err
		}
	}
	return docs, nil
}

func (h *handle) docsWith(field, term string) (uint32, error) {
	l, ok, err := h.index.list(field, term)
	switch {
	case err != nil:
		return 0, err
	case !h.index.whole():
		return 0, h.cutShort()
	case !ok:
		return 0, nil
	}
	return l.len()
}

// Postings returns the documents that have a term, rising by number; none if
// there is no such field or term. They belong to the caller.
func (s *Snapshot) Postings(ctx context.Context, field, term string) ([]Posting, error) {
	var out []Posting
	for _, seg := range s.segments {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		err := guard(func() (err error) {
			out, err = seg.h.appendPostings(out, seg.base, field, term)
			return err
		})
		if err != nil {
			s.set.fault(seg, err)
			return nil, err
		}
	}
	return out, nil
}

func (h *handle) appendPostings(out []Posting, base uint32, field, term string) ([]Posting, error) {
	l, ok, err := h.index.list(field, term)
	if err != nil {
		return nil, err
	}
	if ok {
		docs, counts, err := l.appendTo(nil, nil)
		if err != nil {
			return nil, err
		}
		out = slices.Grow(out, len(docs))
		for i, doc := range docs {
			out = append(out, Posting{base + doc, counts[i]})
		}
	}
	if !h.index.whole() {
		return nil, h.cutShort()
	}
	return out, nil
}
