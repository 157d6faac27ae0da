package main

import (
	"fmt"
	"strings"

	"teraslot/bench/queries"
)

// severalMailboxes measures one search of many mailboxes (RFC 7377) beside the same
// search of one that holds as much: "peer" is the one.
func severalMailboxes(b *bench) {
	const boxes, each = 20, 100
	src := b.first()
	s, loaded := b.filled(src)
	s.AddUser(b, "user1", password)
	b.load(s, "user1", src)
	b.squatter(s, "-i", "-r", "-u", "user1")
	b.compact(s, "data", "temp", "-u", "user1")
	d := b.draw(src, loaded.messages, each, queries.Kinds, false)
	s.Start(b)
	settle(b, s)
	one, many := dial(b, s, "user0"), dial(b, s, "user1")
	for i := range boxes {
		many.do(fmt.Sprintf("CREATE part%d", i))
		many.do(fmt.Sprintf("MOVE 1:%d part%d", loaded.messages/boxes, i))
	}
	b.table.note("%s: %d messages, ours: in %d mailboxes, peer: the same server, in one", src.name, loaded.messages, boxes+1)
	for _, kind := range queries.Kinds {
		var single, several durations
		answered := 0
		for _, q := range d.lists[kind] {
			_, a := one.do("UID SEARCH RETURN (ALL) " + q.String())
			out, m := many.do(esearch(q.String()))
			single, several = append(single, a), append(several, m)
			answered += strings.Count(string(out), "* ESEARCH")
		}
		b.timed(string(kind), several, single, figure{hits: count(answered)})
	}
	one.close()
	many.close()
	s.Stop(b)
}

// esearch is ESEARCH with its arguments; CHARSET stands where RFC 7377's grammar has it.
func esearch(program string) string { return "ESEARCH IN (personal) " + program }
