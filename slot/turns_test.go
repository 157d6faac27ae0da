package slot

import (
	"fmt"
	"testing"
	"time"

	"teraslot/mailbox"
)

// TestNightTurns: nights that are too short for everybody still give everybody his turn,
// also where each begins with a start; nobody has two in a night.
func TestNightTurns(t *testing.T) {
	const users, each = 100, 30
	var all []mailbox.User
	for i := range users {
		all = append(all, mailbox.User(fmt.Sprintf("%032x", i)))
	}
	k := &clock{now: time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)}
	n := &night{s: &Slot{c: newConfig(t, ""), o: Options{Now: k.Now}}}
	for round := range 5 { // of four nights each
		had := map[mailbox.User]int{}
		for range 4 {
			for _, u := range n.turns(all)[:min(each, len(n.turns(all)))] {
				n.done[u] = n.night()
				had[u]++
			}
			for _, u := range n.turns(all) {
				if n.done[u] == n.night() {
					t.Fatalf("%s twice in a night", u)
				}
			}
			k.advance(24 * time.Hour)
		}
		if len(had) != users {
			t.Errorf("round %d: %d of %d had a turn", round, len(had), users)
		}
	}
	if n.turns(all[:10]); len(n.done) > 10 {
		t.Errorf("%d are remembered of 10", len(n.done))
	}
	first := map[mailbox.User]bool{}
	for range 50 {
		n.done = nil // a start
		first[n.turns(all)[0]] = true
		k.advance(24 * time.Hour)
	}
	if len(first) < 20 {
		t.Errorf("50 nights after starts begin with %d users", len(first))
	}
}
