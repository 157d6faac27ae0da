package mailstore

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"teraslot/mailbox"
)

// Where records and mailboxes come from is kept only where their mod-sequences and the lineage
// do not say it: in tables that the first merge or renewal makes, and the first renaming of a mailbox.

const (
	provenanceTable = `CREATE TABLE IF NOT EXISTS provenance (record INTEGER PRIMARY KEY, maker TEXT NOT NULL, made INTEGER NOT NULL,
		uid INTEGER NOT NULL, changer TEXT NOT NULL, changed INTEGER NOT NULL, at INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT`
	provenanceList = `, maker, made, uid, changer, changed, at, sum`
)

// hasTable reports whether there is a table that only some mail has.
func hasTable(c *conn, name string) (bool, error) {
	n, err := c.integer(`SELECT count(*) FROM sqlite_schema WHERE name = ?`, name)
	return n > 0, err
}

// sum is the CRC of a row of provenance: what the record is whose it is, and what the row says.
func (p *Provenance) sum(record int64, at mailbox.ModSeq) int64 {
	b := binary.BigEndian.AppendUint64(nil, uint64(record))
	for _, n := range []uint64{uint64(at), uint64(p.Made.ModSeq), uint64(p.UID), uint64(p.Changed.ModSeq), uint64(len(p.Made.Slot))} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = append(append(b, p.Made.Slot...), p.Changed.Slot...)
	return int64(crc32.Checksum(b, castagnoli))
}

// parseProvenance reads the columns of provenanceList for a record: the row, the mod-sequence of
// the record when it was written, and whether it matches its CRC.
func parseProvenance(record int64, row []driver.Value) (p Provenance, at mailbox.ModSeq, sound bool) {
	p = Provenance{Made: Dot{text(row[0]), mailbox.ModSeq(integer(row[1]))}, UID: mailbox.UID(integer(row[2])),
		Changed: Dot{text(row[3]), mailbox.ModSeq(integer(row[4]))}}
	at = mailbox.ModSeq(integer(row[5]))
	return p, at, p.sum(record, at) == integer(row[6])
}

// provenanceOf is parseProvenance of columns that may be null, for a record of a mod-sequence. A damaged
// row says nothing: then the record counts as the merge's, which at worst keeps a message twice.
func provenanceOf(record int64, modseq mailbox.ModSeq, row []driver.Value) Provenance {
	if row[0] == nil {
		return Provenance{}
	}
	p, at, sound := parseProvenance(record, row)
	if !sound {
		return Provenance{}
	}
	if at != modseq { // changed since
		p.Changed = Dot{}
	}
	return p
}

// storeProvenance keeps where a record comes from.
func (a *application) storeProvenance(b *box, e *Entry) error {
	if e.Provenance == (Provenance{}) {
		if !a.provenance {
			return nil
		}
		return a.c.exec(`DELETE FROM provenance WHERE record = ?`, rowID(b.row, e.UID))
	}
	if !a.provenance {
		if err := a.c.exec(provenanceTable); err != nil {
			return err
		}
		a.provenance = true
	}
	return a.putProvenance(b, e)
}

// putProvenance writes the row of a record; the table is there.
func (t *txn) putProvenance(b *box, e *Entry) error {
	id, p := rowID(b.row, e.UID), &e.Provenance
	return t.c.exec(`REPLACE INTO provenance VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, id, p.Made.Slot, int64(p.Made.ModSeq), int64(p.UID),
		p.Changed.Slot, int64(p.Changed.ModSeq), int64(e.ModSeq), p.sum(id, e.ModSeq))
}

// dropProvenance forgets where the records of a range of ids come from.
func (t *txn) dropProvenance(lo, hi int64) error {
	there, err := hasTable(t.c, "provenance")
	if err != nil || !there {
		return err
	}
	return t.c.exec(`DELETE FROM provenance WHERE record BETWEEN ? AND ?`, lo, hi)
}

// forgetProvenance forgets it of records and mailboxes that are no longer there.
func (t *txn) forgetProvenance() error {
	for _, one := range []struct{ table, sql string }{
		{"provenance", `DELETE FROM provenance WHERE record NOT IN (SELECT id FROM message UNION ALL SELECT id FROM expunged)`},
		{"box_dot", `DELETE FROM box_dot WHERE id NOT IN (SELECT id FROM {mailbox} UNION ALL SELECT id FROM {grave})`},
	} {
		there, err := hasTable(t.c, one.table)
		if err == nil && there {
			err = t.c.exec(one.sql)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// damagedProvenance returns the records whose rows of provenance do not match their CRC.
func damagedProvenance(c *conn) ([]int64, error) {
	there, err := hasTable(c, "provenance")
	if err != nil || !there {
		return nil, err
	}
	var out []int64
	err = c.each(`SELECT record`+provenanceList+` FROM provenance`, func(row []driver.Value) error {
		if _, _, sound := parseProvenance(integer(row[0]), row[1:]); !sound {
			out = append(out, integer(row[0]))
		}
		return nil
	})
	return out, err
}

// provenance reports rows that do not match their CRC.
func (v *verification) provenance(c *conn) error {
	all, err := damagedProvenance(c)
	for _, id := range all {
		v.report(Finding{UID: mailbox.UID(uint32(id)), Problem: fmt.Sprintf("mailbox number %d: where the message comes from does not match its CRC", id>>32)})
	}
	return err
}

// provenance drops rows that do not match their CRC.
func (r *repair) provenance() error {
	all, err := damagedProvenance(r.t.c)
	for _, id := range all {
		if err == nil {
			r.sayf("mailbox number %d UID %d: where the message comes from is damaged and forgotten", id>>32, uint32(id))
			err = r.t.c.exec(`DELETE FROM provenance WHERE record = ?`, id)
		}
	}
	return err
}

// boxDots are the writes that made and named a mailbox, as they are stored.
type boxDots struct{ made, named Dot }

func loadBoxDots(c *conn) (map[mailbox.ID]boxDots, error) {
	there, err := hasTable(c, "box_dot")
	if err != nil || !there {
		return nil, err
	}
	out := map[mailbox.ID]boxDots{}
	err = c.each(`SELECT id, maker, made, namer, named FROM {box_dot}`, func(row []driver.Value) error {
		out[mailbox.ID(text(row[0]))] = boxDots{Dot{text(row[1]), mailbox.ModSeq(integer(row[2]))}, Dot{text(row[3]), mailbox.ModSeq(integer(row[4]))}}
		return nil
	})
	return out, err
}

// storeBoxDots keeps what another slot says of a mailbox.
func (t *txn) storeBoxDots(b *BoxImage) error {
	if b.Made == (Dot{}) && b.Named == (Dot{}) {
		there, err := hasTable(t.c, "box_dot")
		if err != nil || !there {
			return err
		}
		return t.c.exec(`DELETE FROM box_dot WHERE id = ?`, string(b.ID))
	}
	if err := t.c.makeTable(boxDotTable); err != nil {
		return err
	}
	return t.c.exec(`REPLACE INTO box_dot VALUES (?, ?, ?, ?, ?)`, string(b.ID), b.Made.Slot, int64(b.Made.ModSeq), b.Named.Slot, int64(b.Named.ModSeq))
}

// noteName remembers that a mailbox got its name now: of two slots that rename it, the later wins.
func (t *txn) noteName(b *box, modseq mailbox.ModSeq) error {
	if err := t.c.makeTable(boxDotTable); err != nil {
		return err
	}
	return t.c.exec(`INSERT INTO box_dot VALUES (?, '', 0, '', ?) ON CONFLICT (id) DO UPDATE SET namer = '', named = excluded.named`,
		string(b.ID), int64(modseq))
}

// noteMade remembers that a mailbox is made anew: a slot that has heard of its deletion has not
// heard of this.
func (t *txn) noteMade(b *box, modseq mailbox.ModSeq) error {
	if err := t.c.makeTable(boxDotTable); err != nil {
		return err
	}
	return t.c.exec(`REPLACE INTO box_dot VALUES (?, '', ?, '', ?)`, string(b.ID), int64(modseq), int64(modseq))
}

// loadSeen reads what was merged of other slots' writes, beyond the lineage.
func loadSeen(c *conn) ([]Tenure, error) {
	there, err := hasTable(c, "seen")
	if err != nil || !there {
		return nil, err
	}
	var out []Tenure
	err = c.each(`SELECT slot, upto FROM {seen} ORDER BY slot`, func(row []driver.Value) error {
		out = append(out, Tenure{text(row[0]), mailbox.ModSeq(integer(row[1]))})
		return nil
	})
	return out, err
}

// storeSeen replaces it.
func (t *txn) storeSeen(all []Tenure) error {
	err := t.c.makeTable(seenTable)
	if err == nil {
		err = t.c.exec(`DELETE FROM seen`)
	}
	for _, one := range all {
		if err == nil {
			err = t.c.exec(`INSERT INTO seen VALUES (?, ?)`, one.Slot, int64(one.UpTo))
		}
	}
	return err
}
