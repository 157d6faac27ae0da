package mailstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"teraslot/disk"
	"teraslot/mailbox"
)

// migrateEnv makes the child a process that opens the mail of a user, which brings it to
// this version, and says so.
const migrateEnv = "MAILSTORE_TEST_MIGRATE"

// openOld is what that process does.
func openOld(dir string) error {
	s, err := Open(context.Background(), tracedOptions(dir))
	if err != nil {
		return err
	}
	m, err := s.Acquire(context.Background(), user1)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	fmt.Println("migrated")
	m.Release()
	return s.Close()
}

// oldMail is mail of an earlier version, and what is in it.
type oldMail struct {
	dir     string
	version int64
	inbox   mailbox.ID
	recs    []mailbox.Record
	texts   []string
}

// newOldMail makes mail with rows in the tables that the migrations change, and makes it one of a version.
func newOldMail(t *testing.T, version int64) *oldMail {
	t.Helper()
	o := &oldMail{dir: t.TempDir(), version: version}
	for _, d := range []string{"/conf", "/spool", "/archive"} {
		mkdir(t, o.dir+d)
	}
	s, m := openFor(t, tracedOptions(o.dir))
	o.inbox = named(t, m, Inbox).ID
	for n, size := range []int{500, 500, 4000, 500, 500, 500, 500, 500} {
		o.texts = append(o.texts, sized(n, size))
		o.recs = append(o.recs, appendText(t, m, o.inbox, o.texts[n], "$Work"))
	}
	if _, err := m.StoreFlags(t.Context(), "", o.inbox, mailbox.UIDs(o.recs[0].UID), AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Expunge(t.Context(), "", o.inbox, nil); err != nil {
		t.Fatal(err)
	}
	o.recs, o.texts = o.recs[1:], o.texts[1:]
	adopted(t, s, m, "W", 77, 1)
	if err := m.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.write(t.Context(), "", func(tx *txn) error { return tx.noteHanded(handedHere, user2, false) }); err != nil {
		t.Fatal(err)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	age(t, tracedOptions(o.dir).DatabaseFile(user1), version)
	return o
}

// TestPowerCutOfMigration cuts the power at every call of the migration of each earlier version: mail.db is then wholly of that
// version or wholly of this one, of this one once the mail was served, and opens with all that was in it.
func TestPowerCutOfMigration(t *testing.T) {
	for version := range migrations {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			o := newOldMail(t, version)
			memory := load(t, o.dir)
			calls := record(t, o.dir, migrateEnv)
			told := false
			found := map[int64]int{}
			for i, c := range calls {
				if err := c.apply(memory); err != nil {
					t.Fatalf("call %d, %s %s: %v", i, c.name, c.path, err)
				}
				told = told || c.name == "told"
				seeds := []uint64{disk.LoseUnsynced, uint64(i*1000 + 2), disk.KeepUnsynced}[i%3:][:1] // all of them, and more, by COUNT
				for n := range rounds(0) {
					seeds = append(seeds, []uint64{disk.LoseUnsynced, disk.KeepUnsynced, uint64(i*1000 + n)}[min(n, 2)])
				}
				for _, seed := range seeds {
					is := o.check(t, memory.Crashed(seed))
					found[is]++
					if told && is != schemaVersion {
						t.Errorf("the mail was served, and is of version %d", is)
					}
					if t.Failed() {
						t.Fatalf("after call %d of %d, %s, seed %d", i, len(calls), c.kind(), seed)
					}
				}
			}
			if found[version] == 0 || found[schemaVersion] == 0 || len(found) != 2 {
				t.Errorf("states by version: %v", found)
			}
			t.Logf("proof: %d calls, states by version %v", len(calls), found)
		})
	}
}

// check looks at a state, and opens it as the next start would. It returns the version that was there.
func (o *oldMail) check(t *testing.T, fsys disk.FS) int64 {
	t.Helper()
	at, err := os.MkdirTemp("/dev/shm", "mailstore")
	if err != nil {
		at = t.TempDir()
	}
	defer os.RemoveAll(at)
	unload(t, fsys, o.dir, at)
	version := o.versionOf(t, filepath.Join(at, "conf", user1.Dir(), "mail.db"))
	s, m := openFor(t, tracedOptions(at))
	verify(t, s, user1)
	for i, rec := range o.recs {
		if got := bytesOf(t, m, o.inbox, rec); got != o.texts[i] {
			t.Errorf("UID %d is %q", rec.UID, got)
		}
	}
	if got, err := m.Handed(t.Context(), false); err != nil || got[handedHere] != user2 {
		t.Errorf("mailboxes came from %v, %v", got, err)
	}
	appendText(t, m, o.inbox, sized(1000, 500))
	verify(t, s, user1)
	m.Release()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return version
}

// versionOf returns the version of a mail.db as SQLite takes it after a cut, all of whose tables must be of that version.
func (o *oldMail) versionOf(t *testing.T, path string) int64 {
	t.Helper()
	c, err := openConn(path, false)
	if err != nil {
		t.Fatal(err)
	}
	version, err := c.integer("PRAGMA user_version")
	for _, table := range sealedTables {
		there, e1 := hasTable(c, table.Name)
		done, e2 := isSealed(c, table.Name)
		want := there && (version == schemaVersion || version == 4 && table.Name != handedTable.Name)
		if err = errors.Join(err, e1, e2); done != want {
			t.Errorf("version %d: table %s: there %v, CRCs %v", version, table.Name, there, done)
		}
	}
	if n, e := c.integer(`SELECT count(*) FROM sqlite_schema WHERE name IN ('unsealed', 'setting', 'grave')`); e != nil || n != map[bool]int64{true: 0, false: 2}[version == 2] {
		t.Errorf("version %d: %d tables of the migration, %v", version, n, e)
	}
	if version != schemaVersion && version != o.version {
		t.Errorf("version %d, was %d", version, o.version)
	}
	if err := errors.Join(err, c.close()); err != nil {
		t.Error(err)
	}
	return version
}
