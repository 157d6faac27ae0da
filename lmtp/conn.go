package lmtp

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// refuse tells a client to come again. The few octets fit every socket's
// buffer, so that accepting does not wait for the client.
func refuse(c net.Conn, name string) {
	c.SetWriteDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(c, "421 4.3.2 %s has too many connections, try again later\r\n", name)
	c.Close()
}

func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= s.o.MaxConnections {
		s.metrics.refused.Inc()
		return false
	}
	s.conns[c] = struct{}{}
	s.metrics.connections.Inc()
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; ok {
		delete(s.conns, c)
		s.metrics.connections.Dec()
	}
}

// conn is a connection whose deadlines move with every octet, and which can be
// stopped between messages.
type conn struct {
	net.Conn
	server *Server
	from   net.Listener

	mu        sync.Mutex // guards all below
	receiving bool       // from DATA or BDAT to its replies
	stopping  bool
}

// Read reads with a fresh deadline. The session is over when the server stops
// and no message is in flight.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.beforeRead(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *conn) beforeRead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping && !c.receiving {
		return os.ErrDeadlineExceeded
	}
	return c.Conn.SetReadDeadline(time.Now().Add(c.server.o.Timeout))
}

// Write writes with a fresh deadline.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.server.o.Timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close also gives the connection's place to another.
func (c *conn) Close() error {
	c.server.leave(c)
	return c.Conn.Close()
}

// receive marks the first octet of a message.
func (c *conn) receive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receiving = true
}

// end marks the end of a message and its replies.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receiving = false
	c.interruptIfIdle()
}

// stop ends the session: now if no message is in flight, else after it.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	c.interruptIfIdle()
}

func (c *conn) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// interruptIfIdle wakes a Read that waits for a command. mu is held.
func (c *conn) interruptIfIdle() {
	if c.stopping && !c.receiving {
		// An error means that the connection is gone: Read will see it.
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}
