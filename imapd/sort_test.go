package imapd

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
)

// TestWindow counts PARTIAL's results one by one (RFC 9394 §3.1).
func TestWindow(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(r, "results")
		a := rapid.Int64Range(1, 15).Draw(r, "first")
		p := wire.Partial{First: a, Last: a + rapid.Int64Range(0, 15).Draw(r, "more")}
		fromEnd := rapid.Bool().Draw(r, "from the end")
		if fromEnd {
			p.First, p.Last = -p.First, -p.Last
		}
		var want []int
		for i := range n {
			place := int64(i + 1)
			if fromEnd {
				place = int64(n - i)
			}
			if place >= a && place <= max(p.Last, -p.Last) {
				want = append(want, i)
			}
		}
		from, to := window(&p, n)
		var got []int
		for i := from; i < to; i++ {
			got = append(got, i)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v of %d: %v, want %v", p, n, got, want)
		}
	})
	if from, to := window(&wire.Partial{First: 1, Last: 1<<32 - 1}, 3); from != 0 || to != 3 {
		t.Errorf("%d, %d", from, to)
	}
}

// TestSavedOfSorted: what "$" holds after each combination of options (RFC 5182 §2.4,
// RFC 9394 §3.2).
func TestSavedOfSorted(t *testing.T) {
	sorted := []mailbox.UID{9, 2, 7, 4, 5}
	part := &wire.Partial{First: 2, Last: 3}
	for _, c := range []struct {
		r    wire.Return
		want string
	}{
		{wire.Return{Save: true}, "2,4:5,7,9"},
		{wire.Return{Save: true, All: true, Min: true}, "2,4:5,7,9"},
		{wire.Return{Save: true, Count: true, Partial: part}, "2,4:5,7,9"},
		{wire.Return{Save: true, Min: true}, "9"},
		{wire.Return{Save: true, Max: true}, "5"},
		{wire.Return{Save: true, Min: true, Max: true}, "5,9"},
		{wire.Return{Save: true, Partial: part}, "2,7"},
		{wire.Return{Save: true, Partial: part, Max: true}, "2,5,7"},
	} {
		if got := saved(sorted, &c.r).String(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.r, got, c.want)
		}
		if !saved(nil, &c.r).IsEmpty() {
			t.Errorf("%+v: something of nothing", c.r)
		}
	}
}
