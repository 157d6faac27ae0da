package search

import (
	"context"
	"slices"
	"sync"

	"teraslot/mailbox"
)

// turns share the processors between users: whoever reads messages or kept text, some
// at a time, takes a turn for it. There are so many at once as the Searcher has workers.
// While none is free, users wait in a ring, whatever the number of their searches and of
// what each has to read: a search of a few messages is not kept waiting by many
// searches of whole mailboxes of another user.
type turns struct {
	mu      sync.Mutex // guards what follows; never held while anything is read
	free    int
	ring    []mailbox.User                   // users who wait, the next one first
	waiting map[mailbox.User][]chan struct{} // those of each, the next one first; closed when it is their turn
}

func newTurns(n int) *turns {
	return &turns{free: n, waiting: map[mailbox.User][]chan struct{}{}}
}

// do takes a turn for fn.
func (t *turns) do(ctx context.Context, u mailbox.User, fn func() error) error {
	if err := t.take(ctx, u); err != nil {
		return err
	}
	defer t.give()
	return fn()
}

// take waits for a turn, which is to be given back. It fails with ctx's cause.
func (t *turns) take(ctx context.Context, u mailbox.User) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	called := make(chan struct{})
	if len(t.waiting[u]) == 0 {
		t.ring = append(t.ring, u)
	}
	t.waiting[u] = append(t.waiting[u], called)
	t.mu.Unlock()
	select {
	case <-called:
		return nil
	case <-ctx.Done():
		t.leave(u, called)
		return context.Cause(ctx)
	}
}

// leave gives up waiting; a turn that came meanwhile goes to the next.
func (t *turns) leave(u mailbox.User, called chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting[u], called)
	if i < 0 {
		t.next()
		return
	}
	t.waiting[u] = slices.Delete(t.waiting[u], i, i+1)
	if len(t.waiting[u]) == 0 {
		delete(t.waiting, u)
		t.ring = slices.DeleteFunc(t.ring, func(o mailbox.User) bool { return o == u })
	}
}

// give gives a turn back.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next()
}

// next calls whoever is next; mu is held.
func (t *turns) next() {
	if len(t.ring) == 0 {
		t.free++
		return
	}
	u := t.ring[0]
	t.ring = t.ring[1:]
	close(t.waiting[u][0])
	if t.waiting[u] = t.waiting[u][1:]; len(t.waiting[u]) == 0 {
		delete(t.waiting, u)
		return
	}
	t.ring = append(t.ring, u)
}
