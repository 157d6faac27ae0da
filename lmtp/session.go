package lmtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
)

// session is one client's dialogue. One goroutine runs it from end to end.
type session struct {
	server *Server
	ctx    context.Context // bounds the work of messages in flight
	conn   *conn
	link   net.Conn // conn, or TLS over it
	in     *bufio.Reader
	out    []byte // replies that are not sent yet
	clean  cleaner

	client string // as it called itself in LHLO; "" before
	peer   string // its address, as Received shows it; "" if there is none
	envelope
	errors int // commands that were none
	over   bool
}

// envelope is what MAIL and RCPT said.
type envelope struct {
	began      bool   // by MAIL
	from       string // "" is the null path
	size       int64  // as announced, or 0
	recipients []recipient
}

// recipient is one accepted RCPT.
type recipient struct {
	path string // as the client wrote it
	target
}

// maxCommand bounds a command line in octets; RFC 5321 §4.5.3.1.4 wants 512 and
// more for extensions.
const maxCommand = 16 << 10

// maxErrors is how many unknown commands are borne: who says more speaks another
// protocol.
const maxErrors = 20

func newSession(ctx context.Context, s *Server, c *conn) *session {
	x := &session{server: s, ctx: ctx, conn: c}
	x.attach(c)
	return x
}

// attach makes link what is read and written. What was read before, and not
// looked at, is forgotten: behind STARTTLS nothing counts that came before it.
func (s *session) attach(link net.Conn) {
	s.link = link
	s.in = bufio.NewReaderSize(answering{s}, maxCommand)
}

// answering is what a session reads. Replies are sent together when the client has
// nothing more to say: then it waits for them (RFC 2920 §3.2).
type answering struct{ s *session }

// Read sends the replies, and reads.
func (a answering) Read(p []byte) (int, error) {
	if err := a.s.flush(); err != nil {
		return 0, err
	}
	return a.s.link.Read(p)
}

func (s *session) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.link.Write(s.out)
	s.out = s.out[:0]
	return err
}

func (s *session) reply(r status)                 { s.out = r.append(s.out, "") }
func (s *session) replyFor(r status, path string) { s.out = r.append(s.out, path) }
func (s *session) refuse(err error, path string)  { s.reply(s.server.refusal(err, path)) }
func (s *session) refuseEach(err error, to ...recipient) {
	for _, r := range to {
		s.replyFor(s.server.refusal(err, r.path), r.path)
	}
}

// run holds the dialogue. The connection is closed when it returns.
func (s *session) run() {
	defer func() {
		if p := recover(); p != nil {
			s.server.o.Logger.Error("lmtp: a session met a fault", "client", s.client, "fault", p, "stack", string(debug.Stack()))
			s.reply(internalFault)
		}
		_ = s.flush() // an error means that the client has gone
		_ = s.link.Close()
	}()
	s.greet()
	for !s.over {
		line, err := s.line()
		if err != nil {
			s.farewell(err)
			return
		}
		s.command(line)
	}
}

func (s *session) greet() { s.reply(status{220, "", s.server.o.Name + " LMTP Teraslot ready"}) }

var errLongLine = errors.New("lmtp: command line too long")

// line reads a command without its line end.
func (s *session) line() (string, error) {
	b, err := s.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return "", errLongLine
	}
	if err != nil {
		return "", err
	}
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return string(b), nil
}

// farewell ends the dialogue because no command could be read.
func (s *session) farewell(err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
	case errors.Is(err, errLongLine):
		s.reply(lineTooLong)
	case errors.Is(err, os.ErrDeadlineExceeded) && s.conn.isStopping():
		s.reply(stopping)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.reply(timedOut)
	default:
		s.reply(connectionLost)
	}
}

// command answers one command.
func (s *session) command(line string) {
	switch verb, rest := cutCommand(line); verb {
	case "LHLO":
		s.hello(rest)
	case "HELO", "EHLO":
		s.reply(useLHLO)
	case "MAIL":
		s.mail(rest)
	case "RCPT":
		s.rcpt(rest)
	case "DATA":
		s.data(rest)
	case "BDAT":
		s.bdat(rest)
	case "RSET":
		s.envelope = envelope{}
		s.reply(ok)
	case "NOOP":
		s.reply(ok)
	case "VRFY":
		s.reply(cannotVerify)
	case "QUIT":
		s.over = true
		s.reply(bye)
	case "STARTTLS":
		s.startTLS(rest)
	case "AUTH", "EXPN", "HELP", "SEND", "SOML", "SAML", "TURN":
		s.reply(notImplemented)
	default:
		s.unknown()
	}
}

func (s *session) unknown() {
	s.reply(badCommand)
	if s.errors++; s.errors > maxErrors {
		s.over = true
		s.reply(tooManyErrors)
	}
}

// startTLS goes on under TLS (RFC 3207). Nothing of what was said before counts.
func (s *session) startTLS(rest string) {
	_, secure := s.link.(*tls.Conn)
	switch {
	case rest != "":
		s.reply(noArgument)
		return
	case s.server.o.TLS == nil:
		s.reply(notImplemented)
		return
	case secure:
		s.reply(notNow)
		return
	}
	s.reply(startTLS)
	link := tls.Server(s.conn, s.server.o.TLS)
	err := s.flush()
	if err == nil {
		err = link.HandshakeContext(s.ctx)
	}
	if err != nil {
		s.server.o.Logger.Info("lmtp: TLS was not agreed on", "err", err)
		s.over = true
		return
	}
	s.attach(link)
	s.client, s.envelope = "", envelope{}
}
