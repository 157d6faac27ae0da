package lmtp

import (
	"context"
	"errors"

	"github.com/emersion/go-smtp"

	"teraslot/account"
	"teraslot/mailstore"
)

// delivered is the reply to a stored message: an error only for the library.
var delivered = reply(250, 2, 1, 5, "Delivered")

func reply(code, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

// refusal is the reply for an error (RFC 5321 §4.2.3, RFC 3463). What the
// sender cannot help is logged here and described no further to the client.
func (s *Server) refusal(err error, path string) *smtp.SMTPError {
	var said *smtp.SMTPError
	switch {
	case errors.As(err, &said): // by the library, about what the client sent
		s.metrics.outcome("refused")
		return said
	case errors.Is(err, account.ErrNoAccount):
		s.metrics.outcome("unknown user")
		return reply(550, 5, 1, 1, "No such user here")
	case errors.Is(err, mailstore.ErrOverQuota):
		s.metrics.outcome("over quota")
		if s.o.OverQuotaPermanent {
			return reply(552, 5, 2, 2, "Mailbox is full")
		}
		return reply(452, 4, 2, 2, "Mailbox is full, try again later")
	case errors.Is(err, mailstore.ErrTooBig):
		s.metrics.outcome("too big")
		return reply(552, 5, 3, 4, "Message is too big")
	case errors.Is(err, mailstore.ErrFull):
		s.metrics.outcome("disk full")
		s.o.Logger.Error("lmtp: a disk is full", "recipient", path, "err", err)
		return reply(452, 4, 3, 1, "Insufficient system storage")
	case errors.Is(err, context.Canceled), errors.Is(err, mailstore.ErrClosed):
		s.metrics.outcome("stopped")
		return reply(451, 4, 3, 2, "Server is stopping, try again later")
	case errors.Is(err, errAborted):
		s.metrics.outcome("aborted")
		return reply(451, 4, 4, 2, "Message was not received whole")
	}
	// An account whose mail is not there (mailstore.ErrNoUser) is no unknown user:
	// the sender keeps the message until somebody has looked into it.
	s.metrics.outcome("failed")
	s.o.Logger.Error("lmtp: delivery failed", "recipient", path, "err", err)
	return reply(451, 4, 3, 0, "Local error, try again later")
}
