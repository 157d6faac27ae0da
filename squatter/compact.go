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
	// Reindex names tiers or databases whose messages are extracted anew first, so
	// that Dest gets what the current code makes of them. The writable database,
	// which takes them in, then is among the sources whether named or not.
	Reindex []string
	Name    string       // of the user, for people; "": the id
	Log     func(string) // gets the lines of design §8; may be nil
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
	index := q.o.Tiers.User(u)
	var skipped error
	if len(o.Reindex) > 0 {
		if o.Sources, skipped, err = q.reindex(ctx, u, index, o); err != nil {
			return tiers.Result{}, err
		}
	}
	res, err := index.Compact(ctx, tiers.CompactOptions{
		Sources: o.Sources, Dest: o.Dest, Force: o.Force, Name: o.Name, Log: o.Log,
		Held: func() (func(mailbox.GUID) bool, error) { return mail.Held(ctx) },
	})
	if err != nil {
		return res, err
	}
	return res, errors.Join(skipped, q.restore(ctx, u, mail, res))
}

// reindex commits messages anew and returns the sources that then hold all of
// them. Messages that could not be indexed are an error of their own, which does
// not keep the others from being compacted.
func (q *Squatter) reindex(ctx context.Context, u mailbox.User, index *tiers.Index, o CompactOptions) (sources []string, skipped, err error) {
	if o.Log != nil {
		o.Log("Reindexing messages for " + o.Name)
	}
	again, err := within(ctx, index, o.Reindex)
	if err != nil {
		return nil, nil, err
	}
	_, err = q.IndexUser(ctx, u, IndexOptions{All: again == nil, Again: again, Retry: true})
	if _, some := errors.AsType[*Skipped](err); some {
		skipped, err = err, nil
	}
	if err != nil {
		return nil, nil, err
	}
	snap, err := index.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer snap.Close()
	if active := snap.Active().Databases; len(active) > 0 {
		return append([]string{active[0].String()}, o.Sources...), skipped, nil
	}
	return o.Sources, skipped, nil
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

// within returns a test for the messages that have documents in the named tiers
// or databases; nil if that cannot be told, because one of them is damaged or
// went in this moment.
func within(ctx context.Context, index *tiers.Index, names []string) (func(mailbox.GUID) bool, error) {
	snap, err := index.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	stats, err := index.Stats(ctx)
	if err != nil {
		return nil, err
	}
	// Both list the databases in search order.
	stats = slices.DeleteFunc(stats, func(d tiers.DatabaseStats) bool { return d.State != "" || d.Segments == 0 })
	stamps := databases(snap)
	if len(stamps) != len(stats) {
		return nil, nil
	}
	named := make(map[string]bool)
	for i, d := range stats {
		named[stamps[i]] = slices.Contains(names, d.Database.Tier) || slices.Contains(names, d.Database.String())
	}
	guids := make(map[mailbox.GUID]bool)
	for _, seg := range snap.Segments() {
		if !named[databaseOf(seg)] {
			continue
		}
		for n := range seg.Len() {
			guids[seg.GUID(n)] = true
		}
	}
	return func(g mailbox.GUID) bool { return guids[g] }, nil
}
