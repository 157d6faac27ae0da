package mailstore

import (
	"context"
	"errors"

	"teraslot/mailbox"
)

// Views returns mailboxes as they are at one and the same moment, so that a message
// which is moved from one to another is in one of them; nil for one that is not there.
func (m *Mail) Views(ctx context.Context, ids []mailbox.ID) ([]*View, error) {
	views := make([]*View, len(ids))
	err := m.read(ctx, func(c *conn) error {
		for i, id := range ids {
			b, err := loadBox(c, "id", string(id))
			if errors.Is(err, ErrNoMailbox) {
				continue
			}
			if err != nil {
				return err
			}
			now, err := m.refreshCached(c, b, func(old cached) (cached, error) { return m.refreshRecords(ctx, c, b, old) })
			if err != nil {
				return err
			}
			views[i] = now.view(b.State)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return views, nil
}
