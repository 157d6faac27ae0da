package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const anna mailbox.User = "0123456789abcdef0123456789abcdef"

// box is anna's mail, opened for writing, beside which exports read.
type box struct {
	t     *testing.T
	root  string
	store *mailstore.Store
	mail  *mailstore.Mail
}

func newBox(t *testing.T) *box {
	t.Helper()
	b := &box{t: t, root: t.TempDir()}
	var err error
	b.store, err = mailstore.Open(t.Context(), mailstore.Options{Conf: b.root})
	b.check(err)
	b.check(b.store.CreateUser(t.Context(), anna, mailstore.UserOptions{}))
	b.mail, err = b.store.Acquire(t.Context(), anna)
	b.check(err)
	t.Cleanup(func() {
		b.mail.Release()
		b.check(b.store.Close())
	})
	return b
}

func (b *box) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// id returns a mailbox's id; the mailbox is made if it is missing.
func (b *box) id(name string) mailbox.ID {
	b.t.Helper()
	s, err := b.mail.MailboxNamed(b.t.Context(), name)
	if errors.Is(err, mailstore.ErrNoMailbox) {
		s, err = b.mail.Create(b.t.Context(), "", name, "")
	}
	b.check(err)
	return s.ID
}

// add appends a message.
func (b *box) add(name, body string, date time.Time, flags ...string) mailbox.Record {
	b.t.Helper()
	m, err := b.store.Spool(b.t.Context(), strings.NewReader(body))
	b.check(err)
	defer m.Close()
	recs, err := b.mail.Append(b.t.Context(), "", mailstore.Append{Mailbox: b.id(name), Message: m,
		Flags: mailbox.MakeFlags(flags...), InternalDate: mailbox.DateOf(date)})
	b.check(err)
	return recs[0]
}

// expunge removes a message.
func (b *box) expunge(name string, uid mailbox.UID) {
	b.t.Helper()
	b.flag(name, uid, `\Deleted`)
	set := mailbox.UIDs(uid)
	_, _, err := b.mail.Expunge(b.t.Context(), "", b.id(name), &set)
	b.check(err)
}

// flag gives a message other flags.
func (b *box) flag(name string, uid mailbox.UID, flags ...string) {
	b.t.Helper()
	_, err := b.mail.StoreFlags(b.t.Context(), "", b.id(name), mailbox.UIDs(uid), mailstore.ReplaceFlags, mailbox.MakeFlags(flags...), nil)
	b.check(err)
}

// reported is what an export told.
type reported struct{ places, notices []string }

// export exports as slotctl does: from a store that is open for reading.
func (b *box) export(dir string, o Options) (Result, reported, error) {
	b.t.Helper()
	store, err := mailstore.Open(b.t.Context(), mailstore.Options{Conf: b.root, ReadOnly: true})
	b.check(err)
	defer func() { b.check(store.Close()) }()
	mail, err := store.Acquire(b.t.Context(), anna)
	b.check(err)
	defer mail.Release()
	var told reported
	o.Report = func(place string, err error) { told.places = append(told.places, place+": "+err.Error()) }
	o.Notice = func(text string) { told.notices = append(told.notices, text) }
	result, err := Run(b.t.Context(), mail, dir, o)
	return result, told, err
}

// must is export where nothing goes wrong.
func (b *box) must(dir string, o Options) Result {
	b.t.Helper()
	r, told, err := b.export(dir, o)
	if err != nil || len(told.places) > 0 || r.Failed > 0 || r.Read != r.Total {
		b.t.Fatalf("%+v, %v, %q", r, err, told.places)
	}
	return r
}

// tree is the files below a directory with their contents, and for messages the
// time of modification; directories end in a slash.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			out[rel+"/"] = ""
			return nil
		}
		content, err := os.ReadFile(path)
		info, statErr := d.Info()
		if out[rel] = string(content); filepath.Base(filepath.Dir(path)) == "cur" {
			out[rel] += info.ModTime().UTC().Format("\n@" + time.RFC3339Nano)
		}
		return errors.Join(err, statErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameTree(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if g, ok := got[name]; !ok || g != want[name] {
			t.Errorf("%s (there: %v) is\n%q, not\n%q", name, ok, g, want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

var morning = time.Date(2020, 1, 6, 10, 20, 30, 0, time.FixedZone("", 3600))

// TestMaildirLayout: every file of a small export, byte by byte.
func TestMaildirLayout(t *testing.T) {
	b := newBox(t)
	one := b.add("INBOX", "Subject: 1\r\n\r\none\r\n", morning, `\Seen`, `\Draft`, "$Forwarded", "work")
	mixed := b.add("INBOX", "Subject: 2\r\n\r\none\ntwo\r\n", time.Unix(-5, 0))
	sub := b.add("Lists/Grüße & v1.0", "Subject: 3\r\n\r\nx", morning, `\Answered`, `\Flagged`, `\Deleted`)
	dir := filepath.Join(t.TempDir(), "new", "out")
	r := b.must(dir, Options{Mailboxes: []string{"inbox", "Lists/Grüße & v1.0", "INBOX"}})
	if r.Mailboxes != 2 || r.Written != 3 || r.Kept != 0 {
		t.Errorf("%+v", r)
	}
	got := tree(t, dir)
	delete(got, ledgerFile)
	states := map[string]mailbox.State{}
	for _, name := range []string{"INBOX", "Lists/Grüße & v1.0"} {
		s, err := b.mail.MailboxNamed(t.Context(), name)
		b.check(err)
		states[name] = s
	}
	inbox, lists := states["INBOX"], states["Lists/Grüße & v1.0"]
	name := func(s mailbox.State, seconds int64, rec mailbox.Record, sizes string) string {
		return fmt.Sprintf("%d.U%dV%dG%s.teraslot,%s", seconds, rec.UID, s.UIDValidity, rec.GUID.String()[:32], sizes)
	}
	first, second := name(inbox, 1578302430, one, "S=16,W=19"), name(inbox, 0, mixed, "S=23,W=24")
	third := name(lists, 1578302430, sub, "S=13,W=15")
	const folder = `.Lists.Gr&APwA3w-e &- v1\2e0`
	sameTree(t, got, map[string]string{
		"./": "", "cur/": "", "new/": "", "tmp/": "", folder + "/": "", folder + "/cur/": "", folder + "/new/": "", folder + "/tmp/": "",
		lockFile:                            "",
		folder + "/maildirfolder":           "",
		"dovecot-keywords":                  "0 $Forwarded\n1 work\n",
		"dovecot-uidlist":                   fmt.Sprintf("3 V%d N3 G%s00000000\n1 :%s\n2 :%s\n", inbox.UIDValidity, inbox.ID, first, second),
		"teraslot-zones":                    "60 " + first + "\n",
		folder + "/teraslot-zones":          "60 " + third + "\n",
		folder + "/dovecot-uidlist":         fmt.Sprintf("3 V%d N2 G%s00000000\n1 :%s\n", lists.UIDValidity, lists.ID, third),
		"cur/" + first + ":2,DPSab":         "Subject: 1\n\none\n\n@2020-01-06T09:20:30Z",
		"cur/" + second + ":2,":             "Subject: 2\r\n\r\none\ntwo\r\n\n@1969-12-31T23:59:55Z",
		folder + "/cur/" + third + ":2,FRT": "Subject: 3\n\nx\n@2020-01-06T09:20:30Z",
	})
}

// TestSubscriptions: they are names, of mailboxes or not, and written with all
// mailboxes only.
func TestSubscriptions(t *testing.T) {
	b := newBox(t)
	for _, name := range []string{"Drafts", "Sent", "Trash", "Junk", "Archive"} {
		b.check(b.mail.Subscribe(t.Context(), "", name, false))
	}
	b.check(b.mail.Subscribe(t.Context(), "", "Gone/Über.all", true))
	dir := t.TempDir()
	b.must(dir, Options{Mailboxes: []string{"INBOX"}})
	if _, err := os.Stat(filepath.Join(dir, "subscriptions")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	b.must(dir, Options{})
	if got := tree(t, dir)["subscriptions"]; got != "Gone.&ANw-ber\\2eall\nINBOX\n" {
		t.Errorf("%q", got)
	}
}

// TestAgain: a second run writes nothing; after changes, it brings the directory to
// what a first run would have made of it.
func TestAgain(t *testing.T) {
	for _, format := range []Format{Maildir, Mbox} {
		t.Run(string(format), func(t *testing.T) {
			b := newBox(t)
			for i := range 10 {
				b.add("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n%d\r\n", i, i), morning, "old")
				b.add("Old", fmt.Sprintf("Subject: %d\r\n\r\n%d\r\n", i, i), morning)
			}
			dir := t.TempDir()
			if r := b.must(dir, Options{Format: format}); r.Written != 20 || r.Kept != 0 {
				t.Errorf("%+v", r)
			}
			before := tree(t, dir)
			if r := b.must(dir, Options{Format: format}); r.Written != 0 || r.Kept != 20 || r.Removed != 0 {
				t.Errorf("%+v", r)
			}
			sameTree(t, tree(t, dir), before)

			b.expunge("INBOX", 3)
			b.flag("INBOX", 4, `\Seen`, "new", "old")
			b.add("INBOX", "Subject: late\r\n\r\nlate\r\n", morning)
			r := b.must(dir, Options{Format: format})
			if want := (map[Format][3]int{Maildir: {1, 19, 1}, Mbox: {10, 10, 0}})[format]; [3]int{r.Written, r.Kept, r.Removed} != want {
				t.Errorf("%+v", r)
			}
			fresh := t.TempDir()
			b.must(fresh, Options{Format: format})
			sameTree(t, tree(t, dir), tree(t, fresh))
		})
	}
}

// TestChangedFilesAreMended: what somebody changed or left in the directory does no
// harm, and files that are not the export's stay.
func TestChangedFilesAreMended(t *testing.T) {
	b := newBox(t)
	b.add("INBOX", "Subject: 1\r\n\r\n1\r\n", morning)
	b.add("INBOX", "Subject: 2\r\n\r\n2\r\n", morning)
	dir := t.TempDir()
	b.must(dir, Options{})
	want := tree(t, dir)
	files, err := filepath.Glob(filepath.Join(dir, "cur", "*"))
	b.check(err)
	b.check(os.Truncate(files[0], 3))
	b.check(os.Rename(files[1], files[1]+"S"))
	unique, _, _ := strings.Cut(filepath.Base(files[0]), ",")
	b.check(os.WriteFile(filepath.Join(dir, "tmp", unique), []byte("half"), 0o600))
	for _, name := range []string{"cur/1.foreign:2,S", "cur/1.U1V1Gx.teraslot,S=1,W=1:2,", "tmp/2.foreign"} {
		b.check(os.WriteFile(filepath.Join(dir, name), []byte("theirs"), 0o600))
		b.check(os.Chtimes(filepath.Join(dir, name), morning, morning))
		if want[name] = "theirs"; strings.HasPrefix(name, "cur/") {
			want[name] += "\n@2020-01-06T09:20:30Z"
		}
	}
	if r := b.must(dir, Options{}); r.Written != 1 || r.Kept != 1 {
		t.Errorf("%+v", r)
	}
	sameTree(t, tree(t, dir), want)
}

// TestGoneMailboxes: folders of mailboxes that are gone or renamed are told of
// until somebody removes them; a mailbox of the same name takes the folder over.
func TestGoneMailboxes(t *testing.T) {
	b := newBox(t)
	for _, name := range []string{"Gone", "Renamed", "Again"} {
		b.add(name, "Subject: "+name+"\r\n\r\n"+name+"\r\n", morning)
	}
	dir := t.TempDir()
	b.must(dir, Options{})
	b.check(b.mail.Delete(t.Context(), "", b.id("Gone")))
	b.check(b.mail.Delete(t.Context(), "", b.id("Again")))
	b.check(b.mail.Rename(t.Context(), "", "Renamed", "New"))
	b.add("Again", "Subject: again\r\n\r\nagain\r\n", morning)
	for range 2 {
		_, told, err := b.export(dir, Options{})
		if err != nil || len(told.notices) != 2 || !strings.HasPrefix(told.notices[0], filepath.Join(dir, ".Gone")+" is left of the mailbox Gone") ||
			!strings.HasPrefix(told.notices[1], filepath.Join(dir, ".Renamed")) {
			t.Errorf("%v, %q", err, told.notices)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, ".Again", "cur", "*")); len(files) != 1 {
		t.Errorf("%q", files)
	}
	b.check(os.RemoveAll(filepath.Join(dir, ".Gone")))
	b.check(os.RemoveAll(filepath.Join(dir, ".Renamed")))
	if _, told, err := b.export(dir, Options{}); err != nil || len(told.notices) > 0 {
		t.Errorf("%v, %q", err, told.notices)
	}
}

// TestRefused: nothing is written to a directory that holds anything else.
func TestRefused(t *testing.T) {
	b := newBox(t)
	dir := t.TempDir()
	b.check(os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o600))
	before := tree(t, dir)
	if _, _, err := b.export(dir, Options{}); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "theirs") {
		t.Error(err)
	}
	sameTree(t, tree(t, dir), before)

	dir = t.TempDir()
	b.must(dir, Options{})
	if _, _, err := b.export(dir, Options{Format: Mbox}); !errors.Is(err, ErrForeign) {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, ledgerFile))
	b.check(err)
	for _, other := range [][]byte{bytes.ReplaceAll(text, []byte(anna), []byte(strings.Repeat("0", 32))), []byte("{"), {}} {
		b.check(os.WriteFile(filepath.Join(dir, ledgerFile), other, 0o600))
		if _, _, err := b.export(dir, Options{}); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", other, err)
		}
	}
	b.check(os.WriteFile(filepath.Join(dir, ledgerFile), text, 0o600))
	lock, err := disk.OS().TryLock(filepath.Join(dir, lockFile), disk.Exclusive)
	b.check(err)
	if _, _, err := b.export(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	b.check(lock.Close())
	b.must(dir, Options{})
	if _, _, err := b.export(dir, Options{Mailboxes: []string{"Absent"}}); !errors.Is(err, mailstore.ErrNoMailbox) {
		t.Error(err)
	}
	if _, _, err := b.export(dir, Options{Mailboxes: []string{""}}); !errors.Is(err, mailstore.ErrName) {
		t.Error(err)
	}
	if _, _, err := b.export(t.TempDir(), Options{Format: "tar"}); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

// TestDamage: a message that is damaged is reported with its place and left out;
// the file that an earlier run wrote of it stays.
func TestDamage(t *testing.T) {
	for _, format := range []Format{Maildir, Mbox} {
		t.Run(string(format), func(t *testing.T) {
			b := newBox(t)
			earlier := t.TempDir()
			for i := range 5 {
				b.add("Old/Mail", fmt.Sprintf("Subject: %d\r\n\r\nzebra%d\r\n", i, i), morning)
			}
			b.must(earlier, Options{Format: format})
			packs, err := filepath.Glob(filepath.Join(b.root, anna.Dir(), "*.pack"))
			b.check(err)
			b.overwrite(packs[0], "zebra2", "zebra!")
			dir := t.TempDir()
			r, told, err := b.export(dir, Options{Format: format})
			if err != nil || r.Written != 4 || r.Failed != 1 || r.Read != r.Total || len(told.places) != 1 || !strings.HasPrefix(told.places[0], "Old/Mail, UID 3: damage") {
				t.Errorf("%+v, %v, %q", r, err, told.places)
			}
			all := fmt.Sprint(tree(t, dir))
			for i := range 5 {
				if strings.Contains(all, fmt.Sprintf("zebra%d", i)) != (i != 2) {
					t.Errorf("message %d is wrong in %s", i, all)
				}
			}
			b.add("INBOX", "Subject: x\r\n\r\nx\r\n", morning)
			if r, _, err := b.export(earlier, Options{Format: format}); err != nil || r.Failed != 0 || r.Kept != 5 || r.Written != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			// Mended, the message comes with the next run.
			b.overwrite(packs[0], "zebra!", "zebra2")
			b.must(dir, Options{Format: format})
			if !strings.Contains(fmt.Sprint(tree(t, dir)), "zebra2") {
				t.Error("the mended message is missing")
			}
		})
	}
}

// overwrite changes bytes of a file in place.
func (b *box) overwrite(name, old, to string) {
	b.t.Helper()
	content, err := os.ReadFile(name)
	b.check(err)
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	b.check(err)
	defer f.Close()
	_, err = f.WriteAt([]byte(to), int64(bytes.Index(content, []byte(old))))
	b.check(err)
}

// TestManyKeywords: the most used have letters, and the others are reported.
func TestManyKeywords(t *testing.T) {
	b := newBox(t)
	var all []string
	for i := range 28 {
		all = append(all, fmt.Sprintf("word%02d", i))
	}
	b.add("INBOX", "Subject: 1\r\n\r\n1\r\n", morning, all...)
	b.add("INBOX", "Subject: 2\r\n\r\n2\r\n", morning, all[2:]...)
	r, told, err := b.export(t.TempDir(), Options{})
	if want := []string{"INBOX: keyword word00 of 1 messages: " + ErrKeywords.Error(), "INBOX: keyword word01 of 1 messages: " + ErrKeywords.Error()}; err != nil ||
		r.Lost != 2 || r.Written != 2 || !slices.Equal(told.places, want) {
		t.Errorf("%+v, %v, %q", r, err, told.places)
	}
}

// TestCancelled: a run that is broken off says so, and the next one goes on.
func TestCancelled(t *testing.T) {
	b := newBox(t)
	for i := range groupMessages + 5 {
		b.add("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n%d\r\n", i, i), morning)
	}
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	r, err := Run(ctx, b.mail, dir, Options{Progress: func(Result) { cancel() }})
	if !errors.Is(err, context.Canceled) || r.Written != groupMessages {
		t.Errorf("%+v, %v", r, err)
	}
	if r := b.must(dir, Options{}); r.Written != 5 || r.Kept != groupMessages {
		t.Errorf("%+v", r)
	}
}

// memory is a disk that forgets, with the times of files that were set.
type memory struct {
	*disk.Memory
	faults disk.Faults
}

func (m memory) options(format Format) Options {
	return Options{Format: format, FS: disk.WithFaults(m.Memory, m.faults), Chtimes: func(string, time.Time) error { return nil }}
}

// content is all files of the disk below dir but the lock.
func (m memory) content(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	entries, err := m.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
			out[name+"/"] = ""
			maps.Copy(out, m.content(t, name))
		case e.Name() != lockFile && !strings.HasSuffix(name, ".new"):
			b, err := disk.ReadFile(m.Memory, name)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = string(b)
		}
	}
	return out
}

// TestPowerCuts: a power cut at any operation leaves messages that are whole, and
// the next run completes the export. A finished one survives.
func TestPowerCuts(t *testing.T) {
	for _, format := range []Format{Maildir, Mbox} {
		t.Run(string(format), func(t *testing.T) {
			b := newBox(t)
			for i := range 3 {
				b.add("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n%d\r\n", i, i), morning, "word")
				b.add("A/B", fmt.Sprintf("Subject: %d\r\n\r\n%d\r\n", i, i), morning, `\Seen`)
			}
			whole := memory{Memory: disk.NewMemory()}
			var operations atomic.Int64
			whole.faults.Fail = func(op disk.Op, _ string) error {
				if op.Changes() {
					operations.Add(1)
				}
				return nil
			}
			// Messages are written at once: the order of the operations differs from run
			// to run, their number does not.
			b.must("/out", whole.options(format))
			whole.Crash(disk.LoseUnsynced)
			want := whole.content(t, "/out")
			last := int(operations.Load())
			for n := 1; n <= last; n += max(1, last/60) {
				for _, seed := range []uint64{disk.LoseUnsynced, disk.KeepUnsynced, uint64(n) + 7} {
					b.powerCut(format, n, seed, want)
				}
			}
		})
	}
}

func (b *box) powerCut(format Format, n int, seed uint64, want map[string]string) {
	b.t.Helper()
	m := memory{Memory: disk.NewMemory()}
	var count atomic.Int64
	cut := errors.New("power cut")
	m.faults.Fail = func(op disk.Op, _ string) error {
		if op.Changes() {
			count.Add(1)
		}
		if count.Load() >= int64(n) {
			return cut
		}
		return nil
	}
	if _, _, err := b.export("/out", m.options(format)); !errors.Is(err, cut) {
		b.t.Fatalf("operation %d: %v", n, err)
	}
	m.Crash(seed)
	m.faults = disk.Faults{}
	if _, err := m.Stat("/out"); err == nil {
		for name, content := range m.content(b.t, "/out") {
			if strings.Contains(name, "/cur/") && content != want[name] && !strings.HasSuffix(name, "/") {
				b.t.Errorf("operation %d, seed %d: %s is %q", n, seed, name, content)
			}
		}
	}
	if r, told, err := b.export("/out", m.options(format)); err != nil || r.Written+r.Kept != 6 || len(told.places) > 0 {
		b.t.Fatalf("operation %d, seed %d: %+v, %v, %q", n, seed, r, err, told.places)
	}
	m.Crash(disk.LoseUnsynced)
	if got := m.content(b.t, "/out"); !maps.Equal(got, want) {
		b.t.Errorf("operation %d, seed %d:\n%q, not\n%q", n, seed, got, want)
	}
}
