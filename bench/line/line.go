package line

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Fault is what is wrong with a line. The zero value is a good one.
type Fault struct {
	// Silent swallows what comes, and tells nobody: a line that is half open.
	Silent bool
	// Limit is after how many octets in one direction a connection is cut; 0: never.
	Limit int
	// Delay is the pause before each piece of up to 4 KiB is passed on.
	Delay time.Duration
}

// Line passes connections on to an address. Its methods may be called from any goroutine.
type Line struct {
	listener net.Listener
	to       string
	group    sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool // guarded by mu; nil after Close
	fault  Fault             // guarded by mu
	passed int64             // guarded by mu
}

// New begins to listen on a free port of the loopback interface.
func New(to string) (*Line, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Line{listener: l, to: to, conns: map[net.Conn]bool{}}
	p.group.Go(p.accept)
	return p, nil
}

// Address is where the line begins.
func (p *Line) Address() string { return p.listener.Addr().String() }

// Set makes a fault begin, or with the zero value end. It counts for all connections.
func (p *Line) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Cut ends all connections that there are.
func (p *Line) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close() // whoever reads or writes it is told
	}
}

// Passed is how many octets came out at the other end, in both directions.
func (p *Line) Passed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

// Close ends the line and all its connections, and returns when nothing of it runs.
func (p *Line) Close() error {
	err := p.listener.Close()
	p.Cut()
	p.mu.Lock()
	p.conns = nil // connections that are being made are dropped
	p.mu.Unlock()
	p.group.Wait()
	return err
}

func (p *Line) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = in.Close() // nobody is there
			continue
		}
		if !p.hold(in, out) {
			_ = errors.Join(in.Close(), out.Close())
			return
		}
		p.group.Go(func() { p.pass(in, out) })
		p.group.Go(func() { p.pass(out, in) })
	}
}

// hold notes connections, unless the line is closed.
func (p *Line) hold(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return false
	}
	for _, c := range conns {
		p.conns[c] = true
	}
	return true
}

// pass carries octets in one direction until the connection ends, or has to.
func (p *Line) pass(from, to net.Conn) {
	defer p.drop(from, to)
	buf := make([]byte, 4<<10)
	sent := 0
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		f := p.fault
		p.mu.Unlock()
		if f.Delay > 0 {
			timer := time.NewTimer(f.Delay)
			<-timer.C
		}
		if sent += n; f.Limit > 0 && sent > f.Limit {
			return
		}
		if n > 0 && !f.Silent {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
			p.mu.Lock()
			p.passed += int64(n)
			p.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

func (p *Line) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
		_ = c.Close() // the other direction may have been first
	}
}
