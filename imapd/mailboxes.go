package imapd

import (
	"context"
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// create is CREATE (RFC 9051 §6.3.4) with USE (RFC 6154 §3). A name that ends in
// the separator is a wish for children, which every mailbox may have.
func (s *session) create(ctx context.Context, c *wire.Create) (*completion, error) {
	use, err := specialUse(c.SpecialUse)
	if err != nil {
		return nil, err
	}
	return nil, s.withMail(ctx, func(m *mailstore.Mail) error {
		state, err := m.Create(ctx, s.id, c.Mailbox, use)
		if err == nil && otherForm(c.Mailbox) {
			s.tellName(ctx, m, state.Name, c.Mailbox)
		}
		return err
	})
}

// creatable are the special uses that a client may give a mailbox.
var creatable = []imap.MailboxAttr{
	imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash,
}

// specialUse is the one attribute of a list, "" if it is empty.
func specialUse(attrs []imap.MailboxAttr) (string, error) {
	if len(attrs) == 0 {
		return "", nil
	}
	for _, known := range creatable {
		if len(attrs) == 1 && strings.EqualFold(string(attrs[0]), string(known)) {
			return string(known), nil
		}
	}
	return "", no(wire.CodeUseAttr, "A mailbox can have one use, of Archive, Drafts, Junk, Sent and Trash")
}

// delete is DELETE (RFC 9051 §6.3.5).
func (s *session) delete(ctx context.Context, c *wire.Delete) (*completion, error) {
	return nil, s.withMail(ctx, func(m *mailstore.Mail) error {
		state, err := m.MailboxNamed(ctx, c.Mailbox)
		if err != nil {
			return err
		}
		if err := m.Delete(ctx, s.id, state.ID); err != nil {
			return err // as for INBOX: what is selected stays so
		}
		if s.selects(state.ID) {
			s.unselect()
			s.tellClosed("The selected mailbox is deleted")
		}
		s.tellGone(state.Name, c.Mailbox)
		return nil
	})
}

// rename is RENAME (RFC 9051 §6.3.6).
func (s *session) rename(ctx context.Context, c *wire.Rename) (*completion, error) {
	return nil, s.withMail(ctx, func(m *mailstore.Mail) error {
		err := m.Rename(ctx, s.id, c.From, c.To)
		if err == nil && (otherForm(c.From) || otherForm(c.To)) {
			to, err := mailstore.CleanName(strings.TrimSuffix(c.To, string(separator)))
			if err != nil {
				return err
			}
			s.tellName(ctx, m, to, c.From)
		}
		return err
	})
}

// subscribe is SUBSCRIBE (RFC 9051 §6.3.7). A mailbox need not be there: lists of
// subscriptions come before the mailboxes when mail moves from another server.
func (s *session) subscribe(ctx context.Context, c *wire.Subscribe) (*completion, error) {
	return nil, s.setSubscription(ctx, c.Mailbox, true)
}

// unsubscribe is UNSUBSCRIBE (RFC 9051 §6.3.8).
func (s *session) unsubscribe(ctx context.Context, c *wire.Unsubscribe) (*completion, error) {
	return nil, s.setSubscription(ctx, c.Mailbox, false)
}

func (s *session) setSubscription(ctx context.Context, name string, on bool) error {
	return s.withMail(ctx, func(m *mailstore.Mail) error { return m.Subscribe(ctx, s.id, name, on) })
}

// status is STATUS (RFC 9051 §6.3.11).
func (s *session) status(ctx context.Context, c *wire.Status) (*completion, error) {
	if err := checkStatus(c.Items); err != nil {
		return nil, err
	}
	var state mailbox.State
	var values []wire.StatusValue
	err := s.withMail(ctx, func(m *mailstore.Mail) (err error) {
		if state, err = m.MailboxNamed(ctx, c.Mailbox); err == nil {
			values, err = s.statusOf(ctx, m, &state, c.Items)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.out.Status(state.Name, values)
	return nil, nil
}

// statusOf is what STATUS tells of a mailbox.
func (s *session) statusOf(ctx context.Context, m *mailstore.Mail, state *mailbox.State, items []wire.StatusItem) ([]wire.StatusValue, error) {
	values := make([]wire.StatusValue, len(items))
	for i, item := range items {
		n, err := statusValues[item](s, state), error(nil)
		if item == wire.StatusRecent {
			n, err = s.recentIn(ctx, m, state)
		}
		if err != nil {
			return nil, err
		}
		values[i] = wire.StatusValue{Item: item, Number: n}
	}
	return values, nil
}

// checkStatus refuses items of extensions that are not offered.
func checkStatus(items []wire.StatusItem) error {
	for _, item := range items {
		if _, ok := statusValues[item]; !ok {
			return bad("STATUS item " + string(item) + " is of an extension that is not offered")
		}
	}
	return nil
}

// statusValues say what the STATUS items are made of. RECENT takes more than the
// state: see recentIn.
var statusValues = map[wire.StatusItem]func(*session, *mailbox.State) uint64{
	wire.StatusMessages:      func(_ *session, b *mailbox.State) uint64 { return uint64(b.Counts.Exists) },
	wire.StatusUIDNext:       func(_ *session, b *mailbox.State) uint64 { return uint64(b.UIDNext) },
	wire.StatusUIDValidity:   func(_ *session, b *mailbox.State) uint64 { return uint64(b.UIDValidity) },
	wire.StatusUnseen:        func(_ *session, b *mailbox.State) uint64 { return uint64(b.Counts.Unseen) },
	wire.StatusDeleted:       func(_ *session, b *mailbox.State) uint64 { return uint64(b.Counts.Deleted) },
	wire.StatusSize:          func(_ *session, b *mailbox.State) uint64 { return uint64(max(b.Counts.Size, 0)) },
	wire.StatusAppendLimit:   func(s *session, _ *mailbox.State) uint64 { return uint64(s.srv.o.Limits.Message) },
	wire.StatusHighestModSeq: func(_ *session, b *mailbox.State) uint64 { return uint64(b.HighestModSeq) }, // RFC 7162 §3.1.7
	wire.StatusRecent:        func(*session, *mailbox.State) uint64 { return 0 },
}

// isMissing reports whether an error says that a mailbox is not there.
func isMissing(err error) bool { return errors.Is(err, mailstore.ErrNoMailbox) }
