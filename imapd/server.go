package imapd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/accept"
	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
)

// Options say what a Server serves. Store, Searcher and Accounts are needed;
// every other field's zero value works.
type Options struct {
	Store    *mailstore.Store
	Searcher *search.Searcher
	Accounts *account.Accounts

	// TLS is for STARTTLS and for listeners with TLS from the start. It is
	// asked for a certificate at each handshake (GetCertificate), so one may be
	// replaced while the server runs. Nil: no TLS.
	TLS *tls.Config
	// PlainLogin lets clients log in without TLS. Passwords then pass in the
	// clear: for loopback and tests.
	PlainLogin bool
	Limits     Limits
	Logger     *slog.Logger     // nil: nothing is logged
	Now        func() time.Time // nil: time.Now
	// Name and Version are what ID tells; "" leaves them out.
	Name, Version string
	// ReadOnly lets clients read, and refuses whatever would change mail: the slot is a
	// copy of another.
	ReadOnly bool
	// Registerer gets the metrics; nil: they are not exported.
	Registerer prometheus.Registerer
}

// Server serves IMAP. Its methods may be called from any goroutine.
type Server struct {
	o         Options
	log       *slog.Logger
	hub       hub
	admission admission
	metrics   *metrics
	started   int64 // for session ids
	count     atomic.Uint64
}

// New returns a server that does nothing yet.
func New(o Options) *Server {
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	srv := &Server{o: o, log: o.Logger, started: o.Now().Unix()}
	srv.metrics = newMetrics(o.Registerer, &srv.admission)
	return srv
}

// Notify tells the sessions of a change after its commit. It does not block, and
// an event that is lost delays news until the session's next command.
func (srv *Server) Notify(ev mailbox.Event) { srv.hub.notify(ev) }

// ErrNoTLS is returned by Serve for a listener that needs TLS where Options has none.
var ErrNoTLS = errors.New("TLS is not configured")

// Serve accepts connections from l, with TLS from their first octet if
// implicitTLS is set, until ctx ends or l fails. Then it closes l, takes leave of
// all clients by BYE, lets commands in flight finish for Limits.Grace, cuts those
// that have not, and returns when the last session has ended. It may be called
// for several listeners at a time.
func (srv *Server) Serve(ctx context.Context, l net.Listener, implicitTLS bool) error {
	if implicitTLS && srv.o.TLS == nil {
		_ = l.Close()
		return fmt.Errorf("serving %v: %w", l.Addr(), ErrNoTLS)
	}
	// Sessions outlive the wish to stop, by Limits.Grace at most.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stop, stopped := context.WithCancel(ctx)
	defer stopped()
	var closing sync.WaitGroup
	closing.Go(func() {
		<-stop.Done()
		_ = l.Close()
	})
	p := &party{srv: srv, implicitTLS: implicitTLS, conns: make(map[*conn]struct{})}
	err := accept.Loop(stop, l, srv.log, func(raw net.Conn) {
		p.sessions.Go(func() { p.serve(work, stop, raw) })
	})
	if err != nil {
		err = fmt.Errorf("imap: %w", err)
	}
	stopped()
	closing.Wait()
	p.end(cut)
	return err
}

// party is the connections of one listener.
type party struct {
	srv         *Server
	implicitTLS bool
	sessions    sync.WaitGroup

	mu    sync.Mutex // guards below
	conns map[*conn]struct{}
	over  bool
}

// end ends the sessions: those that wait for a command at once, the others when
// their command is done or the time of grace is over.
func (p *party) end(cut context.CancelFunc) {
	p.each(true, (*conn).interrupt)
	done := make(chan struct{})
	go func() {
		p.sessions.Wait()
		close(done)
	}()
	t := time.NewTimer(p.srv.o.Limits.Grace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		cut()
		p.each(true, (*conn).cut)
		<-done
	}
}

// each calls fn for each connection; if over is set, enter takes no more.
func (p *party) each(over bool, fn func(*conn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = p.over || over
	for c := range p.conns {
		fn(c)
	}
}

// enter notes the connection; false if the party is over.
func (p *party) enter(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.conns[c] = struct{}{}
	}
	return !p.over
}

func (p *party) leave(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// serve serves one connection to its end.
func (p *party) serve(work, stop context.Context, raw net.Conn) {
	srv := p.srv
	c := newConn(raw, &srv.o.Limits)
	defer func() {
		if fault := recover(); fault != nil {
			// One session's fault must not end everyone's.
			srv.log.Error("imap: fault in a session", "address", address(raw), "fault", fault, "stack", string(debug.Stack()))
		}
		_ = c.stream.Close() // the client knows, or it is too late
	}()
	if !p.enter(c) {
		return
	}
	defer p.leave(c)
	from := network(raw.RemoteAddr())
	if !srv.admission.enter(from, &srv.o.Limits) {
		srv.refuse(c, p.implicitTLS)
		return
	}
	defer srv.admission.leave(from)
	if p.implicitTLS {
		if err := c.secure(srv.o.TLS); err != nil {
			srv.log.Info("imap: TLS handshake failed", "address", address(raw), "error", err)
			return
		}
	}
	newSession(srv, c, from).run(work, stop.Done())
}

// refuse takes leave of a connection that is one too many. Where TLS would have
// to come first nothing is said: a handshake is the cost that the limit avoids.
func (srv *Server) refuse(c *conn, implicitTLS bool) {
	srv.metrics.refused.Inc()
	srv.log.Warn("imap: too many connections", "address", address(c.raw))
	if !implicitTLS {
		_, _ = c.Write([]byte("* BYE [UNAVAILABLE] Too many connections, try again later\r\n"))
	}
}

// address is the client's address for the log.
func address(c net.Conn) string {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return ap.Addr().Unmap().String()
}

// newSessionID returns an id that no other session of this user's mail has.
func (srv *Server) newSessionID() string {
	return "imap-" + strconv.FormatInt(srv.started, 36) + "-" + strconv.FormatUint(srv.count.Add(1), 36)
}
