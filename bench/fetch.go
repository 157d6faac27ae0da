package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
	"teraslot/bench/peers"
)

// syncCommands are the commands by which clients synchronise, with the time that
// each may take on 6,046 messages.
var syncCommands = []struct {
	what   string
	wanted float64            // ms
	text   func(i int) string // of run i
}{
	{"UID FETCH 1:* FLAGS", 4, always("UID FETCH 1:* FLAGS")},
	{"UID FETCH 1:* ENVELOPE", 15, always("UID FETCH 1:* ENVELOPE")},
	{"UID FETCH 1:* BODYSTRUCTURE", 9, always("UID FETCH 1:* BODYSTRUCTURE")},
	{"UID FETCH 1:1000 BODY.PEEK[]", 9, always("UID FETCH 1:1000 BODY.PEEK[]")},
	{"UID STORE 1:* ±FLAGS.SILENT, changing", 40, func(i int) string {
		return "UID STORE 1:* " + []string{"+", "-"}[i%2] + "FLAGS.SILENT (\\Flagged)"
	}},
	{"SELECT INBOX", 1, always("SELECT INBOX")},
}

func always(command string) func(int) string { return func(int) string { return command } }

// syncRuns is how often each is run. Others use the machine as well: the best of
// many is what the server can do.
const syncRuns = 15

// fetch measures those commands, beside a peer where PEER names one (dovecot,
// cyrus): the second run, the best one, and how many times the peer's.
func fetch(b *bench) {
	mail := b.messages("spamassassin")
	s := b.slot()
	addUsers(b, s, 1)
	load(b, s, "user0", mail)
	var other *client
	if name := os.Getenv("PEER"); name != "" {
		other = peerClient(b, name, mail)
	}
	s.Start(b)
	settle(b, s)
	own := dial(b, s, "user0")
	row("", "%9s %9s %9s %9s", "second ms", "best ms", "cpu ms", "wanted")
	for _, c := range syncCommands {
		before := s.CPU(b)
		mine := timesOf(own, c.text)
		cpu := ms(s.CPU(b)-before) / syncRuns
		row(c.what, "%9.2f %9.2f %9.2f %9.1f", ms(mine[1]), ms(slices.Min(mine)), cpu, c.wanted)
		if other != nil {
			theirs := timesOf(other, c.text)
			row("  "+os.Getenv("PEER"), "%9.2f %9.2f   best against best: %.2f times its time", ms(theirs[1]), ms(slices.Min(theirs)),
				float64(slices.Min(mine))/float64(slices.Min(theirs)))
		}
	}
	own.conn.Close()
	if other != nil {
		other.conn.Close()
	}
	s.Stop(b)
}

// timesOf runs a command some times.
func timesOf(c *client, command func(int) string) []time.Duration {
	var all []time.Duration
	for i := range syncRuns {
		_, took := c.do(command(i))
		all = append(all, took)
	}
	return all
}

// settle waits until the slot has indexed what it found when it started.
func settle(b *bench, s *daemon.Slot) {
	for before := time.Duration(-1); s.CPU(b) != before; {
		before = s.CPU(b)
		time.Sleep(time.Second)
	}
}

// peerClient starts a peer, gives it the mail, and logs in.
func peerClient(b *bench, name string, mail []corpus.Message) *client {
	var p *peers.Server
	switch name {
	case "dovecot":
		p = peers.Dovecot(b, peers.Mdbox)
	case "cyrus":
		p = peers.Cyrus(b)
	default:
		b.Fatalf("PEER is %q: dovecot and cyrus are known", name)
	}
	c := dialTo(b, p.IMAP, "user0")
	refused := 0
	for batch := range slices.Chunk(mail, 100) {
		if appendTo(c, batch) {
			continue
		}
		for i := range batch {
			if !appendTo(c, batch[i:i+1]) {
				refused++
			}
		}
	}
	c.do("SELECT INBOX")
	row(name, "%d messages, %d refused", len(mail)-refused, refused)
	time.Sleep(5 * time.Second) // its indexer has work as well
	return c
}

// appendTo adds messages by one command (RFC 3502), with LITERAL+.
func appendTo(c *client, mail []corpus.Message) bool {
	var command strings.Builder
	command.WriteString("APPEND INBOX")
	for _, m := range mail {
		fmt.Fprintf(&command, " {%d+}\r\n%s", len(m.Raw), m.Raw)
	}
	_, result := c.try(command.String())
	return strings.HasPrefix(result, "OK")
}
