package lmtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
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
	protocol := s.protocol(work)
	stopped := make(chan struct{})
	defer close(stopped)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		select {
		case <-ctx.Done():
		case <-stopped:
		}
		l.Close() // an error leaves Accept to report what is wrong
	}()
	err := protocol.Serve(&listener{l, s, ctx})
	if ctx.Err() != nil {
		err = nil
	}
	s.drain(l, protocol, hard)
	if err != nil {
		return fmt.Errorf("lmtp on %s: %w", l.Addr(), err)
	}
	<-closed
	return nil
}

// drain lets the connections of a listener finish, and after the grace ends them.
func (s *Server) drain(l net.Listener, protocol *smtp.Server, hard func()) {
	s.each(l, (*conn).stop)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Its error is that l is closed already.
		_ = protocol.Shutdown(context.Background())
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

// protocol is the dialogue of one listener. Deadlines and the lengths of lines
// are conn's business: the library's bound a whole message by one deadline, and
// its lines by 2000 octets, where mail has longer ones.
func (s *Server) protocol(work context.Context) *smtp.Server {
	p := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return s.newSession(work, c)
	}))
	p.LMTP = true
	p.Domain = s.o.Name
	p.MaxMessageBytes = s.o.MaxMessage
	p.MaxRecipients = s.o.MaxRecipients
	p.MaxLineLength = 0
	p.TLSConfig = s.o.TLS
	p.EnableSMTPUTF8 = true
	p.ErrorLog = slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelWarn)
	return p
}
