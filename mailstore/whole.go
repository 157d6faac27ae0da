package mailstore

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"teraslot/mailbox"
	"teraslot/sealed"
)

// unfinishedTable is in a mail.db from when a reconstruction puts it in place until the
// messages of the packs are in it. It has no rows: that it is there says all.
const unfinishedTable = "unfinished"

// markUnfinished has the next Reconstruct go on, and finished ends that, in the transaction in which the mail is whole.
const (
	markUnfinished = "CREATE TABLE IF NOT EXISTS " + unfinishedTable + " (one INTEGER) STRICT"
	finished       = "DROP TABLE IF EXISTS " + unfinishedTable
)

// errNotWhole is why mail.db is none, or not all of one.
var errNotWhole = errors.New("mail.db is not whole")

// refuseWhole returns an error that wraps ErrWhole if a user's mail.db has all that it was
// given: to replace it would lose flags, copies and moves for nothing. One of a later
// program has that, too. Where it cannot be looked at, that is no reason to set it aside.
// The user is reserved.
func (s *Store) refuseWhole(u mailbox.User) error {
	path := s.databasePath(u)
	if _, err := s.o.FS.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := checkWAL(s.o.FS, path)
	if err == nil && s.hasLost(u) {
		return nil
	}
	if err == nil {
		err = checkWhole(path, u)
	}
	switch {
	case err == nil:
		return ErrWhole
	case errors.Is(err, errNotWhole), errors.Is(err, errWAL), notDatabase(err):
		return nil
	}
	return fmt.Errorf("mail.db cannot be looked at, and stays (%w): if it is to be replaced nevertheless, force it", err)
}

// notDatabase reports whether an error says that a file is no mail.db, in all its parts:
// that it is damaged, or has not the tables that one has.
func notDatabase(err error) bool {
	var se *sqlite.Error
	return databaseDamaged(err) || errors.As(err, &se) && se.Code()&0xff == sqlite3.SQLITE_ERROR
}

// checkWhole reads all of a mail.db that nobody has open. The error wraps errNotWhole, or is one of notDatabase, where
// anything is wrong with it.
func checkWhole(path string, u mailbox.User) (err error) {
	c, err := openCopy(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	id, err := c.integer("PRAGMA application_id")
	if err != nil {
		return err
	}
	if id != applicationID {
		return fmt.Errorf("%w: application_id is %#x", errNotWhole, id)
	}
	if err := c.each("PRAGMA integrity_check", func(row []driver.Value) error {
		if s := text(row[0]); s != "ok" {
			return fmt.Errorf("%w: %s", errNotWhole, s)
		}
		return nil
	}); err != nil {
		return err
	}
	version, err := c.integer("PRAGMA user_version")
	if err != nil || version > schemaVersion {
		return err // what a later program keeps in it is not known
	}
	return checkRows(c, u, version)
}

// checkRows looks at what this program, or an earlier one, keeps in a mail.db.
func checkRows(c *conn, u mailbox.User, version int64) error {
	if there, err := hasTable(c, unfinishedTable); err != nil || there {
		return errors.Join(err, errNotWhole)
	}
	if err := checkOwner(c, u); errors.Is(err, errOwner) {
		return fmt.Errorf("%w: %w", errNotWhole, err)
	} else if err != nil {
		return err
	}
	if version < schemaVersion { // in which not all tables have CRCs
		_, err := look(c)
		return err
	}
	all, err := damagedRows(c)
	if err == nil && len(all) > 0 {
		err = fmt.Errorf("%w: %s %w", errNotWhole, all[0].table.Describe(all[0].values), sealed.ErrRow)
	}
	return err
}
