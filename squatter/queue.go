package squatter

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"teraslot/mailbox"
)

// queue says which user is to be indexed when: the batching rule of design §5.
// A user becomes due when batch messages or delay have gathered since the first
// notice, at once by now, and later after a failure; a batch waits for a rest
// after the one before. A user is never handed out
// twice at a time; notices that come while he is being indexed start anew.
type queue struct {
	batch       int
	delay       time.Duration
	first, last time.Duration // after failures of a user: doubled from the first to the last

	mu      sync.Mutex // guards what follows
	users   map[mailbox.User]*waiting
	quiet   time.Time // until then, a full batch waits for more
	order   byDue
	changed chan struct{} // holds one token when order may have a new first
}

// waiting is a user with notices, or one being indexed, or both.
type waiting struct {
	user     mailbox.User
	due      time.Time
	since    time.Time // of the first notice that no attempt has followed
	messages int
	failures int       // in a row
	attempts []func()  // to be called after the next attempt
	place    int       // in order, if queued
	queued   bool      // is in order
	running  bool      // is being indexed, and not queued
	again    bool      // noticed while running: to be queued afterwards
	urgent   bool      // made due by now
	under    backlog   // what he is being indexed for, if running
	news     time.Time // of the first notice of messages since the last attempt
	looked   time.Time // when it was last looked what waits, if that was something
	high     uint32    // of his messages, the last that was seen then
}

// backlog is what waits to be indexed.
type backlog struct {
	messages int
	since    time.Time // zero: unknown
	news     time.Time // when the first came that was not there at the attempt before; zero: unknown
}

// The delays after failures of a user.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

func newQueue(batch int, delay time.Duration) *queue {
	return &queue{batch: batch, delay: delay, first: firstRetry, last: lastRetry, users: make(map[mailbox.User]*waiting),
		changed: make(chan struct{}, 1)}
}

// note tells that n more messages of u wait; n may be 0 where nobody counted.
// attempted, unless nil, is called once after the next attempt to index u,
// successful or not.
func (q *queue) note(u mailbox.User, n int, attempted func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.get(u)
	if w.messages == 0 && n > 0 {
		w.since = time.Now() // what he was queued for before is no mail
	}
	if w.news.IsZero() && n > 0 {
		w.news = time.Now()
	}
	w.messages += n
	if attempted != nil {
		w.attempts = append(w.attempts, attempted)
	}
	wait := q.gathering()
	if w.messages >= q.batch {
		wait = min(q.delay, max(0, time.Until(q.quiet)))
	}
	q.set(w, wait)
}

// Where mail comes in for many users at once, each waits longer for more of his own: by the
// delay once more for each manyUsers that wait, up to mostDelays times the delay. A
// batch of one costs almost what one of four costs. Nobody can see that either but by the
// clock: what a search has to scan for it is bounded by the batch, which is due when it is
// full.
const (
	manyUsers  = 50
	mostDelays = 10
)

// gathering is how long a user's messages gather before they are indexed. q.mu is held.
func (q *queue) gathering() time.Duration {
	return q.delay * time.Duration(min(1+len(q.users)/manyUsers, mostDelays))
}

// restShare is how many times as long as an attempt took the indexing rests
// before the next full batch, at most for the delay. Where much mail comes in,
// batches so grow: the cost of a message falls by more than half from a batch of
// 20 to one of some hundreds, and delivery has the processors for itself
// meanwhile. Nobody can see it but by the clock: what waits is scanned, and
// whoever searches has his mail indexed at once.
const restShare = 9

// rest begins the rest after an attempt that took so long.
func (q *queue) rest(took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if until := time.Now().Add(min(q.delay, restShare*took)); until.After(q.quiet) {
		q.quiet = until
	}
}

// now makes u due at once, without a rest, unless he has just failed.
func (q *queue) now(u mailbox.User) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.get(u)
	w.urgent = true
	q.set(w, 0)
}

// later makes u due when wait is over, if he is not due before.
func (q *queue) later(u mailbox.User, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.set(q.get(u), wait)
}

// set makes w due when wait is over, later after failures, or leaves it if it is
// due before.
func (q *queue) set(w *waiting, wait time.Duration) {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	due := time.Now().Add(max(wait, q.penalty(w)))
	switch {
	case !w.queued && !w.again:
		w.due = due
		q.enter(w)
	case w.failures == 0 && due.Before(w.due):
		w.due = due
		if w.queued {
			heap.Fix(&q.order, w.place)
			q.signal()
		}
	}
}

func (q *queue) get(u mailbox.User) *waiting {
	w, ok := q.users[u]
	if !ok {
		w = &waiting{user: u}
		q.users[u] = w
	}
	return w
}

// penalty is how long a user waits after failures.
func (q *queue) penalty(w *waiting) time.Duration {
	if w.failures == 0 {
		return 0
	}
	return min(q.first<<min(w.failures-1, 20), q.last)
}

func (q *queue) enter(w *waiting) {
	if w.running {
		w.again = true
		return
	}
	heap.Push(&q.order, w)
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// next waits until a user is due and takes him out of the queue. The caller
// indexes him, then calls done. It fails only with ctx's error.
func (q *queue) next(ctx context.Context) (*waiting, []func(), error) {
	for {
		w, attempts, wait := q.take()
		if w != nil {
			return w, attempts, nil
		}
		if err := q.sleep(ctx, wait); err != nil {
			return nil, nil, err
		}
	}
}

// sleep waits until the order changes or wait, unless negative, is over.
func (q *queue) sleep(ctx context.Context, wait time.Duration) error {
	var due <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-due:
	case <-q.changed:
	}
	return nil
}

// take removes the first user if he is due, with the functions to call after
// the attempt; else it says how long until he is, -1 for ever.
func (q *queue) take() (*waiting, []func(), time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return nil, nil, -1
	}
	w := q.order[0]
	if wait := time.Until(w.due); wait > 0 {
		return nil, nil, wait
	}
	heap.Pop(&q.order)
	attempts := w.attempts
	w.under = backlog{w.messages, w.since, w.news}
	w.running, w.urgent, w.messages, w.attempts, w.since, w.news = true, false, 0, nil, time.Time{}, time.Time{}
	if len(q.order) > 0 {
		q.signal() // for another worker
	}
	return w, attempts, 0
}

// done ends an attempt. After a failure the user is queued again.
func (q *queue) done(w *waiting, failed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end(w, failed)
}

// end is done for whoever holds q.mu.
func (q *queue) end(w *waiting, failed bool) {
	w.running = false
	noticed := w.again
	w.again = false
	if failed {
		w.failures++
		w.due = time.Now().Add(q.penalty(w))
		w.messages += max(w.under.messages, 1) // how many is not known of all
		w.since = w.under.since
	} else {
		w.failures = 0
	}
	w.under = backlog{}
	if noticed && !w.urgent && w.due.Before(q.quiet) {
		w.due = q.quiet // what came during the attempt rests as well
	}
	if failed || noticed {
		q.enter(w)
		return
	}
	delete(q.users, w.user)
}

// lag is how many messages wait, those being indexed included, and how long the first of them has. Of a user who
// fails, one message at least waits.
func (q *queue) lag() (messages int, longest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.users {
		for _, b := range []backlog{w.under, {w.messages, w.since, w.news}} {
			messages += b.messages
			if !b.since.IsZero() && b.messages > 0 {
				longest = max(longest, time.Since(b.since))
			}
		}
	}
	return messages, longest
}

// left returns the users that are queued or being indexed.
func (q *queue) left() []mailbox.User {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []mailbox.User
	for u := range q.users {
		out = append(out, u)
	}
	return out
}

// byDue is a heap of users by when they are due.
type byDue []*waiting

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for package heap.
func (h *byDue) Push(x any) {
	w := x.(*waiting)
	w.place, w.queued = len(*h), true
	*h = append(*h, w)
}

// Pop is for package heap.
func (h *byDue) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	w.queued = false
	return w
}
