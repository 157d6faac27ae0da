package search

import (
	"context"
	"testing"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// SearchView is Search over a view that was taken earlier.
func (s *Searcher) SearchView(ctx context.Context, r Request, view *mailstore.View) (*Result, error) {
	root, err := r.Query.plan(0)
	if err != nil {
		return nil, err
	}
	mail, err := s.o.Store.Acquire(ctx, r.User)
	if err != nil {
		return nil, err
	}
	defer mail.Release()
	return s.answer(ctx, r, &attempt{root: root, mail: mail, shared: newShared(1)}, view)
}

// HoldTurns takes so many turns for a user, and returns how to give them back.
func (s *Searcher) HoldTurns(t testing.TB, n int, u mailbox.User) (release func()) {
	t.Helper()
	for range n {
		if err := s.turns.take(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for range n {
			s.turns.give()
		}
	}
}

// Waiting is how many searches of a user wait for a turn.
func (s *Searcher) Waiting(u mailbox.User) int {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	return len(s.turns.waiting[u])
}
