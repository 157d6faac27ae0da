package mailstore

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"teraslot/mailbox"
)

// Columns of message and expunged, in the order of scanRecord. Each column that
// is read costs as much as the step to the next row, so what never changes in a
// record is one of them.
const recordList = `id, modseq, system, keywords, fixed, crc`

var (
	errRecord = errors.New("record does not match its CRC")
	errCount  = errors.New("records do not match the mailbox's counters")
	errSum    = errors.New("records do not match the mailbox's checksum")
)

func rowID(b int64, uid mailbox.UID) int64 { return b<<32 | int64(uid) }

// crcVersion is the first octet of what the CRCs of records and contents cover.
const crcVersion = 1

// fixedSize is the size of what appendFixed appends.
const fixedSize = 80

// appendFixed appends what never changes in a record: docs/formats.md, "Mail
// database".
func appendFixed(p []byte, r *mailbox.Record) []byte {
	p = append(p, r.GUID[:]...)
	p = binary.BigEndian.AppendUint32(p, r.Num)
	p = binary.BigEndian.AppendUint64(p, uint64(r.Size))
	p = binary.BigEndian.AppendUint64(p, uint64(r.CreatedModSeq))
	p = appendDate(p, r.InternalDate)
	p = appendDate(p, r.SentDate)
	return binary.BigEndian.AppendUint64(p, uint64(r.SaveDate))
}

func appendDate(p []byte, d mailbox.Date) []byte {
	p = binary.BigEndian.AppendUint64(p, uint64(d.Unix))
	return binary.BigEndian.AppendUint16(p, uint16(d.Zone))
}

// parseFixed reads what appendFixed appended.
func parseFixed(p []byte, r *mailbox.Record) bool {
	if len(p) != fixedSize {
		return false
	}
	copy(r.GUID[:], p)
	r.Num = binary.BigEndian.Uint32(p[32:])
	r.Size = int64(binary.BigEndian.Uint64(p[36:]))
	r.CreatedModSeq = mailbox.ModSeq(binary.BigEndian.Uint64(p[44:]))
	r.InternalDate = parseDate(p[52:])
	r.SentDate = parseDate(p[62:])
	r.SaveDate = int64(binary.BigEndian.Uint64(p[72:]))
	return true
}

func parseDate(p []byte) mailbox.Date {
	return mailbox.Date{Unix: int64(binary.BigEndian.Uint64(p)), Zone: int16(binary.BigEndian.Uint16(p[8:]))}
}

// recordCRC is drawn in docs/formats.md, "Mail database".
func recordCRC(b int64, r *mailbox.Record, fixed []byte) int64 {
	var buf [64]byte
	p := append(buf[:0], crcVersion)
	p = binary.BigEndian.AppendUint64(p, uint64(rowID(b, r.UID)))
	p = binary.BigEndian.AppendUint64(p, uint64(r.ModSeq))
	p = append(p, byte(r.Flags.System), 0)
	if r.Expunged {
		p[len(p)-1] = 1
	}
	crc := crc32.Update(crc32.Checksum(p, castagnoli), castagnoli, fixed)
	if r.Flags.Keywords != "" {
		crc = crc32.Update(crc, castagnoli, []byte(r.Flags.Keywords))
	}
	return int64(crc)
}

// scanRecord reads a row of recordList and checks it.
func (m *Mail) scanRecord(b *box, row []driver.Value, expunged bool, r *mailbox.Record) error {
	id, fixed := integer(row[0]), blob(row[4])
	*r = mailbox.Record{
		UID:      mailbox.UID(id),
		ModSeq:   mailbox.ModSeq(integer(row[1])),
		Flags:    mailbox.Flags{System: mailbox.System(integer(row[2])), Keywords: text(row[3])},
		Expunged: expunged,
	}
	// The CRC is of the eight flags that there are, not of the bits above them.
	if !parseFixed(fixed, r) || id>>32 != b.row || integer(row[2]) != int64(r.Flags.System) || recordCRC(b.row, r, fixed) != integer(row[5]) {
		return m.damage(b.ID, r.UID, errRecord)
	}
	return nil
}

// recordArgs are the values of a row, in the order of the table's columns.
func recordArgs(b int64, r *mailbox.Record) []any { return appendRecord(make([]any, 0, 7), b, r) }

func appendRecord(args []any, b int64, r *mailbox.Record) []any {
	fixed := appendFixed(make([]byte, 0, fixedSize), r)
	return append(args, rowID(b, r.UID), int64(r.ModSeq), int64(r.Flags.System), r.Flags.Keywords, int64(r.Num), fixed,
		recordCRC(b, r, fixed))
}

// nextUID gives out a UID of b.
func (b *box) nextUID() (mailbox.UID, error) {
	if b.UIDNext == math.MaxUint32 {
		return 0, fmt.Errorf("mailbox %s: %w", b.ID, ErrNoUIDs)
	}
	b.UIDNext++
	b.dirty = true
	return b.UIDNext - 1, nil
}

// count adds (by = 1) or takes away (by = -1) a record in all the sums.
func (t *txn) count(b *box, r *mailbox.Record, by int) {
	n := uint32(by)
	b.Counts.Exists += n
	if !r.Flags.Has(mailbox.Seen) {
		b.Counts.Unseen += n
		b.countUnseen(r.UID, by)
	}
	b.countKeywords(r.Flags, by)
	if r.Flags.Has(mailbox.Deleted) {
		b.Counts.Deleted += n
	}
	b.Counts.Size += int64(by) * r.Size
	if by > 0 {
		b.Checksum.Add(r)
	} else {
		b.Checksum.Remove(r)
	}
	t.account.usage.Bytes += int64(by) * r.Size
	t.account.usage.Messages += int64(by)
	b.dirty = true
}

// changed notes b's latest change.
func (b *box) changed(modseq mailbox.ModSeq) {
	b.pass(modseq)
	b.HighestModSeq = max(b.HighestModSeq, modseq)
	b.dirty = true
}

// insert adds a record, which holds its content once more.
func (t *txn) insert(b *box, r *mailbox.Record) error {
	err := t.c.exec(`INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)`, recordArgs(b.row, r)...)
	if err != nil {
		return err
	}
	t.count(b, r, 1)
	b.changed(r.ModSeq)
	b.delta.changed = append(b.delta.changed, *r)
	return nil
}

// atOnce is how many records one statement replaces. More gain nothing: the
// driver's cost of binding grows with the square of the arguments.
const atOnce = 8

var replaceMany = `REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?)` + strings.Repeat(`, (?, ?, ?, ?, ?, ?, ?)`, atOnce-1)

// update replaces records whose flags and mod-sequences changed; old and next are
// pairs. Whole rows are written, so that SQLite need not take apart what is there.
func (t *txn) update(b *box, old, next []mailbox.Record) error {
	for i := range next {
		t.count(b, &old[i], -1)
		t.count(b, &next[i], 1)
		b.changed(next[i].ModSeq)
	}
	b.delta.changed = append(slices.Grow(b.delta.changed, len(next)), next...)
	args := make([]any, 0, 7*atOnce)
	for len(next) >= atOnce {
		args = args[:0]
		for i := range next[:atOnce] {
			args = appendRecord(args, b.row, &next[i])
		}
		if err := t.c.exec(replaceMany, args...); err != nil {
			return err
		}
		next = next[atOnce:]
	}
	for i := range next {
		if err := t.c.exec(`REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?)`, recordArgs(b.row, &next[i])...); err != nil {
			return err
		}
	}
	return nil
}

// expunge makes a record one that is kept for resynchronisation only. It goes
// on holding its content.
func (t *txn) expunge(b *box, r *mailbox.Record, modseq mailbox.ModSeq) error {
	if err := t.c.exec(`DELETE FROM message WHERE id = ?`, rowID(b.row, r.UID)); err != nil {
		return err
	}
	t.count(b, r, -1)
	gone := *r
	gone.Expunged, gone.ModSeq = true, modseq
	b.changed(modseq)
	b.delta.gone = append(b.delta.gone, r.UID)
	return t.c.exec(`INSERT INTO expunged VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		append(recordArgs(b.row, &gone), t.now)...)
}

// sound reads the live records of b in a range of UIDs, in their order. It passes over
// damaged ones and returns their UIDs.
func (m *Mail) sound(c *conn, b *box, lo, hi mailbox.UID, fn func(r *mailbox.Record) error) (damaged []mailbox.UID, err error) {
	var r mailbox.Record
	err = c.each("SELECT "+recordList+" FROM message WHERE id BETWEEN ? AND ? ORDER BY id", func(row []driver.Value) error {
		if m.scanRecord(b, row, false, &r) != nil {
			damaged = append(damaged, mailbox.UID(integer(row[0])))
			return nil
		}
		return fn(&r)
	}, rowID(b.row, lo), rowID(b.row, hi))
	return damaged, err
}

// selected reads the live records of b that a set names, in their order. One that is
// damaged is an error: what is not told apart from the others must not be moved.
func (m *Mail) selected(c *conn, b *box, uids mailbox.UIDSet) ([]mailbox.Record, error) {
	out, damaged, err := m.soundOf(c, b, uids)
	if err == nil && len(damaged) > 0 {
		err = m.damage(b.ID, damaged[0], errRecord)
	}
	return out, err
}

// soundOf is selected that passes over damaged records, and returns their UIDs.
func (m *Mail) soundOf(c *conn, b *box, uids mailbox.UIDSet) (out []mailbox.Record, damaged []mailbox.UID, err error) {
	for _, g := range uids.Ranges() {
		bad, err := m.sound(c, b, g.Lo, g.Hi, func(r *mailbox.Record) error {
			out = append(out, *r)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		damaged = append(damaged, bad...)
	}
	return out, damaged, nil
}
