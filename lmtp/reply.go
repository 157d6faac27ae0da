package lmtp

import (
	"context"
	"errors"
	"strconv"

	"teraslot/account"
	"teraslot/mailstore"
)

// status is a reply of one line: its code (RFC 5321 §4.2.3), its enhanced code (RFC
// 3463), "" for none, and its text.
type status struct {
	code     int
	enhanced string
	text     string
}

// append appends the reply to b, with the recipient that it is for, if any.
func (s status) append(b []byte, path string) []byte {
	b = strconv.AppendInt(b, int64(s.code), 10)
	if s.enhanced != "" {
		b = append(append(b, ' '), s.enhanced...)
	}
	if path != "" {
		b = append(append(append(b, " <"...), path...), '>')
	}
	return append(append(append(b, ' '), s.text...), "\r\n"...)
}

// The replies that depend on nothing.
var (
	ok           = status{250, "2.0.0", "OK"}
	senderOK     = status{250, "2.1.0", "Sender accepted"}
	recipientOK  = status{250, "2.1.5", "Recipient accepted"}
	delivered    = status{250, "2.1.5", "Delivered"}
	chunkTaken   = status{250, "2.0.0", "Continue"}
	goAhead      = status{354, "", "Go ahead. End your data with <CR><LF>.<CR><LF>"}
	startTLS     = status{220, "2.0.0", "Ready to start TLS"}
	bye          = status{221, "2.0.0", "Bye"}
	cannotVerify = status{252, "2.5.0", "Cannot VRFY user, but will accept message"}

	refused           = status{451, "4.3.2", "This server holds a copy, mail goes to the master"}
	tooManyRecipients = status{452, "4.5.3", "Too many recipients"}
	badCommand        = status{500, "5.5.2", "Command not recognized"}
	lineTooLong       = status{500, "5.4.0", "Line too long, closing connection"}
	useLHLO           = status{500, "5.5.1", "This is LMTP, use LHLO"}
	badHello          = status{501, "5.5.4", "LHLO needs a domain"}
	badSender         = status{501, "5.5.2", "Expected FROM:<address>"}
	badRecipient      = status{501, "5.5.2", "Expected TO:<address>"}
	badSize           = status{501, "5.5.4", "SIZE is no number"}
	badChunk          = status{501, "5.5.4", "Expected BDAT with a size, and LAST or nothing, closing connection"}
	noArgument        = status{501, "5.5.4", "No argument expected"}
	notImplemented    = status{502, "5.5.1", "Command not implemented"}
	notNow            = status{503, "5.5.1", "Bad sequence of commands"}
	unknownBody       = status{504, "5.5.4", "BODY has a value that is not implemented"}
	tooBig            = status{552, "5.3.4", "Message is too big"}
	unknownParameter  = status{555, "5.5.4", "Parameter not recognized"}

	timedOut       = status{421, "4.4.2", "Timeout, bye"}
	stopping       = status{421, "4.3.2", "Server is stopping, bye"}
	tooManyErrors  = status{421, "4.7.0", "Too many errors, bye"}
	internalFault  = status{421, "4.3.0", "Internal error, bye"}
	connectionLost = status{421, "4.4.0", "Connection error, bye"}
)

// refusal is the reply for an error. What the sender cannot help is logged here and
// described no further to the client.
func (s *Server) refusal(err error, path string) status {
	switch {
	case errors.Is(err, account.ErrNoAccount):
		s.metrics.outcome("unknown user")
		return status{550, "5.1.1", "No such user here"}
	case errors.Is(err, mailstore.ErrOverQuota):
		s.metrics.outcome("over quota")
		if s.o.OverQuotaPermanent {
			return status{552, "5.2.2", "Mailbox is full"}
		}
		return status{452, "4.2.2", "Mailbox is full, try again later"}
	case errors.Is(err, mailstore.ErrTooBig):
		s.metrics.outcome("too big")
		return tooBig
	case errors.Is(err, mailstore.ErrFull):
		s.metrics.outcome("disk full")
		s.o.Logger.Error("lmtp: a disk is full", "recipient", path, "err", err)
		return status{452, "4.3.1", "Insufficient system storage"}
	case errors.Is(err, context.Canceled), errors.Is(err, mailstore.ErrClosed):
		s.metrics.outcome("stopped")
		return status{451, "4.3.2", "Server is stopping, try again later"}
	case errors.Is(err, errAborted):
		s.metrics.outcome("aborted")
		return status{451, "4.4.2", "Message was not received whole"}
	}
	// An account whose mail is not there (mailstore.ErrNoUser) is no unknown user:
	// the sender keeps the message until somebody has looked into it.
	s.metrics.outcome("failed")
	s.o.Logger.Error("lmtp: delivery failed", "recipient", path, "err", err)
	return status{451, "4.3.0", "Local error, try again later"}
}
