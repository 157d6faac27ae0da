package search

import (
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

// randomVerdict gives each of n rows one of the three values, and for each a
// truth that the value allows.
func randomVerdict(rng *rand.Rand, rows *roaring.Bitmap) (verdict, map[uint32]bool) {
	v, truth := none(), make(map[uint32]bool)
	for _, row := range rows.ToArray() {
		switch rng.IntN(3) {
		case 0:
			v.sure.Add(row)
			truth[row] = true
		case 1:
			v.open.Add(row)
			truth[row] = rng.IntN(2) == 0
		default:
			truth[row] = false
		}
	}
	return v, truth
}

// allows fails the test unless a verdict agrees with the truth of every row and
// keeps its two sets apart and within rows.
func allows(t *testing.T, what string, v verdict, rows *roaring.Bitmap, truth func(uint32) bool) {
	t.Helper()
	if v.sure.Intersects(v.open) {
		t.Fatalf("%s: rows are both sure and open", what)
	}
	if !roaring.AndNot(v.possible(), rows).IsEmpty() {
		t.Fatalf("%s: rows outside those asked about", what)
	}
	for _, row := range rows.ToArray() {
		switch {
		case v.sure.Contains(row) && !truth(row):
			t.Fatalf("%s: row %d is sure and does not match", what, row)
		case !v.possible().Contains(row) && truth(row):
			t.Fatalf("%s: row %d was ruled out and matches", what, row)
		}
	}
}

func TestVerdictsNeverContradictTheTruth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		rows := roaring.New()
		for row := range uint32(64) {
			if rng.IntN(4) > 0 {
				rows.Add(row)
			}
		}
		v, tv := randomVerdict(rng, rows)
		w, tw := randomVerdict(rng, rows)
		allows(t, "and", v.and(w), rows, func(r uint32) bool { return tv[r] && tw[r] })
		allows(t, "or", v.or(w), rows, func(r uint32) bool { return tv[r] || tw[r] })
		allows(t, "not", v.not(rows), rows, func(r uint32) bool { return !tv[r] })
	}
}

// A combination is open only where one of its parts is: nothing is read in vain.
func TestVerdictsStayDecided(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	rows := roaring.New()
	rows.AddRange(0, 200)
	for range 200 {
		v, _ := randomVerdict(rng, rows)
		w, _ := randomVerdict(rng, rows)
		either := roaring.Or(v.open, w.open)
		for what, got := range map[string]verdict{"and": v.and(w), "or": v.or(w), "not": v.not(rows)} {
			if !roaring.AndNot(got.open, either).IsEmpty() {
				t.Fatalf("%s: a row is open that both parts decide", what)
			}
		}
		ruledOut := roaring.AndNot(rows, v.possible())
		if v.and(w).open.Intersects(ruledOut) {
			t.Fatal("and: a row is open that one part rules out")
		}
		if v.or(w).open.Intersects(v.sure) {
			t.Fatal("or: a row is open that one part is sure of")
		}
	}
}
