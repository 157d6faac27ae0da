package tiers

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"teraslot/text"
)

// highWater runs fn and returns how many octets of heap there were at most beyond
// those before, as seen by looking again and again. The collector begins early: on a busy
// machine it comes late, and what is garbage by then counts.
func highWater(t *testing.T, fn func()) uint64 {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	fn()
	close(done)
	wg.Wait()
	return most - min(before, most)
}

// manyTerms is a document of n different words, and as many borders of these.
func manyTerms(id, n int) Doc {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%06dWORD%06d ", i+id*n, i)
	}
	return Doc{GUID: plain(id, "").GUID, Complete: true, Units: []text.Unit{{Kind: text.Body, Text: b.String()}}}
}

// Documents of nearly as many terms as are taken, several of them in one commit, cost
// a bounded memory, and are found. One of more costs as little, and is no claim.
func TestMemoryOfManyTerms(t *testing.T) {
	x := newIndex(t)
	var docs []Doc
	const many = maxTerms * 10 / 21 // with a border for each word, and code points
	for id := range 3 {
		docs = append(docs, manyTerms(id, many))
	}
	docs = append(docs, manyTerms(9, maxTerms))
	used := highWater(t, func() { commit(t, x, docs...) })
	t.Logf("%d documents of %d terms took %d MB", len(docs), maxTerms, used>>20)
	if used > 300<<20 {
		t.Errorf("%d documents of %d terms took %d MB", len(docs), maxTerms, used>>20)
	}
	s := snapshot(t, x)
	for id, d := range docs {
		doc, ok := s.Lookup(d.GUID)
		indexed := ok && s.Complete(doc)
		if indexed != (id < 3) {
			t.Errorf("document %d is a claim: %t", id, indexed)
		}
		sure, maybe, err := s.Match(t.Context(), text.NewKey(text.InBody, "", fmt.Sprintf("%06dword000005", id*many+5)))
		if err != nil || indexed && !sure.Contains(doc) && !maybe.Contains(doc) {
			t.Errorf("document %d is not found: %v", id, err)
		}
	}
}

// A compaction takes 150 MB and 64 octets a message at most, however large the
// databases are. COUNT says how many messages there are.
func TestMemoryOfCompaction(t *testing.T) {
	n := 4000
	if s := os.Getenv("COUNT"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	x := newIndex(t)
	const batch = 2000
	for at := 0; at < n; at += batch {
		docs := make([]Doc, 0, batch)
		for id := at; id < min(at+batch, n); id++ {
			docs = append(docs, Doc{GUID: plain(id, "").GUID, Complete: true, Units: []text.Unit{
				text.HeaderUnit("Message-ID", fmt.Sprintf("<%d.%x@example.org>", id, id*2654435761)), text.HeaderUnit("Subject", fmt.Sprintf("subject %d", id%977)),
				text.BodyUnit(fmt.Sprintf("word%d of %d and the other %d, again %d", id%5003, id%31, id, id%7))}})
		}
		commit(t, x, docs...)
	}
	var took time.Duration
	used := highWater(t, func() {
		before := cpu()
		compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
		took = cpu() - before
	})
	t.Logf("%d messages: %d MB, %v of processor time, %.0f messages a second of it", n, used>>20, took, float64(n)/took.Seconds())
	if used > 150<<20+64*uint64(n) {
		t.Errorf("the compaction of %d messages took %d MB", n, used>>20)
	}
}
