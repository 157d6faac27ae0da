package imapd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// appendMessages is APPEND (RFC 9051 §6.3.12) of one message or several (RFC 3502).
// A message that would be refused is refused before the client is asked for it;
// all are stored, or none.
func (s *session) appendMessages(ctx context.Context, c *wire.Append) (*completion, error) {
	target, err := s.appendTarget(ctx, c)
	if err != nil {
		return nil, err
	}
	u := &upload{s: s, target: target.ID}
	defer u.close()
	for msg := &c.Message; msg != nil; {
		if err := u.take(ctx, msg); err != nil {
			return nil, err
		}
		if msg, err = s.in.More(); err != nil {
			return nil, err
		}
	}
	var records []mailbox.Record
	err = s.withMail(ctx, func(m *mailstore.Mail) (err error) {
		records, err = m.Append(ctx, s.id, u.items...)
		return err
	})
	if err != nil {
		return nil, wantTarget(err)
	}
	uids := make([]mailbox.UID, len(records))
	for i := range records {
		uids[i] = records[i].UID
	}
	// RFC 4315 §3
	return &completion{code: wire.AppendUIDCode(target.UIDValidity, uids...), text: "Appended"}, nil
}

// appendTarget returns the mailbox, and refuses at once what cannot be stored.
func (s *session) appendTarget(ctx context.Context, c *wire.Append) (mailbox.State, error) {
	var state mailbox.State
	err := s.withMail(ctx, func(m *mailstore.Mail) (err error) {
		if state, err = m.MailboxNamed(ctx, c.Mailbox); err != nil {
			return wantTarget(err)
		}
		quota, used, err := m.Quota(ctx)
		if err != nil {
			return err
		}
		if quota.Messages > 0 && used.Messages >= quota.Messages ||
			quota.Bytes > 0 && used.Bytes+c.Message.Literal.Size > quota.Bytes {
			return fmt.Errorf("appending to %s: %w", state.Name, mailstore.ErrOverQuota)
		}
		return nil
	})
	return state, err
}

// upload is the messages of one APPEND as they come in.
type upload struct {
	s      *session
	target mailbox.ID
	items  []mailstore.Append
	size   int64
}

// close gives up what was spooled; what was appended stays.
func (u *upload) close() {
	for _, item := range u.items {
		if err := item.Message.Close(); err != nil {
			u.s.log.Warn("imap: removing a spooled message", "error", err)
		}
	}
}

// maxAppends bounds the messages of one APPEND.
const maxAppends = 1000

// take reads one message into the spool.
func (u *upload) take(ctx context.Context, a *wire.AppendMessage) error {
	s := u.s
	if a.UTF8 {
		return bad("UTF8=ACCEPT is not offered")
	}
	if a.Literal.Size == 0 {
		// How a client gives up an APPEND of several (RFC 3502 §6.3.11).
		return no("", "An empty message is not taken")
	}
	flags, err := s.flags(a.Flags)
	if err != nil {
		return err
	}
	// All messages of a command together wait in memory or in the spool, so
	// the limit is for all together.
	if u.size += a.Literal.Size; a.Literal.Size > s.srv.o.Limits.Message || u.size > s.srv.o.Limits.Message {
		return fmt.Errorf("appending %d bytes: %w", u.size, mailstore.ErrTooBig)
	}
	if len(u.items) == maxAppends {
		return no(imap.ResponseCodeLimit, "Too many messages in one command")
	}
	date := mailbox.DateOf(s.srv.o.Now())
	if a.Date != nil {
		date = *a.Date
	}
	msg, err := s.receive(ctx, a.Literal.Binary)
	if err != nil {
		return err
	}
	u.items = append(u.items, mailstore.Append{Mailbox: u.target, Message: msg, Flags: flags, InternalDate: date})
	return nil
}

// receive reads the octets of a message. A literal8 may hold NUL, which a message
// may not that every client can fetch (RFC 3516 §4.4).
func (s *session) receive(ctx context.Context, binary bool) (*mailstore.Message, error) {
	octets, err := s.in.Message()
	if err != nil {
		return nil, err
	}
	s.c.message()
	defer s.c.messageEnd()
	if binary {
		octets = withoutNUL{octets}
	}
	msg, err := s.srv.o.Store.Spool(ctx, octets)
	if s.in.Err() != nil {
		return nil, errors.Join(s.in.Err(), err)
	}
	return msg, err
}

var errNUL = no(imap.ResponseCodeUnknownCTE, "A message with NUL cannot be stored")

// withoutNUL fails at the first NUL.
type withoutNUL struct{ r io.Reader }

func (w withoutNUL) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if bytes.IndexByte(p[:n], 0) >= 0 {
		return 0, errNUL
	}
	return n, err
}
