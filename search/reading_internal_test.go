package search

import (
	"context"
	"errors"
	"strings"
	"testing"

	"teraslot/text"
)

// counted is a context that ends when it was asked so often whether it has.
type counted struct {
	context.Context
	left int
}

var errGone = errors.New("gone")

func (c *counted) Err() error {
	if c.left--; c.left < 0 {
		return errGone
	}
	return nil
}

// A unit of any size is read with bounded memory, and phrases are found wherever they
// stand in it: also where hits are dropped.
func TestReadingOfHugeUnit(t *testing.T) {
	key := newFuzzyKey(text.NewKey(text.InBody, "", `"alpha beta gamma"`))
	for _, before := range []int{0, 1, keptHits - 2, keptHits - 1, keptHits, keptHits + 1, 3*keptHits - 1} {
		for _, c := range []struct {
			last string
			want bool
		}{{"alpha x beta y z gamma", true}, {"alpha v w x y beta gamma", false}, {"beta gamma", before > 0}, {"gamma beta", false}} {
			r := key.newReading()
			if err := r.read(t.Context(), text.BodyUnit(strings.Repeat("alpha ", before)+c.last)); err != nil {
				t.Fatal(err)
			}
			if r.matches() != c.want {
				t.Errorf("%d words, then %q: %v, want %v", before, c.last, r.matches(), c.want)
			}
			if cap(r.hits) > 4*keptHits {
				t.Errorf("room for %d hits is kept after %d words", cap(r.hits), before)
			}
		}
	}
}

// Whoever gives a search up does not wait until a huge unit was read.
func TestReadingEnds(t *testing.T) {
	key := newFuzzyKey(text.NewKey(text.InText, "", "alpha"))
	u := text.BodyUnit(strings.Repeat("other ", 100*lookUp))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGone)
	r := key.newReading()
	if err := r.read(&counted{ctx, 3}, u); !errors.Is(err, errGone) || r.position != 4*lookUp {
		t.Errorf("read %d words: %v", r.position, err)
	}
	line := text.HeaderUnit("subject", strings.Repeat("other ", 10*lookUp))
	if err := r.read(ctx, line); !errors.Is(err, errGone) || r.position != lookUp {
		t.Errorf("read %d words of a line: %v", r.position, err)
	}
}
