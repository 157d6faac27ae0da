package main

import (
	"context"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"unicode"

	"teraslot/bench/daemon"
	"teraslot/bench/oracle"
)

// sortCommands are sorts and threads of all messages, with the time that each may
// take on 6,046 messages and on 100,000; empty where none is asked for.
var sortCommands = []struct{ text, small, huge string }{
	{"UID SORT (SUBJECT) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID SORT (DATE) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID SORT (REVERSE ARRIVAL) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID SORT (FROM) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID SORT (TO) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID SORT (CC) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID SORT (REVERSE SIZE) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID SORT (DISPLAYFROM) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID SORT (DISPLAYTO) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID SORT (SUBJECT REVERSE DATE) UTF-8 ALL", "3 ms", "150 ms"},
	{"UID THREAD ORDEREDSUBJECT UTF-8 ALL", "15 ms", ""},
	{"UID THREAD REFERENCES UTF-8 ALL", "15 ms", ""},
	{"UID THREAD REFS UTF-8 ALL", "15 ms", ""},
}

// sortMail measures SORT and THREAD on a corpus and on a large mailbox: the first
// command in a new process, which reads what is kept of all messages, and many after.
func sortMail(b *bench) {
	b.sortIn(b.first(), false)
	b.sortIn(b.large(100_000), true)
}

func (b *bench) sortIn(src source, huge bool) {
	s := b.slot()
	addUsers(b, s, 1)
	loaded := b.load(s, "user0", src)
	var p *peer
	if !huge {
		if p = b.startPeer(false); p != nil {
			p.load(src)
		}
	}
	b.table.note("%s: %d messages; %d runs each", src.name, loaded.messages, syncRuns)
	s.Start(b)
	settle(b, s) // what was loaded is indexed
	s.Stop(b)
	for _, first := range []string{"UID SORT (SUBJECT) UTF-8 ALL", "UID THREAD REFERENCES UTF-8 ALL"} {
		s.Start(b)
		c := dial(b, s, "user0")
		_, took := c.do(first)
		b.timed("new process: "+strings.TrimSuffix(first, " UTF-8 ALL"), durations{took}, nil, figure{})
		c.close()
		s.Stop(b)
	}
	s.Start(b)
	own, other := dial(b, s, "user0"), p.dial()
	own.do(sortCommands[0].text)
	var mine, theirs map[string]oracle.Agreement
	if !huge {
		mine = b.orders("teraslot", s.IMAP)
		if p != nil {
			theirs = b.orders(p.name, p.server.IMAP)
		}
	}
	for _, c := range sortCommands {
		name := strings.TrimSuffix(strings.TrimPrefix(c.text, "UID "), " UTF-8 ALL")
		f := figure{wanted: map[bool]string{false: c.small, true: c.huge}[huge], equal: agreed(mine, name), peerEqual: agreed(theirs, name)}
		b.sorted(s, own, other, p, c.text, f)
	}
	own.close()
	other.close()
	s.Stop(b)
}

// sorted measures one command at both servers.
func (b *bench) sorted(s *daemon.Slot, own, other *client, p *peer, command string, f figure) {
	before := s.CPU(b)
	mine := timesOf(own, syncRuns, always(command))
	f.cpu = perEach(s.CPU(b)-before, syncRuns)
	out, _ := own.do(command)
	f.hits = count(len(strings.FieldsFunc(string(out), func(r rune) bool { return !unicode.IsDigit(r) })))
	before = p.cpu()
	theirs := b.known(other, command)
	f.peerCPU = perEach(p.cpu()-before, len(theirs))
	b.timed(strings.TrimSuffix(command, " UTF-8 ALL"), mine, theirs, f)
	b.table.note("best %s%s", millis(mine.at(0)), bestOf(mine, theirs))
}

// orders lets the oracle sort and thread user0's INBOX, and says where the server differs.
func (b *bench) orders(name, addr string) map[string]oracle.Agreement {
	if _, err := exec.LookPath("python3"); err != nil {
		b.table.note("nothing is compared with the oracle: %v", err)
		return nil
	}
	all, err := oracle.Orders(context.Background(), addr, "user0", password)
	b.must(err)
	for _, command := range slices.Sorted(maps.Keys(all)) {
		if a := all[command]; !a.Equal && !a.Refused {
			b.table.note("%s: %s is not the oracle's: %s", name, command, a.Why)
		}
	}
	return all
}

// agreed is the cell that says whether an order is the oracle's.
func agreed(all map[string]oracle.Agreement, name string) string {
	a, ok := all[name]
	switch {
	case !ok || a.Refused:
		return ""
	case a.Equal:
		return "1/1"
	}
	return "0/1"
}

// known times a command of a peer's if it knows it.
func (b *bench) known(other *client, command string) durations {
	if other == nil {
		return nil
	}
	if _, result := other.try(command); !strings.HasPrefix(result, "OK") {
		b.table.note("the peer: %s", strings.TrimSpace(result))
		return nil
	}
	return timesOf(other, syncRuns, always(command))
}
