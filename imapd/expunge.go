package imapd

import (
	"context"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

var errReadOnly = no(wire.CodeReadOnly, "The mailbox is open to be read only")

// expunge is EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9). The client is told
// by what changed in the mailbox, at the command's end like all other changes.
func (s *session) expunge(ctx context.Context, c *wire.Expunge) (*completion, error) {
	if s.view.readOnly {
		return nil, errReadOnly
	}
	var only *mailbox.UIDSet
	if c.UIDs != nil {
		set, err := s.pick(ctx, *c.UIDs, true)
		if err != nil || set.IsEmpty() {
			return nil, err
		}
		only = &set
	}
	return nil, s.withMail(ctx, func(m *mailstore.Mail) error {
		_, _, err := m.Expunge(ctx, s.id, s.view.id, only)
		return err
	})
}
