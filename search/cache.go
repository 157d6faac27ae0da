package search

import (
	"container/list"
	"sync"

	"teraslot/mailbox"
)

// mailboxKey names a mailbox of a user.
type mailboxKey struct {
	user    mailbox.User
	mailbox mailbox.ID
}

// weighty is what a cache keeps. weight is about how many bytes it takes.
type weighty interface{ weight() int64 }

// cache keeps something of each mailbox that was asked about last, the least recently
// used going first once their weight is over the limit. What alone is over it is not
// kept. What is kept is not changed.
type cache[V weighty] struct {
	limit int64

	mu     sync.Mutex // guards what follows
	weight int64
	byKey  map[mailboxKey]*list.Element // of *cached[V]
	recent list.List                    // front: used last
}

type cached[V weighty] struct {
	key   mailboxKey
	value V
	size  int64
}

func newCache[V weighty](limit int64) *cache[V] {
	return &cache[V]{limit: limit, byKey: make(map[mailboxKey]*list.Element)}
}

// get returns what is kept of the mailbox, or the zero value.
func (c *cache[V]) get(key mailboxKey) (v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[key]
	if !ok {
		return v
	}
	c.recent.MoveToFront(el)
	return el.Value.(*cached[V]).value
}

// put keeps v in place of what was kept of the mailbox before.
func (c *cache[V]) put(key mailboxKey, v V) {
	size := v.weight()
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byKey[key]; ok {
		c.drop(el)
	}
	if size > c.limit {
		return
	}
	c.byKey[key] = c.recent.PushFront(&cached[V]{key, v, size})
	c.weight += size
	for c.weight > c.limit {
		c.drop(c.recent.Back())
	}
}

// drop forgets an element; c.mu is held.
func (c *cache[V]) drop(el *list.Element) {
	old := c.recent.Remove(el).(*cached[V])
	delete(c.byKey, old.key)
	c.weight -= old.size
}
