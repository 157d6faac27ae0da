package mailstore

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"
)

// recheck remembers when a mail.db that was found malformed was last looked at again.
type recheck struct {
	mu   sync.Mutex // guards what follows, and is held while it is looked at
	next time.Time
}

// Between two looks at a malformed mail.db, which read all of it, this many times as long
// as the last one took has to pass, and at least a second.
const recheckRest = 20

// stillBroken returns the damage for which nothing is written. SQLite tells a disk's
// error of reading from damage by nothing: what may have passed is looked at again.
func (m *Mail) stillBroken() *Damage {
	d := m.broken.Load()
	if d == nil || !databaseDamaged(d) {
		return d // counters that do not match do not come right by themselves
	}
	m.recheck.mu.Lock()
	defer m.recheck.mu.Unlock()
	start := m.s.o.Now()
	if wait := m.recheck.next.Sub(start); wait > 0 && wait < time.Hour { // else the clock was set back
		return d
	}
	err := m.readsWhole()
	m.recheck.next = m.s.o.Now().Add(max(time.Second, recheckRest*m.s.o.Now().Sub(start)))
	if err != nil || !m.broken.CompareAndSwap(d, nil) {
		return d
	}
	m.s.vetted.forget(m.user)
	m.s.o.Logger.Warn("mail.db is whole: it could not be read for a time, and is written to again", "user", m.user)
	return nil
}

// readsWhole reads all of mail.db, by a connection that has nothing of it in memory.
func (m *Mail) readsWhole() (err error) {
	c, err := openConn(m.path, m.s.o.ReadOnly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return c.each("PRAGMA integrity_check", func(row []driver.Value) error {
		if s := text(row[0]); s != "ok" {
			return fmt.Errorf("mail.db: %s", s)
		}
		return nil
	})
}
