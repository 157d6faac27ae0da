package account

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"teraslot/bench/powercut"
	"teraslot/mailbox"
	"teraslot/sealed"
)

// migrateEnv makes this a process that opens the slot.db it names, which brings it to this version, and says so.
const migrateEnv = "ACCOUNT_TEST_MIGRATE"

// openOld is what that process does.
func openOld(path string) error {
	a, err := Open(context.Background(), path, Options{Owner: true, Cost: cheap})
	if err != nil {
		return err
	}
	fmt.Print(migrated)
	return a.Close()
}

const migrated = "migrated"

// oldVersions are the statements by which programs of earlier versions made slot.db: version 2 changes the first, of 0 there is nothing yet.
var oldVersions = [userVersion][]string{
	1: {`CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT UNIQUE, hash TEXT NOT NULL, quota_bytes INTEGER NOT NULL CHECK (quota_bytes >= 0),
		quota_messages INTEGER NOT NULL CHECK (quota_messages >= 0), created INTEGER NOT NULL, disabled INTEGER NOT NULL CHECK (disabled IN (0, 1))) STRICT`},
	2: {"ALTER TABLE users ADD COLUMN mail INTEGER NOT NULL DEFAULT 0 CHECK (mail IN (0, 1))",
		"ALTER TABLE users ADD COLUMN removing INTEGER NOT NULL DEFAULT 0 CHECK (removing IN (0, 1))"},
}

// newOldAccounts makes a slot.db of a version, with users, one of whom was removed, and returns who is in it.
func newOldAccounts(t *testing.T, path string, version int) []Entry {
	t.Helper()
	if version == 0 {
		return nil
	}
	db := sql.OpenDB(sealed.Connector(dsn(path)))
	do := func(statement string, values ...any) {
		t.Helper()
		_, err := db.Exec(statement, values...)
		check(t, err)
	}
	for _, statements := range oldVersions[:version+1] {
		for _, statement := range statements {
			do(statement)
		}
	}
	do(fmt.Sprint("PRAGMA user_version = ", version))
	var all []Entry
	for n := range 40 { // of several pages
		e := Entry{Account: Account{Name: fmt.Sprintf("user%d@example.org", n), Quota: Quota{int64(n), 7}, Created: time.Unix(int64(n), 0).UTC(),
			Disabled: n%5 == 1, HasMail: true}, Hash: "$argon2id$" + fmt.Sprint(n)}
		e.ID, e.Removed = mailbox.User(fmt.Sprintf("%032x", n+1)), n == 3
		var name any = e.Name
		if e.Removed {
			name, e.Name, e.Hash = nil, "", ""
		}
		values := []any{string(e.ID), name, e.Hash, e.Quota.Bytes, e.Quota.Messages, e.Created.Unix(), e.Disabled}
		if version == 2 {
			e.HasMail, e.Removing = n%7 != 2, n%5 == 1
			values = append(values, e.HasMail, e.Removing)
		}
		do("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?"+[]string{"", "", ", ?, ?"}[version]+")", values...)
		all = append(all, e)
	}
	check(t, db.Close())
	return all
}

// TestPowerCutOfMigration cuts the power at every call of the migration of each earlier version: slot.db is then wholly of that
// version or wholly of this one, of this one once somebody was served, and opens with all who are in it.
func TestPowerCutOfMigration(t *testing.T) {
	count, err := strconv.Atoi(cmp.Or(os.Getenv("COUNT"), "0"))
	check(t, err)
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("SEED"), "1"), 10, 64)
	check(t, err)
	for version := range oldVersions {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) { cutMigration(t, version, count, seed) })
	}
}

func cutMigration(t *testing.T, version, count int, seed uint64) {
	dir := t.TempDir()
	root, base := filepath.Join(dir, "root"), filepath.Join(dir, "base")
	states, err := os.MkdirTemp("/dev/shm", "account") // whose syncs cost nothing
	if err != nil {
		states = dir
	} else {
		defer os.RemoveAll(states)
	}
	check(t, os.Mkdir(root, 0o700))
	want := newOldAccounts(t, filepath.Join(root, "slot.db"), version)
	check(t, os.CopyFS(base, os.DirFS(root)))
	disk, err := powercut.NewDisk(base, root)
	check(t, err)
	told, found, seen := false, map[int]int{}, map[string]bool{}
	ops := recordMigration(t, root, base)
	for i, op := range ops {
		check(t, disk.Apply(op))
		told = told || op.Kind == powercut.Write && bytes.Contains(op.Data, []byte(migrated))
		// One of the three in turn, and with COUNT all of them and so many more at random.
		cuts := []uint64{lost, kept, seed<<32 + uint64(i)<<12}[i%3:][:1]
		for n := range count {
			cuts = append(cuts, []uint64{lost, kept, seed<<32 + uint64(i)<<12 + uint64(n)}[min(n, 2)])
		}
		for _, cut := range cuts {
			state := powerCut(disk, cut)
			key := fmt.Sprint(told, state.Sum(func(name string) bool { return filepath.Ext(name) != ".db-shm" }))
			if seen[key] {
				continue
			}
			seen[key] = true
			is := checkMigrated(t, state, filepath.Join(states, "state"), version, want)
			found[is]++
			if told && is != userVersion {
				t.Errorf("somebody was served, and slot.db is of version %d", is)
			}
			if t.Failed() {
				t.Fatalf("after call %d of %d, %s %s, cut %d", i, len(ops), op.Kind, filepath.Base(op.Path), cut)
			}
		}
	}
	if !told || found[version] == 0 || found[userVersion] == 0 || len(found) != 2 {
		t.Errorf("told %v, states by version: %v", told, found)
	}
	t.Logf("proof: %d calls, distinct states by version %v, seed %d", len(ops), found, seed)
}

// The two cuts that are not at random: all that was not synced is lost, or is there.
const lost, kept = 0, 1

func powerCut(disk *powercut.Disk, cut uint64) powercut.State {
	r := rand.New(rand.NewPCG(cut, 1))
	return disk.Cut(func(_ int, op powercut.Op) powercut.Fate {
		switch {
		case cut == lost:
			return powercut.Absent
		case cut == kept:
			return powercut.Present
		case op.Kind == powercut.Write:
			return powercut.Fate(r.IntN(3))
		}
		return powercut.Fate(r.IntN(2))
	}, r)
}

// recordMigration runs the process that opens slot.db under strace.
func recordMigration(t *testing.T, root, base string) []powercut.Op {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, append(powercut.StraceArgs(out), os.Args[0])...)
	cmd.Env = append(os.Environ(), migrateEnv+"="+filepath.Join(root, "slot.db"))
	cmd.Stderr = os.Stderr
	told, err := cmd.Output()
	if len(told) == 0 && err != nil {
		t.Skipf("a process cannot be traced here: %v", err)
	}
	check(t, err)
	f, err := os.Open(out)
	check(t, err)
	defer f.Close()
	ops, err := powercut.Read(f, func(path string) bool { return path == root }, func(path string) int64 {
		info, err := os.Stat(filepath.Join(base, filepath.Base(path)))
		if err != nil {
			return 0
		}
		return info.Size()
	})
	check(t, err)
	return ops
}

// checkMigrated looks at a state, and opens it as the next start would. It returns the version that was there.
func checkMigrated(t *testing.T, state powercut.State, dir string, old int, want []Entry) int {
	t.Helper()
	check(t, state.Write(dir))
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "slot.db")
	version := versionOf(t, path)
	if version != old && version != userVersion {
		t.Errorf("version %d, was %d", version, old)
	}
	a, err := Open(t.Context(), path, Options{Cost: cheap, Owner: true})
	check(t, err)
	got := withMarks(t, a)
	if !slices.Equal(got, want) {
		t.Errorf("version %d: %d entries, want %d: %+v", version, len(got), len(want), got)
	}
	check(t, a.Verify(t.Context(), func(line string) { t.Errorf("version %d: %s", version, line) }))
	var is string
	if check(t, a.db.QueryRow("PRAGMA integrity_check").Scan(&is)); is != "ok" {
		t.Errorf("version %d: %s", version, is)
	}
	_, err = a.Add(t.Context(), "later", "one", Quota{}) // and life goes on
	check(t, err)
	check(t, a.Close())
	if is := versionOf(t, path); is != userVersion {
		t.Errorf("after the start it is of version %d", is)
	}
	return version
}

// withMarks returns all entries, with what of an account is not carried to other slots.
func withMarks(t *testing.T, a *Accounts) []Entry {
	t.Helper()
	all, err := a.Entries(t.Context())
	check(t, err)
	for i := range all {
		e := &all[i]
		check(t, a.db.QueryRow("SELECT mail, removing FROM users WHERE id = ?", string(e.ID)).Scan(&e.HasMail, &e.Removing))
	}
	return all
}

// versionOf returns the version of a slot.db as SQLite takes it after a cut: the table must be of that version, and the only one.
func versionOf(t *testing.T, path string) (version int) {
	t.Helper()
	db := sql.OpenDB(sealed.Connector(dsn(path)))
	check(t, db.QueryRow("PRAGMA user_version").Scan(&version))
	tables, columns := 0, 0
	check(t, db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").Scan(&tables))
	check(t, db.QueryRow("SELECT count(*) FROM pragma_table_xinfo('users')").Scan(&columns))
	if want := [...]int{0, 7, 9, 11}[min(version, 3)]; columns != want || tables != min(version, 1) {
		t.Errorf("version %d: %d tables, %d columns", version, tables, columns)
	}
	check(t, db.Close())
	return version
}
