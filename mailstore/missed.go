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
	// Of somebody who knew what was never so here, it is also those that another slot may have given.
	Vanished mailbox.UIDSet
	// Forgot says that Vanished is every such UID.
	Forgot bool
	// Strange says that nothing here is what was known: all is told, changed or not.
	Strange bool
}

// Missed returns what changed in a mailbox after known (RFC 7162 §3.2.6), all of one moment. One that this
// mail has not reached comes from a slot some of whose writes are not here: what differs is not known.
func (m *Mail) Missed(ctx context.Context, id mailbox.ID, known mailbox.ModSeq) (Missed, error) {
	var out Missed
	_, _, err := m.refresh(ctx, id, func(c *conn, b *box, old cached) (now cached, err error) {
		since := known
		out = Missed{State: b.State}
		if since == b.HighestModSeq && since >= b.horizon {
			return old, nil
		}
		if reached, err := m.reached(c, since); err != nil {
			return old, err
		} else if !reached || since > b.HighestModSeq {
			out.Strange, since = true, 0
		}
		if now, out.Changed, out.Damaged, err = m.liveSince(ctx, c, b, old, since); err != nil {
			return now, err
		}
		whole := since >= b.horizon && !out.Strange
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
		if out.Strange {
			out.Vanished.AddSet(strangers(b.UIDNext, b.HighestModSeq, known))
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
