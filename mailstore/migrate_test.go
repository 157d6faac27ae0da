package mailstore

import (
	"errors"
	"fmt"
	"testing"
)

// age makes a user's mail.db one of an earlier version, as that program wrote it.
func age(t *testing.T, path string, version int64) {
	t.Helper()
	c, err := openConn(path, false)
	if err != nil {
		t.Fatal(err)
	}
	steps := []string{fmt.Sprintf("PRAGMA user_version = %d", version)}
	if version == 2 {
		steps = append(steps, "DROP TABLE setting", "DROP TABLE grave")
	}
	for _, sql := range steps {
		if err := c.exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
}

// TestMigrate opens mail of the version before: it is brought up to date with all
// that is in it. Whoever only reads says so; a later version is refused.
func TestMigrate(t *testing.T) {
	dir := t.TempDir()
	s, m := openFor(t, Options{Conf: dir})
	id := named(t, m, Inbox).ID
	rec := appendText(t, m, id, mailText(1), "$Work")
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	age(t, s.databasePath(user1), 2)

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

	s, m = openFor(t, Options{Conf: dir})
	if got := bytesOf(t, m, id, rec); got != mailText(1) {
		t.Errorf("after the migration the message is %q", got)
	}
	verify(t, s, user1)
	if n, err := m.writer.integer("PRAGMA user_version"); err != nil || n != schemaVersion {
		t.Errorf("version %d, %v", n, err)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	age(t, s.databasePath(user1), schemaVersion+1)
	s, err = Open(t.Context(), Options{Conf: dir})
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
