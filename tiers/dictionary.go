package tiers

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"teraslot/text"

	segment "github.com/blevesearch/scorch_segment_api/v2"
)

// Term is a distinct term of a field.
type Term struct {
	Text []byte // shared: valid until the next step of the iteration
	Docs uint32 // documents that have it; those of one GUID count each
}

// Posting is a document that has a term.
type Posting struct {
	Doc   uint32
	Count uint8 // how often, 1 to 255; rounded down from 5 on
}

// Fields lists the fields of which some segment has terms, sorted.
func (s *Snapshot) Fields() []string {
	all := map[string]bool{}
	for _, seg := range s.segments {
		for _, f := range seg.h.fields() {
			all[f] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// fields are those that have terms.
func (h *handle) fields() (out []string) {
	for name, list := range h.terms.fields {
		if len(list) > 1 {
			out = append(out, name)
		}
	}
	return out
}

// Terms yields the distinct terms of a field that begin with prefix, in the order
// of their octets. An error, ctx's or that of a fault in a mapped file, is yielded
// last, with a zero Term.
func (s *Snapshot) Terms(ctx context.Context, field, prefix string) iter.Seq2[Term, error] {
	return func(yield func(Term, error) bool) {
		var cursors []*termCursor
		for _, seg := range s.segments {
			c := &termCursor{seg: seg, field: field, prefix: []byte(prefix), next: []byte(prefix)}
			if err := s.fill(ctx, c); err != nil {
				yield(Term{}, err)
				return
			}
			cursors = append(cursors, c)
		}
		for {
			t, ok, err := s.least(ctx, cursors)
			if !ok && err == nil {
				return
			}
			if !yield(t, err) || err != nil {
				return
			}
		}
	}
}

// termCursor goes through the terms of a segment's field, some at a time: what it
// hands on is a copy, which cannot fault.
type termCursor struct {
	seg    *Segment
	field  string
	prefix []byte
	next   []byte // where to go on; nil after the last term
	buf    []byte
	terms  []cursorTerm
}

// cursorTerm is a term in a cursor's buffer.
type cursorTerm struct {
	from, to int
	docs     uint32
}

// head is the cursor's next term; nil at its end.
func (c *termCursor) head() []byte {
	if len(c.terms) == 0 {
		return nil
	}
	return c.buf[c.terms[0].from:c.terms[0].to]
}

// least returns the next distinct term of all cursors, and goes on behind it.
func (s *Snapshot) least(ctx context.Context, cursors []*termCursor) (t Term, ok bool, err error) {
	for _, c := range cursors {
		if len(c.terms) == 0 && c.next != nil {
			if err := s.fill(ctx, c); err != nil {
				return Term{}, false, err
			}
		}
		if h := c.head(); h != nil && (t.Text == nil || bytes.Compare(h, t.Text) < 0) {
			t.Text = h
		}
	}
	for _, c := range cursors {
		if h := c.head(); h != nil && bytes.Equal(h, t.Text) {
			t.Docs += c.terms[0].docs
			c.terms = c.terms[1:]
		}
	}
	return t, t.Text != nil, nil
}

// fill reads the cursor's next terms.
func (s *Snapshot) fill(ctx context.Context, c *termCursor) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	err := guard(func() error { return c.fill() })
	if err != nil {
		s.set.fault(c.seg, err)
	}
	return err
}

// fill must not be called while a term handed on is still in use.
func (c *termCursor) fill() error {
	const atOnce = 4096
	dict, err := c.seg.h.seg.Dictionary(c.field)
	if err != nil {
		return err
	}
	from := c.next
	c.buf, c.terms, c.next = nil, nil, nil
	var reuse segment.PostingsList
	for term := range prefixed(c.seg.h.terms.fields[c.field], string(c.prefix)) {
		if bytes.Compare(term, from) < 0 {
			continue
		}
		if len(c.terms) == atOnce {
			c.next = bytes.Clone(term)
			break
		}
		if reuse, err = dict.PostingsList(term, nil, reuse); err != nil {
			return err
		}
		at := len(c.buf)
		c.buf = append(c.buf, term...)
		c.terms = append(c.terms, cursorTerm{at, len(c.buf), uint32(reuse.Count())})
	}
	return c.seg.h.intact()
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
			out, err = seg.h.appendPostings(out, seg.base, text.Lookup{Field: field, Op: text.Exact, Text: term})
			return err
		})
		if err != nil {
			s.set.fault(seg, err)
			return nil, err
		}
	}
	return out, nil
}

func (h *handle) appendPostings(out []Posting, base uint32, l text.Lookup) ([]Posting, error) {
	dict, err := h.seg.Dictionary(l.Field)
	if err != nil {
		return nil, err
	}
	list, err := dict.PostingsList([]byte(l.Text), nil, nil)
	if err != nil {
		return nil, err
	}
	it := list.Iterator(true, false, false, nil)
	for {
		p, err := it.Next()
		if err != nil {
			return nil, fmt.Errorf("documents with a term of %s: %w", l.Field, err)
		}
		if p == nil {
			return out, h.intact()
		}
		out = append(out, Posting{base + uint32(p.Number()), uint8(min(p.Frequency(), 255))})
	}
}
