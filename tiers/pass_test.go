package tiers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"teraslot/text"
)

// passedTerms is an index with enough borders and stretches for passes, of which each has
// one of 50 documents.
func passedTerms(t *testing.T) (*segmentIndex, []testTerm) {
	t.Helper()
	var all []testTerm
	for _, field := range []string{text.FieldBorder, text.FieldSign} {
		for i := range (4*passBlocks + 3) * blockTerms {
			all = append(all, testTerm{field, fmt.Sprintf("%06d %03d", i, i*7%1000), []uint32{uint32(i % 50)}, nil})
		}
	}
	x, err := openSegmentIndex(makeIndex(t, 50, all))
	if err != nil {
		t.Fatal(err)
	}
	return x, all
}

// A pass in any number of parts finds what is found in one.
func TestPass(t *testing.T) {
	x, all := passedTerms(t)
	for _, helpers := range []int{0, 1, 2, 3, 9} {
		h := &handle{index: x, info: segmentInfo{Docs: 50, Complete: 50}, helpers: make(processors, helpers)}
		for _, l := range []text.Lookup{{Op: text.Inside, Text: " 77"}, {Op: text.Suffix, Text: "003"}, {Op: text.Inside, Text: "131"}, {Op: text.Inside, Text: "X"}} {
			for _, l.Field = range []string{text.FieldBorder, text.FieldSign} {
				want, docs := newDocSet(50), newDocSet(50)
				for _, term := range all {
					if term.field == l.Field && l.Means(term.text) {
						if err := want.add(term.docs[0]); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := newMatch(t.Context(), h).collect(fieldRange{}, l, &docs); err != nil || !slices.Equal(docs, want) {
					t.Errorf("%d helpers, %+v: found %d documents, want %d (%v)", helpers, l, docs.count(), want.count(), err)
				}
			}
		}
		if len(h.helpers) != 0 {
			t.Errorf("%d of %d helpers were not given back", len(h.helpers), helpers)
		}
	}
}

// Terms behind whose space a string stands are found in all blocks, those in the middle of
// many that are the same up to the space, and in parts of a field as in all of it.
func TestBehindSpace(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	distinct := map[string]bool{}
	for head, most := range map[string]int{"": 500, "A": 1, "AB": 3000, "AND": 9000, "É": 400, "ÉÉ": 64, "THE": 5000, "ZZZZ": 300} {
		for range most {
			tail := make([]byte, r.IntN(5))
			for i := range tail {
				tail[i] = "ABEHNTZ"[r.IntN(7)]
			}
			distinct[head+" "+string(tail)] = true
		}
	}
	var all []testTerm
	for _, term := range slices.Sorted(maps.Keys(distinct)) {
		all = append(all, testTerm{text.FieldBorder, term, []uint32{1}, nil})
	}
	x, err := openSegmentIndex(makeIndex(t, 2, all))
	if err != nil {
		t.Fatal(err)
	}
	f, _ := x.lookupField(text.FieldBorder)
	over := 0
	for _, pattern := range []string{" ", " A", " AB", " E", " HEN", " N", " T", " TTT", " ZZZZ", " B", " Q", "  ", " A ", " É"} {
		l := text.Lookup{Field: text.FieldBorder, Op: text.Inside, Text: pattern}
		for n := uint32(1); n <= 5; n++ {
			var got, want []string
			for _, term := range all {
				if l.Means(term.text) {
					want = append(want, term.text)
				}
			}
			for i := range n {
				for at, term := range x.lookup(x.someBlocks(f, i, n), l) {
					got = append(got, string(term))
					if w, ok := x.seek(f, term); !ok || w.at != at {
						t.Errorf("%q: %q does not begin at %d", pattern, term, at)
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q in %d parts: %d terms, want %d", pattern, n, len(got), len(want))
			}
		}
		for block := f.first; block < f.first+f.blocks; block++ {
			if x.passedOver(f, block, []byte(pattern)) {
				over++
			}
		}
	}
	if over == 0 {
		t.Error("no block is passed over")
	}
}

// The parts of a field are its blocks, each once.
func TestSomeBlocks(t *testing.T) {
	x, _ := passedTerms(t)
	f, _ := x.lookupField(text.FieldBorder)
	for n := uint32(1); n <= 7; n++ {
		first, start := f.first, f.start
		for i := range n {
			part := x.someBlocks(f, i, n)
			if part.first != first || part.start != start || part.blocks == 0 {
				t.Errorf("part %d of %d begins at block %d, %d, want %d, %d", i, n, part.first, part.start, first, start)
			}
			first, start = part.first+part.blocks, part.end
		}
		if first != f.first+f.blocks || start != f.end {
			t.Errorf("%d parts end at block %d, %d, want %d, %d", n, first, start, f.first+f.blocks, f.end)
		}
	}
}

// A pass ends when its search does, and a fault in a part of it stays in the call.
func TestPassEnds(t *testing.T) {
	x, _ := passedTerms(t)
	h := &handle{index: x, info: segmentInfo{Docs: 50, Complete: 50}, helpers: make(processors, 1)}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	var docs docSet
	l := text.Lookup{Field: text.FieldBorder, Op: text.Inside, Text: "1"}
	if err := newMatch(ctx, h).collect(fieldRange{}, l, &docs); !errors.Is(err, gone) {
		t.Errorf("after the search was given up: %v", err)
	}
	x.lists = x.lists[:1000]
	if err := newMatch(t.Context(), h).collect(fieldRange{}, l, &docs); !errors.Is(err, errIndex) && !errors.Is(err, errFault) {
		t.Errorf("with lists cut short: %v", err)
	}
}
