package mailstore

import (
	"math"
	"sync"

	"teraslot/mailbox"
)

// vetted remembers which mailboxes were found whole since the process began. Mail
// for one that cannot be read must not be acknowledged, and the pages of mail.db that
// a delivery itself meets are few: so the first delivery to a mailbox counts its
// records, which takes some 0.2 s for a million of them. Whoever may put another
// mail.db in the place of one forgets what was found.
type vetted struct {
	mu   sync.Mutex // guards what follows
	good map[viewKey]struct{}
	// told are those whose damage was told of, and users whose mail.db is damaged as a whole.
	told map[viewKey]struct{}
}

// maxVetted bounds the memory, some 100 octets each; beyond it all are counted anew.
const maxVetted = 100_000

func (v *vetted) has(k viewKey) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.good[k]
	return ok
}

func (v *vetted) add(k viewKey) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.good == nil || len(v.good) >= maxVetted {
		v.good = make(map[viewKey]struct{})
	}
	v.good[k] = struct{}{}
}

// tell reports whether the damage of a mailbox was not told of before.
func (v *vetted) tell(k viewKey) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, told := v.told[k]; told {
		return false
	}
	if v.told == nil || len(v.told) >= maxVetted {
		v.told = make(map[viewKey]struct{})
	}
	v.told[k] = struct{}{}
	return true
}

// forget makes the mailboxes of a user be counted again, and told of again.
func (v *vetted) forget(u mailbox.User) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, known := range []map[viewKey]struct{}{v.good, v.told} {
		for k := range known {
			if k.user == u {
				delete(known, k)
			}
		}
	}
}

// vet makes sure that a mailbox which mail is delivered to can be read.
func (t *txn) vet(b *box) error {
	k := viewKey{t.m.user, b.ID}
	if t.m.s.vetted.has(k) {
		return nil
	}
	n, err := t.c.integer(`SELECT count(*) FROM message WHERE id BETWEEN ? AND ?`, rowID(b.row, 0), rowID(b.row, math.MaxUint32))
	if err != nil {
		return err
	}
	// What this transaction added is counted on both sides.
	if n != int64(b.Counts.Exists) {
		return t.m.damage(b.ID, 0, errCount)
	}
	t.m.s.vetted.add(k)
	return nil
}
