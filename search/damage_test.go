package search_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/search"
	"teraslot/text"
	"teraslot/tiers"
)

// victim is a user's mail and index on disk, as kill -9 leaves them, and what is true of
// them. Copies are damaged.
type victim struct {
	*fixture
	files   map[string][]byte // by path; as they are to be
	older   map[string][]byte // as they were some time before
	names   []string          // of files
	queries []search.Query
	truth   [][]mailbox.UID // of each query, over all mail
}

// newVictim has messages in packs of the spool and the archive, databases in three tiers,
// and a WAL of some commits.
func newVictim(t *testing.T) *victim {
	v := &victim{fixture: newFixture(t, search.Options{})}
	v.spoiled = true
	for n := range 14 {
		m := plain(fmt.Sprintf("subject %d common", n), strings.Repeat(fmt.Sprintf("word%d shared%d and some text. ", n, n%3), 10+n*7))
		m.flags = []string{[]string{`\Seen`, `\Flagged`, "$Work"}[n%3]}
		v.deliver(m)
		switch n {
		case 3, 7, 10, 12:
			v.index(v.mails[len(v.mails)-3:]...)
		}
		switch n {
		case 4:
			v.compact([]string{"temp"}, "archive")
		case 8:
			v.compact([]string{"temp"}, "data")
			v.older = v.read()
			v.reopen(t) // so that the WAL begins here
		}
	}
	v.queries = []search.Query{search.All{}, search.Not{Key: search.All{}}, search.SystemFlag{Flags: mailbox.Seen}, search.Not{Key: search.SystemFlag{Flags: mailbox.Flagged}},
		search.Keyword{Name: "$work"}, search.Larger{Bytes: 2000}, search.Body("absent word")}
	for n := range 14 {
		v.queries = append(v.queries, search.Body(fmt.Sprintf("word%d ", n)))
	}
	for _, s := range []string{"shared1", "hared2 and some", "text. word", "common"} {
		v.queries = append(v.queries, search.Text{Key: text.NewKey(text.InText, "", s)}, search.Not{Key: search.Body(s)})
	}
	for _, q := range v.queries {
		v.truth = append(v.truth, v.expect(q))
	}
	v.files = v.read()
	for name := range v.files {
		v.names = append(v.names, name)
	}
	slices.Sort(v.names)
	return v
}

func (v *victim) compact(sources []string, dest string) {
	v.t.Helper()
	_, err := v.tiers.User(user).Compact(context.Background(), tiers.CompactOptions{Sources: sources, Dest: dest})
	v.must(err)
}

// reopen closes the mail, which copies the WAL back, and opens it again.
func (v *victim) reopen(t *testing.T) {
	t.Helper()
	v.mail.Release()
	v.must(v.store.Close())
	var err error
	v.store, err = mailstore.Open(t.Context(), v.options())
	v.must(err)
	v.mail, err = v.store.Acquire(t.Context(), user)
	v.must(err)
}

func (v *victim) options() mailstore.Options {
	return mailstore.Options{Conf: filepath.Join(v.dir, "conf"), Spool: filepath.Join(v.dir, "spool"), Archive: filepath.Join(v.dir, "archive"),
		ArchiveSize: 3000, PackSize: 12_000}
}

// read is all of the user's files, but for locks and what SQLite makes anew.
func (v *victim) read() map[string][]byte {
	v.t.Helper()
	out := map[string][]byte{}
	v.must(filepath.WalkDir(v.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".lock") || strings.HasSuffix(path, "-shm") {
			return err
		}
		b, err := os.ReadFile(path)
		if len(b) > 0 {
			out[path] = b
		}
		return err
	}))
	return out
}

// restore puts all files back, and removes all others.
func (v *victim) restore() {
	v.t.Helper()
	v.must(filepath.WalkDir(v.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || v.files[path] != nil {
			return err
		}
		return os.Remove(path)
	}))
	for name, b := range v.files {
		v.must(os.MkdirAll(filepath.Dir(name), 0o700))
		// A new file each time: a mapped one must not change under who has it open.
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			v.t.Fatal(err)
		}
		v.must(os.WriteFile(name, b, 0o600))
	}
}

// damage does one damage to a file of the user that is there.
func (v *victim) damage(r *rand.Rand) (name string, how string) {
	v.t.Helper()
	for {
		name = v.names[r.IntN(len(v.names))]
		b, err := os.ReadFile(name)
		if err != nil || len(b) == 0 {
			if !errors.Is(err, fs.ErrNotExist) {
				v.must(err)
			}
			continue
		}
		at := r.IntN(len(b))
		switch how = []string{"bit", "zeros", "stale", "cut"}[r.IntN(4)]; how {
		case "bit":
			b[at] ^= 1 << r.IntN(8)
		case "zeros":
			clear(b[at:min(len(b), at+1+r.IntN(4096))])
		case "stale":
			old := v.older[name]
			page := at / 4096 * 4096
			if page >= len(old) {
				continue
			}
			copy(b[page:], old[page:min(len(old), page+4096)])
		case "cut":
			// In place: who has the file mapped meets the end of it.
			v.must(os.Truncate(name, int64(at)))
			return name, fmt.Sprintf("%s at %d", how, at)
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		v.must(err)
		_, err = f.WriteAt(b, 0)
		v.must(errors.Join(err, f.Close()))
		return name, fmt.Sprintf("%s at %d", how, at)
	}
}

// TestAnyDamage damages one place of all that a user has on disk, at rest, or at some step of a
// repack and a compaction: every answer is then right or an error, every message that is
// read is right or an error, and what was not answered is found by the checks. COUNT is the
// number of damages, AT does one of them alone.
func TestAnyDamage(t *testing.T) {
	v := newVictim(t)
	v.mail.Release()
	v.must(v.store.Close())
	v.must(v.tiers.Close())
	seed, only := envInt(t, "SEED", 1), envInt(t, "AT", -1)
	outcomes := map[string]int{}
	for n := range envInt(t, "COUNT", 60) {
		if only >= 0 && n != only {
			continue
		}
		outcomes[v.once(rand.New(rand.NewPCG(uint64(seed), uint64(n))))]++
		if t.Failed() {
			t.Fatalf("damage %d of seed %d", n, seed)
		}
	}
	t.Logf("proof: %d damages, seed %d: %v", envInt(t, "COUNT", 60), seed, outcomes)
	v.restore()
	v.begin(nil)
	v.spoiled = false
}

// begin opens what is on disk, as after a start.
func (v *victim) begin(step func(string)) {
	v.t.Helper()
	o := v.options()
	o.Step = step
	var err error
	v.store, err = mailstore.Open(context.Background(), o)
	v.must(err)
	v.tiers, err = tiers.New(tiers.Options{Conf: o.Conf, ExtractVersion: message.ExtractVersion, Step: step,
		Roots: map[string]string{"temp": filepath.Join(v.dir, "temp"), "data": filepath.Join(v.dir, "data"), "archive": filepath.Join(v.dir, "old")}})
	v.must(err)
	v.s = search.New(search.Options{Store: v.store, Tiers: v.tiers, Now: func() time.Time { return testNow }})
	if v.mail, err = v.store.Acquire(context.Background(), user); err != nil {
		v.mail = nil
	}
}

// once does one damage and asks everything.
func (v *victim) once(r *rand.Rand) (outcome string) {
	v.t.Helper()
	v.restore()
	what, at, count := "", r.IntN(24), 0
	busy := r.IntN(3) == 0 // while a repack and a compaction run
	if !busy {
		name, how := v.damage(r)
		what = name + " " + how
	}
	v.begin(func(string) {
		if count++; busy && count == at {
			name, how := v.damage(r)
			what = name + " while working, " + how
		}
	})
	troubled := v.mail == nil
	if busy && v.mail != nil {
		_, forget := v.mail.Forget(context.Background(), testNow.AddDate(50, 0, 0))
		_, repack := v.mail.Repack(context.Background(), mailstore.RepackOptions{All: true})
		_, compact := v.tiers.User(user).Compact(context.Background(), tiers.CompactOptions{Sources: []string{"temp", "data", "archive"}, Dest: "archive"})
		troubled = errors.Join(forget, repack, compact) != nil
	}
	short := v.ask(what, &troubled)
	findings := v.check()
	// What a cut WAL has left looks to any check like what a power cut leaves.
	if troubled && findings == 0 && !short {
		v.t.Errorf("%s: something is not answered, and no check finds what is wrong", what)
	}
	if v.mail != nil {
		v.mail.Release()
	}
	v.must(v.tiers.Close())
	if err := v.store.Close(); err != nil && !strings.Contains(err.Error(), "malformed") && !strings.Contains(err.Error(), "not a database") {
		v.t.Errorf("%s: close: %v", what, err)
	}
	switch {
	case short:
		return "last commit lost"
	case troubled:
		return "refused and found"
	case findings > 0:
		return "harmless and found"
	}
	return "harmless"
}

// ask asks all queries and reads all messages. short reports that the last commits of the
// WAL are not there: a cut that looks like a crash before they were done.
func (v *victim) ask(what string, troubled *bool) (short bool) {
	v.t.Helper()
	if v.mail == nil {
		return false
	}
	view, err := v.mail.View(context.Background(), v.inbox)
	if err != nil {
		*troubled = true
		// Where the end of a WAL was cut off that nobody had read yet, SQLite tells so once, and then reads what is left.
		if view, err = v.mail.View(context.Background(), v.inbox); err != nil {
			return false
		}
	}
	last := mailbox.UID(len(v.mails))
	if n := view.State.UIDNext - 1; n < last && strings.Contains(what, "-wal") {
		short, last = true, n
		if strings.Contains(what, "while working") && *troubled {
			v.t.Errorf("%s: commits that this process has seen are gone, and it goes on", what)
		}
	}
	if len(view.Records)+len(view.Damaged) != int(last) {
		v.t.Errorf("%s: %d records and %d damaged ones of %d", what, len(view.Records), len(view.Damaged), last)
	}
	for i, q := range v.queries {
		res, err := v.find(q)
		if err != nil {
			*troubled = true
			continue
		}
		want := slices.DeleteFunc(slices.Clone(v.truth[i]), func(uid mailbox.UID) bool { return uid > last })
		if !slices.Equal(res.UIDs, want) {
			v.t.Errorf("%s: %#v finds %v, want %v", what, q, res.UIDs, want)
		}
	}
	for _, rec := range view.Records {
		m := v.mails[rec.UID-1]
		if rec.GUID != m.guid || rec.Flags != mailbox.MakeFlags(m.flags...) || rec.Size != int64(len(m.raw)) {
			v.t.Errorf("%s: the record of UID %d is %+v", what, rec.UID, rec)
		}
		c, err := v.mail.Open(context.Background(), v.inbox, rec)
		if err != nil {
			*troubled = true
			continue
		}
		b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size))
		if err != nil || !bytes.Equal(b, m.raw) {
			v.t.Errorf("%s: UID %d has other bytes, %v", what, rec.UID, err)
		}
		v.must(c.Close())
	}
	return short
}

// check counts what the full checks find.
func (v *victim) check() (findings int) {
	if err := v.store.Verify(context.Background(), user, func(mailstore.Finding) { findings++ }); err != nil {
		findings++
	}
	if err := v.tiers.User(user).Verify(context.Background(), func(*tiers.Damage) { findings++ }); err != nil {
		findings++
	}
	return findings
}
