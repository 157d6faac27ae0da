package mailstore

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"teraslot/mailbox"
	"teraslot/sealed"
)

// The identity of a mail.db. schemaVersion rises with every change of schema;
// docs/formats.md draws each version.
const (
	applicationID = 0x54534D4C // "TSML"
	schemaVersion = 5
)

const recordColumns = `
	id INTEGER PRIMARY KEY,
	modseq INTEGER NOT NULL,
	system INTEGER NOT NULL,
	keywords TEXT NOT NULL,
	num INTEGER NOT NULL,
	fixed BLOB NOT NULL,
	crc INTEGER NOT NULL,`

// The columns of a mailbox, which a deleted one keeps. Names of deleted ones may be the same.
const boxRest = `
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
	recent INTEGER NOT NULL,`

// The tables whose rows have a CRC of their own. Those of messages, contents, structures and provenance have
// one that is computed here, of what is read again and again.
var (
	accountTable = sealed.Table{Name: "account", Key: 1, Often: true, Columns: `
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
	quota_messages INTEGER NOT NULL,`}
	mailboxTable = sealed.Table{Name: "mailbox", Key: 3, Often: true, Columns: `
	box INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL UNIQUE,` + boxRest}
	graveTable = sealed.Table{Name: "grave", Key: 3, Columns: `
	box INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,` + boxRest + `
	gone INTEGER NOT NULL,`}
	keywordTable = sealed.Table{Name: "keyword", Key: 2, WithoutRowID: true, Columns: `
	box INTEGER NOT NULL,
	word TEXT NOT NULL COLLATE NOCASE,
	n INTEGER NOT NULL,`, Constraints: `PRIMARY KEY (box, word)`}
	subscriptionTable = sealed.Table{Name: "subscription", Key: 1, WithoutRowID: true, Columns: `
	name TEXT PRIMARY KEY,`}
	expungedTable = sealed.Table{Name: "expunged", Key: 1, Columns: recordColumns + `
	gone INTEGER NOT NULL,`, Of: []string{"id", "gone"}}
	threadTable = sealed.Table{Name: "thread", Key: 1, WithoutRowID: true, Columns: `
	ref BLOB PRIMARY KEY,
	thread BLOB NOT NULL,`}
	packTable = sealed.Table{Name: "pack", Key: 1, Often: true, Columns: `
	n INTEGER PRIMARY KEY,
	place INTEGER NOT NULL,
	state INTEGER NOT NULL,
	"end" INTEGER NOT NULL,
	held INTEGER NOT NULL,`}
	settingTable = sealed.Table{Name: "setting", Key: 2, WithoutRowID: true, Columns: `
	box INTEGER NOT NULL,
	name TEXT NOT NULL,
	value TEXT NOT NULL,`, Constraints: `PRIMARY KEY (box, name)`}
)

// Those that are made when they are first needed.
var (
	retiredTable = sealed.Table{Name: "retired", Key: 3, WithoutRowID: true, Columns: `
	name TEXT NOT NULL,
	uidvalidity INTEGER NOT NULL,
	mailbox TEXT NOT NULL,`, Constraints: `PRIMARY KEY (name, uidvalidity)`}
	renewalTable = sealed.Table{Name: "renewal", Key: 1, Columns: `
	one INTEGER PRIMARY KEY CHECK (one = 1),
	id BLOB NOT NULL,`}
	slotTable = sealed.Table{Name: "slot", Key: 1, Columns: `
	one INTEGER PRIMARY KEY CHECK (one = 1),
	id TEXT NOT NULL,`}
	lineageTable = sealed.Table{Name: "lineage", Key: 2, Columns: `
	upto INTEGER PRIMARY KEY,
	slot TEXT NOT NULL,`}
	seenTable = sealed.Table{Name: "seen", Key: 2, WithoutRowID: true, Columns: `
	slot TEXT PRIMARY KEY,
	upto INTEGER NOT NULL,`}
	boxDotTable = sealed.Table{Name: "box_dot", Key: 1, WithoutRowID: true, Columns: `
	id TEXT PRIMARY KEY,
	maker TEXT NOT NULL,
	made INTEGER NOT NULL,
	namer TEXT NOT NULL,
	named INTEGER NOT NULL,`}
	handedTable = sealed.Table{Name: "handed", Key: 1, WithoutRowID: true, Columns: `
	id TEXT PRIMARY KEY,
	other TEXT NOT NULL,
	gone INTEGER NOT NULL,`}
)

// sealedTables are all of them. A statement names in braces what it reads of them.
var sealedTables = []sealed.Table{accountTable, mailboxTable, graveTable, keywordTable, subscriptionTable, expungedTable,
	threadTable, packTable, settingTable, retiredTable, renewalTable, slotTable, lineageTable, seenTable, boxDotTable, handedTable}

// everywhere is how many of them each mail.db has.
const everywhere = 9

// schema makes what is in each mail.db.
func schema() []string {
	out := []string{
		`CREATE TABLE message (` + strings.TrimSuffix(recordColumns, ",") + `) STRICT`,
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
	}
	for _, t := range sealedTables[:everywhere] {
		out = append(out, t.Create()...)
	}
	return append(out, expungedIndex)
}

const expungedIndex = `CREATE INDEX expunged_modseq ON expunged (id >> 32, modseq)`

// makeTable makes a table that only some mail has, if it is not there.
func (c *conn) makeTable(t sealed.Table) error {
	for _, sql := range t.Create() {
		if err := c.exec(sql); err != nil {
			return err
		}
	}
	return nil
}

// isSealed reports whether the rows of a table have CRCs: not in an earlier version.
func isSealed(c *conn, table string) (bool, error) {
	n, err := c.integer(`SELECT count(*) FROM pragma_table_xinfo(?) WHERE name = 'seal'`, table)
	return n > 0, err
}

// soundRows is an error if a row of a table does not match its CRC.
func (c *conn) soundRows(t sealed.Table) error {
	_, err := c.integer("SELECT count(*) FROM {" + t.Name + "}")
	return err
}

// soundOnce is soundRows for who looks for a row by what may be wrong in it, and found none. What a connection
// found sound it does not read again: damage comes to files that lie there.
func (c *conn) soundOnce(t sealed.Table) error {
	if c.sound[t.Name] {
		return nil
	}
	err := c.soundRows(t)
	if err == nil {
		c.sound[t.Name] = true
	}
	return err
}

// migrations lead from the schema of a version to that of the next.
var migrations = map[int64]func(*conn) error{
	2: func(c *conn) error { return errors.Join(c.makeTable(settingTable), c.makeTable(graveTable)) },
	3: sealTables,
	4: func(c *conn) error { return c.sealTable(handedTable) },
}

// sealTables gives the rows of version 3 their CRCs.
func sealTables(c *conn) error {
	if err := c.exec("DROP INDEX expunged_modseq"); err != nil {
		return err
	}
	holders, err := c.integer(`SELECT count(*) FROM pragma_table_info('retired') WHERE name = 'mailbox'`)
	if err != nil {
		return err
	}
	if there, err := hasTable(c, retiredTable.Name); err != nil {
		return err
	} else if there && holders == 0 { // made before they were kept
		if err := c.exec("ALTER TABLE retired ADD COLUMN mailbox TEXT NOT NULL DEFAULT ''"); err != nil {
			return err
		}
	}
	for _, t := range sealedTables {
		if err := c.sealTable(t); err != nil {
			return err
		}
	}
	return c.exec(expungedIndex)
}

// sealTable gives the rows of a table their CRCs, if it is there and they have none.
func (c *conn) sealTable(t sealed.Table) error {
	there, err := hasTable(c, t.Name)
	if err != nil || !there {
		return err
	}
	if done, err := isSealed(c, t.Name); err != nil || done {
		return err
	}
	steps := append([]string{"ALTER TABLE " + t.Name + " RENAME TO unsealed"}, t.Create()...)
	for _, sql := range append(steps, "INSERT INTO "+t.Name+" SELECT * FROM unsealed", "DROP TABLE unsealed") {
		if err := c.exec(sql); err != nil {
			return err
		}
	}
	return nil
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
		if err = migrations[v](c); err == nil {
			err = c.exec(fmt.Sprintf("PRAGMA user_version = %d", v+1))
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
	steps = append(steps, schema()...)
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
	if _, err := c.one("SELECT user FROM {account}", func(row []driver.Value) error {
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
