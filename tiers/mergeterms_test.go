package tiers

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"teraslot/activefile"
	"teraslot/mailbox"
	"teraslot/text"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// Numbers of first octets are in the order of the terms, or the same.
func TestFirstOctets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		term := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, ' ', 'a', 'b', 0x7f, 0x80, 0xff}), 0, 12)
		a, b := term.Draw(t, "a"), term.Draw(t, "b")
		if by, whole := cmp.Compare(firstOctets(a), firstOctets(b)), bytes.Compare(a, b); by != 0 && by != whole {
			t.Errorf("%q and %q compare as %d by their first octets, as %d whole", a, b, by, whole)
		}
	})
}

// randomDocs makes documents that share words with each other to all degrees: terms of
// one document, of some, of nearly all, more than once in one, in one field or several.
func randomDocs(r *rand.Rand, n, words int) []Doc {
	docs := make([]Doc, n)
	for i := range docs {
		var body strings.Builder
		for range words {
			rank := int(float64(3*n) * r.Float64() * r.Float64() * r.Float64())
			fmt.Fprintf(&body, "w%x%c", rank*rank, " \n,._@"[r.IntN(6)])
		}
		docs[i] = plain(i, body.String())
		docs[i].Complete = r.IntN(20) > 0
		docs[i].Units = append(docs[i].Units, text.HeaderUnit("To", fmt.Sprintf("user%d@example.org", r.IntN(5))),
			text.HeaderUnit("Message-ID", fmt.Sprintf("<%x@example.org>", r.Uint64())))
	}
	return docs
}

// readMerged reads the index of the one segment of data:1.
func readMerged(t *testing.T, x *Index) (terms, lists []byte) {
	t.Helper()
	dir, err := x.databaseDir(activefile.Database{Tier: "data", Generation: 1})
	if err != nil {
		t.Fatal(err)
	}
	for ext, to := range map[string]*[]byte{termsExt: &terms, listsExt: &lists} {
		if *to, err = os.ReadFile(segmentFile(dir, mergedNumber, ext)); err != nil {
			t.Fatal(err)
		}
	}
	return terms, lists
}

// What a merge writes of the terms is, octet for octet, what building from the documents
// it keeps would write.
func TestMergedAsBuilt(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for round := range 12 {
		docs := randomDocs(r, 1+r.IntN(400), 1+r.IntN(80))
		x := newIndex(t)
		var batches [][]Doc
		for rest := docs; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			batches, rest = append(batches, rest[:n]), rest[n:]
			if len(batches) == fanOut-1 { // else some are merged before
				batches[fanOut-2], rest = append(slices.Clip(batches[fanOut-2]), rest...), nil
			}
		}
		for _, batch := range batches {
			commit(t, x, batch...)
		}
		gone := map[mailbox.GUID]bool{}
		for _, d := range docs {
			gone[d.GUID] = round%3 > 0 && r.IntN(3) == 0
		}
		gone[docs[0].GUID] = false // something is left
		compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data", Held: func() (func(mailbox.GUID) bool, error) {
			return func(g mailbox.GUID) bool { return !gone[g] }, nil
		}})
		var kept []Doc
		for _, batch := range slices.Backward(batches) { // the newest first
			for _, d := range batch {
				if !gone[d.GUID] {
					kept = append(kept, d)
				}
			}
		}
		built, err := x.set.buildPart(t.Context(), kept)
		if err != nil || len(built) != 1 {
			t.Fatal(len(built), err)
		}
		terms, lists := readMerged(t, x)
		if !bytes.Equal(terms, built[0].terms) || !bytes.Equal(lists, built[0].lists) {
			t.Errorf("round %d: %d of %d documents in %d batches: merged %d and %d octets, built %d and %d, or others",
				round, len(kept), len(docs), len(batches), len(terms), len(lists), len(built[0].terms), len(built[0].lists))
		}
	}
}

// All blocks of kept text become what they were, whatever is left over at a source's end.
func TestMergeCopiesBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	x := newIndex(t)
	docs := randomDocs(r, 2100, 150)
	for i := range docs {
		docs[i].Complete = true
	}
	for i := range 7 { // what is left over at their ends differs
		n := 270 + 10*i
		commit(t, x, docs[:n]...)
		docs = docs[n:]
	}
	sums := map[uint32]bool{}
	s := snapshot(t, x)
	for _, seg := range s.segments {
		for _, b := range seg.h.kept.streams[bodyStream].blocks {
			sums[b.crc] = true
		}
	}
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	anew := 0
	merged := snapshot(t, x).segments[0].h.kept.streams[bodyStream].blocks
	for _, b := range merged {
		if !sums[b.crc] {
			anew++
		}
	}
	if len(merged) < 100 || len(s.segments) != 7 || anew > 0 {
		t.Errorf("of %d blocks from %d segments %d were packed anew", len(merged), len(s.segments), anew)
	}
}

// A merge that is broken off, at whatever piece of what it writes, says why, ends its
// goroutines (goleak sees to that) and changes nothing.
func TestMergeBrokenOff(t *testing.T) {
	x := newIndex(t)
	docs := randomDocs(rand.New(rand.NewPCG(15, 16)), 300, 300)
	for part := range slices.Chunk(docs, 100) {
		commit(t, x, part...)
	}
	stop := errors.New("stop")
	pieces := 0
	for at := 1; ; at++ {
		pieces = 0
		_, err := x.Compact(t.Context(), CompactOptions{Sources: []string{"temp"}, Dest: "archive", Force: true,
			Pace: func(context.Context, int) error { // one at a time
				if pieces++; pieces == at {
					return stop
				}
				return nil
			}})
		if err == nil {
			break // at is beyond the last piece
		}
		if !errors.Is(err, stop) {
			t.Fatalf("broken off at piece %d: %v", at, err)
		}
		if got := activeOf(t, x); strings.Contains(got, "archive") {
			t.Fatalf("broken off at piece %d; active is %s", at, got)
		}
		if dirs, _ := filepath.Glob(filepath.Join(x.set.o.Roots["archive"], x.user.Dir(), "*", "store", "*")); len(dirs) > 0 {
			t.Fatalf("broken off at piece %d, and it left %v", at, dirs)
		}
	}
	if pieces < 3 {
		t.Errorf("%d pieces were written", pieces)
	}
	if s := snapshot(t, x); int(s.Docs()) != len(docs) {
		t.Errorf("%d documents, want %d", s.Docs(), len(docs))
	}
}

// setNiceness sets that of all threads of this process. Those that one of them begins
// meanwhile may have the former one: it goes over them until there are no new ones.
func setNiceness(n int) error {
	for known := 0; ; {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil || len(threads) == known {
			return err
		}
		known = len(threads)
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			if err := unix.Setpriority(unix.PRIO_PROCESS, id, n); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
}

// A merge that yields does so in all of its threads and in no other, and writes the same.
func TestMergeYields(t *testing.T) {
	nice := func() int {
		n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			t.Error(err)
		}
		return mostNice - n
	}
	if n := nice(); n >= niceness { // so that nothing of what yields would be seen
		if err := setNiceness(0); err != nil {
			t.Skipf("the test runs with a niceness of %d, and may not have less: %v", n, err)
		}
		t.Cleanup(func() {
			if err := setNiceness(n); err != nil {
				t.Error(err)
			}
		})
	}
	before := nice()
	x := newIndex(t)
	docs := randomDocs(rand.New(rand.NewPCG(17, 18)), 200, 100)
	commit(t, x, docs[:100]...)
	commit(t, x, docs[100:]...)
	pieces := 0
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data", Yield: true, Pace: func(context.Context, int) error {
		pieces++
		if n := nice(); n != niceness {
			t.Errorf("piece %d is written with a niceness of %d", pieces, n)
		}
		return nil
	}})
	if pieces < 3 {
		t.Errorf("%d pieces were written", pieces)
	}
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if n := nice(); n != before {
				t.Errorf("afterwards a goroutine has a niceness of %d, and not %d", n, before)
			}
		})
	}
	group.Wait()
	if s := snapshot(t, x); int(s.Docs()) != len(docs) {
		t.Errorf("%d documents, want %d", s.Docs(), len(docs))
	}
}
