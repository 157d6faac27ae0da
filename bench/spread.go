package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"teraslot/bench/daemon"
	"teraslot/bench/idle"
)

// The load of a slot with many users who get a little mail each.
const (
	spreadUsers  = 500
	spreadRate   = 200 // deliveries a second, of all together
	spreadLength = 30 * time.Second
	spreadLines  = 4 // connections

	spreadPatience = 2 * time.Minute // with what is not indexed yet
)

// spread delivers at a steady rate, each message to the next user, and measures the
// processor time that the server uses until all is indexed.
func spread(b *bench) {
	mail := b.held(b.first())
	s := daemon.New(b, filepath.Join(b.TempDir(), "slot"), "")
	idle.AddUsers(b, s, spreadUsers)
	s.Start(b)
	var lines []*daemon.Deliverer
	for range spreadLines {
		d, err := daemon.DialLMTP(s.LMTP)
		b.must(err)
		defer d.Close()
		lines = append(lines, d)
	}
	// Each has a pack and an index before the clock starts.
	for i := range spreadUsers {
		b.must(lines[i%spreadLines].Deliver(fmt.Sprintf("user%d@example.org", i), mail[i%len(mail)].Raw))
	}
	b.awaitIndexed(s, spreadUsers)
	settle(b, s)
	before := s.CPU(b)
	n := int(spreadLength.Seconds()) * spreadRate
	late, times := b.paced(n, spreadRate, spreadLines, func(line, i int) {
		b.must(lines[line].Deliver(fmt.Sprintf("user%d@example.org", i%spreadUsers), mail[i%len(mail)].Raw))
	})
	b.awaitIndexed(s, spreadUsers+n)
	cpu := ms(s.CPU(b)-before) / float64(n)
	b.timed(fmt.Sprintf("a delivery, %d a second over %d users", spreadRate, spreadUsers), times, nil, figure{})
	b.table.row("processor time for each, indexing included", figure{ours: fmt.Sprintf("%.2f ms", cpu), wanted: "2 ms"})
	b.table.note("%d deliveries began more than 100 ms late", late)
	s.Kill() // a stop would bring 500 indexes to disk first
}

// awaitIndexed waits until the slot has said in its log that so many messages are indexed.
// To wait until it rests would end too early: between the users' batches it rests as well.
func (b *bench) awaitIndexed(s *daemon.Slot, n int) {
	for end := time.Now().Add(spreadPatience); ; time.Sleep(100 * time.Millisecond) {
		done := indexedBy(s.Log())
		if done >= n {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("%d of %d messages are indexed after %s", done, n, spreadPatience)
		}
	}
}

// indexedBy adds up the messages that a slot's log says are indexed.
func indexedBy(log string) (n int) {
	for line := range strings.Lines(log) {
		_, rest, ok := strings.Cut(line, "msg=indexed ")
		_, count, found := strings.Cut(rest, "messages=")
		if !ok || !found {
			continue
		}
		m, err := strconv.Atoi(strings.TrimSpace(count))
		if err == nil {
			n += m
		}
	}
	return n
}
