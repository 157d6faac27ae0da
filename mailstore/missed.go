package mailstore

import (
	"context"
	"database/sql/driver"

	"teraslot/mailbox"
)

// Missed is what is news to somebody who knew a mailbox up to a mod-sequence.
type Missed struct {
	State mailbox.State // at whose moment this is so
	// Changed are the live records that changed since, by UID, but for those that are damaged.
	Changed []mailbox.Record
	// Damaged are the UIDs of live messages of which that cannot be told, rising.
	Damaged []mailbox.UID
	// Vanished are UIDs below State.UIDNext under which there is no message: those that were
	// expunged since. Where that is not known any more of all of them, it is every such UID.
	Vanished mailbox.UIDSet
	// Forgot says that Vanished is every such UID.
	Forgot bool
}

// Missed returns what changed in a mailbox after since (RFC 7162 §3.2.6), all of one moment. A since that the
// mailbox has not reached comes from a slot whose last writes are not here: what was
// expunged before it there is not known.
func (m *Mail) Missed(ctx context.Context, id mailbox.ID, since mailbox.ModSeq) (Missed, error) {
	var out Missed
	_, _, err := m.refresh(ctx, id, func(c *conn, b *box, old cached) (now cached, err error) {
		out = Missed{State: b.State}
		if since == b.HighestModSeq && since >= b.horizon {
			return old, nil
		}
		if now, out.Changed, out.Damaged, err = m.liveSince(ctx, c, b, old, since); err != nil {
			return now, err
		}
		whole := since >= b.horizon && since <= b.HighestModSeq
		if whole {
			var gone []mailbox.Record
			gone, whole, err = m.expungedSince(c, b, since)
			uids := make([]mailbox.UID, len(gone))
			for i := range gone {
				uids[i] = gone[i].UID
			}
			out.Vanished = mailbox.UIDs(uids...)
		}
		if err == nil && !whole {
			out.Forgot = true
			now, out.Vanished, err = m.unheld(ctx, c, b, now)
		}
		return now, err
	})
	return out, err
}

// expungedSince returns the records that were expunged after since, by an index. Damaged ones are left
// out; whole is false if there are any.
func (m *Mail) expungedSince(c *conn, b *box, since mailbox.ModSeq) (gone []mailbox.Record, whole bool, err error) {
	whole = true
	err = c.each("SELECT "+recordList+" FROM expunged WHERE id >> 32 = ? AND modseq > ?", func(row []driver.Value) error {
		var r mailbox.Record
		if m.scanRecord(b, row, true, &r) != nil {
			whole = false
			return nil
		}
		gone = append(gone, r)
		return nil
	}, b.row, int64(since))
	return gone, whole, err
}

// unheld returns the UIDs below UIDNEXT under which there is no message.
func (m *Mail) unheld(ctx context.Context, c *conn, b *box, old cached) (now cached, out mailbox.UIDSet, err error) {
	if now, err = m.refreshUIDsOrRecords(ctx, c, b, old); err != nil {
		return now, out, err
	}
	next := mailbox.UID(1)
	for _, uid := range now.uids {
		if uid > next {
			out.AddRange(next, uid-1)
		}
		next = uid + 1
	}
	if b.UIDNext > next {
		out.AddRange(next, b.UIDNext-1)
	}
	return now, out, nil
}
