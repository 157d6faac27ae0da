package mailstore

import (
	"cmp"
	"context"
	"database/sql/driver"
	"slices"

	"teraslot/mailbox"
)

// The line may break between a merge and the moment at which the other slot takes the merged
// mail over, and the other slot may be written to before it does. To merge the same changes once
// more would double what got new UIDs, and undo what the first merge decided. So mail carries what
// was merged into it, to all slots that take it over: of the other slot's mail only what came
// after that is new.

// Absorbed is a state of another slot's mail that was merged into mail.
type Absorbed struct {
	Digest  Digest         // of the image that was merged
	Lineage Lineage        // of that
	ModSeq  mailbox.ModSeq // of the merge: above all mod-sequences of both sides
	Boxes   []AbsorbedBox  // that it had, by id
}

// AbsorbedBox is a mailbox of a state that was merged.
type AbsorbedBox struct {
	ID      mailbox.ID
	Name    string
	Became  string // the name after the merge; "": the merge deleted the mailbox
	UIDNext mailbox.UID
}

// keptAbsorbed is how many states are remembered.
const keptAbsorbed = 8

// holds reports whether all that was in theirs was merged.
func (a *Absorbed) holds(theirs *Image) bool {
	return a.Digest == theirs.Digest() || a.Lineage.Descends(theirs.Lineage)
}

// absorb returns what mail has absorbed that is made of two, and theirs with it; merged is the
// outcome.
func absorb(here, theirs, merged *Image) []Absorbed {
	one := Absorbed{Digest: theirs.Digest(), Lineage: theirs.Lineage, ModSeq: merged.ModSeq}
	for i := range theirs.Mailboxes {
		b := AbsorbedBox{ID: theirs.Mailboxes[i].ID, Name: theirs.Mailboxes[i].Name, UIDNext: theirs.Mailboxes[i].UIDNext}
		if now := merged.Box(b.ID); now != nil {
			b.Became = now.Name
		}
		one.Boxes = append(one.Boxes, b)
	}
	out := slices.Concat(here.carried(merged), theirs.carried(merged))
	slices.SortStableFunc(out, func(a, b Absorbed) int { return cmp.Compare(a.ModSeq, b.ModSeq) })
	out = slices.CompactFunc(out, func(a, b Absorbed) bool { return a.ModSeq == b.ModSeq })
	out = slices.DeleteFunc(out, func(a Absorbed) bool { return one.Lineage.Descends(a.Lineage) })
	out = append(out, one)
	return out[max(0, len(out)-keptAbsorbed):]
}

// carried is what i had absorbed and merged has absorbed thereby: without the mailboxes that i
// had no longer, and that are in merged as another slot had them.
func (i *Image) carried(merged *Image) []Absorbed {
	out := slices.Clone(i.Absorbed)
	for k := range out {
		out[k].Boxes = slices.DeleteFunc(slices.Clone(out[k].Boxes), func(b AbsorbedBox) bool {
			return i.Box(b.ID) == nil && merged.Box(b.ID) != nil
		})
	}
	return out
}

// absorbedOf returns the state that was merged into i which has most in common with there, and up
// to which mod-sequence; nil if the lineages themselves have as much.
func (i *Image) absorbedOf(there *Image) (out *Absorbed, base mailbox.ModSeq) {
	base = i.Lineage.Base(there.Lineage)
	for k := range i.Absorbed {
		if b := there.Lineage.Base(i.Absorbed[k].Lineage); b > base || out != nil && b == base {
			out, base = &i.Absorbed[k], b
		}
	}
	return out, base
}

// HasMerged reports whether all of another slot's mail was merged into this: a Change may
// replace it.
func (m *Mail) HasMerged(ctx context.Context, theirs *Image) (bool, error) {
	var all []Absorbed
	err := m.read(ctx, func(c *conn) (err error) {
		all, err = loadAbsorbed(c)
		return err
	})
	return slices.ContainsFunc(all, func(a Absorbed) bool { return a.holds(theirs) }), err
}

// again sets the bases of a merge with mail of which an earlier state was merged before, or one that
// has its beginning in common up to base: in the side that has merged, the outcome of that; on the
// other side, what was merged.
func (g *merger) again(side, other *version, was *Absorbed, base mailbox.ModSeq) {
	side.common, side.base, other.base = side.Lineage.Base(other.Lineage), was.ModSeq, base
	side.partly = base < was.Lineage.End()
	side.seen = map[mailbox.ID]mailbox.UID{}
	for _, b := range was.Boxes {
		side.seen[b.ID] = b.UIDNext
	}
	if side.partly {
		return
	}
	side.names, other.names = map[mailbox.ID]string{}, map[mailbox.ID]string{}
	for _, b := range was.Boxes {
		other.names[b.ID] = b.Name
		if b.Became != "" {
			side.names[b.ID] = b.Became
		}
	}
}

// stands reports whether a record of side is what an earlier merge made of the other side's,
// which has not changed since.
func (m *boxMerger) stands(e, other Entry, side, there *version) bool {
	if there.changed(&other) || there.news(m.b.ID, &other) {
		return false
	}
	if e.GUID == other.GUID {
		return side.seen != nil
	}
	return e.Expunged && (side.seen != nil || side.changed(&e))
}

// as makes an entry that of both sides.
func (m *boxMerger) as(e Entry, same bool) {
	if same {
		m.keep(e)
	} else {
		m.write(e)
	}
}

// loadAbsorbed reads what was merged into the user's mail, by ModSeq. The tables are made by the
// first merge.
func loadAbsorbed(c *conn) ([]Absorbed, error) {
	tables, err := c.integer(`SELECT count(*) FROM sqlite_schema WHERE name = 'absorbed'`)
	if err != nil || tables == 0 {
		return nil, err
	}
	var out []Absorbed
	err = c.each(`SELECT modseq, digest FROM absorbed ORDER BY modseq`, func(row []driver.Value) error {
		a := Absorbed{ModSeq: mailbox.ModSeq(integer(row[0]))}
		copy(a.Digest[:], blob(row[1]))
		out = append(out, a)
		return nil
	})
	for i := range out {
		if err == nil {
			err = out[i].load(c)
		}
	}
	return out, err
}

func (a *Absorbed) load(c *conn) error {
	err := c.each(`SELECT slot, upto FROM absorbed_tenure WHERE modseq = ? ORDER BY upto`, func(row []driver.Value) error {
		a.Lineage = append(a.Lineage, Tenure{text(row[0]), mailbox.ModSeq(integer(row[1]))})
		return nil
	}, int64(a.ModSeq))
	if err != nil {
		return err
	}
	return c.each(`SELECT id, name, became, uidnext FROM absorbed_box WHERE modseq = ? ORDER BY id`, func(row []driver.Value) error {
		a.Boxes = append(a.Boxes, AbsorbedBox{mailbox.ID(text(row[0])), text(row[1]), text(row[2]), mailbox.UID(integer(row[3]))})
		return nil
	}, int64(a.ModSeq))
}

// storeAbsorbed replaces what was merged, if it is something else.
func (t *txn) storeAbsorbed(before, now []Absorbed) error {
	same := func(a, b Absorbed) bool {
		return a.ModSeq == b.ModSeq && a.Digest == b.Digest && len(a.Boxes) == len(b.Boxes)
	}
	if slices.EqualFunc(before, now, same) {
		return nil
	}
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS absorbed (modseq INTEGER PRIMARY KEY, digest BLOB NOT NULL) STRICT`,
		`CREATE TABLE IF NOT EXISTS absorbed_tenure (modseq INTEGER, upto INTEGER, slot TEXT NOT NULL, PRIMARY KEY (modseq, upto)) STRICT, WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS absorbed_box (modseq INTEGER, id TEXT, name TEXT NOT NULL, became TEXT NOT NULL, uidnext INTEGER NOT NULL, PRIMARY KEY (modseq, id)) STRICT, WITHOUT ROWID`,
		`DROP TABLE IF EXISTS merged`, // what an earlier version knew of merges
		`DELETE FROM absorbed`, `DELETE FROM absorbed_tenure`, `DELETE FROM absorbed_box`,
	} {
		if err := t.c.exec(statement); err != nil {
			return err
		}
	}
	for i := range now {
		if err := t.storeOneAbsorbed(&now[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) storeOneAbsorbed(a *Absorbed) error {
	err := t.c.exec(`INSERT INTO absorbed VALUES (?, ?)`, int64(a.ModSeq), a.Digest[:])
	for _, tenure := range a.Lineage {
		if err == nil {
			err = t.c.exec(`INSERT INTO absorbed_tenure VALUES (?, ?, ?)`, int64(a.ModSeq), int64(tenure.UpTo), tenure.Slot)
		}
	}
	for _, b := range a.Boxes {
		if err == nil {
			err = t.c.exec(`INSERT INTO absorbed_box VALUES (?, ?, ?, ?, ?)`, int64(a.ModSeq), string(b.ID), b.Name, b.Became, int64(b.UIDNext))
		}
	}
	return err
}
