package mailstore

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"teraslot/mailbox"
	"teraslot/sealed"
)

// rowMender mends rows that do not match their CRC, each in its place, before anything else of mail.db is
// read. What the CRC proves is what the row was: a bit of it, or one value, is put right. Where it
// proves nothing, the copy of mail.db tells what the row was in that night, or it is made of what is there.
type rowMender struct {
	m      *Mail
	c      *conn
	saved  *conn // nil if there is none
	report func(string)
	modseq int64 // the highest in any row, which may be damaged
}

// mendRows is one run, in one transaction. The writer's turn is held.
func (m *Mail) mendRows(ctx context.Context, report func(string)) error {
	w := &rowMender{m: m, c: m.writer, report: report}
	saved, err := openSaved(filepath.Join(m.packs.dir(archivePlace), savedName))
	if err == nil {
		w.saved = saved
		defer saved.close()
	}
	if err := w.c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err = w.run(ctx); err == nil {
		err = w.c.exec("COMMIT")
	}
	if err != nil {
		return errors.Join(err, w.c.exec("ROLLBACK"))
	}
	m.known.Store(nil)
	return nil
}

func (w *rowMender) run(ctx context.Context) error {
	all, err := damagedRows(w.c)
	if err != nil || len(all) == 0 {
		return err
	}
	// A value that is another in the row may be the old one in an index, and whoever looks for the row finds it by that.
	// Where two rows have the same value there is no index of it before one of them is mended.
	for _, d := range all {
		if err := w.c.exec("REINDEX " + d.table.Name); err != nil {
			w.sayf(&d, "its indexes are not made anew yet: %v", err)
		}
	}
	if w.modseq, err = w.c.integer(`SELECT coalesce(max(modseq), 0) FROM (SELECT modseq FROM {mailbox} UNION ALL SELECT modseq FROM {grave}
		UNION ALL SELECT modseq FROM {account} UNION ALL SELECT modseq FROM message UNION ALL SELECT modseq FROM expunged) WHERE modseq < ?`,
		int64(math.MaxInt64/2)); errors.Is(err, sealed.ErrRow) {
		w.modseq, err = w.c.integer(`SELECT coalesce(max(modseq), 0) FROM (SELECT modseq FROM message UNION ALL SELECT modseq FROM expunged) WHERE modseq < ?`,
			int64(math.MaxInt64/2))
		w.modseq += renewModSeqs
	}
	if err != nil {
		return err
	}
	for i := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.mend(&all[i]); err != nil {
			return err
		}
	}
	for _, t := range sealedTables {
		there, err := hasTable(w.c, t.Name)
		if err == nil && there {
			err = w.c.makeTable(t) // its trigger
		}
		if err == nil && there {
			err = w.c.soundRows(t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *rowMender) sayf(d *damagedRow, format string, args ...any) {
	w.report(d.table.Describe(d.values) + " " + sealed.ErrRow.Error() + ": " + fmt.Sprintf(format, args...))
}

// mend mends one row. Of the others none need be sound.
func (w *rowMender) mend(d *damagedRow) error {
	if err := w.c.exec("DROP TRIGGER IF EXISTS " + d.table.Name + "_seal"); err != nil {
		return err
	}
	values, err := w.candidates(d)
	if err != nil {
		return err
	}
	if was, ok := d.table.Mend(d.values, d.seal, values); ok {
		if err := w.put(d, was); err == nil {
			w.sayf(d, "mended, as the CRC proves")
			return nil
		}
		d.values = was // another row is in its place
	}
	return w.replace(d)
}

// put writes values in the place of a row.
func (w *rowMender) put(d *damagedRow, values []driver.Value) error {
	var args []any
	for _, v := range values {
		args = append(args, v)
	}
	where, is := d.where()
	return w.c.exec("UPDATE "+d.table.Name+" SET "+strings.Join(d.table.Sealed(), " = ?, ")+" = ? WHERE "+where, append(args, is...)...)
}

func (w *rowMender) drop(d *damagedRow) error {
	where, is := d.where()
	return w.c.exec("DELETE FROM "+d.table.Name+" WHERE "+where, is...)
}

// where is true of the row alone. Its key may be what is damaged, so all values are compared.
func (d *damagedRow) where() (sql string, args []any) {
	for i, column := range d.table.Sealed() {
		if b, is := d.values[i].([]byte); is && len(b) == 0 { // the driver binds it as NULL
			sql += column + " = x'' AND "
			continue
		}
		sql += column + " IS ? AND "
		args = append(args, d.values[i])
	}
	return sql + "true", args
}

// candidates are what each value of a row may have been.
func (w *rowMender) candidates(d *damagedRow) ([][]driver.Value, error) {
	out := make([][]driver.Value, len(d.values))
	w.ofCopy(d, func(row []driver.Value) {
		for i, v := range row {
			out[i] = append(out[i], v)
		}
	})
	for i, column := range d.table.Sealed() {
		sql := map[string]string{
			"box":     `SELECT DISTINCT id >> 32 FROM message UNION SELECT DISTINCT id >> 32 FROM expunged UNION SELECT box FROM mailbox`,
			"modseq":  `SELECT max(modseq) FROM message WHERE id >> 32 = ?1 UNION SELECT max(modseq) FROM expunged WHERE id >> 32 = ?1 UNION SELECT max(modseq) FROM mailbox`,
			"uidnext": `SELECT 1 + max(id & 4294967295) FROM (SELECT id FROM message UNION ALL SELECT id FROM expunged) WHERE id >> 32 = ?1`,
			"name":    `SELECT name FROM mailbox UNION SELECT name FROM subscription UNION SELECT 'archive' UNION SELECT 'expire'`,
			"special": `SELECT '' UNION SELECT special FROM mailbox`,
			"n":       `SELECT DISTINCT pack FROM content UNION SELECT count(*) FROM message`,
			"end":     `SELECT max(start + size + ?2) FROM content WHERE pack = ?1`,
			"held":    `SELECT sum(size + ?2) FROM content WHERE pack = ?1`,
			"num":     `SELECT max(num) FROM content`,
			"pack":    `SELECT max(n) FROM pack`,
		}[strings.Trim(column, `"`)]
		if sql == "" {
			continue
		}
		var args []any
		if strings.Contains(sql, "?1") {
			args = append(args, d.values[0])
		}
		if strings.Contains(sql, "?2") {
			args = append(args, int64(frameHeaderSize))
		}
		if err := w.c.each(sql, func(row []driver.Value) error {
			out[i] = append(out[i], row[0])
			return nil
		}, args...); err != nil {
			return nil, err
		}
	}
	return out, w.counted(d, out)
}

// ofCopy calls fn with the sound rows of the copy's table, if it is one of few rows.
func (w *rowMender) ofCopy(d *damagedRow, fn func(row []driver.Value)) {
	if w.saved == nil || d.table.Name == threadTable.Name || d.table.Name == expungedTable.Name {
		return
	}
	// A copy that cannot be read, or has no such table, tells nothing.
	_ = w.saved.each("SELECT "+strings.Join(d.table.Sealed(), ", ")+" FROM {"+d.table.Name+"}", func(row []driver.Value) error {
		fn(slices.Clone(row))
		return nil
	})
}

// counted adds what the records of a mailbox, or those of all, add up to, and what else is known.
func (w *rowMender) counted(d *damagedRow, out [][]driver.Value) error {
	add := func(column string, v driver.Value) {
		if i := slices.Index(d.table.Sealed(), column); i >= 0 {
			out[i] = append(out[i], v)
		}
	}
	switch d.table.Name {
	case accountTable.Name:
		add("user", string(w.m.user))
		return w.c.each(`SELECT sum(bytes), sum(live), max(uidvalidity), max(modseq), max(box) FROM mailbox`, func(row []driver.Value) error {
			for i, column := range []string{"bytes", "messages", "uidvalidity", "modseq", "box"} {
				add(column, row[i])
			}
			return nil
		})
	case slotTable.Name:
		add("id", w.m.s.o.Slot)
	case mailboxTable.Name, graveTable.Name:
		got := tally{words: map[string]int64{}}
		b := &box{row: integer(d.values[0])}
		if _, err := w.m.sound(w.c, b, 0, math.MaxUint32, func(rec *mailbox.Record) error { got.add(rec); return nil }); err != nil {
			return err
		}
		for column, n := range map[string]int64{"live": int64(got.counts.Exists), "unseen": int64(got.counts.Unseen), "deleted": int64(got.counts.Deleted),
			"bytes": got.counts.Size, "sum_a": int64(got.sum.A), "sum_b": int64(got.sum.B), "first_unseen": int64(got.first), "recent": int64(got.last), "horizon": 0} {
			add(column, n)
		}
	}
	return nil
}

// replace puts in the place of a row what is known of it otherwise.
func (w *rowMender) replace(d *damagedRow) error {
	switch d.table.Name {
	case accountTable.Name:
		return w.account(d)
	case mailboxTable.Name, graveTable.Name:
		return w.mailbox(d)
	case packTable.Name:
		return w.pack(d)
	case expungedTable.Name:
		w.sayf(d, "the message counts as expunged now")
		return w.put(d, []driver.Value{d.values[0], w.m.s.o.Now().Unix()})
	case retiredTable.Name:
		w.sayf(d, "it is kept as it is")
		return w.put(d, d.values)
	case slotTable.Name, lineageTable.Name, renewalTable.Name:
		return w.history(d)
	}
	if was := w.inCopy(d); was != nil && d.table.Name == settingTable.Name {
		w.sayf(d, "as it was in the copy of mail.db: %v", was[2])
		return w.put(d, was)
	}
	w.sayf(d, "%s", map[string]string{
		keywordTable.Name:      "counted anew",
		subscriptionTable.Name: "the subscription is lost",
		settingTable.Name:      "the setting is lost, and the default holds",
		threadTable.Name:       "forgotten; later messages may begin a new thread",
		seenTable.Name:         "forgotten, and merged again",
		boxDotTable.Name:       "forgotten; the mailbox counts as this slot's",
		handedTable.Name:       "forgotten; a replica may have the mailbox at both owners for a moment",
	}[d.table.Name])
	return w.drop(d)
}

// inCopy is the row of the copy that has the same first values; nil if there is none.
func (w *rowMender) inCopy(d *damagedRow) (was []driver.Value) {
	w.ofCopy(d, func(row []driver.Value) {
		if row[0] == d.values[0] && (d.table.Constraints == "" || row[1] == d.values[1]) {
			was = row
		}
	})
	return was
}

// account makes the account's row of the copy's and of what was given: no counter lies below.
func (w *rowMender) account(d *damagedRow) error {
	was := w.inCopy(d)
	if was == nil {
		was = []driver.Value{int64(1), "", int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0)}
		w.sayf(d, "made anew, without a quota")
	} else {
		w.sayf(d, "made anew; the quota is that of the copy of mail.db")
	}
	was[1], was[2] = string(w.m.user), max(integer(was[2])+renewModSeqs, w.modseq)
	for i, sql := range map[int]string{3: `SELECT max(uidvalidity) FROM mailbox`, 4: `SELECT max(box) FROM mailbox`, 5: `SELECT max(num) FROM content`,
		6: `SELECT max(n) FROM pack`, 7: `SELECT sum(bytes) FROM mailbox`, 8: `SELECT sum(live) FROM mailbox`} {
		n, err := w.c.integer(sql)
		if err != nil {
			return err
		}
		was[i] = n
	}
	was[3] = min(max(integer(was[3]), w.m.s.o.Now().Unix())+renewBoxes, math.MaxUint32)
	was[4], was[6] = integer(was[4])+renewBoxes, integer(was[6])+renewPacks
	was[5] = min(integer(was[5])+renewNums, math.MaxUint32)
	return w.put(d, was)
}

// Columns of a mailbox's row.
const (
	colBox, colID, colName, colValidity, colNext, colModSeq, colCreated, colHorizon = 0, 1, 2, 3, 4, 5, 6, 7
	colSpecial                                                                      = 14
)

// mailbox makes a mailbox's row of the copy's, with room for the UIDs given since; without that, of what is
// there, with another UIDVALIDITY. Its counters are counted later.
func (w *rowMender) mailbox(d *damagedRow) error {
	was := w.inCopy(d)
	if was != nil {
		w.sayf(d, "as it was in the copy of mail.db; UIDs go on farther on")
		was[colNext] = min(max(integer(was[colNext]), 1)+renewUIDs, math.MaxUint32-1)
	} else {
		was = slices.Clone(d.values)
		was[colValidity] = min(max(w.m.s.o.Now().Unix(), integer(was[colValidity])+1), math.MaxUint32)
		next, err := w.c.integer(`SELECT coalesce(max(id & 4294967295), 0) + 1 FROM (SELECT id FROM message UNION ALL SELECT id FROM expunged) WHERE id >> 32 = ?`, d.values[0])
		if err != nil {
			return err
		}
		was[colNext], was[colSpecial] = next, ""
		if err := w.names(was); err != nil {
			return err
		}
		w.sayf(d, "made of what is there, as %q, with UIDVALIDITY %d", was[colName], was[colValidity])
	}
	was[colModSeq], was[colHorizon] = w.modseq+1, w.modseq+1
	was[colCreated] = min(max(integer(was[colCreated]), 1), w.modseq+1)
	err := w.put(d, was)
	if err != nil { // the name or the id is another's
		if err := w.recovered(was); err != nil {
			return err
		}
		w.sayf(d, "its name is another's by now; it is %q", was[colName])
		err = w.put(d, was)
	}
	return err
}

// names gives a mailbox's row an id and a name that may be.
func (w *rowMender) names(row []driver.Value) error {
	if _, err := mailbox.ParseID(text(row[colID])); err != nil {
		return w.recovered(row)
	}
	inbox, err := w.c.integer(`SELECT count(*) FROM mailbox WHERE name = ?`, Inbox)
	if err != nil {
		return err
	}
	if inbox == 0 && integer(row[colBox]) == 1 { // the first one made
		row[colName] = Inbox
	}
	if clean, err := CleanName(text(row[colName])); err != nil || clean != row[colName] {
		row[colName] = Recovered + Separator + text(row[colID])
	}
	return nil
}

// recovered gives a mailbox's row a new id, and a name of that.
func (w *rowMender) recovered(row []driver.Value) error {
	var id [12]byte
	if _, err := io.ReadFull(w.m.s.o.Rand, id[:]); err != nil {
		return err
	}
	row[colID] = hex.EncodeToString(id[:])
	row[colName] = Recovered + Separator + text(row[colID])
	return nil
}

// pack makes a pack's row of its file and its contents. One of which neither is there is dropped.
func (w *rowMender) pack(d *damagedRow) error {
	n := integer(d.values[0])
	for p := range places {
		info, err := w.m.packs.fs.Stat(w.m.packs.path(place(p), uint64(n)))
		if n <= 0 || err != nil {
			continue
		}
		end, err := w.c.integer(`SELECT coalesce(max(start + size + ?), 0) FROM content WHERE pack = ?`, int64(frameHeaderSize), n)
		if err != nil {
			return err
		}
		w.sayf(d, "made of its file and its messages")
		return w.put(d, []driver.Value{n, int64(p), int64(packSealed), min(end, info.Size()), int64(0)})
	}
	w.sayf(d, "there is no such pack")
	return w.drop(d)
}

// history makes what is known of who wrote the mail one that no other slot shares: they compare all of it.
func (w *rowMender) history(d *damagedRow) error {
	w.sayf(d, "other slots compare all of the mail")
	if d.table.Name == slotTable.Name && w.m.s.o.Slot != "" {
		if err := w.put(d, []driver.Value{int64(1), w.m.s.o.Slot}); err != nil {
			return err
		}
	} else if err := w.drop(d); err != nil {
		return err
	}
	return noteRenewal(w.c, w.m.s.o.Rand)
}
