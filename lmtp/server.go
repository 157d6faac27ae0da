package lmtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Server delivers mail that comes over any number of listeners.
type Server struct {
	o       Options
	metrics *metrics
	seen    *duplicates // nil if duplicates are stored
	inboxes inboxes

	mu    sync.Mutex         // guards conns
	conns map[*conn]struct{} // open connections
}

// New returns a server that serves nothing yet.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if o.Store == nil || o.Accounts == nil {
		return nil, errors.New("lmtp: no store or no accounts given")
	}
	s := &Server{o: o, conns: make(map[*conn]struct{})}
	if o.Duplicates > 0 {
		s.seen = newDuplicates(o.Duplicates, o.Now)
	}
	var err error
	s.metrics, err = newMetrics(o.Registerer)
	return s, err
}

// Serve takes connections from l until ctx ends, then stops as the package
// documentation says and returns nil. It closes l. It may run for several
// listeners at once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// Messages in flight outlive ctx: hard ends them when the grace is over.
	work, hard := context.WithCancel(context.WithoutCancel(ctx))
	defer hard()
	stop, stopped := context.WithCancel(ctx)
	defer stopped()
	var closing, sessions sync.WaitGroup
	closing.Go(func() {
		<-stop.Done()
		_ = l.Close() // an error leaves Accept to report what is wrong
	})
	err := s.accept(stop, l, func(c *conn) {
		sessions.Go(func() { newSession(work, s, c).run() })
	})
	stopped()
	closing.Wait()
	s.drain(l, &sessions, hard)
	return err
}

// accept hands the connections that there is a place for to begin, until stop ends
// or the listener fails.
func (s *Server) accept(stop context.Context, l net.Listener, begin func(*conn)) error {
	for delay := time.Duration(0); ; {
		raw, err := l.Accept()
		switch {
		case stop.Err() != nil:
			if err == nil {
				_ = raw.Close()
			}
			return nil
		case temporary(err):
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.o.Logger.Warn("lmtp: accepting failed", "listener", l.Addr().String(), "delay", delay, "err", err)
			pause(stop, delay)
			continue
		case err != nil:
			return fmt.Errorf("lmtp on %s: %w", l.Addr(), err)
		}
		delay = 0
		c := &conn{Conn: raw, server: s, from: l}
		if !s.admit(c) {
			refuse(raw, s.o.Name)
			continue
		}
		begin(c)
	}
}

// temporary reports whether accepting may work again: the machine is short of
// something, or a client left while it waited.
func temporary(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.EINTR, syscall.EPROTO}, func(e error) bool { return errors.Is(err, e) })
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// drain lets the sessions of a listener finish, and after the grace ends them.
func (s *Server) drain(l net.Listener, sessions *sync.WaitGroup, hard func()) {
	s.each(l, (*conn).stop)
	done := make(chan struct{})
	go func() {
		defer close(done)
		sessions.Wait()
	}()
	grace := time.NewTimer(s.o.Grace)
	defer grace.Stop()
	select {
	case <-done:
		return
	case <-grace.C:
	}
	s.o.Logger.Warn("lmtp: messages in flight took too long and were cut off", "grace", s.o.Grace)
	hard()
	s.each(l, func(c *conn) { c.Close() })
	<-done
}

// each does something with the connections of a listener, without a lock.
func (s *Server) each(l net.Listener, do func(*conn)) {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		if c.from == l {
			all = append(all, c)
		}
	}
	s.mu.Unlock()
	for _, c := range all {
		do(c)
	}
}
