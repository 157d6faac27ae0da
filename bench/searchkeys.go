package main

import (
	"fmt"
	"time"
)

// searchKeys measures searches over the wire: each key once to warm up, then
// many times, with the index whole and compacted into one database.
func searchKeys(b *bench) {
	for _, name := range []string{"spamassassin", "kernel-list"} {
		mail := b.messages(name)
		s := b.slot()
		addUsers(b, s, 1)
		load(b, s, "user0", mail)
		b.squatter(s, "-i", "-r", "-u", "user0")
		b.squatter(s, "-z", "data", "-t", "temp", "-u", "user0")
		s.Start(b)
		c := dial(b, s, "user0")
		row(name, "%d messages", len(mail))
		for _, q := range queries {
			c.do("UID SEARCH " + q.key)
			var times []time.Duration
			found := 0
			for range 15 {
				out, took := c.do("UID SEARCH " + q.key)
				times, found = append(times, took), hits(out)
			}
			percentiles("  "+q.what, times, fmt.Sprintf("%d hits: %s", found, q.key))
		}
		c.conn.Close()
		s.Stop(b)
	}
}

var queries = []struct{ what, key string }{
	{"BODY, a word", "BODY wonderful"},
	{"BODY, part of a word", "BODY onderfu"},
	{"BODY, a phrase", `BODY "of the following"`},
	{"BODY, a word in most messages", "BODY the"},
	{"BODY, one letter", "BODY e"},
	{"BODY, a symbol", `BODY "->"`},
	{"TEXT", "TEXT wonderful"},
	{"FROM", "FROM john"},
	{"SUBJECT", "SUBJECT linux"},
	{"HEADER", "HEADER X-Mailer outlook"},
	{"BODY x NOT SUBJECT y", "BODY linux NOT SUBJECT linux"},
	{"BODY x SINCE date", "BODY linux SENTSINCE 1-Sep-2002"},
	{"no hit", "BODY xyzzyqq"},
}
