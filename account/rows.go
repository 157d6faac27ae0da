package account

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"teraslot/sealed"
)

// usersTable is the one table of slot.db.
var usersTable = sealed.Table{Name: "users", Key: 2, Columns: `
	id TEXT PRIMARY KEY,
	name TEXT UNIQUE,
	hash TEXT NOT NULL,
	quota_bytes INTEGER NOT NULL CHECK (quota_bytes >= 0),
	quota_messages INTEGER NOT NULL CHECK (quota_messages >= 0),
	created INTEGER NOT NULL,
	disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
	mail INTEGER NOT NULL DEFAULT 0 CHECK (mail IN (0, 1)),
	removing INTEGER NOT NULL DEFAULT 0 CHECK (removing IN (0, 1)),`}

// ErrDamaged: a row of slot.db does not match its CRC. Whose it is, if anybody's, is not believed.
var ErrDamaged = errors.New("nobody is known by it until slotctl verify --repair mends it")

// ErrUncertain: nobody is found, and a row is damaged, which may be his. It is ErrDamaged as well.
var ErrUncertain = errors.New("nobody's absence is certain")

// rows is SQL in which "{users}" stands for the rows that match their CRCs; one that does not is an error.
func rows(statement string) string { return sealed.Expand(statement, []sealed.Table{usersTable}) }

// told names the file in an error that is of a damaged row.
func (a *Accounts) told(err error) error {
	if err = sealed.Classify(err); errors.Is(err, sealed.ErrRow) && !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%s: %w; %w", a.path, err, ErrDamaged)
	}
	return err
}

// look reads all rows once, when slot.db is opened: of a name that is damaged, nobody would know that it is there.
func (a *Accounts) look(ctx context.Context) error {
	all, err := a.damagedRows(ctx)
	a.damaged.Store(len(all) > 0)
	for _, d := range all {
		a.o.Logger.Error("accounts: a row is damaged: slotctl verify --repair mends it", "file", a.path, "row", d.String())
	}
	return err
}

// absent is the error for who is not found: nobody's absence is certain while a row is damaged.
func (a *Accounts) absent(err error) error {
	if errors.Is(err, ErrNoAccount) && a.damaged.Load() {
		return fmt.Errorf("%w: %s: a row %w: %w", ErrUncertain, a.path, sealed.ErrRow, ErrDamaged)
	}
	return a.told(err)
}

type damagedRow struct {
	values []driver.Value
	seal   int64
}

func (d *damagedRow) String() string {
	return usersTable.Describe(d.values) + " " + sealed.ErrRow.Error()
}

func (a *Accounts) damagedRows(ctx context.Context) (out []damagedRow, err error) {
	found, err := a.db.QueryContext(ctx, usersTable.Damaged())
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		read := make([]any, len(usersTable.Sealed())+1)
		into := make([]any, len(read))
		for i := range read {
			into[i] = &read[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		d := damagedRow{}
		for _, v := range read[:len(read)-1] {
			d.values = append(d.values, v)
		}
		d.seal, _ = read[len(read)-1].(int64)
		out = append(out, d)
	}
	return out, found.Err()
}

// Verify reports the rows of slot.db that do not match their CRCs.
func (a *Accounts) Verify(ctx context.Context, report func(string)) error {
	all, err := a.damagedRows(ctx)
	for i := range all {
		report(all[i].String())
	}
	a.damaged.Store(len(all) > 0)
	return err
}

// Repair mends the rows of which the CRC proves what they were: one bit of them is wrong, or one value, for
// which there is another in known: entries of users as a backup or another slot has them. It reports each
// row, and returns how many are left as they are.
func (a *Accounts) Repair(ctx context.Context, known []Entry, report func(string)) (left int, err error) {
	all, err := a.damagedRows(ctx)
	if err != nil || len(all) == 0 {
		return len(all), err
	}
	values := make([][]driver.Value, len(usersTable.Sealed()))
	for _, e := range known {
		for i, v := range []driver.Value{string(e.ID), e.Name, e.Hash, e.Quota.Bytes, e.Quota.Messages, e.Created.Unix(), truth(e.Disabled)} {
			values[i] = append(values[i], v)
		}
	}
	for i := range values {
		values[i] = append(values[i], int64(0), int64(1), nil)
	}
	err = a.update(ctx, func(tx *sql.Tx) error {
		// A value that is another in the row may be the old one in an index.
		if _, err := tx.ExecContext(ctx, "REINDEX users"); err != nil {
			return err
		}
		for i := range all {
			was, ok := usersTable.Mend(all[i].values, all[i].seal, values)
			if !ok {
				left++
				report(all[i].String() + ": its entry in a backup has to be put in its place, or the user made anew")
				continue
			}
			if err := replaceRow(ctx, tx, &all[i], was); err != nil {
				return err
			}
			report(all[i].String() + ": mended, as the CRC proves")
		}
		return nil
	})
	if err != nil {
		return len(all), fmt.Errorf("%s: %w", a.path, err)
	}
	a.damaged.Store(left > 0)
	return left, nil
}

// replaceRow puts a row in the place of a damaged one.
func replaceRow(ctx context.Context, tx *sql.Tx, d *damagedRow, was []driver.Value) error {
	columns := usersTable.Sealed()
	var old, next []any
	for i := range columns {
		old, next = append(old, d.values[i]), append(next, was[i])
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM users WHERE "+strings.Join(columns, " IS ? AND ")+" IS ?", old...); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO users VALUES (?"+strings.Repeat(", ?", len(columns)-1)+")", next...)
	return err
}
