package tiers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"teraslot/activefile"
	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/text"
)

func TestEmpty(t *testing.T) {
	x := newIndex(t)
	s := snapshot(t, x)
	if s.Docs() != 0 || len(s.Segments()) != 0 || len(s.Active().Databases) != 0 {
		t.Errorf("a user without an index has %d documents", s.Docs())
	}
	if got := search(t, s, text.NewKey(text.InText, "", "")); got != nil {
		t.Errorf("found %v in nothing", got)
	}
	if _, ok := s.Lookup(guid(1)); ok {
		t.Error("found a document in nothing")
	}
	if res, _ := compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"}); !res.Nothing {
		t.Errorf("compacted nothing into %+v", res)
	}
	if err := errors.Join(x.Clean(context.Background()), x.Remove(context.Background()), x.Commit(context.Background(), nil)); err != nil {
		t.Error(err)
	}
	if files := tree(t, filepath.Dir(x.set.o.Conf)); len(files) > 0 {
		t.Errorf("files were made: %q", files)
	}
}

func TestCommitAndFind(t *testing.T) {
	x := newIndex(t)
	commit(t, x, plain(1, "the quick brown fox"), plain(2, "会議資料です, c++ and #42"))
	commit(t, x, plain(3, "a brown\r\n dog"), Doc{GUID: guid(4), Units: []text.Unit{text.BodyUnit("brown")}},
		Doc{GUID: guid(5), Complete: true})
	if got := activeOf(t, x); got != "temp:1" {
		t.Errorf("active is %q", got)
	}
	for _, c := range []struct {
		scope         text.Scope
		name, pattern string
		want          []int
	}{
		{text.InBody, "", "brown", []int{1, 3}},
		{text.InBody, "", "row", []int{1, 3}},
		{text.InBody, "", "brown dog", []int{3}},
		{text.InBody, "", "n d", []int{3}},
		{text.InBody, "", "資", []int{2}},
		{text.InBody, "", "議資料", []int{2}},
		{text.InBody, "", "C++", []int{2}},
		{text.InBody, "", "#4", []int{2}},
		{text.InText, "", "subject: message 3", []int{3}},
		{text.InHeader, "subject", "message", []int{1, 2, 3}},
		{text.InHeader, "subject", "", []int{1, 2, 3}},
		{text.InHeader, "x-none", "", nil},
		{text.InText, "", "", []int{1, 2, 3, 5}},
		{text.InBody, "", " ", []int{1, 2, 3}},
		{text.InBody, "", "zebra", nil},
	} {
		k := text.NewKey(c.scope, c.name, c.pattern)
		if got := find(t, x, k); !slices.Equal(got, c.want) {
			t.Errorf("%+v finds %v, want %v", k, got, c.want)
		}
	}
	s := snapshot(t, x)
	for n, complete := range map[int]bool{1: true, 4: false, 5: true} {
		doc, ok := s.Lookup(guid(n))
		if !ok || s.GUID(doc) != guid(n) || s.Complete(doc) != complete {
			t.Errorf("message %d: found %v, document %d, complete %v", n, ok, doc, s.Complete(doc))
		}
	}
	if _, ok := s.Lookup(guid(99)); ok {
		t.Error("found a message that is not there")
	}
}

// One message may be in several databases, and incomplete in some of them.
func TestDuplicates(t *testing.T) {
	x := newIndex(t)
	incomplete := Doc{GUID: guid(1)}
	commit(t, x, incomplete, plain(1, "once"), plain(1, "twice"))
	commit(t, x, incomplete)
	commit(t, x, plain(1, "once"))
	s := snapshot(t, x)
	if doc, ok := s.Lookup(guid(1)); !ok || !s.Complete(doc) {
		t.Error("the complete document is not the one that is looked up")
	}
	if s.Docs() != 3 {
		t.Errorf("%d documents, want 3", s.Docs())
	}
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	s = snapshot(t, x)
	if s.Docs() != 1 || !s.Complete(0) {
		t.Errorf("%d documents after a merge, want the complete one", s.Docs())
	}
	if got := search(t, s, text.NewKey(text.InBody, "", "once")); !slices.Equal(got, []int{1}) {
		t.Errorf("found %v", got)
	}
}

func TestCompactLines(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 20)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, docsOf(20, 40)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "archive"})
	commit(t, x, docsOf(40, 50)...)
	if got := activeOf(t, x); got != "temp:3 archive:1 data:1" {
		t.Fatalf("active is %q", got)
	}
	held := func() (func(mailbox.GUID) bool, error) {
		return func(g mailbox.GUID) bool { return g != guid(7) && g != guid(45) }, nil
	}
	res, lines := compact(t, x, CompactOptions{Sources: []string{"temp", "archive", "data:1"}, Dest: "archive", Name: "brong", Held: held})
	want := []string{
		"compressing temp:3,archive:1,data:1 to archive:2 for user.brong (active temp:3,archive:1,data:1)",
		"adding new initial search location temp:4",
		"compacting databases",
		"Compressing messages for brong",
		"done " + filepath.Join(x.set.o.Roots["archive"], testUser.Dir(), "2"),
		"renaming tempdir into place",
		"finished compact of user.brong (active temp:4,archive:2)",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("lines:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	slices.SortFunc(res.Gone, func(a, b mailbox.GUID) int { return bytes.Compare(a[:], b[:]) })
	if res.Docs != 48 || !slices.Equal(res.Gone, []mailbox.GUID{guid(7), guid(45)}) || res.Active.String() != "temp:4 archive:2" {
		t.Errorf("result is %+v", res)
	}
	wanted := slices.DeleteFunc(numbers(0, 50), func(n int) bool { return n == 7 || n == 45 })
	if got := find(t, x, text.NewKey(text.InBody, "", "common text")); !slices.Equal(got, wanted) {
		t.Errorf("found %v", got)
	}
	var dirs []string
	for _, name := range tree(t, filepath.Dir(x.set.o.Conf)) {
		if strings.HasSuffix(name, manifestName) {
			dirs = append(dirs, strings.ReplaceAll(filepath.Dir(name), testUser.Dir(), "U"))
		}
	}
	if want := []string{"archive/U/2", "temp/U/4"}; !slices.Equal(dirs, want) {
		t.Errorf("databases on disk: %q, want %q", dirs, want)
	}
}

func TestCompactNothing(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 10)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	res, lines := compact(t, x, CompactOptions{Sources: []string{"data"}, Dest: "data", Name: "brong"})
	if want := []string{"Skipping data:1 for user.brong, only one"}; !res.Nothing || !slices.Equal(lines, want) {
		t.Errorf("%+v, lines %q, want %q", res, lines, want)
	}
	if res, lines := compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"}); !res.Nothing || lines != nil {
		t.Errorf("an empty database was compacted: %+v, lines %q", res, lines)
	}
	// An empty writable database is no reason to rewrite the other.
	if res, lines := compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "data"}); !res.Nothing || len(lines) != 1 {
		t.Errorf("nothing new was compacted: %+v, lines %q", res, lines)
	}
	// Little of it dead: left alone, unless forced. Much: rewritten.
	dead := 2
	held := func() (func(mailbox.GUID) bool, error) {
		return func(g mailbox.GUID) bool { return !slices.Contains(numbers(0, dead), int(g[7])) }, nil
	}
	if res, _ := compact(t, x, CompactOptions{Sources: []string{"data"}, Dest: "data", Held: held}); !res.Nothing {
		t.Errorf("a fifth dead: %+v", res)
	}
	if res, _ := compact(t, x, CompactOptions{Sources: []string{"data"}, Dest: "data", Held: held, Force: true}); res.Docs != 8 {
		t.Errorf("forced: %+v", res)
	}
	dead = 5
	if res, _ := compact(t, x, CompactOptions{Sources: []string{"data"}, Dest: "data", Held: held}); res.Docs != 5 {
		t.Errorf("three of eight dead: %+v", res)
	}
	dead = 10
	res, lines = compact(t, x, CompactOptions{Sources: []string{"data"}, Dest: "archive", Held: held})
	if res.Docs != 0 || res.Active.String() != "temp:2" || !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "nothing compacted, cleaning up ") }) {
		t.Errorf("all dead: %+v, lines %q", res, lines)
	}
	if _, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"temp"}, Dest: "nowhere"}); !errors.Is(err, ErrTier) {
		t.Errorf("an unknown tier: %v", err)
	}
}

// A tier in memory is empty after a restart: its messages are to be indexed again,
// in a new generation.
func TestMissingDatabase(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 10)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, docsOf(10, 20)...)
	if err := os.RemoveAll(x.set.o.Roots["temp"]); err != nil {
		t.Fatal(err)
	}
	if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 10)) {
		t.Errorf("with a tier gone: found %v", got)
	}
	commit(t, x, docsOf(10, 12)...)
	if got := activeOf(t, x); got != "temp:3 temp:2 data:1" {
		t.Errorf("active is %q", got)
	}
	if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 12)) {
		t.Errorf("found %v", got)
	}
	compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "data"})
	if got := activeOf(t, x); got != "temp:4 data:2" {
		t.Errorf("active is %q", got)
	}
}

// An activefile that is lost or damaged costs the index, never a generation.
func TestLostActivefile(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	o := testOptions(t.TempDir())
	o.Now = func() time.Time { return now }
	x := newSet(t, o).User(testUser)
	for _, damage := range []func(string) error{os.Remove, func(name string) error { return os.WriteFile(name, []byte("x"), 0o600) }} {
		commit(t, x, docsOf(0, 10)...)
		if err := damage(filepath.Join(x.dir, "index.active")); err != nil {
			t.Fatal(err)
		}
		s := snapshot(t, x)
		if s.Docs() != 0 {
			t.Errorf("%d documents without an activefile", s.Docs())
		}
		commit(t, x, docsOf(0, 3)...)
		a, err := x.file.Read(context.Background())
		if err != nil || len(a.Databases) != 1 || a.Databases[0].Generation < uint64(now.Unix()) {
			t.Errorf("active is %v, %v: want a generation above the clock", a, err)
		}
		compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
		if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 3)) {
			t.Errorf("found %v", got)
		}
	}
	verify(t, x)
}

// Databases of other versions claim nothing, and go with the next compaction.
func TestOutdated(t *testing.T) {
	dir := t.TempDir()
	old := newSet(t, testOptions(dir)).User(testUser)
	commit(t, old, docsOf(0, 10)...)
	compact(t, old, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, old, docsOf(10, 20)...)
	o := testOptions(dir)
	o.ExtractVersion = 2
	x := newSet(t, o).User(testUser)
	s := snapshot(t, x)
	if s.Docs() != 0 || len(s.Outdated()) != 2 || len(s.Damaged()) != 0 {
		t.Errorf("%d documents claimed, outdated %v, damaged %v", s.Docs(), s.Outdated(), s.Damaged())
	}
	commit(t, x, docsOf(0, 5)...)
	if got := activeOf(t, x); got != "temp:3 temp:2 data:1" {
		t.Errorf("active is %q", got)
	}
	compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "data"})
	s = snapshot(t, x)
	if s.Docs() != 5 || len(s.Outdated()) != 0 {
		t.Errorf("%d documents, outdated %v", s.Docs(), s.Outdated())
	}
	verify(t, x)
}

// An activefile of a format to come is refused by all who would change it, with
// what can be done; nothing is deleted.
func TestForeignActivefile(t *testing.T) {
	dir := t.TempDir()
	x := newSet(t, testOptions(dir)).User(testUser)
	commit(t, x, docsOf(0, 10)...)
	name := filepath.Join(x.dir, "index.active")
	body := "temp:1\n#2 0 temp:2 more "
	content := fmt.Appendf(nil, "%s%08x\n", body, crc32.Checksum([]byte(body), castagnoli))
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, filepath.Join(dir, "temp"))
	ctx := t.Context()
	_, snapErr := x.Snapshot(ctx)
	_, compactErr := x.Compact(ctx, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	_, statsErr := x.Stats(ctx)
	for what, err := range map[string]error{"snapshot": snapErr, "compact": compactErr, "stats": statsErr, "clean": x.Clean(ctx),
		"remove": x.Remove(ctx), "commit": x.Commit(ctx, docsOf(10, 12)), "verify": x.Verify(ctx, func(d *Damage) { t.Error(d) })} {
		if !errors.Is(err, activefile.ErrVersion) || strings.Count(fmt.Sprint(err), "delete "+name) != 1 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, content) {
		t.Errorf("the activefile is %q, %v", now, err)
	}
	if after := tree(t, filepath.Join(dir, "temp")); !slices.Equal(after, before) {
		t.Errorf("there were %q, now %q", before, after)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	commit(t, x, docsOf(0, 10)...)
	if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 10)) {
		t.Errorf("after deleting it, found %v", got)
	}
	verify(t, x)
}

// A manifest of a format to come is no damage to clear away.
// countingLocks counts how often each lock file is taken.
type countingLocks struct {
	disk.FS
	taken map[string]int // by name; one goroutine commits
}

func (c *countingLocks) TryLock(name string, mode disk.LockMode) (io.Closer, error) {
	held, err := c.FS.TryLock(name, mode)
	if err == nil {
		c.taken[filepath.Base(name)]++
	}
	return held, err
}

// A commit of a few documents, and the question what the index claims, cost as few locks
// as can be: hundreds of users with a message each pay for them.
func TestLocksOfACommit(t *testing.T) {
	o := testOptions(t.TempDir())
	locks := &countingLocks{disk.OS(), map[string]int{}}
	o.FS = locks
	x := newSet(t, o).User(testUser)
	commit(t, x, docsOf(0, 2)...)
	clear(locks.taken)
	commit(t, x, docsOf(2, 4)...)
	if _, err := x.Claims(); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"index.write": 1, "index.gate": 1, "index.lock": 1}
	if !maps.Equal(locks.taken, want) {
		t.Errorf("taken were %v, want %v", locks.taken, want)
	}
}

// CommitInto names the database that has the documents, which is not the one that it
// found first if a compaction freezes that meanwhile.
func TestCommitInto(t *testing.T) {
	o := testOptions(t.TempDir())
	var atWritten func()
	o.Step = func(step string) {
		if step == "commit: written" && atWritten != nil {
			do := atWritten
			atWritten = nil
			do()
		}
	}
	x := newSet(t, o).User(testUser)
	if database, err := x.CommitInto(t.Context(), nil); database != "" || err != nil {
		t.Errorf("no document went to %q, %v", database, err)
	}
	into := func(from, to int) string {
		t.Helper()
		database, err := x.CommitInto(t.Context(), docsOf(from, to))
		if err != nil {
			t.Fatal(err)
		}
		claims, err := x.Claims()
		if err != nil || !slices.Contains(claims, database) {
			t.Errorf("went to %q; claimed %v, %v", database, claims, err)
		}
		return database
	}
	first := into(0, 2)
	if again := into(2, 4); again != first {
		t.Errorf("went to %s and %s, with nothing between", first, again)
	}
	atWritten = func() { compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"}) }
	second := into(4, 6)
	if second == first {
		t.Error("went to a database that was frozen before")
	}
	s := snapshot(t, x)
	for i := range 6 {
		doc, ok := s.Lookup(guid(i))
		if !ok {
			t.Errorf("document %d is not there", i)
			continue
		}
		if seg, _ := s.at(doc); i >= 4 && !strings.HasPrefix(seg.ID(), second+"/") {
			t.Errorf("document %d is in %s, and was to be in %s", i, seg.ID(), second)
		}
	}
}

func TestForeignManifest(t *testing.T) {
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	commit(t, x, docsOf(0, 10)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	dir, _ := x.databaseDir(activefile.Database{Tier: "data", Generation: 1})
	if err := os.WriteFile(filepath.Join(dir, manifestName), []byte("teraslot-database 3\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := snapshot(t, x); s.Docs() != 0 || len(s.Damaged()) != 1 {
		t.Errorf("%d documents, damaged %v", s.Docs(), s.Damaged())
	}
	if _, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"data"}, Dest: "archive"}); !errors.Is(err, errForeign) {
		t.Errorf("compacting it: %v", err)
	}
	if got := activeOf(t, x); !strings.HasSuffix(got, "data:1") {
		t.Errorf("active is %q", got)
	}
}

// A database of the format before this one claims nothing, is indexed anew and
// goes, with all of its files, with the next compaction.
func TestOldFormat(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 10)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	for _, db := range []activefile.Database{{Tier: "data", Generation: 1}, {Tier: "temp", Generation: 2}} {
		dir, err := x.databaseDir(db)
		if err != nil {
			t.Fatal(err)
		}
		body := "teraslot-database 1\nid 000102030405060708090a0b0c0d0e0f frozen\nversions extract 1 fold 1 token 1 zap 17\nnext 3\n" +
			"segment 2 docs 1 complete 1 zap 4 0a0b0c0d terms 4 00000001 text 4 ffffffff\n"
		old := fmt.Sprintf("%scrc %08x\n", body, crc32.Checksum([]byte(body), castagnoli))
		for name, content := range map[string]string{"manifest": old, "index_meta.json": "{}", "store/root.bolt": "bolt",
			"store/000000000002.zap": "zap\n", "store/000000000002.terms": "list", "store/000000000002.text": "text"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := snapshot(t, x)
	if s.Docs() != 0 || len(s.Outdated()) != 2 || len(s.Damaged()) != 0 {
		t.Errorf("%d documents claimed, outdated %v, damaged %v", s.Docs(), s.Outdated(), s.Damaged())
	}
	commit(t, x, docsOf(0, 5)...)
	if got := activeOf(t, x); got != "temp:3 temp:2 data:1" {
		t.Errorf("active is %q", got)
	}
	verify(t, x)
	compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "data"})
	if s := snapshot(t, x); s.Docs() != 5 || len(s.Outdated()) != 0 {
		t.Errorf("%d documents, outdated %v", s.Docs(), s.Outdated())
	}
	noLeftovers(t, x)
}

// The writable database stays small in number of segments, whatever comes.
func TestMergeSmall(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	most := 0
	for n := range 100 {
		commit(t, x, docsOf(n, n+1)...)
		s := snapshot(t, x)
		most = max(most, len(s.Segments()))
		s.Close()
	}
	if most > 3*fanOut {
		t.Errorf("%d segments at once", most)
	}
	if got := find(t, x, text.NewKey(text.InBody, "", "common text")); !slices.Equal(got, numbers(0, 100)) {
		t.Errorf("found %d of 100", len(got))
	}
	files := tree(t, x.set.o.Roots["temp"])
	s := snapshot(t, x)
	if want := 3*len(s.Segments()) + 1; len(files) != want {
		t.Errorf("%d files for %d segments: %q", len(files), len(s.Segments()), files)
	}
}

func TestPile(t *testing.T) {
	sizes := func(docs ...uint32) (out []segmentInfo) {
		for i, d := range docs {
			out = append(out, segmentInfo{Number: uint64(i), Docs: d})
		}
		return out
	}
	for _, c := range []struct {
		docs []uint32
		want int
	}{
		{nil, 0},
		{[]uint32{1, 2, 3, 4, 5, 6, 7}, 0},
		{[]uint32{1, 2, 3, 4, 5, 6, 7, 1}, 8},
		{[]uint32{20, 20, 20, 20, 20, 20, 20, 1, 300}, 0},
		{[]uint32{20, 20, 20, 20, 20, 20, 20, 20, 1, 300}, 9},
		{[]uint32{1 << 15, 1 << 15, 1 << 15, 1 << 15, 1 << 15, 1 << 15, 1 << 15, 1 << 15, 1 << 15}, 0},
	} {
		if got := pile(sizes(c.docs...)); len(got) != c.want {
			t.Errorf("of %v, %d are to be merged, want %d", c.docs, len(got), c.want)
		}
	}
}

// A document with too many terms is not indexed, and says so.
func TestTooManyTerms(t *testing.T) {
	a := newAnalysis(3)
	if !a.add(plain(1, "one two").Units, 100) || a.add(plain(2, "one three four five").Units, 5) || !a.add(plain(3, "two four four").Units, 100) {
		t.Error("the document of more than 5 terms is accepted, or another is not")
	}
	got := map[string]string{}
	a.each(func(field string, term []byte, docs []uint32, counts []uint8) {
		if field == text.FieldBody {
			got[string(term)] = fmt.Sprint(docs, counts)
		}
	})
	if want := map[string]string{"ONE": "[0] [1]", "TWO": "[0 2] [1 1]", "FOUR": "[2] [2]"}; !maps.Equal(got, want) {
		t.Errorf("terms are %v, want %v", got, want)
	}
}

// An index of incomplete documents alone has no terms, and answers every key.
func TestNoTerms(t *testing.T) {
	x := newIndex(t)
	d := plain(1, "one two three")
	d.Complete = false
	commit(t, x, d)
	s := snapshot(t, x)
	for _, name := range []string{"", "subject", ":body"} {
		for _, pattern := range []string{"", " ", "o", "one", "one two", "one two three", " one ", "a-b"} {
			for _, scope := range []text.Scope{text.InText, text.InBody, text.InHeader} {
				if sure, maybe, err := s.Match(t.Context(), text.NewKey(scope, name, pattern)); err != nil || !sure.IsEmpty() || !maybe.IsEmpty() {
					t.Errorf("%d %q %q: %v, %v, %v", scope, name, pattern, sure, maybe, err)
				}
			}
		}
	}
	if again := snapshot(t, x); again.Docs() != 1 || len(again.Damaged()) != 0 {
		t.Errorf("the next snapshot has %d documents, damaged %v", again.Docs(), again.Damaged())
	}
}

// Snapshots are not disturbed by what comes after them.
func TestSnapshotIsolation(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 10)...)
	before := snapshot(t, x)
	commit(t, x, docsOf(10, 20)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	x.set.dropStale()
	k := text.NewKey(text.InBody, "", "common text")
	if got := search(t, before, k); !slices.Equal(got, numbers(0, 10)) {
		t.Errorf("the old snapshot finds %v", got)
	}
	if got := find(t, x, k); !slices.Equal(got, numbers(0, 20)) {
		t.Errorf("a new snapshot finds %v", got)
	}
	before.Close()
	x.set.mu.Lock()
	defer x.set.mu.Unlock()
	for key, h := range x.set.handles {
		if _, err := os.Stat(segmentFile(h.dir, h.info.Number, listsExt)); err != nil {
			t.Errorf("handle %v of a deleted file is kept: %v", key, err)
		}
	}
}

func TestHandleLimit(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxHandles = 2
	s := newSet(t, o)
	for _, u := range []mailbox.User{"00000000000000000000000000000001", "00000000000000000000000000000002", "00000000000000000000000000000003"} {
		x := s.User(u)
		commit(t, x, docsOf(0, 2)...)
		if got := find(t, x, text.NewKey(text.InBody, "", "common")); len(got) != 2 {
			t.Errorf("user %s finds %v", u, got)
		}
		verify(t, x)
	}
	s.mu.Lock()
	n := len(s.handles)
	s.mu.Unlock()
	if n > 2 {
		t.Errorf("%d handles are open, want at most 2", n)
	}
}

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	s := newSet(t, testOptions(t.TempDir()))
	go func() { done <- s.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHeld(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 3)...)
	lock, err := x.file.TryCompact()
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"compact": func() error {
			_, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"temp"}, Dest: "data"})
			return err
		}(),
		"clean":  x.Clean(context.Background()),
		"remove": x.Remove(context.Background()),
	} {
		if !errors.Is(err, ErrHeld) {
			t.Errorf("%s while another compacts: %v", name, err)
		}
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}

// The sources are taken away, or exchanged, behind the compaction's back.
func TestLostRace(t *testing.T) {
	for name, meddle := range map[string]func(*testing.T, *Index){
		"gone": func(t *testing.T, x *Index) {
			l, err := x.file.Exclusive(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer l.Unlock()
			a, _ := l.Active()
			a.Databases = a.Databases[:1]
			if err := l.Publish(a); err != nil {
				t.Fatal(err)
			}
		},
		"changed": func(t *testing.T, x *Index) {
			dir, _ := x.databaseDir(activefile.Database{Tier: "temp", Generation: 1})
			m, err := readManifest(disk.OS(), dir)
			if err != nil {
				t.Fatal(err)
			}
			m.Segments = nil
			if err := publishManifest(disk.OS(), dir, m); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t.TempDir())
			var x *Index
			o.Step = func(step string) {
				if step == "compact: merged" {
					meddle(t, x)
				}
			}
			x = newSet(t, o).User(testUser)
			commit(t, x, docsOf(0, 10)...)
			var lines []string
			_, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"temp"}, Dest: "data", Name: "brong",
				Log: func(s string) { lines = append(lines, s) }})
			if !errors.Is(err, ErrLostRace) {
				t.Fatalf("error is %v, lines %q", err, lines)
			}
			if want := "aborting compact of user.brong, lost the race late"; lines[len(lines)-1] != want {
				t.Errorf("last line is %q, want %q", lines[len(lines)-1], want)
			}
			for _, file := range tree(t, filepath.Dir(x.set.o.Conf)) {
				if strings.HasPrefix(file, "data/") || strings.Contains(file, "staged") {
					t.Errorf("%s is left", file)
				}
			}
			verify(t, x)
		})
	}
}

// Commits go on between the steps of a compaction, and searches see everything.
func TestCommitDuringCompaction(t *testing.T) {
	o := testOptions(t.TempDir())
	var x *Index
	n := 10
	o.Step = func(step string) {
		switch step {
		case "compact: frozen", "compact: merged":
			commit(t, x, docsOf(n, n+5)...)
			n += 5
			if got := find(t, x, text.NewKey(text.InBody, "", "common text")); !slices.Equal(got, numbers(0, n)) {
				t.Errorf("at %s: found %v of %d", step, got, n)
			}
		}
	}
	x = newSet(t, o).User(testUser)
	commit(t, x, docsOf(0, 10)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	if got := find(t, x, text.NewKey(text.InBody, "", "common text")); !slices.Equal(got, numbers(0, 20)) {
		t.Errorf("found %v", got)
	}
	if got := activeOf(t, x); got != "temp:2 data:1" {
		t.Errorf("active is %q", got)
	}
	verify(t, x)
}

// The writable database vanishes while a compaction merges: the one that is put in
// front must survive step 3.
func TestNewFrontDuringCompaction(t *testing.T) {
	o := testOptions(t.TempDir())
	var x *Index
	o.Step = func(step string) {
		if step == "compact: merged" {
			dir, _ := x.databaseDir(activefile.Database{Tier: "temp", Generation: 2})
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
			commit(t, x, docsOf(20, 25)...)
		}
	}
	x = newSet(t, o).User(testUser)
	commit(t, x, docsOf(0, 10)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	if got := activeOf(t, x); got != "temp:3 temp:2 data:1" {
		t.Errorf("active is %q", got)
	}
	want := append(numbers(0, 10), numbers(20, 25)...)
	if got := find(t, x, text.NewKey(text.InBody, "", "common text")); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v; active %s", got, want, activeOf(t, x))
	}
	verify(t, x)
}

func TestRemove(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 10)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, docsOf(10, 12)...)
	if err := x.Remove(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, file := range tree(t, filepath.Dir(x.set.o.Conf)) {
		if !strings.HasPrefix(file, "conf/") {
			t.Errorf("%s is left", file)
		}
	}
	commit(t, x, docsOf(0, 1)...)
	if got := activeOf(t, x); got != "temp:3" {
		t.Errorf("active is %q: a generation was used again", got)
	}
}

// Only names of ours are deleted.
func TestForeignFiles(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 3)...)
	user := filepath.Join(x.set.o.Roots["temp"], testUser.Dir())
	for _, name := range []string{"9/store/mail.eml", "9/manifest", "notes/x", "007/manifest", "12x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(user, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(user, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Clean(context.Background()); err == nil {
		t.Error("a directory with a foreign file in it was deleted, or kept without a word")
	}
	var left []string
	for _, file := range tree(t, user) {
		if !strings.HasPrefix(file, "1/") {
			left = append(left, file)
		}
	}
	if want := []string{"007/manifest", "12x", "9/store/mail.eml", "notes/x"}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no conf":         {Roots: map[string]string{"temp": "/t"}},
		"no default tier": {Conf: "/c", Roots: map[string]string{"data": "/t"}},
		"bad name":        {Conf: "/c", Roots: map[string]string{"temp": "/t", "Da:ta": "/d"}},
		"no root":         {Conf: "/c", Roots: map[string]string{"temp": ""}},
		"same":            {Conf: "/c", Roots: map[string]string{"temp": "/t", "data": "/t/"}},
		"conf":            {Conf: "/c", Roots: map[string]string{"temp": "/c"}},
		"inside":          {Conf: "/c", Roots: map[string]string{"temp": "/t", "data": "/t/users/x"}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(Options{Conf: "/c", Roots: map[string]string{"temp": "/c/temp", "data": "/d"}}); err != nil {
		t.Error(err)
	}
}

// Without kept text, answers are the same as far as the index knows.
func TestNoKeptText(t *testing.T) {
	o := testOptions(t.TempDir())
	o.NoKeptText = true
	x := newSet(t, o).User(testUser)
	commit(t, x, docsOf(0, 10)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	s := snapshot(t, x)
	if _, ok, err := s.Units(context.Background(), 0); ok || err != nil {
		t.Errorf("text is kept: %v, %v", ok, err)
	}
	if got := search(t, s, text.NewKey(text.InBody, "", "word3")); !slices.Equal(got, []int{3}) {
		t.Errorf("found %v", got)
	}
	verify(t, x)
}

func TestCancel(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 10)...)
	s := snapshot(t, x)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, err := range map[string]error{
		"commit":   x.Commit(ctx, docsOf(0, 1)),
		"snapshot": func() error { _, err := x.Snapshot(ctx); return err }(),
		"match":    func() error { _, _, err := s.Match(ctx, text.NewKey(text.InText, "", "a b")); return err }(),
		"units":    func() error { _, _, err := s.Units(ctx, 0); return err }(),
		"compact": func() error {
			_, err := x.Compact(ctx, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
			return err
		}(),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s of one who has gone away: %v", name, err)
		}
	}
}

func testLogger(b *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// Reset takes nothing from an index whose activefile can be read; of a damaged one nothing
// is claimed, before and after.
func TestResetOfIndex(t *testing.T) {
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	commit(t, x, docsOf(0, 10)...)
	claims := func() int {
		t.Helper()
		ids, err := x.Claims()
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	if err := x.Reset(t.Context()); err != nil || claims() != 1 {
		t.Errorf("Reset of a whole index: %v, %d claims", err, claims())
	}
	if err := os.WriteFile(filepath.Join(x.dir, "index.active"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if claims() != 0 {
		t.Error("a damaged activefile claims something")
	}
	if err := x.Reset(t.Context()); err != nil || claims() != 0 {
		t.Errorf("Reset of a damaged one: %v, %d claims", err, claims())
	}
	verify(t, x)
	commit(t, x, docsOf(0, 10)...)
	verify(t, x)
}
