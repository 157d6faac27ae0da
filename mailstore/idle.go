package mailstore

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// CloseIdle closes the databases of users whom nobody has used for so long as
// Options.IdleTime says.
func (s *Store) CloseIdle() {
	now := s.o.Now()
	for _, e := range s.idleSince(now.Add(-s.o.IdleTime)) {
		s.dropOrLog(e, func() bool { return now.Sub(e.since) >= s.o.IdleTime })
	}
}

// idleSince returns the entries that nobody has used since then, the longest unused first.
func (s *Store) idleSince(then time.Time) (out []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := s.idle.Back(); at != nil; at = at.Prev() {
		e := at.Value.(*entry)
		if e.since.After(then) {
			break
		}
		out = append(out, e)
	}
	return out
}

// idleLooks is how many times in IdleTime Run looks for databases to close.
const idleLooks = 5

// Run closes databases as they come to be idle, until ctx is done; then it returns nil.
// Without it they stay open, up to OpenUsers.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(max(s.o.IdleTime/idleLooks, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.CloseIdle()
		}
	}
}

// dropOrLog is drop for whom nobody asked, if still says so when nobody can use it.
func (s *Store) dropOrLog(e *entry, still func() bool) {
	if err := s.drop(e, still); err != nil {
		s.o.Logger.Error("close mail", "user", e.user, "err", err)
	}
}

func always() bool { return true }

// closing is how many databases Close closes at a time: each waits for its syncs.
const closing = 16

func (s *Store) closeAll(all []*entry) error {
	errs := make([]error, len(all))
	var g errgroup.Group
	g.SetLimit(closing)
	for i, e := range all {
		g.Go(func() error {
			errs[i] = s.drop(e, always)
			<-e.gone
			return nil
		})
	}
	_ = g.Wait() // none returns an error: they stand in errs, all of them
	return errors.Join(errs...)
}
