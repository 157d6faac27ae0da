package squatter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Where other processes index, Run asks of who was told of, and of who waited when it looked last, what of his mail is
// neither indexed nor on the list of failures. What the others leave (leftFile) has it look at once; else it does so
// ever more rarely, as a look costs the more the more waits.
const (
	firstLook = 30 * time.Second
	lastLook  = 5 * time.Minute
)

// newLookQueue returns a queue of users to look at. Notices that come do not hasten looks.
func newLookQueue() *queue {
	q := newQueue(math.MaxInt, firstLook)
	q.first, q.last = firstLook, lastLook
	return q
}

// watch looks at users as they become due.
func (q *Squatter) watch(ctx context.Context) error {
	for {
		w, attempts, err := q.queue.next(ctx)
		if err != nil {
			return err
		}
		found, err := q.look(ctx, w.user)
		switch {
		case err == nil:
			q.queue.lookedAt(w, found)
		case errors.Is(err, mailstore.ErrNoUser):
			q.queue.done(w, false)
		default:
			if ctx.Err() == nil {
				q.o.Logger.Warn("what waits to be indexed cannot be looked at; will be tried again", "user", w.user, "err", err)
			}
			q.queue.done(w, true)
		}
		for _, attempted := range attempts {
			attempted()
		}
	}
}

// seen is what a look found: how many messages wait, the first of them, and the last of all.
type seen struct {
	at        time.Time // before it
	messages  int
	low, high uint32
}

// look finds out what of a user's mail waits to be indexed.
func (q *Squatter) look(ctx context.Context, u mailbox.User) (seen, error) {
	found := seen{at: time.Now()}
	release, err := q.take(ctx, u)
	if err != nil {
		return found, err
	}
	defer release()
	mail, err := q.o.Store.Acquire(ctx, u)
	if err != nil {
		return found, err
	}
	defer mail.Release()
	r := &run{q: q, mail: mail, index: q.o.Tiers.User(u), user: u}
	if err := r.look(ctx, &found); err != nil {
		return found, fmt.Errorf("looking at user %s: %w", u, err)
	}
	return found, nil
}

func (r *run) look(ctx context.Context, found *seen) error {
	snap, err := r.index.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	failed := make(map[guid]bool)
	for _, f := range r.q.Failures(r.user) {
		failed[f.GUID] = true
	}
	from := r.start(snap)
	next := cursor{num: from, databases: databases(snap)}
	indexed := r.finder(snap, from)
	err = r.mail.Contents(ctx, from, func(it item) error {
		found.high = it.Num
		switch waits := !indexed(it.GUID) && !failed[it.GUID]; {
		case waits && found.messages == 0:
			found.low = it.Num
			fallthrough
		case waits:
			found.messages++
		case found.messages == 0:
			next.num = it.Num
		}
		return nil
	})
	if err == nil {
		r.advance(next)
	}
	return err
}

// lookedAt ends a look. If something waits, it has since the first notice; or, if it came after the look before,
// since the first notice after that, or since that look if there was none.
func (q *queue) lookedAt(w *waiting, found seen) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if found.messages == 0 {
		w.looked = time.Time{}
		q.end(w, false)
		return
	}
	w.under.messages = found.messages
	if found.low > w.high && !w.looked.IsZero() {
		w.under.since = cmp.Or(w.under.news, w.looked)
	}
	w.under.since = cmp.Or(w.under.since, found.at)
	w.looked, w.high = found.at, found.high
	q.end(w, true)
}

// hasten makes a user due at once, if he waits.
func (q *queue) hasten(u mailbox.User) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.users[u]; w != nil {
		w.failures = 0
		q.set(w, 0)
	}
}
