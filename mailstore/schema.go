package mailstore

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"teraslot/mailbox"
)

// The identity of a mail.db. schemaVersion rises with every change of schema;
// docs/formats.md draws each version.
const (
	applicationID = 0x54534D4C // "TSML"
	schemaVersion = 3
)

const recordColumns = `
	id INTEGER PRIMARY KEY,
	modseq INTEGER NOT NULL,
	system INTEGER NOT NULL,
	keywords TEXT NOT NULL,
	num INTEGER NOT NULL,
	fixed BLOB NOT NULL,
	crc INTEGER NOT NULL`

// The columns of a mailbox, which a deleted one keeps. Names of deleted ones may be the same.
const (
	boxHead = `
	box INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL`
	boxRest = `
	uidvalidity INTEGER NOT NULL,
	uidnext INTEGER NOT NULL,
	modseq INTEGER NOT NULL,
	created INTEGER NOT NULL,
	horizon INTEGER NOT NULL,
	live INTEGER NOT NULL,
	unseen INTEGER NOT NULL,
	deleted INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	sum_a INTEGER NOT NULL,
	sum_b INTEGER NOT NULL,
	special TEXT NOT NULL,
	first_unseen INTEGER NOT NULL,
	recent INTEGER NOT NULL`
)

var schema = []string{
	`CREATE TABLE account (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	user TEXT NOT NULL,
	modseq INTEGER NOT NULL,
	uidvalidity INTEGER NOT NULL,
	box INTEGER NOT NULL,
	num INTEGER NOT NULL,
	pack INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	messages INTEGER NOT NULL,
	quota_bytes INTEGER NOT NULL,
	quota_messages INTEGER NOT NULL) STRICT`,
	`CREATE TABLE mailbox (` + boxHead + ` UNIQUE,` + boxRest + `) STRICT`,
	`CREATE TABLE keyword (
	box INTEGER NOT NULL,
	word TEXT NOT NULL COLLATE NOCASE,
	n INTEGER NOT NULL,
	PRIMARY KEY (box, word)) STRICT, WITHOUT ROWID`,
	`CREATE TABLE subscription (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID`,
	`CREATE TABLE message (` + recordColumns + `) STRICT`,
	`CREATE TABLE expunged (` + recordColumns + `,
	gone INTEGER NOT NULL) STRICT`,
	`CREATE INDEX expunged_modseq ON expunged (id >> 32, modseq)`,
	`CREATE TABLE content (
	num INTEGER PRIMARY KEY,
	guid BLOB NOT NULL UNIQUE,
	size INTEGER NOT NULL,
	thread BLOB NOT NULL,
	refs INTEGER NOT NULL,
	pack INTEGER NOT NULL,
	start INTEGER NOT NULL,
	crc INTEGER NOT NULL) STRICT`,
	`CREATE INDEX content_pack ON content (pack, start)`,
	`CREATE INDEX content_unheld ON content (num) WHERE refs = 0`,
	`CREATE TABLE structure (
	num INTEGER PRIMARY KEY,
	data BLOB NOT NULL,
	crc INTEGER NOT NULL) STRICT`,
	`CREATE TABLE thread (ref BLOB PRIMARY KEY, thread BLOB NOT NULL) STRICT, WITHOUT ROWID`,
	`CREATE TABLE pack (
	n INTEGER PRIMARY KEY,
	place INTEGER NOT NULL,
	state INTEGER NOT NULL,
	"end" INTEGER NOT NULL,
	held INTEGER NOT NULL) STRICT`,
	settingTable,
	graveTable,
}

// Tables of version 3.
const (
	settingTable = `CREATE TABLE setting (
	box INTEGER NOT NULL,
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (box, name)) STRICT, WITHOUT ROWID`
	graveTable = `CREATE TABLE grave (` + boxHead + `,` + boxRest + `,
	gone INTEGER NOT NULL) STRICT`
)

// migrations lead from the schema of a version to that of the next.
var migrations = map[int64][]string{
	2: {settingTable, graveTable},
}

// migrate brings a mail.db of an earlier version to this program's, in one
// transaction. What it cannot know is left for checkSchema to refuse.
func migrate(c *conn) (from int64, err error) {
	version, err := c.integer("PRAGMA user_version")
	if err != nil || migrations[version] == nil {
		return version, err
	}
	id, err := c.integer("PRAGMA application_id")
	if err != nil || id != applicationID {
		return version, err
	}
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return version, err
	}
	for v := version; migrations[v] != nil && err == nil; v++ {
		for _, sql := range append(migrations[v], fmt.Sprintf("PRAGMA user_version = %d", v+1)) {
			if err == nil {
				err = c.exec(sql)
			}
		}
	}
	if err == nil {
		err = c.exec("COMMIT")
	}
	if err != nil {
		return version, errors.Join(fmt.Errorf("migrate from version %d: %w", version, err), c.exec("ROLLBACK"))
	}
	return version, nil
}

// createDatabase makes a mail.db of one user at path. It is not yet a WAL
// database, so that it is a single file which can be renamed.
func createDatabase(path string, u mailbox.User, q Quota, prepare ...string) (err error) {
	v := url.Values{}
	v.Add("_pragma", "synchronous(EXTRA)")
	c, err := dial((&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: v.Encode()}).String())
	if err != nil {
		return err
	}
	defer func() {
		if e := c.close(); err == nil {
			err = e
		}
	}()
	steps := []string{fmt.Sprintf("PRAGMA application_id = %d", applicationID), "BEGIN IMMEDIATE"}
	steps = append(steps, schema...)
	for _, sql := range append(steps, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)) {
		if err := c.exec(sql); err != nil {
			return err
		}
	}
	err = c.exec(`INSERT INTO account VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0, ?, ?)`, string(u), q.Bytes, q.Messages)
	for _, sql := range prepare {
		if err == nil {
			err = c.exec(sql)
		}
	}
	if err != nil {
		return err
	}
	if err := c.exec("COMMIT"); err != nil {
		return err
	}
	return c.exec("PRAGMA journal_mode = WAL")
}

// checkSchema refuses a database that is not a mail.db of this version and user.
func checkSchema(c *conn, u mailbox.User) error {
	id, err := c.integer("PRAGMA application_id")
	if err != nil {
		return err
	}
	version, err := c.integer("PRAGMA user_version")
	if err != nil {
		return err
	}
	if id == applicationID && migrations[version] != nil {
		return fmt.Errorf("mail.db of user %s has version %d; the daemon brings it to version %d when it next uses it: %w",
			u, version, schemaVersion, ErrVersion)
	}
	if id != applicationID || version != schemaVersion {
		return fmt.Errorf("mail.db of user %s has id %#x and version %d, which a later program made: %w", u, id, version, ErrVersion)
	}
	var mode string
	if _, err := c.one("PRAGMA journal_mode", func(row []driver.Value) error {
		mode = text(row[0])
		return nil
	}); err != nil {
		return err
	}
	if !strings.EqualFold(mode, "wal") {
		return fmt.Errorf("mail.db of user %s has journal mode %q", u, mode)
	}
	return checkOwner(c, u)
}

// errOwner: a mail.db lies in another user's place.
var errOwner = errors.New("it belongs to another user")

// checkOwner refuses the mail.db of another user.
func checkOwner(c *conn, u mailbox.User) error {
	var owner string
	if _, err := c.one("SELECT user FROM account", func(row []driver.Value) error {
		owner = text(row[0])
		return nil
	}); err != nil {
		return err
	}
	if owner != string(u) {
		return fmt.Errorf("mail.db of user %s: %w: %q", u, errOwner, owner)
	}
	return nil
}
