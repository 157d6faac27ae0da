package mailstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"database/sql/driver"

	"teraslot/mailbox"
)

// defaults are the mailboxes that every user gets.
var defaults = []struct{ name, specialUse string }{
	{Inbox, ""},
	{"Archive", `\Archive`},
	{"Drafts", `\Drafts`},
	{"Junk", `\Junk`},
	{"Sent", `\Sent`},
	{"Trash", `\Trash`},
}

// createDefaults makes the mailboxes of a new user, in one transaction.
func (m *Mail) createDefaults(ctx context.Context) error {
	return m.write(ctx, "", func(t *txn) error {
		for _, d := range defaults {
			if _, err := t.create(d.name, d.specialUse); err != nil {
				return err
			}
			if err := t.c.exec(`INSERT INTO subscription VALUES (?)`, d.name); err != nil {
				return err
			}
		}
		return nil
	})
}

// Mailboxes returns all mailboxes, sorted by name. Levels above them that are no
// mailboxes are not among them.
func (m *Mail) Mailboxes(ctx context.Context) ([]mailbox.State, error) {
	var out []mailbox.State
	err := m.read(ctx, func(c *conn) error {
		all, err := loadBoxes(c)
		for _, b := range all {
			out = append(out, b.State)
		}
		return err
	})
	return out, err
}

// Mailbox returns the state of a mailbox, or ErrNoMailbox.
func (m *Mail) Mailbox(ctx context.Context, id mailbox.ID) (mailbox.State, error) {
	return m.state(ctx, "id", string(id))
}

// MailboxNamed returns the state of the mailbox of that name, or ErrNoMailbox.
func (m *Mail) MailboxNamed(ctx context.Context, name string) (mailbox.State, error) {
	clean, err := CleanName(name)
	if err != nil {
		return mailbox.State{}, fmt.Errorf("%w: %w", ErrNoMailbox, err)
	}
	return m.state(ctx, "name", clean)
}

func (m *Mail) state(ctx context.Context, column, key string) (mailbox.State, error) {
	var out mailbox.State
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, column, key)
		if err == nil {
			out = b.State
		}
		return err
	})
	return out, err
}

// Horizon returns the mod-sequence up to which expunged records of a mailbox may
// be missing from Changes: a client that asks for changes since an earlier one
// has to compare all UIDs (RFC 7162 §3.2.5.2).
func (m *Mail) Horizon(ctx context.Context, id mailbox.ID) (mailbox.ModSeq, error) {
	var out mailbox.ModSeq
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err == nil {
			out = b.horizon
		}
		return err
	})
	return out, err
}

// Create makes a mailbox, and those above it that are missing (RFC 9051 §6.3.4).
// One trailing separator is ignored. specialUse is an attribute of RFC 6154 or "", and one
// that no other mailbox has: a mailbox that is made takes none away (§3).
func (m *Mail) Create(ctx context.Context, session, name, specialUse string) (mailbox.State, error) {
	clean, err := CleanName(strings.TrimSuffix(name, Separator))
	if err != nil {
		return mailbox.State{}, err
	}
	if specialUse != "" && !specialUses[specialUse] {
		return mailbox.State{}, fmt.Errorf("%q: %w", specialUse, ErrSpecialUse)
	}
	var out mailbox.State
	err = m.write(ctx, session, func(t *txn) error {
		b, err := t.createWithParents(clean, specialUse)
		if err != nil {
			return err
		}
		out = b.State
		if specialUse == "" {
			return nil
		}
		others, err := t.c.integer(`SELECT count(*) FROM {mailbox} WHERE special = ? AND box != ?`, specialUse, b.row)
		if err == nil && others > 0 {
			err = fmt.Errorf("%q of %q: %w", specialUse, clean, ErrUseTaken)
		}
		return err
	})
	return out, err
}

func (t *txn) createWithParents(name, specialUse string) (*box, error) {
	if err := t.createParents(name); err != nil {
		return nil, err
	}
	return t.create(name, specialUse)
}

func (t *txn) createParents(name string) error {
	for _, p := range parents(name) {
		if _, err := t.named(p); errors.Is(err, ErrNoMailbox) {
			if _, err := t.create(p, ""); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// create makes one mailbox.
func (t *txn) create(name, specialUse string) (*box, error) {
	if _, err := t.named(name); err == nil {
		return nil, fmt.Errorf("%q: %w", name, ErrExists)
	} else if !errors.Is(err, ErrNoMailbox) {
		return nil, err
	}
	var id [12]byte
	if _, err := io.ReadFull(t.m.s.o.Rand, id[:]); err != nil {
		return nil, err
	}
	if t.account.box == math.MaxInt32 {
		return nil, errors.New("user has no mailbox numbers left")
	}
	validity, err := t.nextUIDValidity(name)
	if err != nil {
		return nil, err
	}
	t.account.box++
	modseq := t.nextModSeq()
	b := &box{row: t.account.box, State: mailbox.State{
		ID: mailbox.ID(hex.EncodeToString(id[:])), Name: name, UIDValidity: validity, UIDNext: 1,
		HighestModSeq: modseq, CreatedModSeq: modseq, SpecialUse: specialUse,
	}, delta: delta{from: modseq}}
	err = t.c.exec(`INSERT INTO mailbox VALUES (?, ?, ?, ?, 1, ?, ?, 0, 0, 0, 0, 0, 0, 0, ?, 0, 0)`, b.row, string(b.ID), name,
		int64(validity), int64(modseq), int64(modseq), specialUse)
	if err != nil {
		return nil, err
	}
	t.boxes[b.ID] = b
	t.event(b, mailbox.Created, mailbox.UIDSet{}, modseq, t.session)
	// A name may have been subscribed before there was a mailbox of it.
	n, err := t.c.integer(`SELECT count(*) FROM {subscription} WHERE name = ?`, name)
	b.Subscribed = n > 0
	return b, err
}

// SetSpecialUse gives a mailbox a special use, an attribute of RFC 6154, and takes it from
// those that had it: afterwards no other has it. "" takes the mailbox's own back.
func (m *Mail) SetSpecialUse(ctx context.Context, id mailbox.ID, use string) error {
	if use != "" && !specialUses[use] {
		return fmt.Errorf("%q: %w", use, ErrSpecialUse)
	}
	return m.write(ctx, "", func(t *txn) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		if use != "" {
			if err := t.c.exec(`UPDATE mailbox SET special = '' WHERE sound AND special = ?`, use); err != nil {
				return err
			}
		}
		return t.c.exec(`UPDATE mailbox SET special = ? WHERE sound AND box = ?`, use, b.row)
	})
}

// Delete removes a mailbox with its messages: for good, or with
// Options.RetainDeleted until Forget, see Unearth. Mailboxes below it stay
// (RFC 9051 §6.3.5); its name is then a level without a mailbox, which may be
// created again, with another UIDVALIDITY. Subscriptions stay (§6.3.7).
func (m *Mail) Delete(ctx context.Context, session string, id mailbox.ID) error {
	return m.write(ctx, session, func(t *txn) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		if b.Name == Inbox {
			return ErrInbox
		}
		if m.s.o.RetainDeleted {
			return t.bury(b)
		}
		return t.deleteBox(b)
	})
}

func (t *txn) deleteBox(b *box) error {
	if err := t.retire(b); err != nil {
		return err
	}
	if err := t.dropRecords(b.row); err != nil {
		return err
	}
	if err := t.c.exec(`DELETE FROM mailbox WHERE box = ?`, b.row); err != nil {
		return err
	}
	t.goneBox(b)
	return t.forgetUnheld()
}

// goneBox takes a mailbox that is gone out of the account, and tells of it.
func (t *txn) goneBox(b *box) {
	t.account.usage.Bytes -= b.Counts.Size
	t.account.usage.Messages -= int64(b.Counts.Exists)
	delete(t.boxes, b.ID)
	t.event(b, mailbox.Removed, mailbox.UIDSet{}, t.nextModSeq(), t.session)
}

// dropRecords removes all that is kept of a mailbox but its own row.
func (t *txn) dropRecords(row int64) error {
	lo, hi := rowID(row, 0), rowID(row, math.MaxUint32)
	if err := t.dropProvenance(lo, hi); err != nil {
		return err
	}
	err := t.c.exec(`UPDATE content SET refs = refs - d.n FROM (
		SELECT num, count(*) AS n FROM (
			SELECT num FROM message WHERE id BETWEEN ?1 AND ?2 UNION ALL SELECT num FROM expunged WHERE id BETWEEN ?1 AND ?2)
		GROUP BY num) AS d WHERE content.num = d.num`, lo, hi)
	if err != nil {
		return err
	}
	if err := t.c.exec(`DELETE FROM message WHERE id BETWEEN ? AND ?`, lo, hi); err != nil {
		return err
	}
	if err := t.c.exec(`DELETE FROM expunged WHERE id BETWEEN ? AND ?`, lo, hi); err != nil {
		return err
	}
	if err := t.c.exec(`DELETE FROM keyword WHERE box = ?`, row); err != nil {
		return err
	}
	return t.c.exec(`DELETE FROM setting WHERE box = ?`, row)
}

// forgetUnheld removes contents that no record holds. Their bytes stay in the
// packs until a repack. Neither the count nor its index is believed alone: what a
// damaged page calls unheld would be lost with the next repack.
func (t *txn) forgetUnheld() error {
	unheld, err := t.c.integer(`SELECT count(*) FROM content WHERE refs = 0`)
	if err != nil || unheld == 0 {
		return err
	}
	err = t.c.exec(`UPDATE content SET refs = -1 WHERE refs = 0 AND num NOT IN (SELECT num FROM message UNION ALL SELECT num FROM expunged)`)
	if err != nil {
		return err
	}
	n, err := t.c.integer(`SELECT count(*) FROM content WHERE refs = -1`)
	if err != nil {
		return err
	}
	if n < unheld {
		t.m.s.o.Logger.Error("contents are counted as held by no record, and are held: they are kept; run slotctl verify --repair",
			"user", t.m.user, "contents", unheld-n)
	}
	for _, sql := range []string{
		`UPDATE pack SET held = held - d.n FROM (
			SELECT pack, sum(size + 84) AS n FROM content WHERE refs = -1 GROUP BY pack) AS d WHERE sound AND pack.n = d.pack`,
		`DELETE FROM structure WHERE num IN (SELECT num FROM content WHERE refs = -1)`,
		`DELETE FROM content WHERE refs = -1`,
	} {
		if err := t.c.exec(sql); err != nil {
			return err
		}
	}
	return nil
}

// Rename gives a mailbox and all below it new names (RFC 9051 §6.3.6): levels
// above the new name are created, ids and UIDs stay, and UIDVALIDITYs do unless the
// new name has had the same for another mailbox. A level that is no mailbox
// can be renamed for what is below it. Renaming INBOX moves its messages to a
// new mailbox and leaves INBOX empty; what is below INBOX stays. Subscriptions
// are of names, and stay with the old ones (§6.3.7).
func (m *Mail) Rename(ctx context.Context, session, oldname, newname string) error {
	from, err := CleanName(oldname)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoMailbox, err)
	}
	to, err := CleanName(strings.TrimSuffix(newname, Separator))
	if err != nil {
		return err
	}
	return m.write(ctx, session, func(t *txn) error {
		if from == Inbox {
			return t.renameInbox(to)
		}
		return t.rename(from, to)
	})
}

func (t *txn) renameInbox(to string) error {
	inbox, err := t.named(Inbox)
	if err != nil {
		return err
	}
	b, err := t.createWithParents(to, "")
	if err != nil {
		return err
	}
	records, err := t.m.selected(t.c, inbox, mailbox.UIDRange(1, math.MaxUint32))
	if err != nil {
		return err
	}
	_, err = t.transfer(inbox, b, records, true)
	return err
}

func (t *txn) rename(from, to string) error {
	if from == to {
		return fmt.Errorf("%q: %w", to, ErrExists)
	}
	if strings.HasPrefix(to, from+Separator) {
		return fmt.Errorf("%q is below %q: %w", to, from, ErrName)
	}
	all, err := loadBoxes(t.c)
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	var moved []*box
	for _, b := range all {
		if b.Name == from || strings.HasPrefix(b.Name, from+Separator) {
			moved = append(moved, b)
		} else {
			taken[b.Name] = true
		}
	}
	if len(moved) == 0 {
		return fmt.Errorf("%q: %w", from, ErrNoMailbox)
	}
	if taken[to] {
		return fmt.Errorf("%q: %w", to, ErrExists)
	}
	for _, b := range moved {
		name := to + strings.TrimPrefix(b.Name, from)
		if taken[name] {
			return fmt.Errorf("%q: %w", name, ErrExists)
		}
		if _, err := CleanName(name); err != nil {
			return err
		}
	}
	return t.moveBoxes(moved, from, to)
}

// moveBoxes gives mailboxes their new names, which are free. All old ones are given up
// before a new one is taken, and new ones are written before levels above them
// are created: each of these may be an old name.
func (t *txn) moveBoxes(moved []*box, from, to string) error {
	for _, b := range moved {
		if err := t.retire(b); err != nil {
			return err
		}
	}
	modseq := t.nextModSeq()
	for _, b := range moved {
		if err := t.enter(b, to+strings.TrimPrefix(b.Name, from)); err != nil {
			return err
		}
		t.boxes[b.ID] = b
		if err := t.c.exec(`UPDATE mailbox SET name = ? WHERE sound AND box = ?`, b.Name, b.row); err != nil {
			return err
		}
		if err := t.noteName(b, modseq); err != nil {
			return err
		}
		t.event(b, mailbox.Renamed, mailbox.UIDSet{}, modseq, t.session)
	}
	return t.createParents(to)
}

// Subscribe adds a name to the subscriptions, or takes it off. There need not be
// a mailbox of that name.
func (m *Mail) Subscribe(ctx context.Context, session, name string, on bool) error {
	clean, err := CleanName(name)
	if err != nil {
		return err
	}
	return m.write(ctx, session, func(t *txn) error {
		sql := `DELETE FROM subscription WHERE name = ?`
		if on {
			sql = `INSERT OR IGNORE INTO subscription VALUES (?)`
		}
		if err := t.c.exec(sql, clean); err != nil {
			return err
		}
		b, err := t.named(clean)
		if errors.Is(err, ErrNoMailbox) {
			b, err = &box{}, nil // told all the same, without a mailbox
		}
		t.event(b, mailbox.Subscribed, mailbox.UIDSet{}, t.nextModSeq(), t.session)
		return err
	})
}

// Subscriptions returns the subscribed names, sorted.
func (m *Mail) Subscriptions(ctx context.Context) ([]string, error) {
	var out []string
	err := m.read(ctx, func(c *conn) error {
		return c.each(`SELECT name FROM {subscription} ORDER BY name`, func(row []driver.Value) error {
			out = append(out, text(row[0]))
			return nil
		})
	})
	return out, err
}

// SetQuota changes a user's quota. What is over it stays; nothing more comes in.
func (m *Mail) SetQuota(ctx context.Context, q Quota) error {
	return m.write(ctx, "", func(t *txn) error {
		t.account.quota = q
		return nil
	})
}
