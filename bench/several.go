package main

import (
	"fmt"
	"slices"
	"strings"
)

// severalMailboxes measures one search of many mailboxes (RFC 7377) beside the same
// search of one that holds as much.
func severalMailboxes(b *bench) {
	const boxes = 20
	mail := b.messages("spamassassin")
	s := b.slot()
	addUsers(b, s, 2)
	for _, user := range []string{"user0", "user1"} {
		load(b, s, user, mail)
		b.squatter(s, "-i", "-r", "-u", user)
		b.squatter(s, "-z", "data", "-t", "temp", "-u", user)
	}
	s.Start(b)
	settle(b, s)
	one, many := dial(b, s, "user0"), dial(b, s, "user1")
	for i := range boxes {
		many.do(fmt.Sprintf("CREATE part%d", i))
		many.do(fmt.Sprintf("MOVE 1:%d part%d", len(mail)/boxes, i))
	}
	row("", "%9s %9s %9s", "one, ms", "many, ms", "mailboxes")
	for _, q := range queries {
		single, several := "UID SEARCH RETURN (ALL) "+q.key, "ESEARCH IN (personal) "+q.key
		one.do(single)
		many.do(several)
		a, c := timesOf(one, always(single)), timesOf(many, always(several))
		out, _ := many.do(several)
		row("  "+q.what, "%9.2f %9.2f %9d", ms(slices.Min(a)), ms(slices.Min(c)), strings.Count(string(out), "* ESEARCH"))
	}
	one.conn.Close()
	many.conn.Close()
	s.Stop(b)
}
