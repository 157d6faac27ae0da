package tiers

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
)

// Select gives of Terms what is wanted, and asks about each term.
func TestSelect(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 40)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, docsOf(40, 43)...)
	commit(t, x, plain(43, "common common zebra"))
	s := snapshot(t, x)
	for _, field := range append(s.Fields(), "none") {
		for _, prefix := range []string{"", "W", "WORD1", "ZZZ"} {
			odd := func(term []byte) bool { return term[len(term)-1]%2 == 1 }
			var want []Term
			for term, err := range s.Terms(t.Context(), field, prefix) {
				if err != nil {
					t.Fatal(err)
				}
				if odd(term.Text) {
					want = append(want, Term{bytes.Clone(term.Text), term.Docs})
				}
			}
			got, err := s.Select(t.Context(), field, prefix, odd)
			if err != nil || !slices.EqualFunc(got, want, func(a, b Term) bool { return bytes.Equal(a.Text, b.Text) && a.Docs == b.Docs }) {
				t.Errorf("%s, %q: got %v, %v, want %v", field, prefix, got, err, want)
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := s.Select(ctx, s.Fields()[0], "", func([]byte) bool { return true }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
