package squatter_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/message"
	"teraslot/squatter"
	"teraslot/tiers"
)

// Expunged records hold their messages until they are forgotten: only then do
// documents go.
func TestCompactDropsWhatNothingHolds(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.expunge(mailbox.UIDRange(1, 3))
	if res := f.compact("data"); res.Docs != 10 || len(res.Gone) != 0 {
		t.Errorf("%d documents, %d gone; expunged records still hold their messages", res.Docs, len(res.Gone))
	}
	f.forget()
	if a := f.audit(); a.Dead != 3 || a.Held != 7 || !a.Whole() {
		t.Errorf("%+v", a)
	}
	if res := f.compact("data"); res.Docs != 7 || len(res.Gone) != 3 {
		t.Errorf("%d documents, %d gone; want 7 and 3", res.Docs, len(res.Gone))
	}
	if a := f.audit(); a.Dead != 0 || a.Indexed != 7 || !a.Whole() {
		t.Errorf("%+v", a)
	}
}

// forget drops the records of expunged messages.
func (f *fixture) forget() {
	f.t.Helper()
	_, err := f.mail.Forget(f.t.Context(), time.Now().Add(time.Hour))
	f.must(err)
}

// at calls fn once, at a step of the index.
func (f *fixture) at(step string, fn func()) {
	f.step = func(s string) {
		if s == step {
			f.step = nil
			fn()
		}
	}
}

// A message that is delivered again after the compaction has asked what is held
// is indexed when the compaction is over.
func TestCompactRestoresWhatIsHeldAgain(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.expunge(mailbox.UIDRange(1, 3))
	f.forget()
	f.at("compact: merged", func() { f.deliver(1, 2) })
	if res := f.compact("archive"); len(res.Gone) != 3 {
		t.Errorf("%d gone, want 3", len(res.Gone))
	}
	if a := f.audit(); a.Indexed != 8 || !a.Whole() {
		t.Errorf("%+v", a)
	}
}

func TestCompactIsAloneForEachUser(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	var second error
	f.at("compact: frozen", func() {
		_, second = f.q.Compact(t.Context(), user, squatter.CompactOptions{Sources: []string{"temp"}, Dest: "temp", Force: true})
	})
	f.compact("data")
	if !errors.Is(second, tiers.ErrHeld) {
		t.Errorf("a second compaction got %v, want %v", second, tiers.ErrHeld)
	}
	if a := f.audit(); a.Indexed != 10 || !a.Whole() {
		t.Errorf("%+v", a)
	}
}

// Mail is delivered and indexed while a compaction runs.
func TestIndexDuringCompaction(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	for i, step := range []string{"compact: frozen", "compact: merged"} {
		f.at(step, func() {
			f.deliver(10+5*i, 15+5*i)
			f.index(5, squatter.IndexOptions{})
		})
		f.compact("data")
	}
	if a := f.audit(); a.Indexed != 20 || a.Double != 0 || !a.Whole() {
		t.Errorf("%+v", a)
	}
}

// Reindexing rewrites what was named where it is to go, and touches nothing else.
func TestCompactReindexes(t *testing.T) {
	f := newFixture(t, squatter.Options{Bulk: 3})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.compact("data")
	f.deliver(10, 12)
	f.index(2, squatter.IndexOptions{})
	reindex := func(sources, again []string, dest string) (tiers.Result, []string) {
		t.Helper()
		var lines []string
		res, err := f.q.Compact(t.Context(), user, squatter.CompactOptions{Sources: sources, Dest: dest, Reindex: again,
			Name: "brong", Log: func(s string) { lines = append(lines, s) }})
		f.must(err)
		if a := f.audit(); a.Indexed != 12 || a.Double != 0 || !a.Whole() {
			t.Errorf("%+v", a)
		}
		return res, lines
	}
	if res, lines := reindex([]string{"archive"}, []string{"archive"}, "data"); !res.Nothing || lines != nil {
		t.Errorf("of a tier with nothing in it: %+v, %q", res, lines)
	}
	for _, dest := range []string{"archive", "archive", "data"} {
		res, lines := reindex([]string{"data", "archive"}, []string{"data", "archive"}, dest)
		if res.Docs != 10 || len(res.Sources) != 1 || !strings.HasPrefix(res.Active.String(), "temp:2 "+dest+":") {
			t.Errorf("%d documents of %v, active %v; want the 10 that lay there", res.Docs, res.Sources, res.Active)
		}
		if !slices.Contains(lines, "Reindexing messages for brong") || slices.Contains(lines, "Compressing messages for brong") {
			t.Errorf("to %s: %q", dest, lines)
		}
	}
	res, lines := reindex([]string{"temp", "data"}, []string{"temp"}, "data")
	if res.Docs != 12 || !slices.Contains(lines, "Reindexing messages for brong") || !slices.Contains(lines, "Compressing messages for brong") {
		t.Errorf("%d documents, %q; want 2 anew and 10 as they were", res.Docs, lines)
	}
}

// A database that an older program made is brought up to date where it is to go.
func TestCompactReindexesOldVersions(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.compact("data")
	f.must(f.tiers.Close())
	f.version = message.ExtractVersion + 1
	f.openTiers()
	f.reopen(squatter.Options{})
	if n := f.indexed(); n != 0 {
		t.Fatalf("%d messages count as indexed by another version", n)
	}
	res, err := f.q.Compact(t.Context(), user, squatter.CompactOptions{Sources: []string{"data"}, Dest: "data", Reindex: []string{"data"}})
	f.must(err)
	if a := f.audit(); res.Docs != 10 || a.Indexed != 10 || !a.Whole() || res.Active.String() != "temp:2 data:2" {
		t.Errorf("%d documents, active %v, %+v", res.Docs, res.Active, a)
	}
}

// Only what lies in the named databases is extracted again.
func TestCompactReindexesWhatIsNamed(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.compact("data")
	f.deliver(10, 14)
	f.index(4, squatter.IndexOptions{})
	f.spoil(11) // whose extraction would fail
	res, err := f.q.Compact(t.Context(), user, squatter.CompactOptions{Sources: []string{"temp", "data"}, Dest: "archive", Reindex: []string{"data"}})
	if err != nil || res.Docs != 14 {
		t.Errorf("%d documents, %v; want all 14, of which 4 are as they were", res.Docs, err)
	}
	res, err = f.q.Compact(t.Context(), user, squatter.CompactOptions{Sources: []string{"archive"}, Dest: "data", Reindex: []string{"archive"}})
	if _, ok := errors.AsType[*squatter.Skipped](err); !ok || res.Docs != 14 {
		t.Errorf("%d documents, %v; want 14 and one that could not be extracted again", res.Docs, err)
	}
}

// What a damaged database held is indexed anew by the compaction that gives it up.
func TestCompactReplacesDamagedSources(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.compact("data")
	f.deliver(10, 12)
	f.index(2, squatter.IndexOptions{})
	f.must(filepath.WalkDir(f.path("data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".lists") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 0xff
		return os.WriteFile(path, data, 0o600)
	}))
	f.must(f.tiers.Close()) // what is open was checked already
	f.openTiers()
	f.reopen(squatter.Options{})
	if a := f.audit(); a.Whole() || len(a.Damage) == 0 {
		t.Errorf("the audit does not see the damage: %+v", a)
	}
	if res := f.compact("archive"); len(res.Discarded) != 1 {
		t.Errorf("discarded %v, want one source", res.Discarded)
	}
	if a := f.audit(); a.Indexed != 12 || !a.Whole() {
		t.Errorf("%+v", a)
	}
}

func TestCompactUnknownTier(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	_, err := f.q.Compact(t.Context(), user, squatter.CompactOptions{Sources: []string{"temp"}, Dest: "nowhere"})
	if !errors.Is(err, tiers.ErrTier) {
		t.Errorf("got %v, want %v", err, tiers.ErrTier)
	}
}
