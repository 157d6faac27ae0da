package account

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"teraslot/sealed"
)

// Copy is what a copy of slot.db, or another slot, says of the users.
type Copy struct {
	Name    string // what reports call it
	Entries []Entry
}

// Repair mends the rows that do not match their CRCs. Where the CRC proves what a row was, because one bit of it is wrong, or
// one value for which a copy has another, it is that again. Else the user becomes what the first of the copies
// says that has him; one who is disabled, here or there, stays so, and a removal that was begun is called off.
// It reports each row, and returns how many are left as they are: those that no copy has, and those of who may have been removed
// after all copies were made.
func (a *Accounts) Repair(ctx context.Context, copies []Copy, report func(string)) (left int, err error) {
	damaged, err := a.damagedRows(ctx)
	if err != nil || len(damaged) == 0 {
		return len(damaged), err
	}
	m := newRowMender(copies)
	err = a.update(ctx, func(tx *sql.Tx) error {
		if err := m.readSound(ctx, tx); err != nil {
			return err
		}
		for i := range damaged {
			m.mend(&damaged[i], report)
		}
		return m.write(ctx, tx)
	})
	if err != nil {
		return len(damaged), fmt.Errorf("%s: %w", a.path, err)
	}
	a.damaged.Store(m.left > 0)
	return m.left, nil
}

// rowMender finds out what damaged rows were.
type rowMender struct {
	copies []Copy
	values [][]driver.Value // what each column may have been
	sound  [][]driver.Value
	taken  map[string]bool // ids, and names with "@" before them, of all who are known
	mended []mendedRow
	left   int
}

type mendedRow struct {
	damaged *damagedRow
	now     []driver.Value
}

func newRowMender(copies []Copy) *rowMender {
	m := &rowMender{copies: copies, values: make([][]driver.Value, len(usersTable.Sealed())), taken: map[string]bool{}}
	for _, c := range copies {
		for i := range c.Entries {
			for column, v := range c.Entries[i].row() {
				m.values[column] = append(m.values[column], v)
			}
		}
	}
	for i := range m.values {
		m.values[i] = append(m.values[i], int64(0), int64(1), nil)
	}
	return m
}

// row is the entry as a row of the table, of a user who has mail.
func (e *Entry) row() []driver.Value {
	var name any = e.Name
	hash := e.Hash
	if e.Removed {
		name, hash = nil, e.heirs
	}
	return []driver.Value{string(e.ID), name, hash, e.Quota.Bytes, e.Quota.Messages, e.Created.Unix(), truth(e.Disabled), int64(1), int64(0)}
}

// readSound reads the rows that match their CRCs, by no index: one may say something else.
func (m *rowMender) readSound(ctx context.Context, tx *sql.Tx) error {
	columns := strings.Join(usersTable.Sealed(), ", ")
	found, err := tx.QueryContext(ctx, "SELECT "+columns+" FROM users NOT INDEXED WHERE row_crc('users', "+columns+") IS seal")
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		row, err := scanRow(found, len(usersTable.Sealed()))
		if err != nil {
			return err
		}
		m.sound = append(m.sound, row)
		m.take(row)
	}
	return found.Err()
}

// scanRow reads the values of a row as SQLite has them.
func scanRow(found *sql.Rows, columns int) ([]driver.Value, error) {
	read, into := make([]any, columns), make([]any, columns)
	for i := range read {
		into[i] = &read[i]
	}
	if err := found.Scan(into...); err != nil {
		return nil, err
	}
	row := make([]driver.Value, columns)
	for i := range read {
		row[i] = read[i]
	}
	return row, nil
}

// names are what no two rows have in common.
func names(row []driver.Value) (out []string) {
	if id, is := row[0].(string); is {
		out = append(out, id)
	}
	if name, is := row[1].(string); is {
		out = append(out, "@"+name)
	}
	return out
}

func (m *rowMender) take(row []driver.Value) {
	for _, name := range names(row) {
		m.taken[name] = true
	}
}

func (m *rowMender) free(row []driver.Value) bool {
	return !slices.ContainsFunc(names(row), func(name string) bool { return m.taken[name] })
}

// mend finds out what one row was.
func (m *rowMender) mend(d *damagedRow, report func(string)) {
	now, proved := usersTable.Mend(d.values, d.seal, m.values)
	how := "mended, as the CRC proves"
	if !proved || !m.free(now) {
		var from string
		if now, from = m.fromCopy(d); now != nil {
			how = fmt.Sprintf("he is again as in %s: name, password and quota are of that time", from)
		}
	}
	if now == nil {
		m.left++
		report(d.String() + ": no copy of slot.db tells what it was: see slotctl verify --repair --backup, or make the user anew")
		return
	}
	m.take(now)
	m.mended = append(m.mended, mendedRow{d, now})
	report(d.String() + ": " + how)
}

// fromCopy is what a copy says of him whose row is damaged: of who has the id in the row, or else the name.
func (m *rowMender) fromCopy(d *damagedRow) (now []driver.Value, from string) {
	for column := range 2 {
		for _, c := range m.copies {
			for i := range c.Entries {
				e := &c.Entries[i]
				row := e.row()
				if row[column] == nil || row[column] != d.values[column] || !m.free(row) {
					continue
				}
				if d.values[1] == nil && !e.Removed {
					continue // he may have been removed since
				}
				if d.values[6] == int64(1) {
					row[6] = int64(1)
				}
				return row, c.Name
			}
		}
	}
	return nil, ""
}

// write puts the mended rows in their places. A value that is another in the row may be the old one in an index, so these are
// made anew before. Where the damaged row has another's id or name there can be none: then the table is made anew.
func (m *rowMender) write(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "REINDEX users")
	if err != nil && m.left == 0 {
		return m.rewrite(ctx, tx)
	}
	if err != nil {
		return fmt.Errorf("two rows have the same id or name, and one of them cannot be mended: %w", err)
	}
	for _, row := range m.mended {
		if err := dropRow(ctx, tx, row.damaged); err != nil {
			return err
		}
		if err := insertRow(ctx, tx, row.now); err != nil {
			return err
		}
	}
	return nil
}

func (m *rowMender) rewrite(ctx context.Context, tx *sql.Tx) error {
	for _, statement := range append([]string{"DROP TABLE users"}, usersTable.Create()...) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	for _, row := range m.sound {
		if err := insertRow(ctx, tx, row); err != nil {
			return err
		}
	}
	for _, row := range m.mended {
		if err := insertRow(ctx, tx, row.now); err != nil {
			return err
		}
	}
	return nil
}

// dropRow removes a damaged row. Its key may be what is damaged, so all values are compared.
func dropRow(ctx context.Context, tx *sql.Tx, d *damagedRow) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM users WHERE "+strings.Join(usersTable.Sealed(), " IS ? AND ")+" IS ?", arguments(d.values)...)
	return err
}

func insertRow(ctx context.Context, tx *sql.Tx, row []driver.Value) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO users VALUES (?"+strings.Repeat(", ?", len(row)-1)+")", arguments(row)...)
	return sealed.Classify(err)
}

func arguments(row []driver.Value) []any {
	out := make([]any, len(row))
	for i, v := range row {
		out[i] = v
	}
	return out
}
