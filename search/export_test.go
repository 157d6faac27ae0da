package search

import (
	"context"

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
	return s.answer(ctx, r, root, mail, nil, view, newShared())
}
