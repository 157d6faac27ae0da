package search

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/text"
	"teraslot/tiers"
)

// Several is one search of several mailboxes of a user.
type Several struct {
	User      mailbox.User
	Mailboxes []mailbox.ID
	// Query gives the query for a mailbox, whose view it is shown; it is called once
	// for each mailbox. The queries should differ in UIDs only.
	Query func(*mailstore.View) (Query, error)
	// Relevance asks for Result.Relevance.
	Relevance bool
}

// SearchSeveral searches mailboxes as Search does, as they all are at one moment, and
// asks the index about each key once for all of them. A mailbox that is not there has
// a nil Result. The limits are those of one search. It fails as Search does, and with
// what Query fails with.
func (s *Searcher) SearchSeveral(ctx context.Context, r Several) ([]*Result, error) {
	start := s.o.Now()
	results, err := s.searchSeveral(ctx, r)
	elapsed := s.o.Now().Sub(start)
	sum := &Result{}
	for _, res := range results {
		if res != nil {
			sum.Stats.Indexed += res.Stats.Indexed
			sum.Stats.Verified += res.Stats.Verified
			sum.Stats.Scanned += res.Stats.Scanned
			sum.UIDs = append(sum.UIDs, res.UIDs...)
		}
	}
	s.metrics.observe(sum, err, elapsed)
	if err != nil {
		return nil, fmt.Errorf("searching %d mailboxes of user %s: %w", len(r.Mailboxes), r.User, err)
	}
	s.o.Logger.Info("search", "user", r.User, "mailboxes", len(r.Mailboxes), "hits", len(sum.UIDs),
		"indexed", sum.Stats.Indexed, "verified", sum.Stats.Verified, "scanned", sum.Stats.Scanned, "took", elapsed)
	return results, nil
}

func (s *Searcher) searchSeveral(ctx context.Context, r Several) ([]*Result, error) {
	ctx, cancel := s.limitTime(ctx)
	defer cancel()
	mail, err := s.o.Store.Acquire(ctx, r.User)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer mail.Release()
	root, err := planFor(r, &mailstore.View{}) // whether texts are looked at is the same for all
	if err != nil {
		return nil, err
	}
	snap, err := s.snapshot(ctx, r.User, root)
	if err != nil {
		return nil, cause(ctx, err)
	}
	if snap != nil {
		defer snap.Close()
	}
	views, err := mail.Views(ctx, r.Mailboxes)
	if err != nil {
		return nil, cause(ctx, err)
	}
	results, sh := make([]*Result, len(views)), newShared()
	for i, view := range views {
		if view == nil {
			continue
		}
		if root, err = planFor(r, view); err != nil {
			return nil, err
		}
		one := Request{User: r.User, Mailbox: r.Mailboxes[i], Relevance: r.Relevance}
		if results[i], err = s.answer(ctx, one, root, mail, snap, view, sh); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func planFor(r Several, view *mailstore.View) (node, error) {
	q, err := r.Query(view)
	if err != nil {
		return nil, err
	}
	return q.plan(0)
}

// limitTime bounds a search by Limits.Time.
func (s *Searcher) limitTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.o.Limits.Time <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, s.o.Limits.Time, fmt.Errorf("%w: %v are over", ErrLimit, s.o.Limits.Time))
}

// shared is what the evaluations of one search have in common, which judge one after
// the other: what the index says of each key, and what was read, against Limits.
type shared struct {
	documents       map[text.Key]documents
	messages, bytes atomic.Int64
}

// documents are those that match a key for sure and those that may, in the numbering
// of one snapshot.
type documents struct{ sure, open *roaring.Bitmap }

func newShared() *shared { return &shared{documents: map[text.Key]documents{}} }

// match asks the snapshot about a key, once.
func (sh *shared) match(ctx context.Context, snap *tiers.Snapshot, k text.Key) (documents, error) {
	if d, ok := sh.documents[k]; ok {
		return d, nil
	}
	sure, open, err := snap.Match(ctx, k)
	if err != nil {
		return documents{}, err
	}
	d := documents{sure, open}
	sh.documents[k] = d
	return d, nil
}
