package mailstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// partitions are the roots of a store whose archive is another, with a clock.
func partitions(t *testing.T, now *time.Time) Options {
	t.Helper()
	dir := memoryDir(t)
	o := Options{Conf: filepath.Join(dir, "conf"), Spool: filepath.Join(dir, "spool"), Archive: filepath.Join(dir, "archive"),
		PackSize: 20_000, Now: func() time.Time { return *now }}
	for _, root := range []string{o.Conf, o.Spool, o.Archive} {
		mkdir(t, root)
	}
	return o
}

func appendDated(t *testing.T, m *Mail, id mailbox.ID, body string, date time.Time, flags ...string) mailbox.Record {
	t.Helper()
	recs, err := m.Append(t.Context(), "", Append{Mailbox: id, Message: spool(t, m.s, body), Flags: mailbox.MakeFlags(flags...),
		InternalDate: mailbox.DateOf(date)})
	if err != nil {
		t.Fatal(err)
	}
	return recs[0]
}

// placesOf returns where each message of a mailbox lies, by UID.
func placesOf(t *testing.T, m *Mail, id mailbox.ID) map[mailbox.UID]place {
	t.Helper()
	v, err := m.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	out := map[mailbox.UID]place{}
	err = m.read(t.Context(), func(c *conn) error {
		for _, r := range v.Records {
			found, ok, err := m.findContent(c, "num = ?", int64(r.Num))
			if err != nil || !ok {
				return fmt.Errorf("UID %d: %v, %w", r.UID, ok, err)
			}
			out[r.UID] = found.where
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestArchiveChooses: old and large messages go, each mailbox by its own setting, flagged
// ones if asked, and shared ones only if all let them.
func TestArchiveChooses(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	old, fresh := now.Add(-8*24*time.Hour), now.Add(-6*24*time.Hour)
	o := partitions(t, &now)
	s, m := newStore(t, o)
	inbox, kept, soon := named(t, m, Inbox).ID, named(t, m, "Drafts").ID, named(t, m, "Junk").ID
	want := map[mailbox.ID]map[mailbox.UID]place{inbox: {}, kept: {}, soon: {}}
	put := func(id mailbox.ID, n int, date time.Time, at place, flags ...string) mailbox.Record {
		r := appendDated(t, m, id, sized(n, 1000), date, flags...)
		want[id][r.UID] = at
		return r
	}
	put(inbox, 1, old, archivePlace)
	put(inbox, 2, fresh, spoolPlace)
	put(inbox, 3, old, spoolPlace, `\Flagged`)
	put(kept, 4, old, spoolPlace)
	put(soon, 5, fresh, archivePlace)
	large := appendDated(t, m, inbox, sized(6, 9000), fresh)
	want[inbox][large.UID] = archivePlace
	shared := put(inbox, 7, old, spoolPlace) // Drafts holds it too
	now = now.Add(-30 * 24 * time.Hour)      // a date in the future keeps nothing on the spool
	put(inbox, 8, now.Add(1000*24*time.Hour), archivePlace)
	now = now.Add(30 * 24 * time.Hour)
	if _, err := m.Copy(t.Context(), "", inbox, mailbox.UIDs(shared.UID), kept); err != nil {
		t.Fatal(err)
	}
	want[kept][2] = spoolPlace
	for id, age := range map[mailbox.ID]Age{kept: {Never: true}, soon: {After: time.Hour}} {
		if err := m.SetSetting(t.Context(), id, SettingArchive, &age); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Settings(t.Context(), id); err != nil || got[SettingArchive] != age {
			t.Errorf("the setting is %v: %v", got, err)
		}
	}
	done, err := m.Archive(t.Context(), ArchiveOptions{Larger: 8000, Flagged: true})
	if err != nil || done.Messages != 4 || done.Bytes < 11_000 {
		t.Errorf("moved %+v: %v", done, err)
	}
	for id, places := range want {
		got := placesOf(t, m, id)
		for uid, at := range places {
			if got[uid] != at {
				t.Errorf("mailbox %s UID %d lies in %d, want %d", id, uid, got[uid], at)
			}
		}
	}
	verify(t, s, user1)
	if done, err := m.Archive(t.Context(), ArchiveOptions{Larger: 8000, Flagged: true}); err != nil || done.Messages != 0 {
		t.Errorf("once more moved %+v: %v", done, err)
	}
	if err := m.SetSetting(t.Context(), kept, SettingArchive, nil); err != nil {
		t.Fatal(err)
	}
	if done, err := m.Archive(t.Context(), ArchiveOptions{}); err != nil || done.Messages != 3 {
		t.Errorf("without the settings %+v: %v", done, err)
	}
	if got, err := m.Repack(t.Context(), RepackOptions{All: true}); err != nil || got.Bytes < 7000 {
		t.Errorf("freed %+v: %v", got, err)
	}
	if bytesOf(t, m, inbox, large) != sized(6, 9000) {
		t.Error("a message that was moved has other bytes")
	}
}

func TestSettingsRefuse(t *testing.T) {
	_, m := newStore(t, Options{})
	id := named(t, m, Inbox).ID
	if err := m.SetSetting(t.Context(), id, "other", &Age{}); !errors.Is(err, ErrSetting) {
		t.Errorf("got %v", err)
	}
	for s, want := range map[string]Age{"never": {Never: true}, "now": {}, "86400": {After: 24 * time.Hour}} {
		got, err := ParseAge(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%s is %+v %s: %v", s, got, got, err)
		}
	}
	for _, s := range []string{"", "-1", "1h", "99999999999"} {
		if _, err := ParseAge(s); !errors.Is(err, ErrSetting) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// TestArchiveOneRoot: where there is one partition there is nothing to move.
func TestArchiveOneRoot(t *testing.T) {
	_, m := newStore(t, Options{})
	appendText(t, m, named(t, m, Inbox).ID, mailText(1))
	if done, err := m.Archive(t.Context(), ArchiveOptions{All: true}); err != nil || done.Messages != 0 {
		t.Errorf("moved %+v: %v", done, err)
	}
}

// TestArchivePassesOverDamage: what cannot be read stays, and stops no other.
func TestArchivePassesOverDamage(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	s, m := openFor(t, o)
	defer func() { m.Release(); s.Close() }()
	id := named(t, m, Inbox).ID
	for n := range 5 {
		appendText(t, m, id, sized(n, 500))
	}
	path := m.packs.path(spoolPlace, 1)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[packHeaderSize+2*(frameHeaderSize+500)+frameHeaderSize+7] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	done, err := m.Archive(t.Context(), ArchiveOptions{All: true})
	if d, ok := errors.AsType[*Damage](err); !ok || d.Pack != 1 || done.Messages != 4 {
		t.Errorf("moved %+v: %v", done, err)
	}
	if got := placesOf(t, m, id); got[3] != spoolPlace || got[2] != archivePlace || got[5] != archivePlace {
		t.Errorf("places are %v", got)
	}
}

// copyTree copies what is on disk now, as a kill of the process would leave it.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		at := filepath.Join(to, rel)
		if e.IsDir() {
			return os.MkdirAll(at, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// killed is the state of a store's disks at a step.
type killed struct {
	step string
	o    Options
}

// killAtSteps copies the store at each step that fn comes to.
func killAtSteps(t *testing.T, o Options, on *func(string), fn func()) []killed {
	t.Helper()
	root := filepath.Dir(o.Conf)
	var all []killed
	*on = func(step string) {
		dir := memoryDir(t)
		copyTree(t, root, dir)
		next := o
		next.Step = nil
		next.Conf, next.Spool, next.Archive = filepath.Join(dir, "conf"), filepath.Join(dir, "spool"), filepath.Join(dir, "archive")
		all = append(all, killed{step, next})
	}
	fn()
	*on = nil
	return all
}

// TestArchiveKilled kills a store at each step of archiving and of the repack after
// it: all mail is there, and the next run finishes.
func TestArchiveKilled(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	var on func(string)
	o.Step = func(s string) {
		if on != nil {
			on(s)
		}
	}
	_, m := newStore(t, o)
	id := named(t, m, Inbox).ID
	var recs []mailbox.Record
	for n := range 30 {
		recs = append(recs, appendText(t, m, id, sized(n, 1500)))
	}
	recs = append(recs, appendText(t, m, id, sized(30, 2<<20)))
	states := killAtSteps(t, o, &on, func() {
		if _, err := m.Archive(t.Context(), ArchiveOptions{All: true}); err != nil {
			t.Error(err)
		}
		if _, err := m.Repack(t.Context(), RepackOptions{All: true}); err != nil {
			t.Error(err)
		}
	})
	var steps []string
	for _, k := range states {
		steps = append(steps, k.step)
		s, m := openFor(t, k.o)
		verify(t, s, user1)
		for n, r := range recs[:30] {
			if bytesOf(t, m, id, r) != sized(n, 1500) {
				t.Fatalf("killed at %q: message %d has other bytes", k.step, n)
			}
		}
		if _, err := m.Archive(t.Context(), ArchiveOptions{All: true}); err != nil {
			t.Errorf("killed at %q: %v", k.step, err)
		}
		if _, err := m.Repack(t.Context(), RepackOptions{All: true}); err != nil {
			t.Errorf("killed at %q: %v", k.step, err)
		}
		verify(t, s, user1)
		for uid, at := range placesOf(t, m, id) {
			if at != archivePlace {
				t.Errorf("killed at %q: UID %d is not moved by the next run", k.step, uid)
			}
		}
		if left := sizeOfPacks(t, k.o.Spool); left != 0 {
			t.Errorf("killed at %q: %d bytes are left on the spool", k.step, left)
		}
		m.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, want := range []string{StepPackMade, StepPackWritten, StepPackSynced, StepFenced, StepCommitted, StepRepackWritten, StepRepackCommitted, StepRepackRemoved} {
		if !slices.Contains(steps, want) {
			t.Errorf("no state at %q", want)
		}
	}
	t.Logf("%d states", len(states))
}

// TestArchiveFullDisk: with no room in the archive everything stays as it is, and
// goes when there is.
func TestArchiveFullDisk(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	full := true
	o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if full && op == disk.OpSync && filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(name)))) == o.Archive {
			return syscall.ENOSPC
		}
		return nil
	}})
	s, m := newStore(t, o)
	id := named(t, m, Inbox).ID
	for n := range 5 {
		appendText(t, m, id, sized(n, 500))
	}
	done, err := m.Archive(t.Context(), ArchiveOptions{All: true})
	if !errors.Is(err, ErrFull) || done.Messages != 0 {
		t.Errorf("moved %+v: %v", done, err)
	}
	verify(t, s, user1)
	appendText(t, m, id, sized(9, 500)) // the spool has room
	full = false
	if done, err := m.Archive(t.Context(), ArchiveOptions{All: true}); err != nil || done.Messages != 6 {
		t.Errorf("with room: moved %+v: %v", done, err)
	}
}
