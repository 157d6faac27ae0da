package main

import (
	"strings"
	"time"

	"teraslot/bench/daemon"
	"teraslot/bench/queries"
)

// wantedTimes are the medians asked for on 6,046 messages, in the words.
var wantedTimes = map[queries.Kind]string{
	queries.Word: "1 ms", queries.Part: "1 ms", queries.Phrase: "3 ms", queries.Frequent: "3 ms", queries.Most: "5 ms", queries.Anywhere: "3 ms",
	queries.Sender: "1 ms", queries.Title: "1 ms", queries.Field: "1 ms", queries.Without: "2 ms", queries.Ranked: "5 ms",
}

// warmUp is how many other queries of each kind go before the timed ones.
const warmUp = 20

// askAll measures searches over the wire in a compacted index: all queries are
// distinct, and each is asked once. Then some in new processes with nothing cached.
func askAll(b *bench) {
	for _, src := range b.sources() {
		s, loaded := b.filled(src)
		p := b.startPeer(false)
		if p != nil {
			p.load(src)
			p.index()
			p.compact()
		}
		d := b.draw(src, loaded.messages, b.o.asked+warmUp, queries.Kinds, true)
		s.Start(b)
		settle(b, s)
		b.table.note("%s: %d messages, %.1f MB", src.name, loaded.messages, mb(loaded.octets))
		own, other := dial(b, s, "user0"), p.dial()
		for _, kind := range queries.Kinds {
			b.askKind(s, own, other, p, kind, d)
		}
		b.timed("limit: NOOP", timesOf(own, b.o.asked, always("NOOP")), timesOf(other, b.o.asked, always("NOOP")), figure{})
		own.close()
		other.close()
		b.table.note("resident memory of the server: %.0f MB, %.0f MB at most", mb(b.memory(s, "VmRSS")), mb(b.memory(s, "VmHWM")))
		s.Stop(b)
		b.askCold(s, d)
	}
}

// askKind puts the queries of one kind to both servers, after those that warm up.
func (b *bench) askKind(s *daemon.Slot, own, other *client, p *peer, kind queries.Kind, d drawn) {
	list, want := d.lists[kind], d.want[kind]
	cut := min(warmUp, len(list)/4)
	put(own, list[:cut], time.Minute, places)
	warm, list := list[:cut], list[cut:]
	if len(want) > 0 {
		want = want[cut:]
	}
	before := s.CPU(b)
	mine := put(own, list, time.Minute, places)
	f := figure{cpu: perEach(s.CPU(b)-before, len(mine.times)), hits: count(mine.hits()), equal: mine.equal(want), wanted: wantedTimes[kind]}
	var theirs asked
	if other != nil {
		put(other, warm, b.o.patience/4, p.place)
		before := p.cpu()
		theirs = put(other, list, b.o.patience, p.place)
		f.peerCPU = perEach(p.cpu()-before, len(theirs.times))
		f.peerEqual = theirs.equal(want)
		// Only queries that both were asked are compared.
		f.ratio = ratio(float64(mine.times[:len(theirs.times)].at(0.5)), float64(theirs.times.at(0.5)))
	}
	b.timed(string(kind), mine.times, theirs.times, f)
	if mine.refused+theirs.refused > 0 {
		b.table.note("refused: %d here, %d by the peer", mine.refused, theirs.refused)
	}
	b.wrong("teraslot", list, mine.answers, want)
	if other != nil {
		b.wrong(p.name, list, theirs.answers, want)
	}
	if len(mine.times) > 0 && mine.times.at(1) > 20*time.Millisecond {
		b.table.note("slowest: %s", strings.Join(slowest(list, mine.times, 3), "; "))
	}
}

// coldKinds are asked in new processes, so many queries of each.
var coldKinds = []queries.Kind{queries.Word, queries.Phrase, queries.Anywhere, queries.Sender}

const coldQueries = 20

// askCold asks each query as the first of a new process, when no page of the slot's files
// is in the system's cache. The queries are the last of their lists.
func (b *bench) askCold(s *daemon.Slot, d drawn) {
	for _, kind := range coldKinds {
		list, want := d.lists[kind], d.want[kind]
		list, want = list[max(0, len(list)-coldQueries):], want[max(0, len(want)-coldQueries):]
		var all asked
		for i := range list {
			b.forget(s.Root)
			s.Start(b)
			c := dial(b, s, "user0")
			one := put(c, list[i:i+1], time.Minute, places)
			all.times, all.answers = append(all.times, one.times...), append(all.answers, one.answers...)
			c.close()
			s.Kill()
		}
		b.timed("cold: "+string(kind), all.times, nil, figure{hits: count(all.hits()), equal: all.equal(want)})
	}
}
