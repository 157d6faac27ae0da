package mailstore

import (
	"context"
	"database/sql/driver"
	"math"

	"teraslot/mailbox"
)

// contentless leads records whose content is not there, or is another message's, to
// the message that they name by its GUID: to its content, or to one that is made of
// what a pack holds.
func (r *repair) contentless(ctx context.Context, b *box) error {
	have := map[uint32]mailbox.GUID{}
	err := r.t.c.each(contentQuery+`true`, func(row []driver.Value) error {
		var one content
		if r.m.scanContent(row, &one) == nil {
			have[one.num] = one.guid
		}
		return nil
	})
	if err != nil {
		return err
	}
	var bad []mailbox.Record
	_, err = r.m.sound(r.t.c, b, 0, math.MaxUint32, func(rec *mailbox.Record) error {
		if g, ok := have[rec.Num]; !ok || g != rec.GUID {
			bad = append(bad, *rec)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range bad {
		if err := r.reattach(ctx, b, &bad[i]); err != nil {
			return err
		}
	}
	return r.dropContentless(b, have)
}

// reattach leads one record to its message.
func (r *repair) reattach(ctx context.Context, b *box, rec *mailbox.Record) error {
	ok, err := r.attach(rec)
	if err != nil {
		return err
	}
	if found := r.byGUID[rec.GUID]; !ok && len(found) > 0 {
		c, err := r.addContent(ctx, found[len(found)-1])
		if err != nil {
			return err
		}
		rec.Num, ok = c.num, true
	}
	if !ok {
		r.sayf("mailbox %s UID %d, message %s: lost, no whole copy of its bytes is in any pack", b.Name, rec.UID, rec.GUID)
		return nil
	}
	rec.ModSeq = r.change()
	r.sayf("mailbox %s UID %d: its message is found again", b.Name, rec.UID)
	return r.t.c.exec(`REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?)`, recordArgs(b.row, rec)...)
}

// dropContentless drops the expunged records of which nothing can be brought back.
func (r *repair) dropContentless(b *box, have map[uint32]mailbox.GUID) error {
	all, err := r.m.expungedOf(r.t.c, b)
	if err != nil {
		return err
	}
	dropped := false
	for i := range all {
		rec := &all[i].Record
		if g, ok := have[rec.Num]; ok && g == rec.GUID {
			continue
		}
		dropped = true
		r.sayf("mailbox %s UID %d: the record of an expunged message without bytes is dropped", b.Name, rec.UID)
		if err := r.t.c.exec(`DELETE FROM expunged WHERE id = ?`, rowID(b.row, rec.UID)); err != nil {
			return err
		}
	}
	if !dropped {
		return nil
	}
	b.horizon = r.change()
	return r.t.c.exec(`UPDATE mailbox SET horizon = ? WHERE sound AND box = ?`, int64(b.horizon), b.row)
}
