package imapd

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// errStopping is what a read of a new command returns when the server stops.
var errStopping = errors.New("the server is stopping")

// past is a deadline that interrupts a read at once.
var past = time.Unix(1, 0)

// aheadLimit bounds what a watch reads while a command runs.
const aheadLimit = 8 << 10

// phase says what a read waits for, which decides how long it may.
type phase uint8

const (
	// between: for a command; a stopping server does not wait for one.
	between phase = iota
	// inCommand: for the rest of a command, until a deadline.
	inCommand
	// inMessage: for an appended message, as long as it makes progress.
	inMessage
)

// conn is the connection below the codec. It sets the deadlines, lets a
// stopping server interrupt a session that waits for a command, and reads ahead
// while a command runs to notice a client that goes away.
//
// All but interrupt and cut belong to the session's goroutine.
type conn struct {
	raw    net.Conn // as accepted
	stream net.Conn // raw, or TLS over it
	limits *Limits

	ahead    []byte // read by a watch and not yet asked for
	aheadErr error  // what ended reading ahead; follows ahead
	deadline time.Time
	written  int64

	mu       sync.Mutex // guards the fields below
	phase    phase
	stopping bool
}

func newConn(raw net.Conn, l *Limits) *conn {
	return &conn{raw: raw, stream: raw, limits: l}
}

// secure makes the connection one of TLS, within the limit for handshakes.
func (c *conn) secure(config *tls.Config) error {
	t := tls.Server(c.raw, config)
	if err := c.raw.SetDeadline(time.Now().Add(c.limits.Handshake)); err != nil {
		return err
	}
	if err := t.Handshake(); err != nil {
		return err
	}
	c.stream = t
	return c.raw.SetDeadline(time.Time{})
}

// await begins the wait for a command, which has to begin before until.
func (c *conn) await(until time.Time) {
	c.deadline = until
	c.setPhase(between)
}

// running notes that a command was read: from now on a stopping server waits
// for it.
func (c *conn) running() { c.setPhase(inCommand) }

// message begins the reading of a message's octets; end tells that they are over.
func (c *conn) message() { c.setPhase(inMessage) }

func (c *conn) messageEnd() {
	c.deadline = time.Now().Add(c.limits.Command)
	c.setPhase(inCommand)
}

func (c *conn) setPhase(p phase) {
	c.mu.Lock()
	c.phase = p
	c.mu.Unlock()
}

// Read implements io.Reader.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		return n, nil
	}
	if c.aheadErr != nil {
		return 0, c.aheadErr
	}
	if err := c.arm(); err != nil {
		return 0, err
	}
	n, err := c.stream.Read(p)
	if n > 0 {
		c.began()
	}
	if err != nil && n == 0 && c.isStopping() && errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, errStopping
	}
	return n, err
}

// arm sets the deadline of the next read.
func (c *conn) arm() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == between && c.stopping {
		return errStopping
	}
	d := c.deadline
	if c.phase == inMessage {
		d = time.Now().Add(c.limits.Stall)
	}
	return c.stream.SetReadDeadline(d)
}

// began notes that a command's first octets have come.
func (c *conn) began() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != between {
		return
	}
	c.phase = inCommand
	if d := time.Now().Add(c.limits.Command); c.deadline.IsZero() || d.Before(c.deadline) {
		c.deadline = d
	}
}

func (c *conn) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// interrupt makes the session end when it waits for a command, now or next.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	if c.phase == between {
		// An error means that the connection is closed, which ends the wait too.
		_ = c.raw.SetReadDeadline(past)
	}
}

// cut ends the connection under whatever the session does.
func (c *conn) cut() { _ = c.raw.Close() }

// writeChunk is how much a client has to take within Limits.Write.
const writeChunk = 32 << 10

// Write implements io.Writer.
func (c *conn) Write(p []byte) (int, error) {
	done := 0
	for len(p) > 0 {
		chunk := p[:min(len(p), writeChunk)]
		if err := c.stream.SetWriteDeadline(time.Now().Add(c.limits.Write)); err != nil {
			return done, err
		}
		n, err := c.stream.Write(chunk)
		done += n
		c.written += int64(n)
		if err != nil {
			return done, err
		}
		p = p[n:]
	}
	return done, nil
}

// watch is a reading ahead while a command runs.
type watch struct {
	c     *conn
	ready chan struct{} // closed when octets or an error have come
	done  chan struct{} // closed when the reading has ended
}

// watch starts to read ahead. It calls lost if the connection ends. The caller
// must call stop, and not use the connection for reading before.
func (c *conn) watch(lost func(error)) *watch {
	w := &watch{c, make(chan struct{}), make(chan struct{})}
	if len(c.ahead) > 0 || c.aheadErr != nil {
		close(w.ready)
	}
	if c.aheadErr != nil || c.stream.SetReadDeadline(time.Time{}) != nil {
		close(w.done)
		return w
	}
	go w.run(lost)
	return w
}

func (w *watch) run(lost func(error)) {
	defer close(w.done)
	c, told := w.c, len(w.c.ahead) > 0
	tell := func() {
		if !told {
			close(w.ready)
			told = true
		}
	}
	var buf [512]byte
	for len(c.ahead) < aheadLimit {
		n, err := c.stream.Read(buf[:])
		c.ahead = append(c.ahead, buf[:n]...)
		if n > 0 {
			tell()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return // by stop
		}
		if err != nil {
			c.aheadErr = err
			tell()
			lost(err)
			return
		}
	}
}

// stop ends the reading ahead and returns when it has ended.
func (w *watch) stop() {
	_ = w.c.stream.SetReadDeadline(past)
	<-w.done
}
