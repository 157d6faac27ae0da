package mailstore

import (
	"context"
	"database/sql/driver"

	"teraslot/mailbox"
)

// remembered is what the writer knows of mail.db since his last commit, so that
// the next transaction, and a look at the quota, need not read it. It is replaced,
// not changed, but for boxes, which are the writer's.
type remembered struct {
	// version is PRAGMA data_version of the writer's connection: while it is the
	// same, no other connection has committed anything.
	version int64
	account account
	own     mailbox.ModSeq
	boxes   map[mailbox.ID]*box // as they are in mail.db
}

// maxRemembered bounds the mailboxes that are remembered of a user.
const maxRemembered = 16

// recall takes over what the last transaction left, or reads the account.
func (t *txn) recall() (err error) {
	if t.version, err = t.c.integer("PRAGMA data_version"); err != nil {
		return err
	}
	if known := t.m.known.Load(); known != nil && known.version == t.version {
		t.account, t.before, t.own = known.account, known.account, known.own
		return nil
	}
	return t.loadAccount()
}

// recallBoxes takes over the mailboxes that the last delivery met. What is no
// delivery reads them anew: it may change more of them than counters.
func (t *txn) recallBoxes() {
	t.keepBoxes = true
	if known := t.m.known.Load(); known != nil && known.version == t.version && known.boxes != nil {
		t.boxes = known.boxes
	}
}

// remember keeps what was committed for the next transaction.
func (t *txn) remember() {
	known := &remembered{version: t.version, account: t.account, own: t.own}
	if t.keepBoxes && len(t.boxes) <= maxRemembered {
		known.boxes = t.boxes
		for _, b := range t.boxes {
			b.settle()
		}
	}
	t.m.known.Store(known)
}

// settle makes b what a later transaction would read.
func (b *box) settle() {
	b.dirty = false
	b.delta = delta{from: b.HighestModSeq}
}

// Quota returns a user's quota and what counts against it.
func (m *Mail) Quota(ctx context.Context) (Quota, Usage, error) {
	if known := m.known.Load(); known != nil {
		return known.account.quota, known.account.usage, nil
	}
	return m.readQuota(ctx)
}

func (m *Mail) readQuota(ctx context.Context) (Quota, Usage, error) {
	var q Quota
	var u Usage
	err := m.read(ctx, func(c *conn) error {
		_, err := c.one(`SELECT quota_bytes, quota_messages, bytes, messages FROM {account}`, func(row []driver.Value) error {
			q, u = Quota{integer(row[0]), integer(row[1])}, Usage{integer(row[2]), integer(row[3])}
			return nil
		})
		return err
	})
	return q, u, err
}
