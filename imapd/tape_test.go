package imapd

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// tape is a connection whose client has said all beforehand and then is silent. Who
// reads on with a deadline is told that the client left; who reads without one, to
// notice that, waits until it gets a deadline.
type tape struct {
	mu     sync.Mutex // guards all below
	turned sync.Cond  // deadline or closed was set
	in     *bytes.Reader
	out    bytes.Buffer
	until  time.Time
	closed bool
}

func newTape(text string) *tape {
	t := &tape{in: bytes.NewReader([]byte(text))}
	t.turned.L = &t.mu
	return t
}

// said is what the server wrote.
func (t *tape) said() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.String()
}

func (t *tape) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		switch {
		case t.closed:
			return 0, net.ErrClosed
		case !t.until.IsZero() && !t.until.After(past):
			return 0, os.ErrDeadlineExceeded
		case t.in.Len() > 0:
			return t.in.Read(p)
		case !t.until.IsZero():
			return 0, io.EOF
		}
		t.turned.Wait()
	}
}

func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, net.ErrClosed
	}
	return t.out.Write(p)
}

func (t *tape) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.turned.Broadcast()
	return nil
}

func (t *tape) SetReadDeadline(until time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = until
	t.turned.Broadcast()
	return nil
}

func (t *tape) SetDeadline(until time.Time) error { return t.SetReadDeadline(until) }

func (t *tape) SetWriteDeadline(time.Time) error { return nil }

func (t *tape) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143} }

func (t *tape) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000} }
