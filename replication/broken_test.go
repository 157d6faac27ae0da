package replication

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
)

// stuckConn is a connection that takes no octet any longer from some moment on.
type stuckConn struct {
	net.Conn
	stuck atomic.Bool
	once  sync.Once
	met   chan struct{} // closed when a Write was stuck
	end   chan struct{} // closed when it fails
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.stuck.Load() {
		c.once.Do(func() { close(c.met) })
		<-c.end
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// TestBrokenCallIsNotRepeated: of a call that the line breaks before its first octet went out, what
// was given to gRPC is not taken for all of it over the next line.
func TestBrokenCallIsNotRepeated(t *testing.T) {
	id := identities(t)
	a, b := newNode(t, "a", id), newNode(t, "b", id)
	a.serve(true)
	b.serve(false, "a")
	u := a.user("anna")
	c := a.client(b)
	must(t, c.conn.Close())
	first := &stuckConn{met: make(chan struct{}), end: make(chan struct{})}
	var dialed atomic.Int32
	conn, err := connect(&c.o, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		var d net.Dialer
		x, err := d.DialContext(ctx, "tcp", address)
		if dialed.Add(1) > 1 || err != nil {
			return x, err
		}
		first.Conn = x
		return first, nil
	}))
	must(t, err)
	c.conn = conn
	a.sync(c, u)

	first.stuck.Store(true)
	before, err := c.dial(t.Context(), callApply) // whose head is stuck
	must(t, err)
	defer before.end()
	<-first.met
	x, err := c.dial(t.Context(), callApply)
	must(t, err)
	defer x.end()
	account, err := a.accounts.Entry(t.Context(), u)
	must(t, err)
	begin := begin{account: account}
	must(t, x.SendMsg(begin.frame()))
	must(t, first.Conn.Close())
	close(first.end)
	for err == nil { // until gRPC knows that the line is broken
		err = x.SendMsg(&frame{kindData, make([]byte, 1<<10)})
	}
	must(t, x.CloseSend())
	f, err := receive(x)
	if err == nil {
		t.Fatalf("an answer came of kind %d", f.kind)
	}
	if err := c.failed(err); !Unreachable(err) {
		t.Errorf("%v", err)
	}
	a.deliver(u, "INBOX", letter(1))
	a.sync(c, u) // over the next line
	same(t, u, a, b)
	if dialed.Load() < 2 {
		t.Error("nothing was dialed anew")
	}
}
