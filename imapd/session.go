package imapd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/account"
	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// state is the connection's state (RFC 9051 §3).
type state uint8

const (
	notAuthenticated state = iota
	authenticated
	selected // session.view is set
	ended    // the server has said BYE
)

// session is one client's dialogue. Everything but wake, selects and leave belongs to
// its goroutine, which runs one command after the other.
type session struct {
	srv     *Server
	id      string // names the session to mailstore and in the log
	c       *conn
	from    netip.Prefix
	log     *slog.Logger
	in      *wire.Reader
	out     *wire.Writer
	stop    <-chan struct{} // closed when the server stops
	loginBy time.Time

	state   state
	account account.Account // from authenticated on
	view    *view
	rev2    bool // IMAP4rev2 was enabled
	// condstore: the client is told mod-sequences; qresync: and VANISHED instead of EXPUNGE (RFC 7162).
	condstore, qresync bool

	failures int // failed logins
	faults   int // commands that could not be read, in a row
	commands int
	counted  int64  // octets of c.written that are in the metrics
	tag      string // of the command at hand
	byUID    bool   // it is one on UIDs

	watched atomic.Pointer[mailbox.ID] // the selected mailbox, for other goroutines
	news    chan struct{}              // holds one wake
	leave   dismissal
}

func newSession(srv *Server, c *conn, from netip.Prefix) *session {
	s := &session{srv: srv, id: srv.newSessionID(), c: c, from: from, news: make(chan struct{}, 1), leave: newDismissal()}
	s.log = srv.log.With("session", s.id, "address", address(c.raw))
	s.out = wire.NewWriter(c)
	s.in = wire.NewReader(c, wire.Options{
		Limits:   strangerLimits,
		Continue: s.askForLiteral,
	})
	return s
}

// literalMinus is the size up to which LITERAL- lets literals come without
// waiting (RFC 7888 §5).
const literalMinus = 4096

// strangerLimits are for those who have not logged in: room for what they may say.
// They are offered LITERAL-.
var strangerLimits = wire.Limits{Line: 8 << 10, Literals: 64 << 10, NonSync: literalMinus, Drain: 1 << 20}

// userLimits are for those who have, and are offered LITERAL+: literals of any size
// within the limits come without waiting (RFC 7888 §3). Of a refused command a
// message of the largest size is read, and some more, to stay in step.
func userLimits(l *Limits) wire.Limits {
	return wire.Limits{Drain: l.Message + 1<<20}
}

// wake tells the session that its mailbox changed. It may be called from any
// goroutine and does not block: one wake that waits stands for all.
func (s *session) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// selects reports whether the mailbox is the selected one. It may be called from
// any goroutine.
func (s *session) selects(id mailbox.ID) bool {
	p := s.watched.Load()
	return p != nil && *p == id
}

// run is the session from greeting to end. ctx ends when commands in flight have
// to be cut, stop is closed when the server wants to end.
func (s *session) run(ctx context.Context, stop <-chan struct{}) {
	s.stop = stop
	ctx, s.leave.cut = context.WithCancel(ctx)
	defer close(s.leave.over)
	defer s.leave.cut()
	s.loginBy = time.Now().Add(s.srv.o.Limits.Login)
	defer s.end(context.WithoutCancel(ctx))
	s.greet()
	err := s.out.Flush()
	for err == nil && s.state != ended && !s.leave.isTold() {
		err = s.turn(ctx)
	}
	s.farewell(err)
}

// end frees what the session holds.
func (s *session) end(ctx context.Context) {
	s.announce(ctx)
	s.unselect()
	s.countSent()
	if s.account.ID == "" {
		return
	}
	s.log.Info("imap: session ended", "user", s.account.Name, "commands", s.commands, "sent", s.c.written)
	s.leaveUser()
}

// leaveUser makes the session nobody's.
func (s *session) leaveUser() {
	s.srv.hub.part(s)
	s.srv.admission.logout(s.account.ID)
	s.account = account.Account{}
}

// secure reports whether TLS protects the connection.
func (s *session) secure() bool {
	_, ok := s.c.stream.(*tls.Conn)
	return ok
}

func (s *session) greet() {
	s.out.Untagged(wire.Reply{Type: imap.StatusResponseTypeOK, Code: wire.CapabilityCode(s.capabilities()),
		Text: s.srv.o.Name + " IMAP is ready"})
}

// askForLiteral lets the client send a literal that it announced.
func (s *session) askForLiteral() error {
	s.out.Continue("Send it")
	return s.out.Flush()
}

// tellCode sends an untagged OK with a response code.
func (s *session) tellCode(code wire.Code, text string) {
	s.out.Untagged(wire.Reply{Type: imap.StatusResponseTypeOK, Code: code, Text: text})
}

// turn reads one command and carries it out. An error ends the session.
func (s *session) turn(ctx context.Context) error {
	until := s.loginBy
	if s.state != notAuthenticated {
		until = time.Now().Add(s.srv.o.Limits.Idle)
	}
	s.c.await(until)
	req, err := s.in.Next()
	var syntax *wire.SyntaxError
	if errors.As(err, &syntax) {
		return s.fault(syntax)
	}
	if err != nil {
		return err
	}
	s.c.running()
	s.faults = 0
	s.commands++
	s.tag, s.byUID = req.Tag, strings.HasPrefix(req.Command.Name(), "UID ")
	done, err := s.execute(ctx, req)
	if err != nil && s.isFatal(ctx, err) {
		return err
	}
	if s.state != ended {
		s.tidings(ctx, req.Command)
	}
	return s.complete(req, done, err)
}

// isFatal reports whether an error of a command leaves no way to go on: the
// input or the output broke, the client went away, or the command was cut.
func (s *session) isFatal(ctx context.Context, err error) bool {
	return s.in.Err() != nil || s.out.Err() != nil || ctx.Err() != nil || errors.Is(err, errGone)
}

// tidings tells the news that wait at the end of a command. That they cannot be
// read is no failure of the command: they come with a later one.
func (s *session) tidings(ctx context.Context, cmd wire.Command) {
	if s.view == nil {
		return
	}
	if err := s.catchUp(ctx, mayRenumber(cmd)); err != nil {
		s.log.Error("imap: news cannot be read", "user", s.account.Name, "command", cmd.Name(), "error", err)
	}
}

// complete sends how a command ended, and does what the completion wants then.
func (s *session) complete(req wire.Request, done *completion, err error) error {
	reply := wire.Reply{Type: imap.StatusResponseTypeOK, Text: req.Command.Name() + " completed"}
	if done != nil {
		reply.Code, reply.Text = done.code, done.text
	}
	switch highest := s.due(); {
	case highest == 0:
	case done == nil && err == nil:
		reply.Code = wire.HighestModSeqCode(highest) // RFC 7162 §3.2.7, §3.2.9
	default:
		s.tellHighest(highest)
	}
	if err != nil {
		r, expected := refuse(err)
		if !expected {
			s.log.Error("imap: command failed", "user", s.account.Name, "command", req.Command.Name(), "error", err)
		}
		reply = wire.Reply(*r)
	}
	s.count(err)
	s.out.Tagged(req.Tag, reply)
	err = s.out.Flush()
	s.countSent()
	if err != nil || done == nil || done.then == nil {
		return err
	}
	return done.then()
}

// mayRenumber reports whether messages may be expunged from the client's count in
// response to the command (RFC 9051 §7.5.1), nor to one on UIDs that has numbers among its
// keys (RFC 7162 §3.2.10.2).
func mayRenumber(cmd wire.Command) bool {
	switch c := cmd.(type) {
	case *wire.Fetch:
		return c.UID
	case *wire.Store:
		return c.UID
	case *wire.Search:
		return c.UID && !hasNumbers(c.Key)
	case *wire.Sort:
		return c.UID && !hasNumbers(c.Key)
	case *wire.Thread:
		return c.UID && !hasNumbers(c.Key)
	case *wire.ESearch:
		return !hasNumbers(c.Key)
	}
	return true
}

// How many commands in a row may be no commands. Before login more of that is another
// protocol; a user's program that is that wrong is at work for nothing.
const (
	maxStrangerFaults = 10
	maxUserFaults     = 100
)

// fault answers a command that could not be read.
func (s *session) fault(e *wire.SyntaxError) error {
	s.faults++
	s.count(e)
	s.out.Tagged(e.Tag, wire.Reply{Type: imap.StatusResponseTypeBad, Text: e.Error()})
	if err := s.in.Err(); err != nil {
		return err
	}
	most := maxUserFaults
	if s.state == notAuthenticated {
		most = maxStrangerFaults
	}
	if s.faults >= most {
		s.bye("", "Too many commands that are none")
	}
	return s.out.Flush()
}

// farewell says BYE as far as the client can hear it.
func (s *session) farewell(err error) {
	switch {
	case s.state == ended:
	case s.leave.isTold():
		s.dismissed()
	case err == nil:
	case errors.Is(err, errStopping):
		s.bye("UNAVAILABLE", "The server is stopping")
	case errors.Is(err, wire.ErrBroken):
		s.log.Warn("imap: input out of step, closing", "error", err)
		s.bye("", "Input out of step")
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.bye("", "Waited too long")
	case errors.Is(err, context.Canceled):
		s.bye("UNAVAILABLE", "The server is stopping")
	case !errors.Is(err, io.EOF):
		s.log.Debug("imap: connection lost", "error", err)
	}
	_ = s.out.Flush() // the connection is closed whether or not this comes through
}

// bye ends the session.
func (s *session) bye(code imap.ResponseCode, text string) {
	s.out.Untagged(wire.Reply{Type: imap.StatusResponseTypeBye, Code: wire.Code(code), Text: text})
	s.state = ended
}

// withMail calls fn with the user's mail. It is held only while fn runs, so that
// a session that idles keeps no database open.
func (s *session) withMail(ctx context.Context, fn func(*mailstore.Mail) error) error {
	m, err := s.srv.o.Store.Acquire(ctx, s.account.ID)
	if err != nil {
		return err
	}
	defer m.Release()
	return fn(m)
}
