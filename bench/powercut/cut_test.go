package powercut

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/bench/daemon"
)

// TestEveryCut opens the states that a power cut may leave at every moment of a
// delivery run, and finds all mail that was acknowledged before the cut.
func TestEveryCut(t *testing.T) {
	r := record(t, 5)
	cuts(t, r, environ("COUNT", 120), checkOne)
}

// TestEveryCutOfWork is TestEveryCut for all that happens to mail later: it is
// indexed, compacted, expunged, archived, repacked and backed up.
func TestEveryCutOfWork(t *testing.T) {
	r := recordWork(t)
	cuts(t, r, environ("COUNT", 250), checkOne)
}

// checkOne checks a state of anna's mail alone.
func checkOne(t *testing.T, k *opened) error { return k.check(t.Context()) }

// cuts opens about most states of a run, spread over its moments.
func cuts(t *testing.T, r *recording, most int, check func(*testing.T, *opened) error) {
	seed := environ("SEED", 1)
	rng := rand.New(rand.NewPCG(uint64(seed), 7))
	disk, err := NewDisk(r.base, r.root)
	if err != nil {
		t.Fatal(err)
	}
	acks := r.acknowledgements()
	if len(acks) != len(r.sent) {
		t.Fatalf("the trace shows %d acknowledgements of %d deliveries", len(acks), len(r.sent))
	}
	dir := filepath.Join(daemon.Scratch(t), "state")
	config, err := configOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	moments, left, states, cut, done := r.moments(), most, 0, 0, map[string]int{}
	seen := map[string]bool{}
	for i, op := range r.ops {
		if err := disk.Apply(op); err != nil {
			t.Fatal(err)
		}
		if !r.matters(op) {
			continue
		}
		want := r.until(i, acks)
		mine := (left + rng.IntN(moments)) / moments // what one moment cannot have is the later ones'
		if moments--; mine == 0 {
			continue
		}
		cut++
		for _, fate := range fates(disk.Pending(), rng, mine) {
			s := disk.Cut(fate.of, rng)
			key := fmt.Sprintf("%x %v %t", s.Sum(counts), want, r.backed > 0 && i >= r.backed)
			if seen[key] {
				continue
			}
			seen[key] = true
			states++
			left--
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := s.Write(dir); err != nil {
				t.Fatal(err)
			}
			k := opened{r: r, dir: dir, config: config, number: states, want: want, backed: r.backed > 0 && i >= r.backed, goOn: states%25 == 0, done: done}
			if err := check(t, &k); err != nil {
				t.Fatalf("SEED=%d: cut after operation %d of %d (%s %s), %s, messages %v acknowledged: %v", seed, i, len(r.ops), op.Kind, op.Path, fate.name, want, err)
			}
			if mine--; mine == 0 {
				break
			}
		}
	}
	t.Logf("proof: seed %d: %d distinct states after %d cuts of a run of %d operations and %d deliveries: all acknowledged mail found in each; %v",
		seed, states, cut, len(r.ops), len(r.sent), done)
}

// matters reports whether a cut after op may leave another state than one before.
func (r *recording) matters(op Op) bool {
	return op.Kind == Reply || within(r.root, op.Path) && counts(strings.TrimPrefix(op.Path, r.root+"/"))
}

func (r *recording) moments() int {
	n := 0
	for _, op := range r.ops {
		if r.matters(op) {
			n++
		}
	}
	return n
}

// counts reports whether a file counts for a state: the WAL's index is made anew by
// whoever opens the WAL first.
func counts(name string) bool { return !strings.HasSuffix(name, "-shm") }

// fate is a way in which one cut may go.
type fate struct {
	name string
	of   func(number int, op Op) Fate
}

// fates are some ways in which one cut may go, many more than most where there are: nothing
// unsynced arrives, everything does, what came first does; one operation alone is
// absent, torn or present; and chance.
func fates(pending []int, rng *rand.Rand, most int) []fate {
	all := []fate{{"nothing unsynced arrived", func(int, Op) Fate { return Absent }}}
	if len(pending) == 0 {
		return all
	}
	all = append(all, fate{"everything arrived", func(int, Op) Fate { return Present }})
	var more []fate
	for _, n := range pending {
		more = append(more,
			fate{fmt.Sprintf("operation %d is absent", n), alone(n, Absent, Present)},
			fate{fmt.Sprintf("operation %d is torn", n), alone(n, Torn, Present)},
			fate{fmt.Sprintf("only operation %d arrived", n), alone(n, Present, Absent)},
			fate{fmt.Sprintf("only operation %d arrived, torn", n), alone(n, Torn, Absent)},
			fate{fmt.Sprintf("nothing arrived from operation %d on", n), func(m int, _ Op) Fate {
				if m < n {
					return Present
				}
				return Absent
			}})
	}
	for range 4 * most {
		more = append(more, chance(pending, rng))
	}
	rng.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
	return append(all, more...)
}

// alone gives one operation another fate than all others.
func alone(n int, its, others Fate) func(int, Op) Fate {
	return func(m int, op Op) Fate {
		if m == n {
			return its
		}
		return others
	}
}

// chance draws a fate for each operation. It is the same when it is asked twice.
func chance(pending []int, rng *rand.Rand) fate {
	drawn := map[int]Fate{}
	for _, n := range pending {
		drawn[n] = Fate(rng.IntN(3))
	}
	return fate{fmt.Sprintf("fates %v", drawn), func(n int, _ Op) Fate { return drawn[n] }}
}
