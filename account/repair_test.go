package account

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"teraslot/bench/behind"
	"teraslot/disk"
)

var quiet = slog.New(slog.DiscardHandler)

// spoiled opens a slot.db after a statement that no CRC knows of.
func spoiled(t *testing.T, path, statement string) *Accounts {
	t.Helper()
	check(t, behind.Exec(path, statement))
	return open(t, path, Options{Logger: quiet})
}

// repaired repairs, and returns what was reported.
func repaired(t *testing.T, a *Accounts, left int, copies ...Copy) string {
	t.Helper()
	var out strings.Builder
	got, err := a.Repair(t.Context(), copies, func(line string) { out.WriteString(line + "\n") })
	check(t, err)
	if got != left {
		t.Errorf("%d rows are left, want %d:\n%s", got, left, &out)
	}
	damaged, want := 0, left
	check(t, a.Verify(t.Context(), func(string) { damaged++ }))
	if damaged != want {
		t.Errorf("%d rows are damaged after the repair, want %d", damaged, want)
	}
	var is string
	if left > 0 {
		return out.String()
	}
	if check(t, a.db.QueryRow("PRAGMA integrity_check").Scan(&is)); is != "ok" {
		t.Error(is)
	}
	return out.String()
}

// TestRepairFromCopy: where several values of a row are others, so that the CRC proves nothing, he whose it is comes from the first copy that
// has him. Who is disabled, here or there, stays so; who may have been removed since is not made again; nobody gets what another has now.
func TestRepairFromCopy(t *testing.T) {
	for _, c := range []struct {
		name, since, damage string
		left                int
		// The user of the id, as he is then; "" for nobody.
		is       string
		disabled bool
		password string
	}{
		{name: "values", damage: "quota_bytes = 77, created = 9, hash = 'x'", is: "anna", password: "one"},
		{name: "values of one who got another password", since: "passwd", damage: "quota_bytes = 77, quota_messages = 78", is: "anna", password: "one"},
		{name: "disabled since", since: "disable", damage: "quota_bytes = 77, quota_messages = 78", is: "anna", disabled: true},
		{name: "a removal that was begun", since: "removal", damage: "quota_bytes = 77, quota_messages = 78", is: "anna", disabled: true},
		{name: "the name too", damage: "name = 'zoe', quota_bytes = 77", is: "anna", password: "one"},
		{name: "the id too", damage: "id = 'x', quota_bytes = 77", is: "anna", password: "one"},
		{name: "the id and the name", damage: "id = 'x', name = 'y'", left: 1},
		{name: "renamed since", since: "rename", damage: "quota_bytes = 77, quota_messages = 78", is: "anna", password: "one"},
		{name: "whose name another has now", since: "exchange", damage: "quota_bytes = 77, quota_messages = 78", left: 1},
		{name: "removed since", since: "remove", damage: "quota_bytes = 77, quota_messages = 78", left: 1},
		{name: "no name, and another value", damage: "name = NULL, quota_messages = 78", left: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path, saved := filepath.Join(dir, "slot.db"), filepath.Join(dir, "copy")
			a := open(t, path, Options{})
			anna, _ := add(t, a, "anna", "one"), add(t, a, "berta", "two")
			check(t, a.MadeMail(t.Context(), "anna"))
			if done, err := a.Save(t.Context(), saved); !done || err != nil {
				t.Fatal(done, err)
			}
			for _, change := range map[string][]func() error{
				"passwd":   {func() error { return a.Passwd(t.Context(), "anna", "new") }},
				"disable":  {func() error { return a.Disable(t.Context(), "anna", true) }},
				"removal":  {func() error { return a.BeginRemoval(t.Context(), "anna") }},
				"rename":   {func() error { return a.Rename(t.Context(), "anna", "carla") }},
				"exchange": {func() error { return a.Rename(t.Context(), "anna", "carla") }, func() error { return a.Rename(t.Context(), "berta", "anna") }},
				"remove":   {func() error { return a.Remove(t.Context(), "anna") }},
			}[c.since] {
				check(t, change())
			}
			entries, err := ReadCopy(t.Context(), saved)
			check(t, err)
			a = spoiled(t, path, "UPDATE users SET "+c.damage+" WHERE id = '"+string(anna.ID)+"'")
			said := repaired(t, a, c.left, Copy{"an empty one", nil}, Copy{"the copy of the night", entries})
			if named := strings.Contains(said, "as in the copy of the night: name, password"); named != (c.left == 0) {
				t.Errorf("said %q", said)
			}
			if c.left > 0 {
				return
			}
			got, err := a.ByID(t.Context(), anna.ID)
			check(t, err)
			anna.HasMail, anna.Disabled = true, c.disabled
			if got != anna {
				t.Errorf("%+v, want %+v", got, anna)
			}
			if c.password != "" {
				check(t, second(a.Authenticate(t.Context(), c.is, c.password)))
			}
			check(t, second(a.Authenticate(t.Context(), "berta", "two")))
			check(t, second(a.Add(t.Context(), "later", "x", Quota{})))
		})
	}
}

// TestRepairRemoved: the id of one who was removed stays taken, and it is known who got his mailboxes.
func TestRepairRemoved(t *testing.T) {
	dir := t.TempDir()
	path, saved := filepath.Join(dir, "slot.db"), filepath.Join(dir, "copy")
	a := open(t, path, Options{})
	anna := add(t, a, "anna", "one")
	heir := Heir{"0123456789abcdef01234567", "0123456789abcdef0123456789abcdef"}
	check(t, a.Remove(t.Context(), "anna", heir))
	check(t, second(a.Save(t.Context(), saved)))
	entries, err := ReadCopy(t.Context(), saved)
	check(t, err)
	a = spoiled(t, path, "UPDATE users SET name = 'zoe', quota_bytes = 3, hash = 'x'")
	repaired(t, a, 0, Copy{"a copy", entries})
	e, err := a.Entry(t.Context(), anna.ID)
	check(t, err)
	if heirs, err := e.Heirs(); !e.Removed || err != nil || !slices.Equal(heirs, []Heir{heir}) {
		t.Errorf("%+v, %v, %v", e, heirs, err)
	}
}

// TestRepairTwins: a bit on disk makes a name or an id another's. There can be no index of both, and the row is mended nevertheless; with one
// beside it that cannot be, nothing is changed.
func TestRepairTwins(t *testing.T) {
	for _, c := range []struct {
		what  string
		other string // damage of another row
	}{{"name", ""}, {"id", ""}, {"name", "quota_bytes = 7, quota_messages = 8"}} {
		path := filepath.Join(t.TempDir(), "slot.db")
		ids := slices.Concat(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{1}, 31), []byte{3}, bytes.Repeat([]byte{5}, 32))
		a, err := Open(t.Context(), path, Options{Rand: bytes.NewReader(ids), Cost: cheap})
		check(t, err)
		one, three, five := add(t, a, "user1", "one"), add(t, a, "user3", "three"), add(t, a, "user5", "five")
		check(t, a.Close())
		b, err := os.ReadFile(path)
		check(t, err)
		at := bytes.Index(b, []byte(string(one.ID)+"user1")) + len(one.ID) - 1
		if c.what == "name" {
			at += len("user1")
		}
		b[at] ^= 2
		check(t, os.WriteFile(path, b, 0o600))
		if c.other == "" {
			a = open(t, path, Options{Logger: quiet})
			repaired(t, a, 0)
			all, err := a.List(t.Context())
			check(t, err)
			if want := []Account{one, three, five}; !slices.Equal(all, want) {
				t.Errorf("%s: %+v, want %+v", c.what, all, want)
			}
			check(t, second(a.Authenticate(t.Context(), "user1", "one")))
			check(t, a.Passwd(t.Context(), "user1", "other")) // its trigger and its CRCs are there
			check(t, behind.Exec(path, "UPDATE users SET quota_bytes = 9 WHERE name = 'user1'"))
			if err := a.Passwd(t.Context(), "user1", "third"); !errors.Is(err, ErrDamaged) {
				t.Errorf("a damaged row was changed: %v", err)
			}
			continue
		}
		a = spoiled(t, path, "UPDATE users SET "+c.other+" WHERE name = 'user5'")
		left, err := a.Repair(t.Context(), nil, func(string) {})
		if left != 2 || err == nil || !strings.Contains(err.Error(), "the same id or name") {
			t.Errorf("%d rows are left, %v", left, err)
		}
	}
}

// TestSave: the copy is replaced when anything of anybody changed, and only then; where a row is damaged it stays.
func TestSave(t *testing.T) {
	dir := t.TempDir()
	path, saved := filepath.Join(dir, "slot.db"), filepath.Join(dir, "slot.saved")
	a := open(t, path, Options{})
	check(t, os.WriteFile(saved+".new", []byte("of a run that was killed"), 0o600))
	save := func(want bool) {
		t.Helper()
		done, err := a.Save(t.Context(), saved)
		if check(t, err); done != want {
			t.Errorf("saved: %v", done)
		}
		now, err := a.Entries(t.Context())
		check(t, err)
		if then, err := ReadCopy(t.Context(), saved); err != nil || !slices.Equal(now, then) {
			t.Errorf("the copy has %+v, want %+v, %v", then, now, err)
		}
	}
	save(true)
	add(t, a, "anna", "one")
	save(true)
	save(false)
	check(t, a.MadeMail(t.Context(), "anna"))
	save(true)
	check(t, a.Passwd(t.Context(), "anna", "two"))
	save(true)
	check(t, a.Disable(t.Context(), "anna", true))
	save(true)
	check(t, a.BeginRemoval(t.Context(), "anna"))
	save(false) // a copy says nothing of that
	check(t, behind.Exec(saved, "UPDATE users SET quota_bytes = 7"))
	save(true)
	check(t, os.WriteFile(saved, []byte("no database"), 0o600))
	save(true)
	names, err := filepath.Glob(saved + "*")
	if info, err := os.Stat(saved); err != nil || info.Mode().Perm() != 0o600 || len(names) != 1 {
		t.Errorf("%v, %v, %q", info, err, names)
	}
	check(t, err)
	a = spoiled(t, path, "UPDATE users SET quota_bytes = 7")
	if done, err := a.Save(t.Context(), saved); done || !errors.Is(err, ErrDamaged) {
		t.Errorf("saved %v, %v", done, err)
	}
	if then, err := ReadCopy(t.Context(), saved); err != nil || then[0].Quota.Bytes != 0 {
		t.Errorf("%+v, %v", then, err)
	}
}

// TestReadCopy: what is no copy is an error, of an older program one that can be told; rows that are damaged in it are left out.
func TestReadCopy(t *testing.T) {
	dir := t.TempDir()
	path, saved := filepath.Join(dir, "slot.db"), filepath.Join(dir, "copy ?%")
	if _, err := ReadCopy(t.Context(), saved); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	a := open(t, path, Options{})
	add(t, a, "anna", "one")
	add(t, a, "berta", "one")
	check(t, second(a.Save(t.Context(), saved)))
	check(t, behind.Exec(saved, "UPDATE users SET quota_bytes = 7 WHERE name = 'anna'"))
	if all, err := ReadCopy(t.Context(), saved); err != nil || len(all) != 1 || all[0].Name != "berta" {
		t.Errorf("%+v, %v", all, err)
	}
	check(t, os.WriteFile(saved, bytes.Repeat([]byte("no database"), 1000), 0o600))
	if _, err := ReadCopy(t.Context(), saved); err == nil || !strings.Contains(err.Error(), saved) {
		t.Error(err)
	}
	newOldAccounts(t, filepath.Join(dir, "old"), 2)
	if _, err := ReadCopy(t.Context(), filepath.Join(dir, "old")); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

// TestSaveFails: whichever operation of the disk fails, the copy that is there is whole, and the next time it is made.
func TestSaveFails(t *testing.T) {
	for at := 1; ; at++ {
		dir := t.TempDir()
		path, saved := filepath.Join(dir, "slot.db"), filepath.Join(dir, "slot.saved")
		a := open(t, path, Options{})
		add(t, a, "anna", "one")
		check(t, second(a.Save(t.Context(), saved)))
		add(t, a, "berta", "one")
		fail := errors.New("the disk fails")
		failing := open(t, path, Options{FS: disk.WithFaults(disk.OS(), disk.Faults{Fail: disk.FailAt(at, fail)})})
		done, err := failing.Save(t.Context(), saved)
		if err == nil {
			if at < 6 {
				t.Errorf("a copy takes %d operations", at-1)
			}
			return
		}
		if done || !errors.Is(err, fail) {
			t.Errorf("operation %d: %v, %v", at, done, err)
		}
		if then, err := ReadCopy(t.Context(), saved); err != nil || len(then) != 1 && len(then) != 2 {
			t.Errorf("operation %d: %+v, %v", at, then, err)
		}
		check(t, second(a.Save(t.Context(), saved)))
		if then, err := ReadCopy(t.Context(), saved); err != nil || len(then) != 2 {
			t.Errorf("after operation %d: %+v, %v", at, then, err)
		}
	}
}
