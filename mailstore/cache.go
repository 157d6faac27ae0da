package mailstore

import (
	"container/list"
	"sync"
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

// cached is a mailbox as of a mod-sequence. records may be nil, uids then not.
type cached struct {
	modseq  mailbox.ModSeq
	uids    []mailbox.UID
	records []mailbox.Record
}

type cacheItem struct {
	key  viewKey
	view cached
	size int64
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

// put keeps a view, unless a newer one is there.
func (v *viewCache) put(k viewKey, c cached) {
	size := sizeOf(c)
	v.mu.Lock()
	defer v.mu.Unlock()
	if e := v.items[k]; e != nil {
		it := e.Value.(*cacheItem)
		if it.view.modseq > c.modseq || it.view.modseq == c.modseq && c.records == nil {
			return
		}
		v.remove(e)
	}
	if size > v.limit {
		return
	}
	v.items[k] = v.order.PushFront(&cacheItem{k, c, size})
	v.size += size
	for v.size > v.limit {
		v.remove(v.order.Back())
	}
}

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

// sizeOf estimates the bytes that a view keeps from being freed. Keywords of
// records are mostly few and short.
func sizeOf(c cached) int64 {
	n := int64(cap(c.uids))*int64(unsafe.Sizeof(mailbox.UID(0))) + 256
	n += int64(cap(c.records)) * int64(unsafe.Sizeof(mailbox.Record{}))
	for i := range c.records {
		n += int64(len(c.records[i].Flags.Keywords))
	}
	return n
}
