package imapsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/cmd/internal/transfer"
	"teraslot/mailbox"
)

// session is a connection.
type session struct{ c *imapclient.Client }

// Connect logs in.
func (s *Server) Connect(ctx context.Context) (transfer.Session, error) {
	c, names, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	names.done.Store(true) // messages are not to be looked at
	return &session{c}, nil
}

// Close logs out. A connection that broke is closed all the same.
func (s *session) Close() error {
	if s.c.State() != imap.ConnStateLogout {
		_ = s.c.Logout().Wait() // what is answered does not matter any more
	}
	_ = s.c.Close() // it may be closed already
	return nil
}

// watch ends the connection when ctx does: the client waits without one.
func (s *session) watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { s.c.Close() })
}

// because prefers the reason why the connection was ended.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Open examines a mailbox and reads what is known of all its messages.
func (s *session) Open(ctx context.Context, p transfer.Place) (transfer.Mailbox, []transfer.Message, error) {
	defer s.watch(ctx)()
	condstore := s.c.Caps().Has(imap.CapCondStore)
	data, err := s.c.Select(p.There, &imap.SelectOptions{ReadOnly: true, CondStore: condstore}).Wait()
	if err != nil {
		return transfer.Mailbox{}, nil, because(ctx, fmt.Errorf("EXAMINE %q: %w", p.There, err))
	}
	box := transfer.Mailbox{UIDValidity: mailbox.UIDValidity(data.UIDValidity), UIDNext: mailbox.UID(data.UIDNext),
		HighestModSeq: mailbox.ModSeq(data.HighestModSeq)}
	if data.NumMessages == 0 {
		return box, nil, nil
	}
	messages, err := s.overview()
	if err != nil {
		return box, nil, because(ctx, fmt.Errorf("in %q: %w", p.There, err))
	}
	if n := len(messages); n > 0 {
		box.UIDNext = max(box.UIDNext, messages[n-1].UID+1)
	}
	return box, messages, nil
}

// rounds is how often is asked again for what did not come: the client library takes
// news of a message's flags for the answer about it, and drops the answer.
const rounds = 4

var (
	errNoAnswer = errors.New("the server tells nothing of some messages")
	errNoOctets = errors.New("the server does not give the message's octets, or not so that they are understood")
)

// overview reads what is known of all messages, and makes sure that it is all: what
// were left out would look as if it had been expunged.
func (s *session) overview() ([]transfer.Message, error) {
	found := map[mailbox.UID]transfer.Message{}
	var ask imap.UIDSet
	ask.AddRange(1, 0)
	for range rounds {
		if err := s.describe(ask, found); err != nil {
			return nil, fmt.Errorf("FETCH: %w", err)
		}
		there, err := s.c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
		if err != nil {
			return nil, fmt.Errorf("SEARCH: %w", err)
		}
		ask = nil
		for _, uid := range there.AllUIDs() {
			if _, known := found[mailbox.UID(uid)]; !known {
				ask.AddNum(uid)
			}
		}
		if len(ask) == 0 {
			messages := slices.Collect(maps.Values(found))
			slices.SortFunc(messages, func(a, b transfer.Message) int { return int(int64(a.UID) - int64(b.UID)) })
			return messages, nil
		}
	}
	return nil, fmt.Errorf("%w: %v", errNoAnswer, ask)
}

func (s *session) describe(uids imap.UIDSet, found map[mailbox.UID]transfer.Message) error {
	cmd := s.c.Fetch(uids, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true})
	for data := cmd.Next(); data != nil; data = cmd.Next() {
		if m, ok := readMessage(data); ok {
			found[m.UID] = m
		}
	}
	return cmd.Close()
}

// readMessage reads a response without a body. An unsolicited one, of flags alone,
// is no message.
func readMessage(data *imapclient.FetchMessageData) (m transfer.Message, ok bool) {
	dated := false
	for item := data.Next(); item != nil; item = data.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			m.UID = mailbox.UID(item.UID)
		case imapclient.FetchItemDataFlags:
			m.Flags = flagsOf(item.Flags)
		case imapclient.FetchItemDataInternalDate:
			m.Date, dated = item.Time, true
		case imapclient.FetchItemDataRFC822Size:
			m.Size = item.Size
		}
	}
	m.Key = strconv.FormatUint(uint64(m.UID), 10)
	return m, m.UID > 0 && dated
}

func flagsOf(list []imap.Flag) mailbox.Flags {
	var names []string
	for _, f := range list {
		if !bytes.EqualFold([]byte(f), []byte(`\Recent`)) { // a session's, not the message's
			names = append(names, string(f))
		}
	}
	return mailbox.MakeFlags(names...)
}

// Fetch reads messages without marking them as seen. It asks again for what does not
// come, and tells of it if it is there all the same.
func (s *session) Fetch(ctx context.Context, messages []transfer.Message, fn func(transfer.Message, []byte, error) error) error {
	defer s.watch(ctx)()
	open := make(map[mailbox.UID]transfer.Message, len(messages))
	for _, m := range messages {
		open[m.UID] = m
	}
	for range rounds {
		if len(open) == 0 {
			return nil
		}
		if err := s.bodies(open, fn); err != nil {
			return because(ctx, err)
		}
	}
	there := map[mailbox.UID]transfer.Message{}
	if err := s.describe(setOf(open), there); err != nil {
		return because(ctx, err)
	}
	for uid := range there {
		if m, asked := open[uid]; asked {
			if err := fn(m, nil, errNoOctets); err != nil {
				return err
			}
		}
	}
	return nil
}

// bodies asks for messages, and takes those that come from the open ones.
func (s *session) bodies(open map[mailbox.UID]transfer.Message, fn func(transfer.Message, []byte, error) error) error {
	cmd := s.c.Fetch(setOf(open), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	var failed error
	for data := cmd.Next(); data != nil; data = cmd.Next() {
		uid, body, err := readBody(data)
		m, asked := open[uid]
		if failed != nil || err == errNoBody || !asked {
			continue
		}
		delete(open, uid)
		failed = fn(m, body, err)
	}
	return errors.Join(failed, cmd.Close())
}

func setOf(open map[mailbox.UID]transfer.Message) imap.UIDSet {
	var set imap.UIDSet
	for uid := range open {
		set.AddNum(imap.UID(uid))
	}
	return set
}

// errNoBody: a response of something else.
var errNoBody = errors.New("no body")

// readBody reads a response with a body.
func readBody(data *imapclient.FetchMessageData) (uid mailbox.UID, body []byte, err error) {
	err = errNoBody
	for item := data.Next(); item != nil; item = data.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = mailbox.UID(item.UID)
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				err = errors.New("the server gives no content")
				continue
			}
			body, err = io.ReadAll(item.Literal)
		}
	}
	return uid, body, err
}
