package imapd

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailstore"
	"teraslot/search"
)

// refusal is a command's completion by NO or BAD. Its text is for the client
// and says nothing of the server's inside.
type refusal wire.Reply

// Error implements error.
func (r *refusal) Error() string { return string(r.Type) + " " + r.Text }

// no is a refusal by NO; code is "" for none.
func no[T ~string](code T, text string) error {
	return &refusal{imap.StatusResponseTypeNo, wire.Code(code), text}
}

func bad(text string) error {
	return &refusal{imap.StatusResponseTypeBad, "", text}
}

// causes are the errors that a client can do something about, and what it is
// told. The order matters only where one error has two of the causes.
var causes = []struct {
	err  error
	code imap.ResponseCode
	text string
}{
	{mailstore.ErrNoMailbox, imap.ResponseCodeNonExistent, "No such mailbox"},
	{mailstore.ErrExists, imap.ResponseCodeAlreadyExists, "Mailbox exists already"},
	{mailstore.ErrName, imap.ResponseCodeCannot, "Not a name for a mailbox"},
	{mailstore.ErrUseTaken, imap.ResponseCode(wire.CodeUseAttr), "Another mailbox has that use"}, // RFC 6154 §3
	{mailstore.ErrInbox, imap.ResponseCodeCannot, "INBOX cannot be changed so"},
	{mailstore.ErrNoMessage, imap.ResponseCode(wire.CodeExpungeIssued), "A message is no longer there"},
	{mailstore.ErrOverQuota, imap.ResponseCodeOverQuota, "Over quota"},
	{mailstore.ErrTooBig, imap.ResponseCodeTooBig, "Message is too large"},
	{mailstore.ErrFull, imap.ResponseCodeUnavailable, "No space is left on the server, try again later"},
	{mailstore.ErrNoUIDs, imap.ResponseCodeLimit, "The mailbox can take no more messages"},
	{mailstore.ErrReadOnly, imap.ResponseCodeUnavailable, "Mail cannot be changed at the moment"},
	{mailstore.ErrClosed, imap.ResponseCodeUnavailable, "The server is stopping"},
	{mailstore.ErrNoUser, imap.ResponseCodeUnavailable, "The account is not on this server"},
	{mailstore.ErrVersion, imap.ResponseCodeContactAdmin, "Mail is stored in the format of another version of the server; " +
		"its administrator has to run that version, or import the mail anew"},
	{search.ErrTime, imap.ResponseCodeLimit, "The search took too long; narrow it"},
	{search.ErrLimit, imap.ResponseCodeLimit, "The search would have to read too much; narrow it"},
	{search.ErrDepth, imap.ResponseCodeLimit, "The search is nested too deeply"},
	{context.Canceled, imap.ResponseCodeUnavailable, "The command was cut short"},
	{context.DeadlineExceeded, imap.ResponseCodeUnavailable, "The command took too long"},
}

// refuse makes of any error what the client is told. expected is false for
// errors that an operator has to know of.
func refuse(err error) (r *refusal, expected bool) {
	if errors.As(err, &r) {
		return r, true
	}
	var syntax *wire.SyntaxError
	if errors.As(err, &syntax) {
		return &refusal{imap.StatusResponseTypeBad, "", syntax.Error()}, true
	}
	var damage *mailstore.Damage
	if errors.As(err, &damage) {
		// RFC 5530 §3
		return &refusal{imap.StatusResponseTypeNo, wire.Code(imap.ResponseCodeCorruption),
			"Stored mail is damaged; the server's administrator can tell more"}, false
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			operators := errors.Is(err, mailstore.ErrFull) || errors.Is(err, mailstore.ErrVersion)
			return &refusal{imap.StatusResponseTypeNo, wire.Code(c.code), c.text}, !operators
		}
	}
	return &refusal{imap.StatusResponseTypeNo, wire.Code(imap.ResponseCodeServerBug), "Internal error"}, false
}

// wantTarget makes a missing mailbox one that the client may create first (RFC
// 9051 §6.3.12).
func wantTarget(err error) error {
	if errors.Is(err, mailstore.ErrName) {
		return mailstore.ErrName // it cannot be created either
	}
	if errors.Is(err, mailstore.ErrNoMailbox) {
		return no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	return err
}
