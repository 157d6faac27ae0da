package main

import (
	"fmt"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

// selectLarge measures SELECT of a mailbox with 100,000 messages: first in a new
// process, then again.
func selectLarge(b *bench) {
	const n = 100_000
	mail := make([]corpus.Message, n)
	for i := range mail {
		mail[i].Raw = fmt.Appendf(nil, "From: a@example.org\r\nSubject: letter %d\r\nMessage-ID: <%d@example.org>\r\n\r\nText of letter %d.\r\n", i, i, i)
	}
	s := b.slot()
	addUsers(b, s, 1)
	start := time.Now()
	load(b, s, "user0", mail)
	rate("import of small messages", n, time.Since(start))
	var cold, warm []time.Duration
	for range 5 {
		s.Start(b)
		times := b.selectTimes(s, 6)
		cold, warm = append(cold, times[0]), append(warm, times[1:]...)
		s.Stop(b)
	}
	percentiles(fmt.Sprintf("SELECT of %d messages, new process", n), cold, "(first command after LOGIN)")
	percentiles(fmt.Sprintf("SELECT of %d messages, again", n), warm, "")
}

// selectTimes selects the INBOX from new connections.
func (b *bench) selectTimes(s *daemon.Slot, times int) []time.Duration {
	var out []time.Duration
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
