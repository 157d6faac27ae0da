package replication

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"teraslot/mailbox"
	"teraslot/synclog"
)

// ChannelOptions say how a replica is kept up to date. Client and Log are needed.
type ChannelOptions struct {
	Client *Client
	Log    *synclog.Log
	// Workers are how many users are synced at once; 0: 32. Whoever has much to be sent
	// waits besides for one of four places, for the memory that takes.
	Workers int
	// CompareEvery is how often all users are compared although nobody noted a
	// change; 0: every hour.
	CompareEvery time.Duration
	// Heal repairs damage that keeps a user from being synced from the other side, at once.
	Heal bool
	// VerifyEvery is how often all records of all users are compared; 0: every week.
	VerifyEvery time.Duration
	Now         func() time.Time                     // nil: time.Now
	After       func(time.Duration) <-chan time.Time // nil: time.After
	Logger      *slog.Logger                         // nil: slog.Default()
}

// Channel keeps one replica up to date.
type Channel struct {
	o ChannelOptions
	// moved holds a token when a user was finished, or failed.
	moved chan struct{}

	skipping sync.Mutex // held while skips are written down; taken before mu

	mu              sync.Mutex
	users           map[mailbox.User]*job // guarded by mu: those that are not equal, as far as is known
	small, large    queue                 // of those; large are the users for whom a small sync did not suffice
	total           Stats                 // guarded by mu
	syncs, failures int64                 // guarded by mu
	last            time.Time             // guarded by mu: of the last sync that succeeded
	line            error                 // guarded by mu: why the replica cannot be reached
	skips           map[mailbox.User]bool // guarded by mu: users left out until Retry
	lags            lags                  // guarded by mu
	differences     int64                 // guarded by mu
	healings        int64                 // guarded by mu
}

// queue is of users who wait for a worker, in the order in which they came.
type queue struct {
	users []mailbox.User // guarded by Channel.mu
	// work holds a token when a user may be taken.
	work chan struct{}
}

// job is a user who has to be synced.
type job struct {
	since   time.Time // of the first change that is not there yet
	notes   int       // that came since
	running bool
	again   bool      // changed while it ran
	later   time.Time // if again, of the first such change
	queued  bool
	large   bool      // a small sync does not suffice
	tries   int       // that failed
	next    time.Time // of the next, if tries > 0
	err     error     // of the last
	waiters []chan error
}

// The delays between tries of a user.
const (
	firstRetry = time.Second
	lastRetry  = 10 * time.Minute
)

// delay is how long a user rests who failed so many times.
func delay(tries int) time.Duration {
	return min(firstRetry<<min(max(tries-1, 0), 20), lastRetry)
}

// NewChannel returns a channel that does nothing yet.
func NewChannel(o ChannelOptions) *Channel {
	if o.Workers <= 0 {
		o.Workers = 32
	}
	if o.CompareEvery <= 0 {
		o.CompareEvery = time.Hour
	}
	if o.VerifyEvery <= 0 {
		o.VerifyEvery = 7 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	queue := func() queue { return queue{work: make(chan struct{}, 1)} }
	return &Channel{o: o, small: queue(), large: queue(), moved: make(chan struct{}, 1), users: map[mailbox.User]*job{}, skips: map[mailbox.User]bool{}}
}

// Name is the replica's.
func (c *Channel) Name() string { return c.o.Client.o.Name }

// Note says that something of a user has changed. It does not wait.
func (c *Channel) Note(n synclog.Note) {
	c.o.Log.Add(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(n.User)
}

// add puts a user into the queue. c.mu is held.
func (c *Channel) add(u mailbox.User) *job {
	j := c.users[u]
	if j == nil {
		j = &job{since: c.o.Now()}
		c.users[u] = j
	}
	j.notes++
	if j.running {
		if !j.again {
			j.again, j.later = true, c.o.Now()
		}
		return j
	}
	if !j.queued && j.tries == 0 && !c.skips[u] {
		c.enqueue(u, j)
	}
	return j
}

// enqueue makes a user one whom a worker may take. c.mu is held.
func (c *Channel) enqueue(u mailbox.User, j *job) {
	j.queued = true
	q := c.queueOf(j)
	q.users = append(q.users, u)
	wake(q.work)
}

// queueOf is where a user waits.
func (c *Channel) queueOf(j *job) *queue {
	if j.large {
		return &c.large
	}
	return &c.small
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run keeps the replica up to date until ctx is done; then it returns nil. An error is of
// the log, without which nothing is safe.
func (c *Channel) Run(ctx context.Context) error {
	owed, err := c.o.Log.Owed()
	if err != nil {
		return err
	}
	skipped, err := c.o.Log.Skipped()
	if err != nil {
		return err
	}
	c.mu.Lock()
	for _, n := range skipped {
		c.skips[n.User] = true
	}
	c.mu.Unlock()
	for _, n := range owed {
		c.Note(n)
	}
	g, ctx := errgroup.WithContext(ctx)
	for range c.o.Workers {
		g.Go(func() error { return c.serve(ctx, &c.small, c.o.Client.syncSmall) })
	}
	for range largeWorkers {
		g.Go(func() error { return c.serve(ctx, &c.large, c.o.Client.Sync) })
	}
	g.Go(func() error { return c.read(ctx) })
	g.Go(func() error { return c.compareAll(ctx) })
	g.Go(func() error { return c.retry(ctx) })
	g.Go(func() error { return c.look(ctx) })
	g.Go(func() error { return c.verifyAll(ctx) })
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, c.owe())
}

// read takes logs aside, and is done with each when its users are equal or written down as
// owed.
func (c *Channel) read(ctx context.Context) error {
	for {
		b, err := c.o.Log.Next(ctx)
		if err != nil {
			return err
		}
		c.mu.Lock()
		for _, n := range b.Notes() {
			if c.users[n.User] == nil || c.users[n.User].running {
				c.add(n.User)
			}
		}
		c.mu.Unlock()
		if err := c.patience(ctx, b.Notes()); err != nil {
			return err
		}
		if err := errors.Join(c.owe(), b.Done()); err != nil {
			return err
		}
	}
}

// patient is how long a log waits for its users before they are written down as owed.
const patient = 2 * time.Second

// patience waits until the users of a log are equal, or for some time.
func (c *Channel) patience(ctx context.Context, notes []synclog.Note) error {
	limit := c.o.After(patient)
	for c.pending(notes) {
		select {
		case <-c.moved:
		case <-limit:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// pending reports whether a user of the notes is queued or running.
func (c *Channel) pending(notes []synclog.Note) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(notes, func(n synclog.Note) bool {
		j := c.users[n.User]
		return j != nil && (j.queued || j.running)
	})
}

// owe writes down who is not equal.
func (c *Channel) owe() error {
	c.mu.Lock()
	notes := make([]synclog.Note, 0, len(c.users))
	for u := range c.users {
		notes = append(notes, synclog.Note{User: u})
	}
	c.mu.Unlock()
	slices.SortFunc(notes, func(a, b synclog.Note) int { return cmp.Compare(a.User, b.User) })
	before, err := c.o.Log.Owed()
	if err == nil && slices.Equal(before, notes) {
		return nil
	}
	return c.o.Log.Owe(notes)
}

// largeWorkers are how many users are synced at once of whom much is to be sent.
const largeWorkers = 4

// serve syncs one user of a queue after the other.
func (c *Channel) serve(ctx context.Context, q *queue, sync func(context.Context, mailbox.User) (Stats, error)) error {
	for {
		u, j := c.take(q)
		if j == nil {
			select {
			case <-q.work:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		stats, err := sync(ctx, u)
		if c.o.Heal && damaged(err) {
			stats, err = c.healed(ctx, u, err)
		}
		c.finish(ctx, u, j, stats, err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && Unreachable(err) { // the line's trouble: no user is to blame
			select {
			case <-c.o.After(firstRetry):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// take takes a user out of the queue; nil if nobody waits.
func (c *Channel) take(q *queue) (mailbox.User, *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(q.users) == 0 {
		return "", nil
	}
	u := q.users[0]
	q.users = q.users[1:]
	if len(q.users) > 0 {
		wake(q.work) // another worker may go on
	}
	j := c.users[u]
	j.queued, j.running, j.again = false, true, false
	return u, j
}

// finish settles what became of a user.
func (c *Channel) finish(ctx context.Context, u mailbox.User, j *job, stats Stats, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer wake(c.moved)
	c.total.add(&stats)
	j.running = false
	switch {
	case err == nil:
		c.succeeded(u, j)
	case ctx.Err() != nil:
		return
	case errors.Is(err, errLarge):
		j.large = true
		if !c.skips[u] {
			c.enqueue(u, j)
		}
		return
	case Unreachable(err):
		c.reach(err)
		if j.tries == 0 {
			c.enqueue(u, j)
		}
	default:
		c.failures++
		j.tries++
		j.err, j.next = err, c.o.Now().Add(delay(j.tries))
		c.o.Logger.Error("replication: a user is held up", "replica", c.Name(), "user", u, "tries", j.tries, "err", err)
	}
	j.answer(err)
}

// reached notes what a call says of the line: nothing, if it failed for another reason.
func (c *Channel) reached(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil || Unreachable(err) {
		c.reach(err)
	}
}

// reach notes that the replica can be reached, or why it cannot. c.mu is held.
func (c *Channel) reach(err error) {
	switch {
	case err != nil && c.line == nil:
		c.o.Logger.Warn("replication: the replica cannot be reached", "replica", c.Name(), "err", err)
	case err == nil && c.line != nil:
		c.o.Logger.Info("replication: the replica can be reached again", "replica", c.Name())
	}
	c.line = err
}

// succeeded is for a user who is equal. c.mu is held.
func (c *Channel) succeeded(u mailbox.User, j *job) {
	now := c.o.Now()
	c.syncs++
	c.last = now
	c.lags.add(now.Sub(j.since))
	c.reach(nil)
	j.tries, j.err, j.large = 0, nil, false
	if !j.again {
		delete(c.users, u)
		return
	}
	j.since, j.notes = j.later, 1
	if !c.skips[u] {
		c.enqueue(u, j)
	}
}

func (j *job) answer(err error) {
	for _, w := range j.waiters {
		w <- err
	}
	j.waiters = nil
}

// retry brings users back whose rest is over.
func (c *Channel) retry(ctx context.Context) error {
	for {
		select {
		case <-c.o.After(firstRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
		c.mu.Lock()
		now := c.o.Now()
		for u, j := range c.users {
			if j.tries > 0 && !j.queued && !j.running && !now.Before(j.next) && !c.skips[u] {
				c.enqueue(u, j)
			}
		}
		c.mu.Unlock()
	}
}

// lookEvery is how often a replica is asked who it is: one that is gone, or has lost all that it had,
// is known before the next change.
const lookEvery = 10 * time.Second

// look asks the replica now and again who it is.
func (c *Channel) look(ctx context.Context) error {
	for {
		select {
		case <-c.o.After(lookEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		_, err := c.o.Client.hello(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.reached(err)
	}
}

// compareAll compares all users after a start that was not clean, when another slot answers in the replica's
// place, and then now and again.
func (c *Channel) compareAll(ctx context.Context) error {
	due := !c.o.Log.Clean()
	for {
		wait := c.o.CompareEvery
		if due {
			_, err := c.Compare(ctx)
			switch {
			case err == nil:
				c.o.Log.Compared()
			case ctx.Err() != nil:
				return ctx.Err()
			case !Unreachable(err):
				c.o.Logger.Warn("replication: users cannot be compared", "replica", c.Name(), "err", err)
			}
			c.reached(err)
			if err != nil {
				wait = firstRetry
			}
		}
		if !c.o.Log.Clean() { // a note was lost meanwhile
			wait = firstRetry
		}
		select {
		case <-c.o.After(wait):
			due = true
		case <-c.o.Client.another:
			due = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Compare compares the digests of all users and notes those that differ. It returns how
// many do.
func (c *Channel) Compare(ctx context.Context) (int, error) {
	there, err := c.o.Client.digests(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	note := func(u mailbox.User) {
		n++
		c.o.Client.forget(u) // it is not what it was after the last sync
		c.Note(synclog.Note{User: u})
	}
	err = eachDigest(ctx, c.o.Client.o.Store, c.o.Client.o.Accounts, func(one *userDigest) error {
		if there[one.user] != *one {
			note(one.user)
		}
		delete(there, one.user)
		return nil
	})
	if err != nil {
		return n, err
	}
	for u := range there { // users that only the replica has
		note(u)
	}
	return n, c.o.Log.Flush()
}

// Sync syncs a user at once and returns how that ended.
func (c *Channel) Sync(ctx context.Context, u mailbox.User) error {
	done := make(chan error, 1)
	c.mu.Lock()
	skipped := c.skips[u]
	delete(c.skips, u)
	c.mu.Unlock()
	if skipped {
		if err := c.keepSkips(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	j := c.add(u)
	j.waiters = append(j.waiters, done)
	if j.tries > 0 && !j.queued && !j.running {
		c.enqueue(u, j)
	}
	if j.running { // what runs may have looked already
		j.waiters = j.waiters[:len(j.waiters)-1]
		c.mu.Unlock()
		return c.afterThis(ctx, u)
	}
	c.mu.Unlock()
	return wait(ctx, done)
}

// afterThis waits for the end of the sync that runs, and asks for another.
func (c *Channel) afterThis(ctx context.Context, u mailbox.User) error {
	done := make(chan error, 1)
	c.mu.Lock()
	if j := c.users[u]; j != nil && j.running {
		j.waiters = append(j.waiters, done)
		c.mu.Unlock()
		if err := wait(ctx, done); err != nil {
			return err
		}
	} else {
		c.mu.Unlock()
	}
	return c.Sync(ctx, u)
}

func wait(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Skip leaves a user out until Retry, or until he is synced by name. He stays owed. A user who is
// left out stays so when the program is started again.
func (c *Channel) Skip(u mailbox.User) error {
	c.mu.Lock()
	c.skips[u] = true
	if j := c.users[u]; j != nil {
		c.unqueue(u, j)
	}
	c.mu.Unlock()
	return c.keepSkips()
}

// Retry syncs a user who is held up or left out without waiting for his time; "" stands for
// all of them.
func (c *Channel) Retry(u mailbox.User) error {
	c.mu.Lock()
	for one, j := range c.users {
		if (u == "" || u == one) && !j.queued && !j.running {
			delete(c.skips, one)
			c.enqueue(one, j)
		}
	}
	if u == "" {
		clear(c.skips)
	} else {
		delete(c.skips, u)
	}
	c.mu.Unlock()
	return c.keepSkips()
}

// keepSkips writes down who is left out.
func (c *Channel) keepSkips() error {
	c.skipping.Lock()
	defer c.skipping.Unlock()
	c.mu.Lock()
	var notes []synclog.Note
	for u := range c.skips {
		notes = append(notes, synclog.Note{User: u})
	}
	c.mu.Unlock()
	slices.SortFunc(notes, func(a, b synclog.Note) int { return cmp.Compare(a.User, b.User) })
	return c.o.Log.Skip(notes)
}
