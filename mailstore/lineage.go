package mailstore

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"teraslot/mailbox"
)

// Tenure says which slot's writes made a user's mail, from the end of the tenure
// before up to a mod-sequence.
type Tenure struct {
	Slot string // Options.Slot of the writer
	UpTo mailbox.ModSeq
}

// Lineage are the tenures of a user's mail, oldest first; UpTo rises. Two slots that
// have the same lineage have the same mail.
type Lineage []Tenure

// End is the mod-sequence up to which the lineage goes.
func (l Lineage) End() mailbox.ModSeq {
	if len(l) == 0 {
		return 0
	}
	return l[len(l)-1].UpTo
}

// Base returns the mod-sequence up to which both lineages are one: what is not
// newer was the same on both sides.
func (l Lineage) Base(other Lineage) mailbox.ModSeq {
	base := mailbox.ModSeq(0)
	for i := 0; i < len(l) && i < len(other) && l[i].Slot == other[i].Slot; i++ {
		base = min(l[i].UpTo, other[i].UpTo)
		if l[i].UpTo != other[i].UpTo {
			break
		}
	}
	return base
}

// Descends reports whether all that other says went before is part of l: to mail of
// lineage l, mail of lineage other is an earlier state.
func (l Lineage) Descends(other Lineage) bool { return l.Base(other) == other.End() }

// with returns the lineage after a slot has written up to a mod-sequence.
func (l Lineage) with(slot string, upTo mailbox.ModSeq) Lineage {
	if upTo <= l.End() {
		return l
	}
	out := slices.Clone(l)
	if n := len(out); n > 0 && out[n-1].Slot == slot {
		out[n-1].UpTo = upTo
		return out
	}
	return append(out, Tenure{slot, upTo})
}

// Mail that was put back from a copy goes on where another history of the same slot went
// on already. So from then on the slot writes under another name, its own and the number of
// the renewal behind a stroke. mail.db does not know the slot's name: both names lack it
// there, if the tenure ended with a renewal.
const renewedMark = "/"

// tenant is the name under which this slot writes now, without its own.
func tenant(c *conn) (string, error) {
	renewed, err := wasRenewed(c)
	if err != nil || !renewed {
		return "", err
	}
	name := renewedMark
	_, err = c.one(`SELECT id FROM {renewal}`, func(row []driver.Value) error {
		name += hex.EncodeToString(blob(row[0]))
		return nil
	})
	return name, err
}

// of returns the lineage with the slot's name in the places that lack it.
func (l Lineage) of(slot string) Lineage {
	var out Lineage
	for _, one := range l {
		if one.Slot == "" || strings.HasPrefix(one.Slot, renewedMark) {
			one.Slot = slot + one.Slot
		}
		out = out.with(one.Slot, one.UpTo)
	}
	return out
}

// wholeLineage is the user's lineage up to a mod-sequence, and the name under which this slot
// writes.
func (m *Mail) wholeLineage(c *conn, upTo mailbox.ModSeq) (Lineage, string, error) {
	l, err := loadLineage(c)
	if err != nil {
		return nil, "", err
	}
	name, err := tenant(c)
	name = m.s.o.Slot + name
	return l.of(m.s.o.Slot).with(name, upTo), name, err
}

// endTenure writes down what this slot wrote up to now, before it gets another name.
func (t *txn) endTenure() error {
	l, err := loadLineage(t.c)
	if err != nil {
		return err
	}
	name, err := tenant(t.c)
	if err != nil {
		return err
	}
	return storeLineage(t.c, l.with(name, t.account.modseq))
}

// claim makes the mail this slot's. What a slot of another id wrote, from a copy of whose mail.db it was put
// back, is that one's: else this slot would be held to have had writes of its own that are not there.
func (m *Mail) claim(c *conn) error {
	if m.s.o.Slot == "" { // of a tool, which leaves that to the daemon
		return nil
	}
	there, err := hasTable(c, "slot")
	if err != nil {
		return err
	}
	owner := m.s.o.Slot
	if there {
		_, err = c.one(`SELECT id FROM {slot}`, func(row []driver.Value) error {
			owner = text(row[0])
			return nil
		})
	}
	if err != nil || there && owner == m.s.o.Slot {
		return err
	}
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err = m.claimFrom(c, owner); err == nil {
		err = c.exec("COMMIT")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("claim the mail of slot %s: %w", owner, err), c.exec("ROLLBACK"))
	}
	return nil
}

// claimFrom writes down whose the mail is now, and what the slot that had it wrote.
func (m *Mail) claimFrom(c *conn, owner string) error {
	if owner != m.s.o.Slot {
		upTo, err := c.integer(`SELECT modseq FROM {account}`)
		if err != nil {
			return err
		}
		l, err := loadLineage(c)
		if err != nil {
			return err
		}
		name, err := tenant(c)
		if err == nil {
			err = storeLineage(c, l.of(owner).with(owner+name, mailbox.ModSeq(upTo)))
		}
		if err != nil {
			return err
		}
	}
	if err := c.makeTable(slotTable); err != nil {
		return err
	}
	return c.exec(`REPLACE INTO slot VALUES (1, ?)`, m.s.o.Slot)
}

// loadLineage reads what other slots wrote. The table is made when a slot first takes
// mail over from another.
func loadLineage(c *conn) (Lineage, error) {
	there, err := hasTable(c, "lineage")
	if err != nil || !there {
		return nil, err
	}
	var l Lineage
	err = c.each(`SELECT slot, upto FROM {lineage} ORDER BY upto`, func(row []driver.Value) error {
		l = append(l, Tenure{text(row[0]), mailbox.ModSeq(integer(row[1]))})
		return nil
	})
	return l, err
}

// storeLineage replaces the lineage.
func storeLineage(c *conn, l Lineage) error {
	err := c.makeTable(lineageTable)
	if err == nil {
		err = c.exec(`DELETE FROM lineage`)
	}
	for _, tenure := range l {
		if err == nil {
			err = c.exec(`INSERT INTO lineage VALUES (?, ?)`, int64(tenure.UpTo), tenure.Slot)
		}
	}
	return err
}

// Lineage returns whose writes made the user's mail; the last are this slot's own.
func (m *Mail) Lineage(ctx context.Context) (out Lineage, err error) {
	err = m.read(ctx, func(c *conn) error {
		upTo, err := c.integer(`SELECT modseq FROM {account}`)
		if err == nil {
			out, _, err = m.wholeLineage(c, mailbox.ModSeq(upTo))
		}
		return err
	})
	return out, err
}
