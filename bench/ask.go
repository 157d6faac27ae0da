package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"teraslot/bench/queries"
)

// asked is what a server said to queries: the first len(times) of a list.
type asked struct {
	times   durations
	answers []queries.Answer
	refused int
}

// put asks a server one query after another, for as long as budget lasts. The reply
// is taken apart after the clock has stopped.
func put(c *client, list []queries.Query, budget time.Duration, place func(uid uint32) int) (a asked) {
	if c == nil {
		return a
	}
	var spent time.Duration
	for _, q := range list {
		if spent > budget {
			break
		}
		command := "UID SEARCH " + q.String()
		start := time.Now()
		out, result := c.try(command)
		took := time.Since(start)
		spent += took
		var answer queries.Answer
		if !strings.HasPrefix(result, "OK") {
			a.refused++
		}
		for _, uid := range found(out) {
			answer.Add(place(uid))
		}
		a.times, a.answers = append(a.times, took), append(a.answers, answer)
	}
	return a
}

// places maps the UIDs of a mailbox that was filled in the order of the corpus.
func places(uid uint32) int { return int(uid) - 1 }

// equal writes how many of the answers are the oracle's.
func (a asked) equal(want []queries.Answer) string {
	if len(a.answers) == 0 || len(want) == 0 {
		return ""
	}
	same := 0
	for i, got := range a.answers {
		if got == want[i] {
			same++
		}
	}
	return fmt.Sprintf("%d/%d", same, len(a.answers))
}

func (a asked) hits() (n int) {
	for _, answer := range a.answers {
		n += answer.Hits
	}
	return n
}

// drawn are the queries of each kind, and what each has to find.
type drawn struct {
	lists map[queries.Kind][]queries.Query
	want  map[queries.Kind][]queries.Answer
}

// lexiconMessages is how many messages are read to draw queries: where a corpus has
// more, every nth.
const lexiconMessages = 20_000

// draw draws n queries of each kind; with check it reads the mail once more for what
// they find.
func (b *bench) draw(src source, messages, n int, kinds []queries.Kind, check bool) drawn {
	l, err := queries.Read(src.all, b.o.seed, (messages+lexiconMessages-1)/lexiconMessages)
	b.must(err)
	d := drawn{map[queries.Kind][]queries.Query{}, map[queries.Kind][]queries.Answer{}}
	var exact []queries.Query
	for _, kind := range kinds {
		d.lists[kind] = l.Draw(kind, b.o.seed, n)
		if kind != queries.Ranked {
			exact = append(exact, d.lists[kind]...)
		}
	}
	if !check {
		return d
	}
	answers, err := queries.Answers(src.all, exact)
	b.must(err)
	for _, kind := range kinds {
		if kind != queries.Ranked {
			d.want[kind], answers = answers[:len(d.lists[kind])], answers[len(d.lists[kind]):]
		}
	}
	return d
}

// wrong lists the first queries whose answers are not the oracle's: a figure that is
// not exact has to be looked into.
func (b *bench) wrong(name string, list []queries.Query, got []queries.Answer, want []queries.Answer) {
	if len(want) == 0 {
		return
	}
	shown := 0
	for i, a := range got {
		if a != want[i] && shown < 3 {
			shown++
			b.table.note("%s: %q: %d hits, the oracle has %d", name, list[i].String(), a.Hits, want[i].Hits)
		}
	}
}

// slowest are the n queries that took longest, with their times.
func slowest(list []queries.Query, times durations, n int) (out []string) {
	order := make([]int, len(times))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return int(times[y] - times[x]) })
	for _, i := range order[:min(n, len(order))] {
		out = append(out, fmt.Sprintf("%s %s", millis(times[i]), list[i].String()))
	}
	return out
}
