package account

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

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
		row, err := scanRow(found, len(usersTable.Sealed())+1)
		if err != nil {
			return nil, err
		}
		d := damagedRow{values: row[:len(row)-1]}
		d.seal, _ = row[len(row)-1].(int64)
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
