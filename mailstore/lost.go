package mailstore

import (
	"errors"
	"sync"

	"teraslot/mailbox"
	"teraslot/sealed"
)

// What is left of a WAL whose end was cut off looks like what a crash leaves: SQLite takes it, and the commits behind the cut never were. After a
// start nobody can tell. But where somebody cuts it under a process that runs, that one knows how far it was: SQLite fails to read the pages that are gone,
// the connection is closed, and the next one, if no other has the file open, reads the WAL anew. Mail that went on from there would give UIDs and
// mod-sequences to something else than clients know by them. So each connection is asked how far mail.db is before it is used.

// errLost: mail.db was farther than it is.
var errLost = errors.New("changes that were committed, and told of, since the process began are not in it any longer: run slotctl verify --repair")

// highest are the mod-sequences that the users' mail.db had come to when this process, which alone writes them, saw them last.
type highest struct {
	mu sync.Mutex // guards what follows
	of map[mailbox.User]mailbox.ModSeq
}

// rise notes how far a user's mail.db is.
func (h *highest) rise(u mailbox.User, to mailbox.ModSeq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = make(map[mailbox.User]mailbox.ModSeq)
	}
	h.of[u] = max(h.of[u], to)
}

// seen is how far it was.
func (h *highest) seen(u mailbox.User) mailbox.ModSeq {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[u]
}

// forget is for who has put another mail.db in the place of one, or removed it.
func (h *highest) forget(u mailbox.User) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.of, u)
}

// connect opens a connection, and fails with a Damage that is errLost if mail.db has lost commits.
func (m *Mail) connect() (*conn, error) {
	c, err := openConn(m.path, m.s.o.ReadOnly)
	if err != nil {
		return nil, err
	}
	if err := m.checkHighest(c); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (m *Mail) checkHighest(c *conn) error {
	if !m.published {
		return nil
	}
	seen := m.s.highest.seen(m.user) // before it is read: others may commit meanwhile
	n, err := c.integer("SELECT modseq FROM {account}")
	switch {
	case errors.Is(err, sealed.ErrRow):
		return nil // whoever uses it tells of that
	case err != nil:
		return err
	case mailbox.ModSeq(n) < seen:
		return &Damage{User: m.user, Err: errLost}
	}
	m.s.highest.rise(m.user, mailbox.ModSeq(n))
	return nil
}

// lost is the Damage that is errLost, if somebody met it: nobody else is to have this mail.
func (m *Mail) lost() error {
	if d := m.broken.Load(); d != nil && errors.Is(d, errLost) {
		return d
	}
	return nil
}

// hasLost reports whether a mail.db that nobody has open, and whose WAL is not damaged but at its end, has lost commits.
func (s *Store) hasLost(u mailbox.User) bool {
	m := newMail(s, &entry{user: u}, s.databasePath(u))
	c, err := m.connect()
	if err == nil {
		err = c.close()
	}
	return errors.Is(err, errLost)
}
