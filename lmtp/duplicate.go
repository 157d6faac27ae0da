package lmtp

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"teraslot/mailbox"
)

// rememberDuplicates bounds how many deliveries are remembered, in about 200 octets
// each: 100 MB.
const rememberDuplicates = 500_000

// duplicates remembers which Message-ID was stored where.
type duplicates struct {
	window time.Duration
	now    func() time.Time

	mu      sync.Mutex // guards entries and order
	entries map[delivery]*entry
	order   []delivery // of the entries' making, oldest first
}

type delivery struct {
	user    mailbox.User
	mailbox mailbox.ID
	message [sha256.Size]byte // digest of its Message-ID, which may be as long as a header
}

// entry is a delivery that is stored, or being stored until done is closed.
type entry struct {
	done   chan struct{}
	stored bool // read after done is closed
	at     time.Time
}

func newDuplicates(window time.Duration, now func() time.Time) *duplicates {
	return &duplicates{window: window, now: now, entries: make(map[delivery]*entry)}
}

// claim returns nil if the message is stored already. Otherwise the caller
// stores it and then calls what is returned with the outcome. If somebody else
// is storing it, claim waits for that: nobody is told that a message is safe
// before it is.
func (d *duplicates) claim(ctx context.Context, u mailbox.User, id mailbox.ID, messageID string) (func(stored bool), error) {
	key := delivery{u, id, sha256.Sum256([]byte(messageID))}
	for {
		other := d.enter(key)
		if other == nil {
			return func(stored bool) { d.settle(key, stored) }, nil
		}
		select {
		case <-other.done:
			if other.stored {
				return nil, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// enter makes an entry, or returns the one that is there and still counts.
func (d *duplicates) enter(key delivery) *entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	d.forget(now)
	if e := d.entries[key]; e != nil {
		return e
	}
	d.entries[key] = &entry{done: make(chan struct{}), at: now}
	d.order = append(d.order, key)
	return nil
}

// settle closes an entry; one that was not stored is taken out.
func (d *duplicates) settle(key delivery, stored bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[key]
	if e == nil {
		return
	}
	e.stored = stored
	if !stored {
		delete(d.entries, key)
	}
	close(e.done)
}

// forget drops what is too old or too much. Entries in flight stay, at the end
// of the line. mu is held.
func (d *duplicates) forget(now time.Time) {
	for range len(d.order) {
		key := d.order[0]
		e := d.entries[key]
		if e != nil && now.Sub(e.at) < d.window && len(d.order) < rememberDuplicates {
			return
		}
		d.order = d.order[1:]
		if e == nil {
			continue
		}
		select {
		case <-e.done:
			delete(d.entries, key)
		default:
			d.order = append(d.order, key)
		}
	}
}
