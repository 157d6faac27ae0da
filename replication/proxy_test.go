package replication

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy is a line between two slots that can be cut, silenced and slowed.
type proxy struct {
	t      testing.TB
	l      net.Listener
	to     string
	group  sync.WaitGroup
	mu     sync.Mutex
	conns  map[net.Conn]bool // guarded by mu
	silent bool              // guarded by mu: what comes is swallowed, and nobody is told
	limit  int               // guarded by mu: octets after which a connection is cut; 0: none
	delay  time.Duration     // guarded by mu: before each piece is passed on
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{t: t, l: l, to: to, conns: map[net.Conn]bool{}}
	p.group.Add(1)
	go p.accept()
	t.Cleanup(func() {
		must(t, l.Close())
		p.cut()
		p.group.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) accept() {
	defer p.group.Done()
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = true, true
		p.mu.Unlock()
		p.group.Add(2)
		go p.pass(in, out)
		go p.pass(out, in)
	}
}

// pass carries octets in one direction until the connection ends, or has to.
func (p *proxy) pass(from, to net.Conn) {
	defer p.group.Done()
	defer p.drop(from, to)
	buf := make([]byte, 4<<10)
	sent := 0
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		silent, limit, delay := p.silent, p.limit, p.delay
		p.mu.Unlock()
		if delay > 0 {
			timer := time.NewTimer(delay)
			<-timer.C
		}
		if sent += n; limit > 0 && sent > limit {
			return
		}
		if n > 0 && !silent {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) && silent {
				continue
			}
			return
		}
	}
}

func (p *proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
		_ = c.Close() // the other direction may have been first
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) set(silent bool, limit int, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent, p.limit, p.delay = silent, limit, delay
}

// within is a context for tests of lines that are silent.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
