package mailstore

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"teraslot/mailbox"
)

// viewCache keeps records and UIDs of mailboxes, the last used ones within a
// bound of bytes. What it holds is shared and never changed.
type viewCache struct {
	limit int64

	mu    sync.Mutex
	size  int64                     // guarded by mu
	items map[viewKey]*list.Element // of *cacheItem; guarded by mu
	order *list.List                // last used first; guarded by mu
}

type viewKey struct {
	user mailbox.User
	id   mailbox.ID
}

// cached is a mailbox as of a mod-sequence: its records, or only its UIDs.
type cached struct {
	modseq  mailbox.ModSeq
	uids    []mailbox.UID    // nil if there are records and nobody asked for UIDs
	records []mailbox.Record // may be nil
	damaged []mailbox.UID    // live, and not among records; rising
	array   *Array           // under records
	deltas  []delta          // commits since modseq, without a gap
	// keywords is how many octets those of the records have.
	keywords int64
	// news is what the last step from an earlier view brought, if it was little: from and to
	// say which; changed alone is set.
	news delta
}

// maxNews is how many records news holds at most.
const maxNews = 64

// known reports whether there is anything.
func (c *cached) known() bool { return c.uids != nil || c.records != nil }

// Array stands for an array under the records of views, and has nothing to be read.
type Array struct {
	// used is the number of records that have been given out. Whoever moves it from the
	// length of his view may write behind it.
	used atomic.Int64
}

// delta is what one commit changed of a mailbox's records.
type delta struct {
	from, to mailbox.ModSeq   // HIGHESTMODSEQ before and after
	changed  []mailbox.Record // as they are after
	gone     []mailbox.UID
}

type cacheItem struct {
	key  viewKey
	view cached
	size int64 // of all
	// deltas is the part of size that lies in deltas added by note.
	deltas int64
}

func newViewCache(limit int64) *viewCache {
	return &viewCache{limit: limit, items: map[viewKey]*list.Element{}, order: list.New()}
}

// get returns what is known of a mailbox; the zero value if nothing is.
func (v *viewCache) get(k viewKey) cached {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := v.items[k]
	if e == nil {
		return cached{}
	}
	v.order.MoveToFront(e)
	return e.Value.(*cacheItem).view
}

// put keeps a view, unless a newer one is there. Deltas beyond it stay.
func (v *viewCache) put(k viewKey, c cached) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e := v.items[k]; e != nil {
		old := &e.Value.(*cacheItem).view
		if old.modseq > c.modseq || old.modseq == c.modseq && c.records == nil && old.records != nil {
			return
		}
		c.deltas = nil
		if i := slices.IndexFunc(old.deltas, func(d delta) bool { return d.from == c.modseq }); i >= 0 {
			c.deltas = old.deltas[i:]
		}
		v.remove(e)
	}
	size := sizeOf(c)
	if size > v.limit {
		return
	}
	v.items[k] = v.order.PushFront(&cacheItem{key: k, view: c, size: size})
	v.grow(size)
}

// grow counts more bytes, and forgets what is over the limit. v.mu is held.
func (v *viewCache) grow(size int64) {
	v.size += size
	for v.size > v.limit {
		v.remove(v.order.Back())
	}
}

// note adds a commit to what is known of a mailbox. Where it does not join on,
// or would cost as much as to read all records anew, the mailbox is forgotten.
func (v *viewCache) note(k viewKey, d delta) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := v.items[k]
	if e == nil {
		return
	}
	it := e.Value.(*cacheItem)
	end := it.view.modseq
	if n := len(it.view.deltas); n > 0 {
		end = it.view.deltas[n-1].to
	}
	if end >= d.to {
		return // whoever read the view saw the commit
	}
	size := sizeOfDelta(d)
	if end != d.from || it.deltas+size > max(it.size-it.deltas, minDeltas) {
		v.remove(e)
		return
	}
	it.view.deltas = append(it.view.deltas, d)
	it.size += size
	it.deltas += size
	v.grow(size)
}

// minDeltas are the bytes of deltas that even a small mailbox may have.
const minDeltas = 1 << 20

// remove forgets an item. v.mu is held.
func (v *viewCache) remove(e *list.Element) {
	it := v.order.Remove(e).(*cacheItem)
	delete(v.items, it.key)
	v.size -= it.size
}

// forget drops all views of a user.
func (v *viewCache) forget(u mailbox.User) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for k, e := range v.items {
		if k.user == u {
			v.remove(e)
		}
	}
}

// sizeOf estimates the bytes that a view keeps from being freed.
func sizeOf(c cached) int64 {
	n := int64(cap(c.uids))*int64(unsafe.Sizeof(mailbox.UID(0))) + 256 + c.keywords
	n += int64(cap(c.records)+cap(c.news.changed)) * int64(unsafe.Sizeof(mailbox.Record{}))
	for _, d := range c.deltas {
		n += sizeOfDelta(d)
	}
	return n
}

func sizeOfDelta(d delta) int64 {
	return sizeOf(cached{uids: d.gone, records: d.changed, keywords: keywordsOf(d.changed)})
}

// keywordsOf is how many octets the records' keywords have.
func keywordsOf(records []mailbox.Record) (n int64) {
	for i := range records {
		n += int64(len(records[i].Flags.Keywords))
	}
	return n
}
