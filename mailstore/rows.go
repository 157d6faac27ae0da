package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"teraslot/mailbox"
	"teraslot/sealed"
)

// damagedRow is a row that does not match its CRC.
type damagedRow struct {
	table  sealed.Table
	values []driver.Value // of the sealed columns
	seal   int64
}

// damagedRows reads all of them.
func damagedRows(c *conn) (out []damagedRow, err error) {
	for _, t := range sealedTables {
		there, err := hasTable(c, t.Name)
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		err = c.each(t.Damaged(), func(row []driver.Value) error {
			n := len(row) - 1
			out = append(out, damagedRow{t, append([]driver.Value(nil), row[:n]...), integer(row[n])})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mailbox is the id of the mailbox that a row is of; "" if it is none's, or that is not known.
func (d *damagedRow) mailbox() mailbox.ID {
	if d.table.Name != mailboxTable.Name && d.table.Name != graveTable.Name {
		return ""
	}
	id, err := mailbox.ParseID(text(d.values[1]))
	if err != nil {
		return ""
	}
	return id
}

// rows reports rows that do not match their CRC, and whether there are any: then nothing that
// they speak of can be checked before they are mended.
func (v *verification) rows(c *conn) (bool, error) {
	all, err := damagedRows(c)
	for i := range all {
		d := &all[i]
		v.report(Finding{Mailbox: d.mailbox(), Problem: fmt.Sprintf("%s: %s %v", v.m.path, d.table.Describe(d.values), sealed.ErrRow)})
	}
	if len(all) > 0 {
		v.m.distrust(&Damage{User: v.m.user, Err: fmt.Errorf("%s %w", all[0].table.Describe(all[0].values), sealed.ErrRow)})
	}
	return len(all) > 0, err
}

// mendInTurn is mendRows of mail that is open, whether anybody uses it or not.
func (m *Mail) mendInTurn(ctx context.Context, report func(string)) error {
	if err := m.lockWriter(ctx); err != nil {
		return err
	}
	defer m.unlockWriter()
	return m.mendRows(ctx, report)
}

// verifyClosed reports damaged rows of a mail.db that cannot be opened for them.
func (s *Store) verifyClosed(u mailbox.User, report func(Finding)) (err error) {
	m := newMail(s, &entry{user: u}, s.databasePath(u))
	c, err := openConn(m.path, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	_, err = (&verification{m: m, report: report}).rows(c)
	return err
}

// mendClosed mends the rows of a mail.db that cannot be opened for them.
func (s *Store) mendClosed(ctx context.Context, u mailbox.User, report func(string)) (err error) {
	e, err := s.reserve(ctx, u)
	if err != nil {
		return fmt.Errorf("repair user %s: %w", u, err)
	}
	defer s.vanish(e)
	return s.mendAt(ctx, e, s.databasePath(u), report)
}

// mendAt mends the rows of a mail.db that nobody has open.
func (s *Store) mendAt(ctx context.Context, e *entry, path string, report func(string)) (err error) {
	m := newMail(s, e, path)
	if m.writer, err = openConn(m.path, false); err != nil {
		return m.wrap(err)
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if _, err := m.packs.settle(); err != nil {
		return m.wrap(err)
	}
	return m.wrap(m.mendRows(ctx, report))
}
