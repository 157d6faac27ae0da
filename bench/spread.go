package main

import (
	"fmt"
	"path/filepath"
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
	settle(b, s)
	before := s.CPU(b)
	n := int(spreadLength.Seconds()) * spreadRate
	late, times := b.paced(n, spreadRate, spreadLines, func(line, i int) {
		b.must(lines[line].Deliver(fmt.Sprintf("user%d@example.org", i%spreadUsers), mail[i%len(mail)].Raw))
	})
	settle(b, s)
	cpu := ms(s.CPU(b)-before) / float64(n)
	b.timed(fmt.Sprintf("a delivery, %d a second over %d users", spreadRate, spreadUsers), times, nil, figure{})
	b.table.row("processor time for each, indexing included", figure{ours: fmt.Sprintf("%.2f ms", cpu), wanted: "2 ms"})
	b.table.note("%d deliveries began more than 100 ms late", late)
	s.Kill() // a stop would bring 500 indexes to disk first
}
