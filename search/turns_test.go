package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"teraslot/mailbox"
)

// One user's many searches and another's single one: the turns alternate.
func TestTurnsGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		if err := turns.take(t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []mailbox.User
		wait := func(u mailbox.User) {
			go func() {
				if err := turns.take(t.Context(), u); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, u)
				mu.Unlock()
				turns.give()
			}()
			synctest.Wait()
		}
		for range 5 {
			wait("busy")
		}
		for _, u := range []mailbox.User{"ann", "ben", "ann"} {
			wait(u)
		}
		turns.give()
		synctest.Wait()
		want := []mailbox.User{"busy", "ann", "ben", "busy", "ann", "busy", "busy", "busy"}
		if !slices.Equal(order, want) {
			t.Errorf("turns went to %v, want %v", order, want)
		}
		if turns.free != 1 || len(turns.ring) != 0 || len(turns.waiting) != 0 {
			t.Errorf("%d are free, %v wait", turns.free, turns.ring)
		}
	})
}

// Whoever gives up waiting holds nobody up, and loses no turn.
func TestTurnsOfThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		if err := turns.take(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := make([]error, 4)
		for i, u := range []mailbox.User{"a", "b", "a", "b"} {
			go func() {
				if i%3 == 0 {
					got[i] = turns.take(ctx, u)
					return
				}
				if got[i] = turns.take(t.Context(), u); got[i] == nil {
					turns.give()
				}
			}()
			synctest.Wait()
		}
		cancel(gone)
		synctest.Wait()
		turns.give()
		synctest.Wait()
		if got[0] != gone || got[3] != gone || got[1] != nil || got[2] != nil {
			t.Errorf("got %v", got)
		}
		if turns.free != 1 || len(turns.ring) != 0 || len(turns.waiting) != 0 {
			t.Errorf("%d are free, %v wait", turns.free, turns.ring)
		}
		// A turn that comes with the end of the context is not lost.
		called := make(chan struct{})
		turns.free = 0
		close(called)
		if turns.leave("a", called); turns.free != 1 {
			t.Error("a turn was lost")
		}
	})
}

// Never more at once than there are turns, whatever happens.
func TestTurnsAtOnce(t *testing.T) {
	turns := newTurns(3)
	var mu sync.Mutex
	var at, most, taken int
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%7 == 0 {
				cancel()
			}
			for range 50 {
				if turns.take(ctx, mailbox.User(fmt.Sprint(i%5))) != nil {
					continue
				}
				mu.Lock()
				at++
				taken++
				most = max(most, at)
				mu.Unlock()
				mu.Lock()
				at--
				mu.Unlock()
				turns.give()
			}
		})
	}
	all.Wait()
	if most > 3 || taken < 34*50 || turns.free != 3 || len(turns.ring) != 0 {
		t.Errorf("%d at once, %d in all, %d free", most, taken, turns.free)
	}
}
