package replicas

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"teraslot/bench/line"
	"teraslot/bench/netns"
)

// cyclesOfAStore is after how many cycles a new store is begun: what is compared after each
// is all mail that there is.
const cyclesOfAStore = 25

// TestKillReplicas kills master and replicas at random moments while four clients
// deliver and one changes mail at the master, with networks, disk and clocks being bad. Then all that was
// acknowledged is on the master, and when the queue has drained, on the replicas; and all are
// equal in all that clients see, messages' bytes included.
func TestKillReplicas(t *testing.T) {
	t.Run("each slot in a network of its own", func(t *testing.T) {
		if err := netns.Refused(); err != nil {
			t.Skipf("all slots are in this one, no network is unplugged and no disk is full: %v", err)
		}
	})
	cycles, seed := environ("COUNT", 3), environ("SEED", 1)
	var w *world
	acked, met := 0, map[string]int{}
	for cycle := range cycles {
		if cycle%cyclesOfAStore == 0 {
			if w != nil {
				acked += w.end()
			}
			w = newWorld(t, uint64(seed+cycle), "anna", "brong")
		}
		what := w.cycle(t)
		for _, kind := range what {
			met[kind]++
		}
		name := strings.Join(what, ", ")
		if !t.Run(fmt.Sprintf("%d %s", cycle, name), w.check) {
			t.Fatalf("SEED=%d, cycle %d (%s)\n%s", seed, cycle, name, w.logs())
		}
	}
	acked += w.end()
	var table strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(met)) {
		fmt.Fprintf(&table, "; %s %d", kind, met[kind])
	}
	t.Logf("proof: seed %d: %d cycles, %d kills%s; %d acknowledged messages, all on the master and both replicas after each", seed, cycles, met["master killed"]+met["replica killed"], &table, acked)
}

// lineFaults are what may be wrong with a line, in the order in which they are drawn.
var lineFaults = []struct {
	name string
	line.Fault
}{
	{"good line", line.Fault{}},
	{"line cut", line.Fault{}}, // again and again
	{"line breaks", line.Fault{Limit: 20_000}},
	{"half-open line", line.Fault{Silent: true}},
	{"deaf line", line.Fault{Deaf: true}},
	{"slow line", line.Fault{Rate: 60, Delay: 5 * time.Millisecond}},
	{"unplugged", line.Fault{}}, // with namespaces
}

// clocks are how far a slot's clock is from the machine's.
var clocks = []string{"", "clock:-26h", "clock:26h", "clock:-90s", "clock:7s"}

// victims are who is killed.
var victims = [][]int{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}}

// cycle lets mail come while lines, networks and a disk are bad, kills somebody, and has all
// run again over good lines. It returns the kinds of what it did.
func (w *world) cycle(t *testing.T) (what []string) {
	t.Helper()
	var unplug, cut []int
	w.full = w.apart() == 1 && w.rng.IntN(4) == 0
	for i := range w.lines {
		f := &lineFaults[w.rng.IntN(len(lineFaults)-1+w.apart())]
		if w.full && i == 0 { // what does not arrive fills no disk
			f = &lineFaults[0]
		}
		what = append(what, f.name)
		switch f.name {
		case "unplugged":
			unplug = append(unplug, w.rng.IntN(2)*(i+1)) // the replica's network, or the master's
		case "line cut":
			cut = append(cut, i)
		}
		w.set(t, i, f.Fault)
	}
	refused := w.refused()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() { w.deliver(ctx) })
	}
	user := w.users[w.rng.IntN(len(w.users))]
	running.Go(func() { _ = w.change(ctx, user) }) // a session ends when the master is killed
	w.lasts(t, cut, time.Duration(w.rng.IntN(100))*time.Millisecond)
	w.unplug(t, unplug)
	if w.full {
		must(t, w.disk.Fill())
	}
	w.lasts(t, cut, time.Duration(20+w.rng.IntN(200))*time.Millisecond)
	killed := victims[w.rng.IntN(len(victims))]
	what = append(what, w.kill(t, killed, cut)...)
	cancel()
	if w.full {
		what = append(what, "full disk")
		if w.refused() > refused {
			what = append(what, "replica refused for it")
		}
	}
	w.mend(t, unplug)
	running.Wait()
	return append(what, w.restart(t, killed)...)
}

// kill kills slots, the replicas first: the master goes on without them for a moment.
func (w *world) kill(t *testing.T, which, cut []int) (what []string) {
	for _, i := range slices.Backward(which) {
		w.slots[i].Kill()
		if i > 0 {
			what = append(what, "replica killed")
			w.lasts(t, cut, time.Duration(w.rng.IntN(50))*time.Millisecond)
		} else {
			what = append(what, "master killed")
		}
	}
	return what
}

// restart starts slots again, with clocks of their own.
func (w *world) restart(t *testing.T, which []int) (what []string) {
	for _, i := range which {
		w.slots[i].Steps = clocks[w.rng.IntN(len(clocks))]
		if w.slots[i].Steps != "" {
			what = append(what, "clock wrong")
		}
		w.slots[i].Start(t)
	}
	return what
}

// lasts lets time pass, and cuts lines meanwhile.
func (w *world) lasts(t *testing.T, cut []int, d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			for _, i := range cut {
				must(t, w.lines[i].Cut())
			}
		case <-over.C:
			return
		}
	}
}

// check holds all slots against what was acknowledged and against each other.
func (w *world) check(t *testing.T) {
	t.Helper()
	if lacking := w.lacks(t, w.slots[0]); lacking != "" {
		t.Fatalf("the master: %s", lacking)
	}
	admin := w.admin(t)
	defer func() { must(t, admin.Close()) }()
	w.arrives(t, admin)
	w.equal(t, admin)
}

// end ends the slots and returns how many messages were acknowledged.
func (w *world) end() int {
	for _, s := range w.slots {
		s.Kill()
	}
	n := 0
	for _, words := range w.acked {
		n += len(words)
	}
	return n
}
