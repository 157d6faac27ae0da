package replicas

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"teraslot/bench/line"
)

// cyclesOfAStore is after how many cycles a new store is begun: what is compared after each
// is all mail that there is.
const cyclesOfAStore = 25

// faults of the line, by name.
var faults = map[string]line.Fault{
	"good":   {},
	"cut":    {}, // again and again
	"breaks": {Limit: 20_000},
	"silent": {Silent: true},
	"slow":   {Delay: 3 * time.Millisecond},
}

// TestKillReplicas kills master, replica or both at random moments while four clients
// deliver and one changes mail at the master, the line being bad. Then all that was
// acknowledged is on the master, and when the queue has drained, on the replica; and both are
// equal in all that clients see, messages' bytes included.
func TestKillReplicas(t *testing.T) {
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
		for _, kind := range strings.Fields(what) {
			met[kind]++
		}
		if !t.Run(fmt.Sprintf("%d %s", cycle, what), w.check) {
			t.Fatalf("SEED=%d, cycle %d (%s)\nmaster:\n%s\nreplica:\n%s", seed, cycle, what, w.master.Log(), w.replica.Log())
		}
	}
	acked += w.end()
	t.Logf("proof: seed %d: %d cycles, master killed %d times, replica %d times; line good %d, cut %d, breaking %d, silent %d, slow %d times; %d acknowledged messages, all on both sides after each",
		seed, cycles, met["master"], met["replica"], met["good"], met["cut"], met["breaks"], met["silent"], met["slow"], acked)
}

// cycle lets mail come over a line with a fault, kills somebody, and has all run again
// over a good line. It returns the words of what it did.
func (w *world) cycle(t *testing.T) string {
	fault := []string{"good", "cut", "breaks", "silent", "slow"}[w.rng.IntN(5)]
	victim := []string{"master", "replica", "master replica"}[w.rng.IntN(3)]
	w.line.Set(faults[fault])
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() { w.deliver(ctx) })
	}
	user := w.users[w.rng.IntN(len(w.users))]
	running.Go(func() { _ = w.change(ctx, user) }) // a session ends when the master is killed
	w.lasts(fault, time.Duration(20+w.rng.IntN(300))*time.Millisecond)
	if strings.Contains(victim, "replica") {
		w.replica.Kill()
		w.lasts(fault, time.Duration(w.rng.IntN(50))*time.Millisecond) // the master goes on
	}
	if strings.Contains(victim, "master") {
		w.master.Kill()
	}
	cancel()
	running.Wait()
	w.line.Set(line.Fault{})
	w.line.Cut()
	if strings.Contains(victim, "master") {
		w.master.Start(t)
	}
	if strings.Contains(victim, "replica") {
		w.replica.Start(t)
	}
	return fault + " " + victim
}

// lasts lets time pass with a fault.
func (w *world) lasts(fault string, d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if fault == "cut" {
				w.line.Cut()
			}
		case <-over.C:
			return
		}
	}
}

// check holds both slots against what was acknowledged and against each other.
func (w *world) check(t *testing.T) {
	t.Helper()
	if lacking := w.lacks(t, w.master); lacking != "" {
		t.Fatalf("the master: %s", lacking)
	}
	admin := w.admin(t)
	defer func() {
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	}()
	w.arrives(t, admin)
	w.equal(t, admin)
}

// end ends the slots and returns how many messages were acknowledged.
func (w *world) end() int {
	w.master.Kill()
	w.replica.Kill()
	n := 0
	for _, words := range w.acked {
		n += len(words)
	}
	return n
}
