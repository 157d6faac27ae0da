package squatter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/tiers"
)

// CompactOptions say what Compact merges into what.
type CompactOptions struct {
	// Sources are tiers ("temp") or single databases ("data:71").
	Sources []string
	Dest    string // a tier
	// Force rewrites also a single database of Dest with little dead in it.
	Force bool
	// KeepGone takes a single source over with what no mailbox holds any longer; several
	// are merged as ever.
	KeepGone bool
	// Reindex names those of Sources whose messages are extracted anew, so that Dest
	// gets what the current code makes of them. Nothing else is touched.
	Reindex []string
	// Pace, unless nil, is told of each piece of the result before it is written, and
	// may wait (tiers.CompactOptions).
	Pace func(ctx context.Context, bytes int) error
	// Yield has the merge take only what processors other programs leave it, in a process
	// that does nothing else (tiers.CompactOptions).
	Yield bool
	Name  string       // of the user, for people; "": the id
	Log   func(string) // gets the lines of design §8; may be nil
}

// Compact merges databases of a user's index (tiers.Compact) and drops what no
// mailbox holds. Messages that came to be held again while it ran are indexed
// before it returns; those of sources that could not be read are, too. It returns
// tiers.ErrHeld if another compacts the user.
func (q *Squatter) Compact(ctx context.Context, u mailbox.User, o CompactOptions) (tiers.Result, error) {
	res, err := q.compact(ctx, u, o)
	if err != nil {
		return res, fmt.Errorf("compacting the index of user %s: %w", u, err)
	}
	return res, nil
}

func (q *Squatter) compact(ctx context.Context, u mailbox.User, o CompactOptions) (tiers.Result, error) {
	mail, err := q.o.Store.Acquire(ctx, u)
	if err != nil {
		return tiers.Result{}, err
	}
	defer mail.Release()
	// What is made anew goes straight to Dest. Messages that cannot be extracted
	// keep the documents that they have, and are an error of their own.
	again := &run{q: q, mail: mail, user: u}
	held := func() (func(mailbox.GUID) bool, error) { return mail.Held(ctx) }
	if o.KeepGone {
		single, err := q.single(ctx, u, o.Sources)
		if err != nil {
			return tiers.Result{}, err
		}
		if single != "" {
			held = nil
			if o.Log != nil {
				o.Log("only one source, copying directly to " + o.Dest)
			}
		}
	}
	res, err := q.o.Tiers.User(u).Compact(ctx, tiers.CompactOptions{
		Sources: o.Sources, Dest: o.Dest, Force: o.Force, Again: o.Reindex, Name: o.Name, Log: o.Log,
		Held: held, Renew: again.renew, Pace: o.Pace, Yield: o.Yield,
	})
	if err != nil {
		return res, err
	}
	var skipped error
	if len(again.failures) > 0 {
		skipped = &Skipped{Failures: again.failures, Tried: again.tried}
	}
	return res, errors.Join(skipped, q.restore(ctx, u, mail, res))
}

// single is the one database with documents that the names of sources mean; "" if
// there are more, or none.
func (q *Squatter) single(ctx context.Context, u mailbox.User, sources []string) (string, error) {
	stats, err := q.meant(ctx, u, sources)
	if err != nil {
		return "", err
	}
	var found []string
	for _, st := range stats {
		if st.Docs > 0 {
			found = append(found, st.Database.String())
		}
	}
	if len(found) != 1 {
		return "", nil
	}
	return found[0], nil
}

// meant are the databases of a user that the names of sources mean.
func (q *Squatter) meant(ctx context.Context, u mailbox.User, sources []string) ([]tiers.DatabaseStats, error) {
	stats, err := q.o.Tiers.User(u).Stats(ctx)
	return slices.DeleteFunc(stats, func(st tiers.DatabaseStats) bool {
		return !slices.Contains(sources, st.Database.Tier) && !slices.Contains(sources, st.Database.String())
	}), err
}

// renew extracts messages that a compaction asks for (tiers.Renew).
func (r *run) renew(ctx context.Context, guids []mailbox.GUID, add func([]document) error) error {
	r.failures, r.tried = nil, 0
	wanted := make(map[mailbox.GUID]bool, len(guids))
	for _, g := range guids {
		wanted[g] = true
	}
	var items []mailstore.Item
	err := r.mail.Contents(ctx, 0, func(it mailstore.Item) error {
		if wanted[it.GUID] {
			items = append(items, it)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.inBatches(ctx, items, func(_ context.Context, b *batch) error { return add(r.good(b)) })
}

// restore indexes what a compaction dropped and should not have: messages that
// came to be held again after it had asked, and those of damaged sources.
func (q *Squatter) restore(ctx context.Context, u mailbox.User, mail *mailstore.Mail, res tiers.Result) error {
	again := len(res.Discarded) > 0
	if !again && len(res.Gone) > 0 {
		held, err := mail.Held(ctx)
		if err != nil {
			return err
		}
		for _, g := range res.Gone {
			again = again || held(g)
		}
	}
	if !again {
		return nil
	}
	_, err := q.IndexUser(ctx, u, IndexOptions{})
	return err
}
