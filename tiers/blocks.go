package tiers

import (
	linked "container/list"
	"sync"
)

// blockKey names an unpacked block of kept text for good: segments never change.
type blockKey struct {
	segment segmentKey
	stream  int
	block   uint32
}

// blockCache keeps the blocks of kept text that were unpacked last: the phrases that
// have many candidates are those of frequent words, and lead to the same blocks again
// and again. To unpack one takes ten times as long as to look through it.
type blockCache struct {
	limit int64 // octets of text

	mu     sync.Mutex // guards what follows; nothing is unpacked under it
	size   int64
	blocks map[blockKey]*linked.Element // of cachedBlock
	recent linked.List                  // front: used last
}

type cachedBlock struct {
	key blockKey
	raw string
}

// blockOverhead is about what a block takes beside its text.
const blockOverhead = 200

// newBlockCache makes a cache of so many octets; none if they are negative.
func newBlockCache(limit int64) *blockCache {
	return &blockCache{limit: limit, blocks: map[blockKey]*linked.Element{}}
}

func (c *blockCache) get(k blockKey) (raw string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.blocks[k]
	if !ok {
		return "", false
	}
	c.recent.MoveToFront(el)
	return el.Value.(cachedBlock).raw, true
}

// put keeps a block. One that would take a quarter of the cache is not kept.
func (c *blockCache) put(k blockKey, raw string) {
	if int64(len(raw))+blockOverhead > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.blocks[k]; there {
		return // another goroutine was faster
	}
	c.blocks[k] = c.recent.PushFront(cachedBlock{k, raw})
	c.size += int64(len(raw)) + blockOverhead
	for c.size > c.limit {
		c.drop(c.recent.Back())
	}
}

// drop forgets a block; mu is held.
func (c *blockCache) drop(el *linked.Element) {
	b := c.recent.Remove(el).(cachedBlock)
	delete(c.blocks, b.key)
	c.size -= int64(len(b.raw)) + blockOverhead
}

// forget drops the blocks of a segment that was closed: nobody asks for them again,
// and what was deleted shall not stay in memory.
func (c *blockCache) forget(segment segmentKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, el := range c.blocks {
		if k.segment == segment {
			c.drop(el)
		}
	}
}
