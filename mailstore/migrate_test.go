package mailstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/sealed"
)

// age makes a user's mail.db one of an earlier version, as that program wrote it.
func age(t *testing.T, path string, version int64) {
	t.Helper()
	c, err := openConn(path, false)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	unsealed := []sealed.Table{handedTable}
	if version < 4 {
		steps = append(steps, "DROP INDEX expunged_modseq")
		unsealed = sealedTables
	}
	if version < schemaVersion {
		for _, table := range unsealed {
			if there, err := hasTable(c, table.Name); err != nil {
				t.Fatal(err)
			} else if there {
				steps = append(steps, unseal(table)...)
			}
		}
	}
	if version < 4 {
		steps = append(steps, expungedIndex)
	}
	if version == 2 {
		steps = append(steps, "DROP TABLE setting", "DROP TABLE grave")
	}
	for _, sql := range append(steps, fmt.Sprintf("PRAGMA user_version = %d", version)) {
		if err := c.exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
}

// unseal makes a table what it was before its rows had CRCs.
func unseal(table sealed.Table) []string {
	create := table.Create()[0]
	before, rest, _ := strings.Cut(create, "\n\tseal INTEGER")
	_, after, _ := strings.Cut(rest, "VIRTUAL")
	before = strings.TrimSuffix(before, ",")
	return []string{"DROP TRIGGER IF EXISTS " + table.Name + "_seal", "ALTER TABLE " + table.Name + " RENAME TO with_crcs", before + after,
		"INSERT INTO " + table.Name + " SELECT * FROM (SELECT " + columnsOf(table) + " FROM with_crcs)", "DROP TABLE with_crcs"}
}

func columnsOf(table sealed.Table) string {
	var names []string
	for line := range strings.Lines(table.Columns) {
		if f := strings.Fields(line); len(f) > 0 {
			names = append(names, f[0])
		}
	}
	return strings.Join(names, ", ")
}

// TestMigrate opens mail of the version before: it is brought up to date with all
// that is in it. Whoever only reads says so; a later version is refused.
func TestMigrate(t *testing.T) {
	dir := t.TempDir()
	s, m := openFor(t, Options{Conf: dir})
	id := named(t, m, Inbox).ID
	rec := appendText(t, m, id, mailText(1), "$Work")
	if err := m.write(t.Context(), "", func(tx *txn) error { return tx.noteHanded(handedHere, user2, false) }); err != nil {
		t.Fatal(err)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for version := range migrations {
		migrate1(t, dir, id, rec, version)
	}
	age(t, s.databasePath(user1), schemaVersion+1)
	s, err := Open(t.Context(), Options{Conf: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Acquire(t.Context(), user1); !errors.Is(err, ErrVersion) {
		t.Errorf("a later mail.db: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// migrate1 makes mail one of a version, and opens it.
func migrate1(t *testing.T, dir string, id mailbox.ID, rec mailbox.Record, version int64) {
	t.Helper()
	age(t, filepath.Join(dir, user1.Dir(), "mail.db"), version)
	reader, err := Open(t.Context(), Options{Conf: dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Acquire(t.Context(), user1); !errors.Is(err, ErrVersion) {
		t.Errorf("a reader of an old mail.db: %v", err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}

	s, m := openFor(t, Options{Conf: dir})
	if got := bytesOf(t, m, id, rec); got != mailText(1) {
		t.Errorf("after the migration the message is %q", got)
	}
	verify(t, s, user1)
	if got, err := m.Handed(t.Context(), false); err != nil || got[handedHere] != user2 {
		t.Errorf("after the migration mailboxes came from %v, %v", got, err)
	}
	for _, table := range sealedTables {
		if there, err := hasTable(m.writer, table.Name); err != nil {
			t.Fatal(err)
		} else if done, err := isSealed(m.writer, table.Name); err != nil || done != there {
			t.Errorf("from version %d: table %s: there %v, CRCs %v, %v", version, table.Name, there, done, err)
		}
	}
	if n, err := m.writer.integer("PRAGMA user_version"); err != nil || n != schemaVersion {
		t.Errorf("version %d, %v", n, err)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
