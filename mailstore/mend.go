package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"

	"teraslot/mailbox"
)

// Records that do not match their CRC are mended by those of another slot: if the
// mailbox's checksum then says that nothing else has changed.

// DamagedRecords returns the UIDs of the live records that do not match their CRC. A set that is empty is that of a
// mailbox from which records have vanished: which, its slot does not know.
func (m *Mail) DamagedRecords(ctx context.Context) (map[mailbox.ID]mailbox.UIDSet, error) {
	out := map[mailbox.ID]mailbox.UIDSet{}
	err := m.read(ctx, func(c *conn) error {
		boxes, err := loadBoxes(c)
		if err != nil {
			return err
		}
		for _, b := range boxes {
			there := 0
			bad, err := m.sound(c, b, 0, math.MaxUint32, func(*mailbox.Record) error {
				there++
				return nil
			})
			switch {
			case err != nil:
				return err
			case there+len(bad) < int(b.Counts.Exists):
				out[b.ID] = mailbox.UIDSet{}
			case len(bad) > 0:
				out[b.ID] = mailbox.UIDs(bad...)
			}
		}
		return nil
	})
	return out, err
}

// MendRecords puts records in the place of live ones that do not match their CRC or have vanished, all or
// none: ErrChecksum if the mailbox's records would then not be those of its checksum,
// because the other slot's are older or newer.
func (m *Mail) MendRecords(ctx context.Context, id mailbox.ID, entries []Entry) error {
	err := m.write(ctx, "", func(t *txn) error {
		b, err := loadBox(t.c, "id", string(id))
		if err != nil {
			return err
		}
		sound, err := t.soundUIDs(b)
		if err != nil {
			return err
		}
		for i := range entries {
			e := &entries[i]
			// What came or changed later was not here when the record was lost.
			if e.Expunged || sound[e.UID] || e.UID >= b.UIDNext || e.ModSeq > b.HighestModSeq {
				continue
			}
			if err := t.mendRecord(b, e); err != nil {
				return err
			}
		}
		return t.checkSum(b)
	})
	if err == nil {
		m.s.views.forget(m.user)
	}
	return err
}

// soundUIDs are those of b's records, live and expunged, but for live ones that do not match their CRC.
func (t *txn) soundUIDs(b *box) (map[mailbox.UID]bool, error) {
	out := make(map[mailbox.UID]bool, min(b.Counts.Exists, 1<<20)) // what is counted may be damaged
	_, err := t.m.sound(t.c, b, 0, math.MaxUint32, func(r *mailbox.Record) error {
		out[r.UID] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = t.c.each(`SELECT id FROM expunged WHERE id BETWEEN ? AND ?`, func(row []driver.Value) error {
		out[mailbox.UID(integer(row[0]))] = true
		return nil
	}, rowID(b.row, 0), rowID(b.row, math.MaxUint32))
	return out, err
}

// mendRecord puts a record in its place. The message is held for it: what counted the lost one still counts. One
// whose message nothing holds was expunged and forgotten here, and the other slot has not heard of it.
func (t *txn) mendRecord(b *box, e *Entry) error {
	c, found, err := t.m.contentOf(t.c, e.GUID)
	if err != nil || !found {
		return err
	}
	r := e.Record
	r.Num = c.num
	return t.c.exec(`REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?)`, recordArgs(b.row, &r)...)
}

// checkSum returns ErrChecksum unless the live records of b are those of its checksum.
func (t *txn) checkSum(b *box) error {
	var sum mailbox.Checksum
	bad, err := t.m.sound(t.c, b, 0, math.MaxUint32, func(r *mailbox.Record) error {
		sum.Add(r)
		return nil
	})
	if err == nil && (len(bad) > 0 || sum != b.Checksum) {
		err = fmt.Errorf("mailbox %s: %w", b.ID, ErrChecksum)
	}
	return err
}

// Threads returns the threads of messages; those that are not there are left out.
func (m *Mail) Threads(ctx context.Context, guids []mailbox.GUID) (map[mailbox.GUID]ThreadKey, error) {
	out := make(map[mailbox.GUID]ThreadKey, len(guids))
	err := m.read(ctx, func(c *conn) error {
		for _, g := range guids {
			_, err := c.one(`SELECT thread FROM content WHERE guid = ?`, func(row []driver.Value) error {
				var t ThreadKey
				if copy(t[:], blob(row[0])) != len(t) {
					return errors.New("a thread's id is cut short")
				}
				out[g] = t
				return nil
			}, g[:])
			if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}
