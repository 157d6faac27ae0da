package account

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"

	"teraslot/disk"
	"teraslot/sealed"
)

// Save replaces the copy of slot.db at path, unless all users are in it as they are now, and reports whether it did. One caller at a
// time saves to a path.
func (a *Accounts) Save(ctx context.Context, path string) (bool, error) {
	now, err := allRows(ctx, a.db)
	if err != nil {
		return false, fmt.Errorf("copy of the accounts: %w", a.told(err)) // the older copy is worth more
	}
	if was, err := rowsOfCopy(ctx, path); err == nil && slices.EqualFunc(was, now, slices.Equal) {
		return false, nil
	}
	if err := a.save(ctx, path); err != nil {
		return false, fmt.Errorf("copy of the accounts: %w", err)
	}
	return true, nil
}

func (a *Accounts) save(ctx context.Context, path string) error {
	fsys, next := a.o.FS, path+".new"
	for _, name := range []string{next, next + "-journal"} {
		if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := a.Snapshot(ctx, next); err != nil {
		return err
	}
	return disk.Replace(fsys, next, path) // where its last sync fails, a power cut may bring back the copy before, which is whole too
}

// ReadCopy returns the users as a copy of slot.db has them, also those who were removed, without the rows that do not match their CRCs. One that an
// earlier program made is ErrVersion: Open it first. Nobody may write it meanwhile.
func ReadCopy(ctx context.Context, path string) (all []Entry, err error) {
	err = inCopy(ctx, path, func(db *sql.DB) error {
		all, err = readEntries(ctx, db, usersTable.Intact(selectEntry+" ORDER BY id"))
		return err
	})
	return all, err
}

func rowsOfCopy(ctx context.Context, path string) (all [][]driver.Value, err error) {
	err = inCopy(ctx, path, func(db *sql.DB) error {
		all, err = allRows(ctx, db)
		return err
	})
	return all, err
}

// allRows reads all rows, each of which must match its CRC. Of removals that are under way it says nothing, as a copy does not.
func allRows(ctx context.Context, db *sql.DB) (all [][]driver.Value, err error) {
	columns := usersTable.Sealed()
	found, err := db.QueryContext(ctx, rows("SELECT "+strings.Join(columns[:len(columns)-1], ", ")+" FROM {users} ORDER BY id"))
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		row, err := scanRow(found, len(columns)-1)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, found.Err()
}

// inCopy opens a copy of slot.db for reading alone, and makes no file beside it.
func inCopy(ctx context.Context, path string, read func(*sql.DB) error) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	db := sql.OpenDB(sealed.Connector((&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "mode=ro&immutable=1"}).String()))
	var version int
	err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if err == nil && version != userVersion {
		err = fmt.Errorf("version %d: %w", version, ErrVersion)
	}
	if err == nil {
		err = read(db)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, sealed.Classify(err))
	}
	return nil
}

// Snapshot writes a copy of slot.db as it is now to a new file, which can be put in
// place of a lost one. Others may write meanwhile. The file is not synced. Removals that are
// under way are called off in the copy: whoever puts it back does not know how they ended.
func (a *Accounts) Snapshot(ctx context.Context, path string) error {
	if err := a.Verify(ctx, func(string) {}); err != nil || a.damaged.Load() {
		return fmt.Errorf("copy of the accounts: %w", errors.Join(err, a.absent(ErrNoAccount))) // the older copy is worth more
	}
	if _, err := a.db.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return fmt.Errorf("copy of the accounts: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	db := sql.OpenDB(sealed.Connector((&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String()))
	// A copy has no WAL, and is a single file after this as well.
	_, err := db.ExecContext(ctx, "UPDATE users SET removing = 0 WHERE removing = 1")
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copy of the accounts: %w", err)
	}
	return nil
}
