package tiers

import (
	"bytes"
	"context"
	"slices"
)

// Select returns the distinct terms of a field that begin with prefix and that wanted
// says yes to, in the order of their octets; their texts are the caller's. It is for
// passing over many terms to find few: wanted is called once for each term of each
// segment, with memory that is not to be kept, and only those it wants cost more than
// a few nanoseconds.
func (s *Snapshot) Select(ctx context.Context, field, prefix string, wanted func(term []byte) bool) ([]Term, error) {
	var out []Term
	for _, seg := range s.segments {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		err := guard(func() (err error) {
			out, err = seg.h.appendTerms(out, field, prefix, wanted)
			return err
		})
		if err != nil {
			s.set.fault(seg, err)
			return nil, err
		}
	}
	if len(s.segments) < 2 {
		return out, nil
	}
	slices.SortFunc(out, func(a, b Term) int { return bytes.Compare(a.Text, b.Text) })
	distinct := out[:0]
	for _, t := range out {
		if n := len(distinct); n > 0 && bytes.Equal(distinct[n-1].Text, t.Text) {
			distinct[n-1].Docs += t.Docs
			continue
		}
		distinct = append(distinct, t)
	}
	return distinct, nil
}

// appendTerms appends the wanted terms of a field.
func (h *handle) appendTerms(out []Term, field, prefix string, wanted func([]byte) bool) ([]Term, error) {
	x := h.index
	f, ok := x.lookupField(field)
	if !ok {
		return out, nil
	}
	lists := x.blockLists(f)
	for at, term := range x.prefixed(f, prefix, wanted) {
		l, err := lists.of(at)
		if err != nil {
			return nil, err
		}
		n, err := l.len()
		if err != nil {
			return nil, err
		}
		out = append(out, Term{bytes.Clone(term), n})
	}
	if !x.whole() {
		return nil, h.cutShort()
	}
	return out, nil
}
