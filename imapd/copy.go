package imapd

import (
	"context"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// copy is COPY and UID COPY (RFC 9051 §6.4.7).
func (s *session) copy(ctx context.Context, c *wire.Copy) (*completion, error) {
	uids, err := s.pick(ctx, c.Set, c.UID)
	if err != nil {
		return nil, err
	}
	var done mailstore.Copied
	err = s.withTarget(ctx, c.Mailbox, func(m *mailstore.Mail, target mailbox.ID) (err error) {
		if err := s.allThere(ctx, m, c.UID, uids); err != nil {
			return err
		}
		done, err = m.Copy(ctx, s.id, s.view.id, uids, target)
		return err
	})
	if err != nil {
		return nil, err
	}
	return copied(done, "Copied"), nil
}

// move is MOVE and UID MOVE (RFC 9051 §6.4.8). COPYUID comes untagged, before the
// expunges that the end of the command tells.
func (s *session) move(ctx context.Context, c *wire.Move) (*completion, error) {
	if s.view.readOnly {
		return nil, errReadOnly
	}
	uids, err := s.pick(ctx, c.Set, c.UID)
	if err != nil {
		return nil, err
	}
	var done mailstore.Copied
	err = s.withTarget(ctx, c.Mailbox, func(m *mailstore.Mail, target mailbox.ID) (err error) {
		if err := s.allThere(ctx, m, c.UID, uids); err != nil {
			return err
		}
		done, err = m.Move(ctx, s.id, s.view.id, uids, target)
		return err
	})
	if err != nil {
		return nil, err
	}
	if ok := copied(done, "Moved"); ok != nil {
		s.tellCode(ok.code, ok.text)
	}
	return nil, nil
}

// allThere refuses a set of numbers of which some messages are no longer there,
// before anything is done: "partial copy MUST NOT be done" (RFC 9051 §6.4.7). One that
// goes between this and the copy is missing in COPYUID.
func (s *session) allThere(ctx context.Context, m *mailstore.Mail, uid bool, named mailbox.UIDSet) error {
	if uid {
		return nil
	}
	_, held, err := m.UIDs(ctx, s.view.id)
	if err != nil {
		return err
	}
	found := 0
	for range named.Of(held) {
		found++
	}
	return s.expungeIssued(uid, named, found)
}

// withTarget calls fn with the id of a mailbox that has to be there.
func (s *session) withTarget(ctx context.Context, name string, fn func(*mailstore.Mail, mailbox.ID) error) error {
	return s.withMail(ctx, func(m *mailstore.Mail) error {
		target, err := m.MailboxNamed(ctx, name)
		if err != nil {
			return wantTarget(err)
		}
		// Between the two lines it may go; that is TRYCREATE as well.
		return wantTarget(fn(m, target.ID))
	})
}

// copied is the completion with COPYUID (RFC 4315 §3); nil, plain OK, if nothing
// was copied.
func copied(done mailstore.Copied, text string) *completion {
	if len(done.From) == 0 {
		return nil
	}
	return &completion{code: wire.CopyUIDCode(done.UIDValidity, done.From, done.To), text: text}
}
