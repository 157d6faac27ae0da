package mailstore

import "sync"

// maxReaders bounds the connections that read one user's mail at once.
const maxReaders = 4

// connections are those that one user's mail.db has open. Each costs memory, and
// opening it reads the schema, so most users have one: while nobody writes, the
// writer's connection serves a reader. Nobody waits for it: a writer who finds it lent
// leaves it to the readers and opens another, and from then on there are two.
type connections struct {
	mu      sync.Mutex
	readers []*conn // for reading, that nobody uses; the last used last; guarded by mu
	writing bool    // Mail.writer is in use by who has the turn; guarded by mu
	lent    bool    // Mail.writer is in use by a reader; guarded by mu
}

// takeReader takes a connection for reading, or opens one. Give it back by putReader or
// dropReader.
func (m *Mail) takeReader() (*conn, error) {
	if c := m.freeReader(); c != nil {
		return c, nil
	}
	return m.connect()
}

// freeReader takes an open connection that nobody uses; nil if there is none.
func (m *Mail) freeReader() *conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.readers); n > 0 {
		c := m.readers[n-1]
		m.readers = m.readers[:n-1]
		return c
	}
	if m.writing || m.lent || m.writer == nil {
		return nil
	}
	m.lent = true
	return m.writer
}

// putReader gives back a connection that has no transaction open.
func (m *Mail) putReader(c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lent && c == m.writer {
		m.lent = false
		return
	}
	m.readers = append(m.readers, c)
}

// dropReader closes a connection instead of giving it back.
func (m *Mail) dropReader(c *conn) error {
	m.mu.Lock()
	if m.lent && c == m.writer {
		m.writer, m.lent = nil, false
		m.known.Store(nil) // it is the connection's
	}
	m.mu.Unlock()
	return c.close()
}

// connectWriter makes sure that there is a connection for writing, and that no reader
// uses it. The writer's turn is held, until restWriter.
func (m *Mail) connectWriter() (err error) {
	m.mu.Lock()
	m.writing = true
	if m.lent {
		m.writer, m.lent = nil, false
		m.known.Store(nil)
	}
	m.mu.Unlock()
	if m.broken.Load() != nil && m.stillBroken() == nil {
		m.abandonWriter() // what it has in memory may be part of the damage
	}
	if m.writer == nil {
		m.writer, err = m.connect()
	}
	return err
}

// restWriter lets readers have the writer's connection. The turn is still held.
func (m *Mail) restWriter() {
	m.mu.Lock()
	m.writing = false
	m.mu.Unlock()
}
