package main

import (
	"fmt"
	"time"

	"teraslot/bench/daemon"
)

// freshMessages is the size of the mailbox, freshRounds how many messages are
// delivered to it and looked for.
const (
	freshMessages = 100_000
	freshRounds   = 1000
)

// fresh measures a delivery and the search that finds it: a word that nothing else
// has, looked for as soon as LMTP has replied. One that is not found ends the run.
func fresh(b *bench) {
	src := b.large(freshMessages)
	s, loaded := b.filled(src)
	p := b.startPeer(true)
	if p != nil {
		p.load(src)
		p.index()
	}
	s.Start(b)
	settle(b, s)
	b.table.note("%s, %.1f MB, compacted; %d messages delivered one after another, each looked for", src.name, mb(loaded.octets), freshRounds)
	own := dial(b, s, "user0")
	before := s.CPU(b)
	ours := b.freshTimes(own, s.LMTP, "user0@example.org", freshRounds, true)
	cpu := perEach(s.CPU(b)-before, freshRounds)
	own.close()
	var theirs freshness
	var their string
	if p != nil {
		other, before := p.dial(), p.cpu()
		theirs = b.freshTimes(other, p.server.LMTP, p.recipient(), freshRounds/20, false)
		their = perEach(p.cpu()-before, len(theirs.both))
		other.close()
	}
	equal := func(f freshness) string {
		if len(f.both) == 0 {
			return ""
		}
		return fmt.Sprintf("%d/%d", f.found, len(f.both))
	}
	b.timed("delivery, to the reply", ours.delivery, theirs.delivery, figure{})
	b.timed("search, BODY and the word", ours.search, theirs.search, figure{})
	b.timed("delivery and search", ours.both, theirs.both, figure{equal: equal(ours), peerEqual: equal(theirs), cpu: cpu, peerCPU: their, wanted: "5; 25 ms"})
	s.Stop(b)
}

// freshness is what rounds of delivery and search took.
type freshness struct {
	delivery, search, both durations
	found                  int // at the first search
}

func (b *bench) freshTimes(c *client, lmtp, recipient string, rounds int, must bool) (f freshness) {
	d, err := daemon.DialLMTP(lmtp)
	b.must(err)
	defer d.Close()
	for i := range rounds {
		word := fmt.Sprintf("needle%dof%dq", i, rounds)
		start := time.Now()
		b.must(d.Deliver(recipient, fmt.Appendf(nil, "From: a@example.org\r\nSubject: number %d\r\nMessage-ID: <%s@example.org>\r\n\r\nIn here is %[2]s.\r\n", i, word)))
		replied := time.Now()
		out, _ := c.do("UID SEARCH BODY " + word)
		done := time.Now()
		n := len(found(out))
		if f.found += n; must && n != 1 {
			b.Fatalf("%s was acknowledged, and %d messages have it", word, n)
		}
		f.delivery, f.search, f.both = append(f.delivery, replied.Sub(start)), append(f.search, done.Sub(replied)), append(f.both, done.Sub(start))
	}
	return f
}
