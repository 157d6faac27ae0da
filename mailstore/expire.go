package mailstore

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	"teraslot/mailbox"
)

// expireAtOnce bounds the messages that one transaction expunges.
const expireAtOnce = 5000

// Expire expunges the messages that have reached the age of their mailbox's setting
// SettingExpire, flagged ones too, and returns their number. A message is as old as
// its time in the mailbox (SaveDate): one that is moved to Trash begins anew there.
// They can be brought back as other expunged ones.
func (m *Mail) Expire(ctx context.Context) (int, error) {
	var boxes []*box
	var settings map[int64]map[string]Age
	err := m.read(ctx, func(c *conn) (err error) {
		if settings, err = loadSettings(c); err == nil {
			boxes, err = loadBoxes(c)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	total := 0
	for _, b := range boxes {
		age, set := settings[b.row][SettingExpire]
		if !set || age.Never {
			continue
		}
		n, err := m.expireBox(ctx, b.ID, age)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// expireBox expunges the old messages of one mailbox, in parts.
func (m *Mail) expireBox(ctx context.Context, id mailbox.ID, age Age) (int, error) {
	for total := 0; ; {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		n, more, err := m.expirePart(ctx, id, age)
		total += n
		if err != nil || !more {
			return total, err
		}
	}
}

func (m *Mail) expirePart(ctx context.Context, id mailbox.ID, age Age) (n int, more bool, err error) {
	err = m.write(ctx, "", func(t *txn) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		var old []mailbox.Record
		_, err = m.sound(t.c, b, 1, math.MaxUint32, func(r *mailbox.Record) error {
			if age.reached(time.Unix(r.SaveDate, 0), time.Unix(t.now, 0)) {
				if more = len(old) == expireAtOnce; !more {
					old = append(old, *r)
				}
			}
			return nil
		})
		if err != nil || len(old) == 0 {
			return err
		}
		n = len(old)
		return t.expungeAll(b, old)
	})
	return n, more, err
}

// expungeAll expunges records, whatever their flags.
func (t *txn) expungeAll(b *box, records []mailbox.Record) error {
	modseq := t.nextModSeq()
	var gone mailbox.UIDSet
	for i := range records {
		if err := t.expunge(b, &records[i], modseq); err != nil {
			return err
		}
		gone.Add(records[i].UID)
	}
	t.event(b, mailbox.Expunged, gone, modseq, t.session)
	return nil
}

// ExpungedMessage is a message that was expunged and can be brought back.
type ExpungedMessage struct {
	Record mailbox.Record // as it was when it was expunged, but for ModSeq
	At     time.Time      // when it was expunged
}

// ExpungedMessages lists a mailbox's expunged messages that are retained, by UID.
func (m *Mail) ExpungedMessages(ctx context.Context, id mailbox.ID) ([]ExpungedMessage, error) {
	var out []ExpungedMessage
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err == nil {
			out, err = m.expungedOf(c, b)
		}
		return err
	})
	return out, err
}

// expungedOf reads the expunged records of b; damaged ones are left out.
func (m *Mail) expungedOf(c *conn, b *box) ([]ExpungedMessage, error) {
	var out []ExpungedMessage
	err := c.each("SELECT "+recordList+", gone FROM {expunged} WHERE id BETWEEN ? AND ? ORDER BY id", func(row []driver.Value) error {
		var one ExpungedMessage
		if m.scanRecord(b, row, true, &one.Record) == nil {
			one.At = time.Unix(integer(row[6]), 0)
			out = append(out, one)
		}
		return nil
	}, rowID(b.row, 0), rowID(b.row, math.MaxUint32))
	return out, err
}

// Unexpunge brings expunged messages back, those that uids names or all that were
// expunged at or after since, with their flags but \Deleted, under new UIDs: clients
// were told that the old ones are gone (RFC 9051 §2.3.1.1). A message that its
// mailbox has again, or has been given back, is passed over. It returns the old
// UIDs and the new.
func (m *Mail) Unexpunge(ctx context.Context, session string, id mailbox.ID, uids mailbox.UIDSet, since time.Time) (Copied, error) {
	var out Copied
	err := m.write(ctx, session, func(t *txn) error {
		out = Copied{}
		b, err := t.box(id)
		if err != nil {
			return err
		}
		out.UIDValidity = b.UIDValidity
		all, err := m.expungedOf(t.c, b)
		if err != nil {
			return err
		}
		there := map[mailbox.GUID]bool{}
		_, err = m.sound(t.c, b, 1, math.MaxUint32, func(r *mailbox.Record) error {
			there[r.GUID] = true
			return nil
		})
		if err != nil {
			return err
		}
		var back []mailbox.Record
		for i := range all {
			r := &all[i].Record
			wanted := uids.Contains(r.UID) || uids.IsEmpty() && !all[i].At.Before(since)
			if wanted && !there[r.GUID] {
				there[r.GUID] = true
				back = append(back, *r)
			}
		}
		return t.unexpunge(b, back, &out)
	})
	if err != nil {
		return Copied{}, err
	}
	return out, nil
}

func (t *txn) unexpunge(b *box, back []mailbox.Record, out *Copied) error {
	if len(back) == 0 {
		return nil
	}
	if err := t.admitUsage(usageOf(back)); err != nil {
		return err
	}
	modseq := t.nextModSeq()
	var came mailbox.UIDSet
	for i := range back {
		r := back[i]
		r.Expunged = false
		r.Flags = r.Flags.Minus(mailbox.MakeFlags(`\Deleted`))
		uid, err := t.copyRecord(b, &r, modseq)
		if err != nil {
			return fmt.Errorf("bring back UID %d: %w", r.UID, err)
		}
		out.From, out.To = append(out.From, r.UID), append(out.To, uid)
		came.Add(uid)
	}
	t.event(b, mailbox.Appended, came, modseq, t.session)
	return nil
}
