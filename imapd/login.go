package imapd

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/accept"
	"teraslot/account"
	"teraslot/imapd/wire"
	"teraslot/mailstore"
)

// login is LOGIN (RFC 9051 §6.2.3).
func (s *session) login(ctx context.Context, c *wire.Login) (*completion, error) {
	if !s.mayLogin() {
		return nil, errPrivacy
	}
	acc, err := s.srv.o.Accounts.Authenticate(ctx, c.User, c.Password)
	if err != nil {
		return nil, s.rejected(ctx, "LOGIN", c.User, err)
	}
	return s.loggedIn(ctx, acc, "LOGIN")
}

var errPrivacy = no(imap.ResponseCodePrivacyRequired, "TLS is needed first")

// authenticate is AUTHENTICATE (RFC 9051 §6.2.2), with an initial response (RFC
// 4959).
func (s *session) authenticate(ctx context.Context, c *wire.Authenticate) (*completion, error) {
	if !s.mayLogin() {
		return nil, errPrivacy
	}
	var acc account.Account
	exchange, err := s.srv.o.Accounts.SASL(ctx, c.Mechanism, func(a account.Account) { acc = a })
	if errors.Is(err, account.ErrMechanism) {
		return nil, no(imap.ResponseCodeCannot, "That mechanism is not offered")
	} else if err != nil {
		return nil, err
	}
	response := c.Initial
	if !c.HasInitial {
		response = nil // asks for the first challenge
	}
	for {
		challenge, done, err := exchange.Next(response)
		name, formed := userOf(response)
		switch {
		case err != nil && !formed:
			return nil, bad("That is not what the mechanism wants")
		case err != nil:
			return nil, s.rejected(ctx, c.Mechanism, name, err)
		}
		if done {
			return s.loggedIn(ctx, acc, c.Mechanism)
		}
		if response, err = s.challenge(challenge); err != nil {
			return nil, err
		}
	}
}

// challenge sends a challenge and reads the answer; "*" gives up (RFC 9051
// §6.2.2).
func (s *session) challenge(data []byte) ([]byte, error) {
	s.out.Challenge(data)
	if err := s.out.Flush(); err != nil {
		return nil, err
	}
	line, err := s.in.Line()
	if err != nil {
		return nil, err
	}
	if line == "*" {
		return nil, bad("Authentication was given up")
	}
	answer, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return nil, bad("That is not base64")
	}
	if answer == nil {
		answer = []byte{}
	}
	return answer, nil
}

// userOf is the name in a PLAIN response (RFC 4616 §2), for the log; false if it
// does not have the form of one.
func userOf(response []byte) (name string, formed bool) {
	parts := strings.Split(string(response), "\x00")
	if len(parts) != 3 {
		return "", false
	}
	return parts[1], true
}

// loggedIn makes the session that of a user.
func (s *session) loggedIn(ctx context.Context, acc account.Account, mechanism string) (*completion, error) {
	if !s.srv.admission.login(acc.ID, &s.srv.o.Limits) {
		s.log.Warn("imap: too many sessions", "user", acc.Name)
		s.srv.metrics.logins.WithLabelValues(outcomeLimit).Inc()
		return nil, no(imap.ResponseCodeLimit, "Too many sessions of this user")
	}
	s.account = acc
	first := s.srv.hub.join(s)
	if err := s.admitted(ctx, acc); err != nil {
		s.leaveUser()
		return nil, err
	}
	s.state = authenticated
	s.in.SetLimits(userLimits(&s.srv.o.Limits))
	if first {
		s.alertFull(ctx)
	}
	s.srv.metrics.logins.WithLabelValues(outcomeOK).Inc()
	s.log.Info("imap: logged in", "user", acc.Name, "mechanism", mechanism, "tls", s.secure())
	return &completion{code: wire.CapabilityCode(s.capabilities()), text: "Logged in"}, nil
}

// alertFull tells a user whose mail can take no more (RFC 9051 §7.1, ALERT). It is for
// one session of those that a program opens, and fails no login.
func (s *session) alertFull(ctx context.Context) {
	if s.account.Quota == (account.Quota{}) {
		return
	}
	var full bool
	err := s.withMail(ctx, func(m *mailstore.Mail) error {
		quota, used, err := m.Quota(ctx)
		full = quota.Bytes > 0 && used.Bytes >= quota.Bytes || quota.Messages > 0 && used.Messages >= quota.Messages
		return err
	})
	if err != nil {
		s.log.Warn("imap: the quota cannot be read", "user", s.account.Name, "error", err)
	}
	if full {
		s.out.Untagged(wire.Reply{Type: imap.StatusResponseTypeNo, Code: wire.Code(imap.ResponseCodeAlert),
			Text: "Your mail is full: nothing new is taken until something is deleted"})
	}
}

// rejected answers a failed login, after a delay that grows, and ends the
// session after too many. The log line has the address and the name as sent: one
// line for each guess, to be found by those who lock out addresses.
func (s *session) rejected(ctx context.Context, mechanism, name string, err error) error {
	identity := errors.Is(err, account.ErrIdentity)
	if !identity && !errors.Is(err, account.ErrCredentials) && ctx.Err() == nil {
		s.srv.metrics.logins.WithLabelValues(outcomeFailed).Inc()
		s.log.Error("imap: authentication is not possible", "user", name, "mechanism", mechanism, "error", err)
		return no(imap.ResponseCodeUnavailable, "Authentication is not possible at the moment")
	}
	s.failures++
	s.srv.metrics.logins.WithLabelValues(outcomeNo).Inc()
	s.log.Warn("imap: authentication failed", "user", name, "mechanism", mechanism, "tries", s.failures)
	pauseUntilLost(ctx, s.c, s.srv.admission.failed(s.from, s.srv.o.Now(), &s.srv.o.Limits))
	if s.failures >= s.srv.o.Limits.AuthTries {
		s.bye("", "Too many failed logins")
	}
	if identity {
		return no(imap.ResponseCodeAuthorizationFailed, "Nobody acts for another user here")
	}
	return no(imap.ResponseCodeAuthenticationFailed, "Wrong user name or password")
}

// pauseUntilLost waits for d, or the end of ctx or of the connection.
func pauseUntilLost(ctx context.Context, c *conn, d time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := c.watch(func(error) { cancel() })
	defer w.stop()
	accept.Pause(ctx, d)
}
