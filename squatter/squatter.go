package squatter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/synclog"
	"teraslot/tiers"
)

// Options say what a Squatter works on. Store and Tiers must be set.
type Options struct {
	Store *mailstore.Store
	Tiers *tiers.Set
	// Log is the channel that Run reads; nil: Run knows only of Notify and Wake.
	Log *synclog.Log
	// Batch and Delay are the rolling rule: a user is indexed when so many
	// messages have gathered, or so long after the first. 0 means 20 and 2 s.
	Batch int
	Delay time.Duration
	// Users is how many users Run indexes at a time; 0 means 2.
	Users int
	// Bulk bounds the messages of one commit, BulkBytes their sizes in bytes
	// together, which bounds the memory: two are under way. 0 means 2000 and 16 MiB.
	Bulk      int
	BulkBytes int64
	// Extract bounds the text taken of one message.
	Extract message.Limits
	// Patience is how long the extraction of one message may take before it counts as
	// failed; 0 means a minute.
	Patience time.Duration
	// Workers is how many messages are extracted at a time; 0 means GOMAXPROCS.
	Workers int
	// Conf is the conf root, where the list of messages that failed is kept with each
	// user; "": it is kept in memory only.
	Conf       string
	FS         disk.FS               // of that list; nil: disk.OS()
	Logger     *slog.Logger          // nil: nothing is logged
	Now        func() time.Time      // for retries of failed messages; nil: time.Now
	Registerer prometheus.Registerer // gets the metrics; may be nil
	// Leave has what is indexed left in the slot for the metrics of its daemon (Schedule.TakeIn):
	// this is another process. It needs Conf.
	Leave bool
	// Look lets Run only look who waits, for the metrics: other processes index.
	Look bool
}

// Squatter indexes and compacts. It may be used from any goroutine.
type Squatter struct {
	o       Options
	queue   *queue
	metrics *indexMetrics
	buffers sync.Pool // of mailstore.Buffer, as large as a piece at most

	mu      sync.Mutex                 // guards what follows
	turns   map[mailbox.User]*turn     // users being indexed, and who waits for them
	cursors map[mailbox.User]cursor    // how far users have been compared
	failed  map[mailbox.User]*failures // messages that are tried again later
}

type guid = mailbox.GUID

// turn is the right to index a user: one goroutine of a process at a time.
type turn struct {
	token   chan struct{}
	waiting int // guarded by Squatter.mu
}

// New returns a Squatter. It starts nothing.
func New(o Options) *Squatter {
	setDefault(&o.Batch, 20)
	setDefault(&o.Delay, 2*time.Second)
	setDefault(&o.Users, 2)
	setDefault(&o.Bulk, 2000)
	setDefault(&o.BulkBytes, 16<<20)
	setDefault(&o.Workers, runtime.GOMAXPROCS(0))
	setDefault(&o.Patience, time.Minute)
	setDefault(&o.FS, disk.OS())
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	queue := newQueue(o.Batch, o.Delay)
	if o.Look {
		queue = newLookQueue()
	}
	q := &Squatter{o: o, queue: queue, turns: make(map[mailbox.User]*turn),
		cursors: make(map[mailbox.User]cursor), failed: make(map[mailbox.User]*failures)}
	q.metrics = newIndexMetrics(o.Registerer, q)
	return q
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Notify tells of a change in the mail. It does not block.
func (q *Squatter) Notify(e mailbox.Event) {
	if e.Kind == mailbox.Appended {
		q.queue.note(e.User, int(e.UIDs.Len()), nil)
	}
}

// Wake has a user indexed at once, unless others index. It does not block.
func (q *Squatter) Wake(u mailbox.User) {
	if q.o.Look {
		q.queue.note(u, 0, nil)
		return
	}
	q.queue.now(u)
}

// Run indexes, by the rolling rule, what Notify, Wake and the sync log tell of,
// until ctx is done; then it returns nil. An index that cannot be written is
// tried again, ever more rarely.
func (q *Squatter) Run(ctx context.Context) error {
	group, gctx := errgroup.WithContext(ctx)
	work, workers := q.work, q.o.Users
	if q.o.Look {
		work, workers = q.watch, 1
	}
	for range workers {
		group.Go(func() error { return work(gctx) })
	}
	if q.o.Log != nil {
		group.Go(func() error { return q.follow(gctx) })
	}
	err := group.Wait()
	if q.o.Log != nil {
		// Whoever is still waiting has to be remembered: after this clean stop,
		// not everyone is compared.
		for _, u := range q.queue.left() {
			q.o.Log.Add(synclog.Note{User: u})
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// work indexes users as they become due.
func (q *Squatter) work(ctx context.Context) error {
	for {
		w, attempts, err := q.queue.next(ctx)
		if err != nil {
			return err
		}
		start := time.Now()
		n, err := q.IndexUser(ctx, w.user, IndexOptions{})
		q.queue.rest(time.Since(start))
		q.report(ctx, w.user, n, err)
		for _, attempted := range attempts {
			attempted()
		}
		skipped, some := errors.AsType[*Skipped](err)
		q.queue.done(w, err != nil && !some && !errors.Is(err, mailstore.ErrNoUser))
		if !some {
			continue
		}
		if next, ok := skipped.next(); ok {
			q.queue.later(w.user, max(next.Sub(q.o.Now()), time.Second))
		}
	}
}

// report logs the outcome of an attempt.
func (q *Squatter) report(ctx context.Context, u mailbox.User, n int, err error) {
	skipped, some := errors.AsType[*Skipped](err)
	switch {
	case ctx.Err() != nil:
	case some && skipped.Tried == 0 && n == 0: // nothing new
	case errors.Is(err, mailstore.ErrNoUser):
		q.o.Logger.Debug("user is gone; nothing to index", "user", u)
	case err != nil:
		q.o.Logger.Warn("indexing is not complete; will be tried again", "user", u, "indexed", n, "err", err)
	case n > 0:
		q.o.Logger.Info("indexed", "user", u, "messages", n)
	}
}

// logRetry is the wait before the sync log is tried again that could not be read.
const logRetry = 5 * time.Second

// follow queues whom the sync log names, until ctx is done. A log that fails, by a
// full disk say, ends neither the indexing nor the daemon: Notify still tells of
// mail, and the log is tried again.
func (q *Squatter) follow(ctx context.Context) error {
	for do := q.greet; ; {
		err := do(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			do = q.followBatch
			continue
		}
		q.o.Logger.Error("the sync log or the users cannot be read; will be tried again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(logRetry):
		}
	}
}

// followBatch deals with one batch of the log. It is done when each of its users
// has been attempted once: failures are remembered by the queue.
func (q *Squatter) followBatch(ctx context.Context) error {
	batch, err := q.o.Log.Next(ctx)
	if err != nil {
		return err
	}
	var users []mailbox.User
	for _, n := range batch.Notes() {
		users = append(users, n.User)
	}
	if err := q.attemptAll(ctx, users, q.queue.note); err != nil {
		return err
	}
	if err := q.compareAll(ctx); err != nil { // if the batch was damaged
		return err
	}
	return batch.Done()
}

// greet queues, at a start, whose index lost a part meanwhile, by a reboot that
// emptied a tier in memory, say, or by a new version of the code; after an
// unclean stop, everyone.
func (q *Squatter) greet(ctx context.Context) error {
	if !q.o.Log.Clean() {
		return q.compareAll(ctx)
	}
	users, err := q.o.Store.Users(ctx)
	if err != nil {
		return fmt.Errorf("listing the users to check: %w", err)
	}
	for _, u := range users {
		if whole, err := q.whole(ctx, u); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil || !whole {
			q.queue.now(u)
		}
	}
	return nil
}

// whole reports whether all databases of a user's index are there and current.
// Only their manifests are read: at a start, this is asked for every user.
func (q *Squatter) whole(ctx context.Context, u mailbox.User) (bool, error) {
	databases, err := q.o.Tiers.User(u).Stats(ctx)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(databases, func(d tiers.DatabaseStats) bool { return d.State != "" }), nil
}

// compareAll compares every user once, if notices may have been lost.
func (q *Squatter) compareAll(ctx context.Context) error {
	if q.o.Log.Clean() {
		return nil
	}
	users, err := q.o.Store.Users(ctx)
	if err != nil {
		return fmt.Errorf("listing the users to compare: %w", err)
	}
	if len(users) > 0 { // else it is the first start
		q.o.Logger.Info("the last stop was not clean; comparing every user with the index", "users", len(users))
	}
	err = q.attemptAll(ctx, users, func(u mailbox.User, _ int, attempted func()) {
		if q.o.Look {
			q.queue.note(u, 0, attempted)
			q.queue.now(u)
			return
		}
		q.queue.note(u, q.o.Batch, attempted)
	})
	if err == nil {
		q.o.Log.Compared()
	}
	return err
}

// attemptAll queues users and waits until each has been attempted.
func (q *Squatter) attemptAll(ctx context.Context, users []mailbox.User, note func(mailbox.User, int, func())) error {
	seen := make(map[mailbox.User]bool, len(users))
	done := make(chan struct{}, len(users))
	for _, u := range users {
		if !seen[u] {
			seen[u] = true
			note(u, 0, func() { done <- struct{}{} })
		}
	}
	for range seen {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// take waits for the turn to index u; the caller calls what it returns when he
// is done.
func (q *Squatter) take(ctx context.Context, u mailbox.User) (release func(), err error) {
	q.mu.Lock()
	t, ok := q.turns[u]
	if !ok {
		t = &turn{token: make(chan struct{}, 1)}
		q.turns[u] = t
	}
	t.waiting++
	q.mu.Unlock()
	leave := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(q.turns, u)
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
