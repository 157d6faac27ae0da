package mailstore

import (
	"database/sql/driver"

	"teraslot/mailbox"
)

// A name, a UIDVALIDITY and a UID never stand for two messages (RFC 9051 §2.3.1.1).
// UIDVALIDITYs that this program gives are different by themselves; those that
// mailboxes adopt from other servers may be the same in several mailboxes, which
// renaming could bring under one name, one after the other. So what a name gives up is
// kept, with the mailbox that had it, which alone may have it again: because it is
// given its old name back, or is brought back after its deletion. Any other
// mailbox that comes to the name gets another UIDVALIDITY (enter), and none adopts
// that one there (adoptable). Mailboxes that have given no UID give up nothing.

// anyName stands for all names, where it is not known whose a UIDVALIDITY was.
const anyName = ""

// unknownHolder is a mailbox of which only name and UIDVALIDITY are known.
const unknownHolder mailbox.ID = ""

// retire remembers that a name gives up its mailbox's UIDVALIDITY, under which
// clients may know messages.
func (t *txn) retire(b *box) error {
	if b.UIDNext == 1 {
		return nil
	}
	return t.retireName(b.Name, b.UIDValidity, b.ID)
}

// retireName makes the table when it is first needed: most users never have one.
func (t *txn) retireName(name string, v mailbox.UIDValidity, holder mailbox.ID) error {
	if err := t.c.makeTable(retiredTable); err != nil {
		return err
	}
	return t.c.exec(`INSERT OR IGNORE INTO retired VALUES (?, ?, ?)`, name, int64(v), string(holder))
}

// isRetired reports whether a name has given up a UIDVALIDITY, and which mailbox had it.
func isRetired(c *conn, name string, v mailbox.UIDValidity) (holder mailbox.ID, gone bool, err error) {
	there, err := hasTable(c, "retired")
	if err != nil || !there {
		return unknownHolder, false, err
	}
	gone, err = c.one(`SELECT mailbox FROM {retired} WHERE name IN (?, ?) AND uidvalidity = ? ORDER BY name DESC LIMIT 1`, func(row []driver.Value) error {
		holder = mailbox.ID(text(row[0]))
		return nil
	}, anyName, name, int64(v))
	if err == nil && !gone {
		err = c.soundOnce(retiredTable) // one whose name is damaged was not found under it
	}
	return holder, gone, err
}

// loadRetired reads what mailboxes had and gave up.
func loadRetired(c *conn) ([]held, error) {
	there, err := hasTable(c, "retired")
	if err != nil || !there {
		return nil, err
	}
	var out []held
	err = c.each(`SELECT mailbox, uidvalidity FROM {retired}`, func(row []driver.Value) error {
		out = append(out, held{mailbox.ID(text(row[0])), mailbox.UIDValidity(integer(row[1]))})
		return nil
	})
	return out, err
}

// enter gives a mailbox that may have messages a name, and with it another UIDVALIDITY
// where the name and this one have stood for another mailbox. The UIDs stay.
func (t *txn) enter(b *box, name string) error {
	b.Name, b.dirty = name, true
	holder, gone, err := isRetired(t.c, name, b.UIDValidity)
	if err != nil || !gone || holder == b.ID {
		return err
	}
	b.UIDValidity, err = t.nextUIDValidity(name)
	return err
}

// freeUIDValidity returns the first value from next on that this name has not
// given up: one that was adopted may lie before the clock.
func (t *txn) freeUIDValidity(name string, next int64) (int64, error) {
	for {
		_, gone, err := isRetired(t.c, name, mailbox.UIDValidity(next))
		if err != nil || !gone {
			return next, err
		}
		next++
	}
}
