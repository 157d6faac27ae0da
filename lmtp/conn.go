package lmtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// listener counts connections and wraps them.
type listener struct {
	net.Listener
	server *Server
	ctx    context.Context // of Serve: a connection accepted after its end is stopped at once
}

// Accept returns the next connection that there is a place for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, server: l.server, from: l.Listener}
		if !l.server.admit(c) {
			refuse(raw, l.server.o.Name)
			continue
		}
		if l.ctx.Err() != nil {
			c.stop()
		}
		return c, nil
	}
}

// refuse tells a client to come again. The few octets fit every socket's
// buffer, so that Accept does not wait for the client.
func refuse(c net.Conn, name string) {
	c.SetDeadline(time.Now().Add(time.Second)) // of reading too: a proxy's header may be due
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

// maxCommand bounds a command line in octets; RFC 5321 §4.5.3.1.4 wants 512 and
// more for extensions.
const maxCommand = 16 << 10

// conn is a connection whose deadlines move with every octet, whose lines are
// bounded as what is being read demands, and which can be stopped between
// messages.
type conn struct {
	net.Conn
	server *Server
	from   net.Listener

	mu          sync.Mutex // guards all below
	transaction bool       // from the first RCPT to the end of the message
	receiving   bool       // from DATA or BDAT to its replies
	stopping    bool
	lost        bool  // nothing more can be read
	line        int64 // octets since the last line end, or the end of a message
}

// Read reads with a fresh deadline. The session is over when the server stops
// and no message is in flight.
func (c *conn) Read(p []byte) (int, error) {
	limit, err := c.beforeRead()
	if err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if c.afterRead(p[:n], err) > limit {
		return 0, smtp.ErrTooLongLine
	}
	return n, err
}

// afterRead returns the length of the longest line met so far.
func (c *conn) afterRead(p []byte, err error) (longest int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = c.lost || err != nil
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.line += int64(len(p))
			return max(longest, c.line)
		}
		longest = max(longest, c.line+int64(i))
		c.line, p = 0, p[i+1:]
	}
	return longest
}

func (c *conn) beforeRead() (limit int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping && !c.receiving {
		return 0, os.ErrDeadlineExceeded
	}
	limit = maxCommand
	if c.transaction {
		// A message may be a single line, and its first octets may be read before
		// the session hears of it; BDAT commands come in between.
		limit = c.server.o.MaxMessage + maxCommand
	}
	return limit, c.Conn.SetReadDeadline(time.Now().Add(c.server.o.Timeout))
}

// whole reports whether the connection was there all the time. The library takes
// the end of a connection for the end of a BDAT chunk.
func (c *conn) whole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.lost
}

// begin marks the first recipient of a message.
func (c *conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transaction = true
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
	c.transaction, c.receiving, c.line = false, false, 0
	c.interruptIfIdle()
}

// stop ends the session: now if no message is in flight, else after it.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	c.interruptIfIdle()
}

// interruptIfIdle wakes a Read that waits for a command; the library then says
// 421 and closes. mu is held.
func (c *conn) interruptIfIdle() {
	if c.stopping && !c.receiving {
		// An error means that the connection is gone: Read will see it.
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// underlying finds our conn below a TLS layer.
func underlying(c net.Conn) (*conn, error) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	ours, ok := c.(*conn)
	if !ok {
		return nil, fmt.Errorf("lmtp: connection of type %T", c)
	}
	return ours, nil
}
