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
	results := make([]*Result, len(r.Mailboxes))
	// Whether texts are looked at is the same for all.
	plan := func() (node, error) { return planFor(r, &mailstore.View{}) }
	err := s.begin(ctx, r.User, plan, func(ctx context.Context, b *attempt) error {
		views, err := b.mail.Views(ctx, r.Mailboxes)
		if err != nil {
			return err
		}
		b.shared.reranked = rerankedOf(len(views))
		for i, view := range views {
			if view == nil {
				continue
			}
			if b.root, err = planFor(r, view); err != nil {
				return err
			}
			one := Request{User: r.User, Mailbox: r.Mailboxes[i], Relevance: r.Relevance}
			if results[i], err = s.answer(ctx, one, b, view); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
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
	return context.WithTimeoutCause(ctx, s.o.Limits.Time, fmt.Errorf("%w: %v", ErrTime, s.o.Limits.Time))
}

// attempt is a search, of one mailbox or several, with all that it looks at.
type attempt struct {
	root   node
	mail   *mailstore.Mail
	snap   *tiers.Snapshot // nil without an index; taken before any view
	shared *shared
}

// begin plans a search and runs it within Limits.Time, with the user's mail and, for a
// query that looks at text, his index.
func (s *Searcher) begin(ctx context.Context, u mailbox.User, plan func() (node, error), run func(context.Context, *attempt) error) error {
	ctx, cancel := s.limitTime(ctx)
	defer cancel()
	root, err := plan()
	if err != nil {
		return err
	}
	mail, err := s.o.Store.Acquire(ctx, u)
	if err != nil {
		return cause(ctx, err)
	}
	defer mail.Release()
	snap, err := s.snapshot(ctx, u, root)
	if err != nil {
		return cause(ctx, err)
	}
	if snap != nil {
		defer snap.Close()
	}
	if err := run(ctx, &attempt{root, mail, snap, newShared(s.o.Workers)}); err != nil {
		return cause(ctx, err)
	}
	return nil
}

// shared is what the evaluations of one search have in common, which judge one after
// the other: what the index says of each key, and what was read, against Limits.
type shared struct {
	documents       map[text.Key]documents
	expansions      map[text.Key]*expanded
	workers         int // goroutines that look words up
	reranked        int // messages of each mailbox that are ranked by their text
	messages, bytes atomic.Int64
}

// documents are those that match a key for sure and those that may, in the numbering
// of one snapshot.
type documents struct{ sure, open *roaring.Bitmap }

func newShared(workers int) *shared {
	return &shared{documents: map[text.Key]documents{}, expansions: map[text.Key]*expanded{}, workers: workers, reranked: reranked}
}

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

// expanded is what the index has of a fuzzy key's words, and what they are worth.
type expanded struct {
	expansion *expansion
	weights   weights
}

// expand looks a fuzzy key's words up in the dictionary, once.
func (sh *shared) expand(ctx context.Context, snap *tiers.Snapshot, k *fuzzyKey, ranked bool) (*expanded, error) {
	if x, ok := sh.expansions[k.key]; ok {
		return x, nil
	}
	fields, _ := k.fields()
	x, err := expand(ctx, snap, k.words, fields, sh.workers)
	if err != nil {
		return nil, err
	}
	out := &expanded{x, k.weights}
	if ranked {
		langs, err := spokenIn(ctx, snap)
		if err != nil {
			return nil, err
		}
		out.weights = x.weigh(langs)
	}
	if err := x.collect(ctx, snap, &out.weights, ranked); err != nil {
		return nil, err
	}
	sh.expansions[k.key] = out
	return out, nil
}
