package lmtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/emersion/go-smtp"
)

// session is one client's dialogue. Its methods are called one after another.
type session struct {
	server *Server
	conn   *conn
	client string // as it called itself in LHLO
	// ctx bounds the work of messages in flight. It is kept here because the
	// library's calls do not pass one.
	ctx context.Context

	mu       sync.Mutex // guards what follows: with BDAT a RSET may come beside LMTPData
	envelope envelope
	taking   bool // LMTPData is at work

	abandoned sync.Once
}

// envelope is what MAIL and RCPT said.
type envelope struct {
	from       string
	size       int64 // as announced by MAIL, or 0
	recipients []recipient
}

// recipient is one accepted RCPT.
type recipient struct {
	path string // as the client wrote it
	target
}

var _ smtp.LMTPSession = (*session)(nil)

func (s *Server) newSession(ctx context.Context, c *smtp.Conn) (smtp.Session, error) {
	ours, err := underlying(c.Conn())
	if err != nil {
		return nil, err
	}
	return &session{server: s, conn: ours, client: c.Hostname(), ctx: ctx}, nil
}

// Mail begins a message.
func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.envelope = envelope{from: from, size: o.Size}
	return nil
}

// Rcpt adds a recipient, or refuses it before its message is sent.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	t, err := s.server.resolve(s.ctx, to)
	if err == nil {
		err = s.server.room(s.ctx, t, s.current().size)
	}
	if err != nil {
		return s.server.refusal(err, to)
	}
	s.conn.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.envelope.recipients = append(s.envelope.recipients, recipient{to, t})
	return nil
}

// Data is never called: LMTPData is. The library's interface wants it.
func (s *session) Data(io.Reader) error { return errors.New("lmtp: a message outside of LMTP") }

func (s *session) current() envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.envelope
}

// take marks the time that LMTPData is at work.
func (s *session) take(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taking = on
}

// LMTPData stores the message and sets each recipient's status once.
func (s *session) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	s.take(true)
	defer s.take(false)
	s.conn.receive()
	e := s.current()
	sent := &clientReader{r: r}
	m, err := s.server.o.Store.Spool(s.ctx, io.MultiReader(s.server.trace(s, e), cleaned(sent)))
	if err != nil {
		// The library answers a last BDAT for each recipient only if all of it
		// was read. What is left of a broken connection ends at once.
		_, _ = io.Copy(io.Discard, r)
		if errors.Is(err, smtp.ErrDataReset) {
			s.abandon()
		}
		return s.server.refusal(sent.blame(err), "")
	}
	defer func() {
		if err := m.Close(); err != nil {
			s.server.o.Logger.Warn("lmtp: giving up a spooled message", "err", err)
		}
	}()
	if !s.conn.whole() {
		return s.server.refusal(errAborted, "")
	}
	s.server.deliver(s.ctx, m, e.recipients, func(path string, err error) {
		if err == nil {
			status.SetStatus(path, delivered)
			return
		}
		status.SetStatus(path, s.server.refusal(err, path))
	})
	return nil
}

// Reset forgets the message; what was in flight is answered by now, or given up.
func (s *session) Reset() {
	s.mu.Lock()
	s.envelope = envelope{}
	abandoned := s.taking
	s.mu.Unlock()
	if abandoned {
		s.abandon()
	}
	s.conn.end()
}

// abandon ends the session after a message that was given up between its BDAT
// chunks: the library might give its outcome to the next one.
func (s *session) abandon() {
	s.abandoned.Do(func() {
		// Errors mean that the client has gone already.
		_, _ = io.WriteString(s.conn, "421 4.4.2 Message given up, bye\r\n")
		_ = s.conn.Close()
	})
}

// Logout ends the dialogue.
func (s *session) Logout() error { return nil }

// errAborted: the client did not send its message whole.
var errAborted = errors.New("message was not received whole")

// clientReader remembers whether the client is to blame.
type clientReader struct {
	r   io.Reader
	err error
}

// Read reads what the client sends.
func (c *clientReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// blame tells a failure to read from the client from one to store.
func (c *clientReader) blame(err error) error {
	var said *smtp.SMTPError
	if c.err == nil || errors.As(c.err, &said) {
		return err
	}
	return fmt.Errorf("%w: %w", errAborted, err)
}
