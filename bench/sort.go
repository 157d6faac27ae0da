package main

import (
	"strings"
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
	for _, c := range sortCommands {
		before := s.CPU(b)
		mine := timesOf(own, syncRuns, always(c.text))
		f := figure{cpu: perEach(s.CPU(b)-before, syncRuns), wanted: map[bool]string{false: c.small, true: c.huge}[huge]}
		before = p.cpu()
		theirs := b.known(other, c.text)
		f.peerCPU = perEach(p.cpu()-before, len(theirs))
		b.timed(strings.TrimSuffix(c.text, " UTF-8 ALL"), mine, theirs, f)
		b.table.note("best %s%s", millis(mine.at(0)), bestOf(mine, theirs))
	}
	own.close()
	other.close()
	s.Stop(b)
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
