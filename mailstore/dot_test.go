package mailstore

import (
	"math/rand/v2"
	"slices"
	"testing"

	"teraslot/mailbox"
)

func TestDotOfLineage(t *testing.T) {
	const renewed = 9 + renewModSeqs + 1
	l := Lineage{{"A", 5}, {"B", 9}, {"B/1", renewed + 3}, {"B/2", 2*renewed + 3}}
	for m, want := range map[mailbox.ModSeq]Dot{
		0: {"B/2", 0}, 1: {"A", 1}, 5: {"A", 5}, 6: {"B", 6}, 9: {"B", 9},
		10:            {"B/1", 10},
		renewed:       {"B/1", renewed}, // also a slot that was renewed long before and has taken over writes so
		2*renewed + 4: {"B/2", 2*renewed + 4},
	} {
		if got := l.dot(m); got != want {
			t.Errorf("mod-sequence %d is of %v, want %v", m, got, want)
		}
	}
	for d, want := range map[Dot]Dot{{}: {"A", 3}, {"", 7}: {"B", 7}, {"C", 2}: {"C", 2}} {
		if got := l.resolve(d, 3); got != want {
			t.Errorf("%v is %v, want %v", d, got, want)
		}
	}
	if got := (Lineage{}).dot(4); got != (Dot{"", 4}) {
		t.Errorf("without lineage: %v", got)
	}
}

// TestDotsHaveOneOrder: every slot sees the same one of two writes as the later.
func TestDotsHaveOneOrder(t *testing.T) {
	all := []Dot{{"A", 1}, {"B", 1}, {"A", 2}, {"C", 2}, {"", 0}, {"B", 7}}
	for _, x := range all {
		for _, y := range all {
			if x.before(y) == y.before(x) && x != y {
				t.Errorf("%v and %v have no order", x, y)
			}
			if (x.compare(y) == 0) != (x == y) || x.compare(y) != -y.compare(x) {
				t.Errorf("%v compared to %v: %d, and %d", x, y, x.compare(y), y.compare(x))
			}
		}
	}
	if !(Dot{"B", 4}).before(Dot{"A", 4}) {
		t.Error("of two writes with one number the lower slot id is not the later")
	}
}

// TestVectors compares vectors with sets of writes.
func TestVectors(t *testing.T) {
	slots := []string{"A", "B", "C"}
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func() (v Vector, writes map[Dot]bool) {
		v, writes = Vector{}, map[Dot]bool{}
		for _, s := range slots {
			n := mailbox.ModSeq(rng.IntN(4))
			v.add([]Tenure{{s, n}, {s, n / 2}})
			for m := mailbox.ModSeq(1); m <= n; m++ {
				writes[Dot{s, m}] = true
			}
		}
		return v, writes
	}
	for range 500 {
		x, a := draw()
		y, b := draw()
		contained := true
		for d := range b {
			contained = contained && a[d]
			if x.has(d) != a[d] {
				t.Fatalf("%v has %v: %v", x, d, x.has(d))
			}
		}
		if x.covers(y) != contained {
			t.Fatalf("%v covers %v: %v", x, y, x.covers(y))
		}
		rest := x.without(y)
		sum := Vector{}
		sum.add(y.without(Vector{}))
		sum.add(rest)
		if !sum.covers(x) || !sum.covers(y) || !slices.IsSortedFunc(rest, func(a, b Tenure) int { return int(a.Slot[0]) - int(b.Slot[0]) }) {
			t.Fatalf("%v and %v: the one has %v beyond", x, y, rest)
		}
	}
}
