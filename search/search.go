package search

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/client_golang/prometheus"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/text"
	"teraslot/tiers"
)

// ErrLimit is returned when what has to be read goes over Limits. There is no
// partial answer: a client is told NO instead of missing a message.
var ErrLimit = errors.New("search limit reached")

// ErrTime is the ErrLimit of a search whose time is over.
var ErrTime = fmt.Errorf("%w: its time is over", ErrLimit)

// Limits bound what one search reads of messages that the index does not
// decide. Zero fields of Messages and Bytes mean no limit.
type Limits struct {
	Messages int64
	Bytes    int64
	// Time bounds the whole search; 0 means 5 minutes, negative no limit.
	Time time.Duration
}

// Options say what a Searcher searches in. Store and Tiers must be set.
type Options struct {
	Store *mailstore.Store
	Tiers *tiers.Set
	// Wake is told of a user with more than WakeAfter messages in the searched
	// mailbox that the index does not know. It must not block. May be nil.
	Wake      func(mailbox.User)
	WakeAfter int // 0 means 50
	Limits    Limits
	// Workers is how many goroutines read messages at once, for one search and for all
	// of them; 0 means as many as GOMAXPROCS. Users take turns (see turns).
	Workers int
	// CacheBytes bounds the memory for joins of mailboxes with the index; 0
	// means 64 MiB.
	CacheBytes int64
	// HeadingBytes bounds the memory for what SORT and THREAD compare of messages; 0
	// means 128 MiB, which is enough for about a million messages.
	HeadingBytes int64
	Logger       *slog.Logger // nil: nothing is logged
	// Registerer takes the metrics; nil: they are not exported.
	Registerer prometheus.Registerer
	Now        func() time.Time // nil means time.Now
}

// Searcher answers searches. It may be used from any goroutine.
type Searcher struct {
	o        Options
	cache    *cache[*join]
	headings *cache[*headings]
	seeds    *idSeeds
	metrics  *metrics
	turns    *turns
}

// New returns a Searcher. It starts no goroutines and needs no closing.
func New(o Options) *Searcher {
	if o.WakeAfter == 0 {
		o.WakeAfter = 50
	}
	if o.Limits.Time == 0 {
		o.Limits.Time = 5 * time.Minute
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.HeadingBytes == 0 {
		o.HeadingBytes = 128 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Searcher{o, newCache[*join](o.CacheBytes), newCache[*headings](o.HeadingBytes), newIDSeeds(),
		newMetrics(o.Registerer, o.Logger), newTurns(o.Workers)}
}

// Request is one search.
type Request struct {
	User    mailbox.User
	Mailbox mailbox.ID
	Query   Query // nil means All
	// Relevance asks for Result.Relevance.
	Relevance bool
}

// Stats tell how the messages that text keys were asked about were answered.
type Stats struct {
	Indexed  int // by the index alone
	Verified int // by the index and then their text
	Scanned  int // by their text: they are not (completely) in the index
}

// Result is the answer to a search.
type Result struct {
	// View is what was searched. It is shared: do not change it.
	View *mailstore.View
	// UIDs are those of the matching messages, rising. They belong to the caller.
	UIDs []mailbox.UID
	// Relevance says of each of UIDs how well it matches the fuzzy keys: more is
	// better. It compares messages of one result only. Nil unless it was asked for.
	Relevance []float32
	Stats     Stats
}

// Search returns which messages of the mailbox match. It fails with ErrDepth,
// with ErrLimit, with what mailstore fails with (a *mailstore.Damage names a
// message that cannot be read and that nothing else decides), or with ctx's
// cause; a failure never comes with an answer.
func (s *Searcher) Search(ctx context.Context, r Request) (*Result, error) {
	start := s.o.Now()
	res, err := s.search(ctx, r)
	elapsed := s.o.Now().Sub(start)
	s.metrics.observe(res, err, elapsed)
	if err != nil {
		return nil, fmt.Errorf("searching mailbox %s of user %s: %w", r.Mailbox, r.User, err)
	}
	s.o.Logger.Info("search", "user", r.User, "mailbox", r.Mailbox, "messages", len(res.View.Records),
		"hits", len(res.UIDs), "indexed", res.Stats.Indexed, "verified", res.Stats.Verified,
		"scanned", res.Stats.Scanned, "took", elapsed)
	return res, nil
}

func (s *Searcher) search(ctx context.Context, r Request) (res *Result, err error) {
	plan := func() (node, error) {
		if r.Query == nil {
			return All{}.plan(0)
		}
		return r.Query.plan(0)
	}
	err = s.begin(ctx, r.User, plan, func(ctx context.Context, b *attempt) error {
		view, err := b.mail.View(ctx, r.Mailbox)
		if err != nil {
			return err
		}
		res, err = s.answer(ctx, r, b, view)
		return err
	})
	return res, err
}

// snapshot returns the user's index as it is now: nil for a query that does not
// look at text, and for an index that cannot be opened, which costs speed only.
func (s *Searcher) snapshot(ctx context.Context, u mailbox.User, root node) (*tiers.Snapshot, error) {
	if root.cost() <= costRecord {
		return nil, nil
	}
	snap, err := s.o.Tiers.User(u).Snapshot(ctx)
	if err == nil || ctx.Err() != nil {
		return snap, err
	}
	s.o.Logger.Warn("the index cannot be opened; reading messages instead", "user", u, "err", err)
	return nil, nil
}

// answer evaluates a search over the view of a mailbox.
func (s *Searcher) answer(ctx context.Context, r Request, b *attempt, view *mailstore.View) (*Result, error) {
	if err := view.Whole(); err != nil {
		return nil, err // whether that message matches cannot be told, and none is missed in silence
	}
	key := mailboxKey{r.User, r.Mailbox}
	e := &evaluation{s: s, key: key, mail: b.mail, snap: b.snap, records: view.Records,
		join: s.join(key, view, b.snap), now: s.o.Now().Unix(),
		leaves: make(map[text.Key]verdict), asked: roaring.New(), blind: b.snap == nil, shared: b.shared,
		ranked: r.Relevance, readings: map[uint32]map[*fuzzyKey]*reading{}}
	rows, err := e.run(ctx, b.root)
	if err != nil {
		return nil, err
	}
	if s.o.Wake != nil && e.join.missing > s.o.WakeAfter && !e.asked.IsEmpty() {
		s.o.Wake(r.User)
	}
	uids := make([]mailbox.UID, 0, rows.GetCardinality())
	for it := rows.Iterator(); it.HasNext(); {
		uids = append(uids, view.Records[it.Next()].UID)
	}
	res := &Result{View: view, UIDs: uids, Stats: e.stats()}
	if r.Relevance {
		if res.Relevance, err = e.rank(ctx, b.root, rows); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// join returns the join of the view and the snapshot, from the cache if it fits.
func (s *Searcher) join(key mailboxKey, view *mailstore.View, snap *tiers.Snapshot) *join {
	if snap == nil {
		return unjoined(len(view.Records))
	}
	segments := places(snap)
	prev := s.cache.get(key)
	if prev.fits(view, segments) {
		return prev
	}
	j := newJoin(view, snap, segments, prev)
	s.cache.put(key, j)
	return j
}

// cause prefers the reason why a search was ended to the error that ending it
// caused somewhere.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
