package candidates

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"teraslot/bench/queries"
	"teraslot/tiers"
)

// Kinds are the queries of one key, each of which the index is asked.
var Kinds = []queries.Kind{
	queries.Word, queries.Part, queries.Phrase, queries.Together, queries.Anywhere, queries.Sender, queries.Title, queries.Field,
	queries.Stretch, queries.Address, queries.Absent, queries.Most, queries.Frequent,
}

// Answer is what a query cost.
type Answer struct {
	queries.Query
	Hits, Verified int
	Index, Verify  time.Duration // processor time
}

// Few reports whether the messages verified are as few as they should be.
func (a Answer) Few() bool { return a.Verified <= 2*a.Hits+20 }

// String is a line of a table.
func (a Answer) String() string {
	return fmt.Sprintf("%6d verified, %6d hits, %7.2f + %7.2f ms: %v (%s)", a.Verified, a.Hits, ms(a.Index), ms(a.Verify), a.Query, a.Kind)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Ask puts the query, which has one key, to an index whose texts are all kept.
func Ask(ctx context.Context, s *tiers.Snapshot, q queries.Query) (Answer, error) {
	a := Answer{Query: q}
	key := q.Keys[0].Folded()
	begun := processorTime()
	sure, maybe, err := s.Match(ctx, key)
	if err != nil {
		return a, err
	}
	a.Hits, a.Verified = int(sure.GetCardinality()), int(maybe.GetCardinality())
	middle := processorTime()
	texts := s.Texts()
	for it := maybe.Iterator(); it.HasNext(); {
		doc := it.Next()
		match, ok, err := texts.Match(ctx, doc, key)
		if err != nil {
			return a, err
		}
		if !ok {
			return a, fmt.Errorf("the text of document %d is not kept", doc)
		}
		if match {
			a.Hits++
		}
	}
	a.Index, a.Verify = middle-begun, processorTime()-middle
	return a, nil
}

// processorTime is what the process has taken so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Summary is what there is to say of many answers.
type Summary struct {
	Asked, Few int
	table      string
}

// Share is the part of the queries with few messages to verify.
func (s Summary) Share() float64 { return float64(s.Few) / float64(s.Asked) }

// String is a table of the kinds.
func (s Summary) String() string { return s.table }

// Summarize adds up answers by kind.
func Summarize(answers []Answer) Summary {
	var out Summary
	var b strings.Builder
	for _, kind := range append(slices.Clone(Kinds), "") {
		of := answers
		if kind != "" {
			of = slices.DeleteFunc(slices.Clone(answers), func(a Answer) bool { return a.Kind != kind })
		}
		if len(of) == 0 {
			continue
		}
		few, verified, hits := 0, 0, 0
		var times []time.Duration
		for _, a := range of {
			if a.Few() {
				few++
			}
			verified, hits = verified+a.Verified, hits+a.Hits
			times = append(times, a.Index+a.Verify)
		}
		slices.Sort(times)
		out = Summary{Asked: len(of), Few: few}
		fmt.Fprintf(&b, "%-32s %6d queries, %6.2f %% with few to verify; %8.1f hits and %8.1f verified on average; %7.2f ms median, %7.2f 99 %%, %7.2f most\n",
			cmp.Or(string(kind), "all"), len(of), 100*out.Share(), float64(hits)/float64(len(of)), float64(verified)/float64(len(of)),
			ms(times[len(times)/2]), ms(times[len(times)*99/100]), ms(times[len(times)-1]))
	}
	out.table = b.String()
	return out
}

// Worst are the n answers that verified most beyond what is few.
func Worst(answers []Answer, n int) []Answer {
	by := func(a Answer) int { return a.Verified - 2*a.Hits }
	sorted := slices.SortedStableFunc(slices.Values(answers), func(a, b Answer) int { return cmp.Compare(by(b), by(a)) })
	return sorted[:min(n, len(sorted))]
}
