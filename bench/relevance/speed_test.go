package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"teraslot/bench/corpus"
	"teraslot/search"
)

// copies is how many times over the corpora are taken, from COPIES: mail for larger
// mailboxes, though of no more words.
func copies(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("COPIES"))
	if os.Getenv("COPIES") == "" {
		return 1
	}
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// processorTime is what the process has taken so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFuzzy is a fuzzy search in process for each of the drawn queries in turn: what
// matches, with its relevance, and with the snippets of the best 50. It reports the median
// and the 99th percentile of the processor time of a search. DATA names a directory to keep
// mail and index in.
func BenchmarkFuzzy(b *testing.B) {
	for _, name := range corpora {
		mail := corpus.Messages(b, name)
		lexicon, err := read(mail)
		if err != nil {
			b.Fatal(err)
		}
		once := mail
		for i := range copies(b) - 1 {
			for _, m := range once {
				mail = append(mail, corpus.Message{Name: m.Name, Raw: append([]byte(fmt.Sprintf("X-Copy: %d\r\n", i)), m.Raw...)})
			}
		}
		t := &bench{ctx: context.Background(), data: os.Getenv("DATA")}
		b.Cleanup(t.close)
		if t.data == "" {
			t.data = filepath.Join(b.TempDir(), "data")
		}
		o, err := t.openOurs(name, mail)
		if err != nil {
			b.Fatal(err)
		}
		queries := lexicon.draw(3, 1000)
		for _, what := range []string{"matched", "ranked", "shown"} {
			b.Run(name+"/"+what, func(b *testing.B) { o.measure(b, queries, what) })
		}
	}
}

func (o *ours) measure(b *testing.B, queries []query, what string) {
	var times []time.Duration
	hits := 0
	for i := 0; b.Loop(); i++ {
		q := queries[i%len(queries)]
		begun := processorTime()
		res, err := o.search(b.Context(), q.words, what != "matched")
		if err == nil && what == "shown" {
			begun = processorTime() // of the snippets alone
			best := res.UIDs[:min(len(res.UIDs), 50)]
			_, err = o.searcher.Snippets(b.Context(), o.request(q.words, true), res.View, best, search.SnippetOptions{})
		}
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, processorTime()-begun)
		hits += len(res.UIDs)
	}
	slices.Sort(times)
	b.ReportMetric(float64(hits)/float64(len(times)), "hits/op")
	b.ReportMetric(times[len(times)/2].Seconds()*1000, "cpu-ms-p50")
	b.ReportMetric(times[len(times)*99/100].Seconds()*1000, "cpu-ms-p99")
}
