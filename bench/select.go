package main

import (
	"time"

	"teraslot/bench/daemon"
)

// selectLarge measures SELECT of a large mailbox: first in a new process, then again.
func selectLarge(b *bench) {
	src := b.large(100_000)
	s := b.slot()
	addUsers(b, s, 1)
	loaded := b.load(s, "user0", src)
	b.rate("import", work{loaded.messages, loaded.took}, work{}, "")
	var cold, warm durations
	for range 5 {
		s.Start(b)
		times := b.selectTimes(s, 6)
		cold, warm = append(cold, times[0]), append(warm, times[1:]...)
		s.Stop(b)
	}
	b.timed(src.name+": SELECT, new process", cold, nil, figure{wanted: "100 ms"})
	b.timed(src.name+": SELECT, again", warm, nil, figure{})
}

// selectTimes selects the INBOX from new connections.
func (b *bench) selectTimes(s *daemon.Slot, times int) durations {
	var out durations
	for range times {
		c, err := s.DialIMAP("user0", password)
		b.must(err)
		start := time.Now()
		_, err = c.Select("INBOX", nil).Wait()
		b.must(err)
		out = append(out, time.Since(start))
		c.Close()
	}
	return out
}
