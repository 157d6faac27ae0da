package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"teraslot/mailbox"
)

// A deleted mailbox that is retained is a grave: its row lies in another table, and
// everything else stays where it is. Nobody sees it or can open it, its
// messages do not count against the quota, and they are held, as expunged ones are.

const graveColumns = `box, id, name, uidvalidity, uidnext, modseq, created, horizon, live, unseen, deleted, bytes, sum_a, sum_b, special,
	first_unseen, recent`

// Deleted is a deleted mailbox that can be brought back.
type Deleted struct {
	State mailbox.State // as it was
	At    time.Time     // when it was deleted
}

// grave is a row of that table.
type grave struct {
	box
	gone int64
}

func loadGraves(c *conn) ([]*grave, error) {
	var all []*grave
	err := c.each("SELECT "+graveColumns+", 0, gone FROM {grave} ORDER BY gone DESC, name", func(row []driver.Value) error {
		all = append(all, &grave{*scanBox(row), integer(row[18])})
		return nil
	})
	return all, err
}

// bury makes a mailbox a grave.
func (t *txn) bury(b *box) error {
	if err := t.retire(b); err != nil {
		return err
	}
	if b.dirty {
		return errors.New("a mailbox that was changed in the same transaction cannot be deleted")
	}
	if err := t.c.exec(`INSERT INTO grave SELECT `+graveColumns+`, ? FROM {mailbox} WHERE box = ?`, t.now, b.row); err != nil {
		return err
	}
	if err := t.c.exec(`DELETE FROM mailbox WHERE box = ?`, b.row); err != nil {
		return err
	}
	t.goneBox(b)
	return nil
}

// DeletedMailboxes lists the deleted mailboxes that are retained, the last first.
func (m *Mail) DeletedMailboxes(ctx context.Context) ([]Deleted, error) {
	var out []Deleted
	err := m.read(ctx, func(c *conn) error {
		all, err := loadGraves(c)
		for _, g := range all {
			if g.ID != stagingID {
				out = append(out, Deleted{g.State, time.Unix(g.gone, 0)})
			}
		}
		return err
	})
	return out, err
}

// Unearth brings a deleted mailbox back as it was, with its id, UIDVALIDITY and UIDs,
// under its name or another; the UIDVALIDITY is a new one where that name has had the
// same for another mailbox, or other slots may have given UIDs of which this one never
// heard. ErrExists if there is a mailbox of that name; ErrOverQuota if its messages do not
// fit.
func (m *Mail) Unearth(ctx context.Context, session string, id mailbox.ID, name string) (mailbox.State, error) {
	var out mailbox.State
	err := m.write(ctx, session, func(t *txn) error {
		g, err := t.grave(id)
		if err != nil {
			return err
		}
		b := &g.box
		if id == stagingID {
			return fmt.Errorf("%s is no deleted mailbox: %w", id, ErrNoMailbox)
		}
		if name == "" {
			name = b.Name
		}
		if name, err = CleanName(name); err != nil {
			return err
		}
		if _, err := t.named(name); err == nil {
			return fmt.Errorf("%q: %w", name, ErrExists)
		} else if !errors.Is(err, ErrNoMailbox) {
			return err
		}
		if err := t.unearth(b, name); err != nil {
			return err
		}
		out = b.State
		return nil
	})
	return out, err
}

func (t *txn) grave(id mailbox.ID) (*grave, error) {
	all, err := loadGraves(t.c)
	if err != nil {
		return nil, err
	}
	for _, g := range all {
		if g.ID == id {
			return g, nil
		}
	}
	return nil, fmt.Errorf("%s is no deleted mailbox: %w", id, ErrNoMailbox)
}

func (t *txn) unearth(b *box, name string) error {
	if err := t.admitUsage(Usage{Bytes: b.Counts.Size, Messages: int64(b.Counts.Exists)}); err != nil {
		return err
	}
	if err := t.enter(b, name); err != nil {
		return err
	}
	others, err := hasTable(t.c, "lineage")
	if err != nil {
		return err
	}
	if others {
		if err := t.renewUnearthed(b); err != nil {
			return err
		}
	}
	if err := t.createParents(b.Name); err != nil {
		return err
	}
	sql := `INSERT INTO mailbox SELECT ` + strings.Replace(graveColumns, "name", "?", 1) + ` FROM {grave} WHERE box = ?`
	if err := t.c.exec(sql, b.Name, b.row); err != nil {
		return err
	}
	if err := t.c.exec(`DELETE FROM grave WHERE box = ?`, b.row); err != nil {
		return err
	}
	t.account.usage.Bytes += b.Counts.Size
	t.account.usage.Messages += int64(b.Counts.Exists)
	t.boxes[b.ID] = b
	modseq := t.nextModSeq()
	t.event(b, mailbox.Created, mailbox.UIDSet{}, modseq, t.session)
	if others {
		if err := t.remake(b, modseq); err != nil {
			return err
		}
	}
	return t.noteMade(b, modseq)
}

// renewUnearthed gives a mailbox that is brought back another UIDVALIDITY, where the mail was ever taken over
// from another slot: that may have given UIDs there, before it was deleted, of which this one never heard.
func (t *txn) renewUnearthed(b *box) (err error) {
	b.UIDValidity, err = t.nextUIDValidity(b.Name)
	return err
}

// remake notes that all messages of a mailbox came to it by a write of now. Another slot may know of the
// writes by which they came first, and of their going: what is brought back is not what went.
func (t *txn) remake(b *box, modseq mailbox.ModSeq) error {
	if err := t.c.exec(provenanceTable); err != nil {
		return err
	}
	var all []Entry
	now := Provenance{Made: Dot{ModSeq: modseq}, Changed: Dot{ModSeq: modseq}}
	_, err := t.m.sound(t.c, b, 1, math.MaxUint32, func(r *mailbox.Record) error {
		all = append(all, Entry{Record: mailbox.Record{UID: r.UID, ModSeq: r.ModSeq}, Provenance: now})
		return nil
	})
	for i := range all {
		if err == nil {
			err = t.putProvenance(b, &all[i])
		}
	}
	return err
}

// forgetGraves drops the mailboxes that were deleted before a moment, with all that is
// in them, and returns their number. The caller drops the contents.
func (t *txn) forgetGraves(before time.Time) (int64, error) {
	all, err := loadGraves(t.c)
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for _, g := range all {
		if g.gone >= before.Unix() {
			continue
		}
		n++
		if err := t.dropRecords(g.row); err != nil {
			return n, err
		}
		if err := t.c.exec(`DELETE FROM grave WHERE box = ?`, g.row); err != nil {
			return n, err
		}
	}
	return n, nil
}

// graves checks the records of deleted mailboxes, which do not count as usage.
func (v *verification) graves(c *conn) error {
	all, err := loadGraves(c)
	if err != nil {
		return err
	}
	usage := v.usage
	for _, g := range all {
		if err := v.box(c, &g.box); err != nil {
			return err
		}
	}
	v.usage = usage
	return nil
}
