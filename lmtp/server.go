package lmtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"teraslot/accept"
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
	err := accept.Loop(stop, l, s.o.Logger, s.admitted(l, func(c *conn) {
		sessions.Go(func() { newSession(work, s, c).run() })
	}))
	if err != nil {
		err = fmt.Errorf("lmtp: %w", err)
	}
	stopped()
	closing.Wait()
	s.drain(l, &sessions, hard)
	return err
}

// admitted begins the connections that there is a place for, and refuses the others.
func (s *Server) admitted(l net.Listener, begin func(*conn)) func(net.Conn) {
	return func(raw net.Conn) {
		c := &conn{Conn: raw, server: s, from: l}
		if !s.admit(c) {
			refuse(raw, s.o.Name)
			return
		}
		begin(c)
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
