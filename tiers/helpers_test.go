package tiers

import (
	"cmp"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/text"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if child := os.Getenv("TIERS_CHILD"); child != "" {
		os.Exit(runChild(child))
	}
	// COUNT and SEED are of the property tests.
	flag.Set("rapid.checks", cmp.Or(os.Getenv("COUNT"), "10"))
	if seed := os.Getenv("SEED"); seed != "" {
		flag.Set("rapid.seed", seed)
	}
	goleak.VerifyTestMain(m)
}

const testUser = mailbox.User("0123456789abcdef0123456789abcdef")

// testOptions put three tiers below dir.
func testOptions(dir string) Options {
	return Options{
		Conf: filepath.Join(dir, "conf"),
		Roots: map[string]string{
			"temp":    filepath.Join(dir, "temp"),
			"data":    filepath.Join(dir, "data"),
			"archive": filepath.Join(dir, "archive"),
		},
		ExtractVersion: 1,
	}
}

func newSet(t testing.TB, o Options) *Set {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.handles) != 0 {
			t.Errorf("%d handles are left", len(s.handles))
		}
	})
	return s
}

// newIndex is a user's index that is verified when the test ends.
func newIndex(t testing.TB) *Index {
	t.Helper()
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	t.Cleanup(func() { verify(t, x) })
	return x
}

func verify(t testing.TB, x *Index) {
	t.Helper()
	err := x.Verify(context.Background(), func(d *Damage) { t.Errorf("verify: %v", d) })
	if err != nil {
		t.Errorf("verify: %v", err)
	}
}

func guid(n int) (g mailbox.GUID) {
	binary.BigEndian.PutUint64(g[:], uint64(n))
	// Octets that have been a trap: separators, line feeds, not UTF-8.
	copy(g[8:], "\xff\n\x00\xfe")
	return g
}

// plain makes a complete document of one body unit and a subject.
func plain(n int, body string) Doc {
	return Doc{GUID: guid(n), Complete: true, Units: []text.Unit{
		text.HeaderUnit("Subject", "message "+strconv.Itoa(n)), text.BodyUnit(body)}}
}

func commit(t testing.TB, x *Index, docs ...Doc) {
	t.Helper()
	if err := x.Commit(context.Background(), docs); err != nil {
		t.Fatal(err)
	}
}

func snapshot(t testing.TB, x *Index) *Snapshot {
	t.Helper()
	s, err := x.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// search answers a key with verification, as numbers of guid.
func search(t testing.TB, s *Snapshot, k text.Key) []int {
	t.Helper()
	sure, maybe, err := s.Match(context.Background(), k)
	if err != nil {
		t.Fatal(err)
	}
	it := maybe.Iterator()
	for it.HasNext() {
		doc := it.Next()
		units, ok, err := s.Units(context.Background(), doc)
		if err != nil || !ok {
			t.Fatalf("units of document %d: %v, %v", doc, ok, err)
		}
		if k.Match(units) {
			sure.Add(doc)
		}
	}
	var out []int
	for _, doc := range sure.ToArray() {
		g := s.GUID(doc)
		out = append(out, int(binary.BigEndian.Uint64(g[:])))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func find(t testing.TB, x *Index, k text.Key) []int {
	t.Helper()
	s := snapshot(t, x)
	defer s.Close()
	if d := s.Damaged(); len(d) > 0 {
		t.Fatalf("damaged: %v", d)
	}
	return search(t, s, k)
}

// compact compacts and returns the lines.
func compact(t testing.TB, x *Index, o CompactOptions) (Result, []string) {
	t.Helper()
	var lines []string
	o.Log = func(line string) { lines = append(lines, line) }
	res, err := x.Compact(context.Background(), o)
	if err != nil {
		t.Fatalf("compact: %v\n%s", err, strings.Join(lines, "\n"))
	}
	return res, lines
}

// tree lists the files below dir.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func activeOf(t testing.TB, x *Index) string {
	t.Helper()
	a, err := x.read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return a.String()
}

func numbers(from, to int) (out []int) {
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

func docsOf(from, to int) (out []Doc) {
	for n := from; n < to; n++ {
		out = append(out, plain(n, fmt.Sprintf("common text with number %d and word%d", n, n%7)))
	}
	return out
}
