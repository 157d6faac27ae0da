package mailstore

import (
	"container/list"
	"sync"

	"teraslot/mailbox"
)

// contentCache keeps what was read of contents, the last used ones within a bound
// of bytes: their encoded structures, and where their bytes lie. A content's
// number is never used twice and its structure never changes; its place does, when
// a pack is written anew, and whoever reads there compares the GUID.
type contentCache struct {
	limit int64

	mu      sync.Mutex
	size    int64                      // guarded by mu
	shelves map[shelfKey]*list.Element // of *shelf; guarded by mu
	order   *list.List                 // last used first; guarded by mu
}

// shelf holds contents with neighbouring numbers, which most often are asked for
// together.
type shelf struct {
	key        shelfKey
	structures [shelfWidth]string // "" where it is not known
	spots      [shelfWidth]spot
	size       int64
}

type shelfKey struct {
	user mailbox.User
	n    uint32 // the contents' numbers divided by shelfWidth
}

// spot is where a frame begins. Pack 0, which is never used, stands for not known.
type spot struct {
	where place
	pack  uint64
	start int64
}

const (
	shelfWidth = 64
	// shelfSize is what an empty shelf takes, in bytes.
	shelfSize = shelfWidth*40 + 256
)

func newContentCache(limit int64) *contentCache {
	return &contentCache{limit: limit, shelves: map[shelfKey]*list.Element{}, order: list.New()}
}

// structures fills in the structures that are known, and returns the positions of
// the others, sorted by their contents.
func (c *contentCache) structures(u mailbox.User, recs []mailbox.Record, out []string) (missing []int) {
	c.each(u, recs, func(i int, s *shelf) {
		if s != nil {
			out[i] = s.structures[recs[i].Num%shelfWidth]
		}
		if out[i] == "" {
			missing = append(missing, i)
		}
	})
	return sortByNum(recs, missing)
}

// keepStructures keeps the structures at some positions.
func (c *contentCache) keepStructures(u mailbox.User, recs []mailbox.Record, at []int, data []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range at {
		s := c.shelf(shelfKey{u, recs[i].Num / shelfWidth})
		old := &s.structures[recs[i].Num%shelfWidth]
		grown := int64(len(data[i]) - len(*old))
		*old = data[i]
		s.size += grown
		c.size += grown
	}
	c.shrink()
}

// spots fills in the places that are known, and returns the positions of the
// others, sorted by their contents.
func (c *contentCache) spots(u mailbox.User, recs []mailbox.Record, out []spot) (missing []int) {
	c.each(u, recs, func(i int, s *shelf) {
		if s != nil {
			out[i] = s.spots[recs[i].Num%shelfWidth]
		}
		if out[i].pack == 0 {
			missing = append(missing, i)
		}
	})
	return sortByNum(recs, missing)
}

// keepSpots keeps the places at some positions; the zero value forgets one.
func (c *contentCache) keepSpots(u mailbox.User, recs []mailbox.Record, at []int, spots []spot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range at {
		c.shelf(shelfKey{u, recs[i].Num / shelfWidth}).spots[recs[i].Num%shelfWidth] = spots[i]
	}
	c.shrink()
}

// each calls fn with the position of each record and the shelf of its content, or
// nil. fn is under the lock.
func (c *contentCache) each(u mailbox.User, recs []mailbox.Record, fn func(i int, s *shelf)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s *shelf
	for i := range recs {
		k := shelfKey{u, recs[i].Num / shelfWidth}
		if s == nil || s.key != k {
			s = nil
			if e := c.shelves[k]; e != nil {
				c.order.MoveToFront(e)
				s = e.Value.(*shelf)
			}
		}
		fn(i, s)
	}
}

// shelf returns the shelf of that key, or a new one. c.mu is held.
func (c *contentCache) shelf(k shelfKey) *shelf {
	if e := c.shelves[k]; e != nil {
		return e.Value.(*shelf)
	}
	s := &shelf{key: k, size: shelfSize}
	c.shelves[k] = c.order.PushFront(s)
	c.size += s.size
	return s
}

// shrink forgets what is over the limit. c.mu is held.
func (c *contentCache) shrink() {
	for c.size > c.limit {
		c.remove(c.order.Back())
	}
}

// remove forgets a shelf. c.mu is held.
func (c *contentCache) remove(e *list.Element) {
	s := c.order.Remove(e).(*shelf)
	delete(c.shelves, s.key)
	c.size -= s.size
}

// forget drops all of a user.
func (c *contentCache) forget(u mailbox.User) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.shelves {
		if k.user == u {
			c.remove(e)
		}
	}
}
