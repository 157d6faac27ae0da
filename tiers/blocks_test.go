package tiers

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"teraslot/text"
)

func TestBlockCache(t *testing.T) {
	c := newBlockCache(10_000)
	key := func(n int) blockKey { return blockKey{segmentKey{number: uint64(n % 2)}, bodyStream, uint32(n)} }
	raw := strings.Repeat("x", 1000)
	for n := range 100 {
		c.put(key(n), raw)
		c.get(key(0)) // used all the time: it stays
	}
	if c.size > c.limit || c.size < c.limit-2000 || len(c.blocks) != c.recent.Len() || int64(len(c.blocks))*(1000+blockOverhead) != c.size {
		t.Errorf("%d blocks of %d octets within %d", len(c.blocks), c.size, c.limit)
	}
	if _, ok := c.get(key(0)); !ok {
		t.Error("what is used most is gone")
	}
	if _, ok := c.get(key(1)); ok {
		t.Error("what was not used is there")
	}
	before := c.size
	if c.put(key(0), raw); c.size != before {
		t.Error("a block is counted twice")
	}
	if c.put(key(200), strings.Repeat("x", 5000)); c.size != before {
		t.Error("half of the cache is one block")
	}
	c.forget(segmentKey{number: 0})
	c.forget(segmentKey{number: 1})
	if c.size != 0 || len(c.blocks) != 0 || c.recent.Len() != 0 {
		t.Errorf("%d octets of segments that are gone", c.size)
	}
	none := newBlockCache(-1)
	if none.put(key(1), ""); none.size != 0 {
		t.Error("a cache of nothing keeps something")
	}
}

func TestBlockCacheAtOnce(t *testing.T) {
	c := newBlockCache(50_000)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for n := range 2000 {
				k := blockKey{segmentKey{number: uint64(n % 3)}, n % 2, uint32(n * (w + 1) % 97)}
				if raw, ok := c.get(k); ok && raw != fmt.Sprint(k) {
					t.Errorf("%v is %q", k, raw)
				}
				if c.put(k, fmt.Sprint(k)); n%500 == 0 {
					c.forget(k.segment)
				}
			}
		})
	}
	all.Wait()
}

// What was unpacked is not unpacked again, and not kept when its database is gone.
func TestTextsAreRemembered(t *testing.T) {
	set := newSet(t, testOptions(t.TempDir()))
	x := set.User(testUser)
	commit(t, x, docsOf(0, 50)...)
	k := text.NewKey(text.InText, "", "no such phrase")
	for range 2 {
		lookUp(t, x, k)
	}
	first := set.texts.size
	if first == 0 {
		t.Fatal("nothing is remembered")
	}
	if lookUp(t, x, k); set.texts.size != first {
		t.Errorf("%d octets, then %d", first, set.texts.size)
	}
	if err := x.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	set.dropStale()
	if set.texts.size != 0 {
		t.Errorf("%d octets of mail that was removed are remembered", set.texts.size)
	}
}
