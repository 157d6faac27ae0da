package tiers

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
)

// Term is a distinct term of a field.
type Term struct {
	Text []byte // shared: valid until the next step of the iteration
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

// Terms yields the distinct terms of a field that begin with prefix, in the order
// of their octets. An error, ctx's or that of a fault in a mapped file, is yielded
// last, with a zero Term.
func (s *Snapshot) Terms(ctx context.Context, field, prefix string) iter.Seq2[Term, error] {
	return func(yield func(Term, error) bool) {
		var cursors []*termCursor
		for _, seg := range s.segments {
			cursors = append(cursors, &termCursor{seg: seg, field: field, prefix: []byte(prefix)})
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
	begun  bool
	next   uint64 // where to go on; 0 after the last term
	buf    []byte
	terms  []cursorTerm // in buf
	at     int          // the next of terms
}

// cursorTerm is a term in a cursor's buffer.
type cursorTerm struct {
	from, to int
	docs     uint32
}

// head is the cursor's next term; nil at its end.
func (c *termCursor) head() []byte {
	if c.at == len(c.terms) {
		return nil
	}
	return c.buf[c.terms[c.at].from:c.terms[c.at].to]
}

// least returns the next distinct term of all cursors, and goes on behind it.
func (s *Snapshot) least(ctx context.Context, cursors []*termCursor) (t Term, ok bool, err error) {
	for _, c := range cursors {
		if err := s.fill(ctx, c); err != nil {
			return Term{}, false, err
		}
		if h := c.head(); h != nil && (t.Text == nil || bytes.Compare(h, t.Text) < 0) {
			t.Text = h
		}
	}
	for _, c := range cursors {
		if h := c.head(); h != nil && bytes.Equal(h, t.Text) {
			t.Docs += c.terms[c.at].docs
			c.at++
		}
	}
	return t, t.Text != nil, nil
}

// fill reads the cursor's next terms if it has none.
func (s *Snapshot) fill(ctx context.Context, c *termCursor) error {
	if c.at < len(c.terms) || c.begun && c.next == 0 {
		return nil
	}
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
	const atOnce = 8 * blockTerms
	x := c.seg.h.index
	f, ok := x.lookupField(c.field)
	c.buf, c.terms, c.at = c.buf[:0], c.terms[:0], 0
	if !ok {
		c.begun, c.next = true, 0
		return nil
	}
	var w walk
	if c.begun {
		w, ok = x.walkFrom(f, c.next)
	} else {
		w, ok = x.seek(f, c.prefix)
	}
	c.begun, c.next = true, 0
	lists := x.blockLists(f)
	for ; ok && bytes.HasPrefix(w.term, c.prefix); ok = w.forth() {
		if len(c.terms) == atOnce {
			c.next = w.at
			break
		}
		l, err := lists.of(w.at)
		if err != nil {
			return err
		}
		n, err := l.len()
		if err != nil {
			return err
		}
		from := len(c.buf)
		c.buf = append(c.buf, w.term...)
		c.terms = append(c.terms, cursorTerm{from, len(c.buf), n})
	}
	if !x.whole() {
		return c.seg.h.cutShort()
	}
	return nil
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
