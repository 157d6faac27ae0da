package tiers

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"teraslot/activefile"
	"teraslot/text"
)

// TestLongNames: names of fields are cut in the index; one that was cut decides
// nothing.
func TestLongNames(t *testing.T) {
	x := newIndex(t)
	long := "x-" + strings.Repeat("a", 298)
	units := []text.Unit{text.HeaderUnit(long, "v")}
	commit(t, x, Doc{GUID: guid(1), Complete: true, Units: units})
	for _, n := range []int{254, 255, 256, 300} {
		k := text.NewKey(text.InHeader, long[:n], "")
		if got := find(t, x, k); (len(got) == 1) != k.Match(units) {
			t.Errorf("a name of %d octets: the index says %v, the text %v", n, got, k.Match(units))
		}
	}
}

// TestCommitPastDamagedSegment: a segment of the writable database is spoilt at
// rest. What is committed afterwards has to be seen.
func TestCommitPastDamagedSegment(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, file string){"a flipped bit": flipMiddle, "missing": remove} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			x := newSet(t, testOptions(dir)).User(testUser)
			commit(t, x, docsOf(0, 5)...)
			x.set.Close()
			first, err := x.databaseDir(activefile.Database{Tier: "temp", Generation: 1})
			if err != nil {
				t.Fatal(err)
			}
			spoil(t, segmentFile(first, 1, listsExt))
			x = newSet(t, testOptions(dir)).User(testUser)
			snapshot(t, x) // notices
			commit(t, x, docsOf(0, 10)...)
			s := snapshot(t, x)
			for i := range 10 {
				if _, ok := s.Lookup(guid(i)); !ok {
					t.Errorf("document %d was committed and is not seen; active %s, damaged %v", i, activeOf(t, x), s.Damaged())
				}
			}
		})
	}
}

func flipMiddle(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// TestNoHandleLeaks: a database that is gone when it is opened must not keep the
// handles of those behind it.
func TestNoHandleLeaks(t *testing.T) {
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	commit(t, x, docsOf(0, 5)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, docsOf(5, 10)...)
	active, err := x.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	front, err := x.databaseDir(active.Databases[0])
	if err != nil {
		t.Fatal(err)
	}
	remove(t, segmentFile(front, 1, listsExt))
	x.set.Close()
	s, err := x.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	x.set.mu.Lock()
	defer x.set.mu.Unlock()
	for key, h := range x.set.handles {
		if h.refs != 0 {
			t.Errorf("handle %v has %d references though no snapshot is open", key, h.refs)
		}
	}
}

// TestStaleHandleIsClosedOnce: a handle of deleted files is given up by its last
// user and by the cleaner at once. The race detector looks on.
func TestStaleHandleIsClosedOnce(t *testing.T) {
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	commit(t, x, docsOf(0, 5)...)
	_, dir, m, err := x.writable(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	x.set.Close()
	store, away := filepath.Join(dir, storeDir), filepath.Join(t.TempDir(), "away")
	for range 100 {
		h := x.set.acquire(dir, m.ID, m.Segments[0])
		if err := x.set.open(h); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(store, away); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(x.set.dropStale)
		wg.Go(func() {
			x.set.forget(h)
			x.set.release(h)
		})
		wg.Wait()
		if err := os.Rename(away, store); err != nil {
			t.Fatal(err)
		}
	}
}
