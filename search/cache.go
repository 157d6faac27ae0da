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

// cache keeps the latest joins, the least recently used going first once their
// weight is over the limit. A join that alone is over it is not kept.
type cache struct {
	limit int64

	mu     sync.Mutex // guards what follows
	weight int64
	byKey  map[mailboxKey]*list.Element // of *cached
	recent list.List                    // front: used last
}

type cached struct {
	key  mailboxKey
	join *join
}

func newCache(limit int64) *cache {
	return &cache{limit: limit, byKey: make(map[mailboxKey]*list.Element)}
}

// get returns the last join of the mailbox that is kept, or nil.
func (c *cache) get(key mailboxKey) *join {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byKey[key]
	if !ok {
		return nil
	}
	c.recent.MoveToFront(el)
	return el.Value.(*cached).join
}

// put keeps j in place of the mailbox's join before.
func (c *cache) put(key mailboxKey, j *join) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byKey[key]; ok {
		c.drop(el)
	}
	if j.weight() > c.limit {
		return
	}
	c.byKey[key] = c.recent.PushFront(&cached{key, j})
	c.weight += j.weight()
	for c.weight > c.limit {
		c.drop(c.recent.Back())
	}
}

// drop forgets an element; c.mu is held.
func (c *cache) drop(el *list.Element) {
	old := c.recent.Remove(el).(*cached)
	delete(c.byKey, old.key)
	c.weight -= old.join.weight()
}
