package main

import "fmt"

// syncCommands are the commands by which clients synchronise, with the time that
// each may take on 6,046 messages.
var syncCommands = []struct {
	what   string
	wanted string
	text   func(i int) string // of run i
}{
	{"UID FETCH 1:* FLAGS", "4 ms", always("UID FETCH 1:* FLAGS")},
	{"UID FETCH 1:* ENVELOPE", "15 ms", always("UID FETCH 1:* ENVELOPE")},
	{"UID FETCH 1:* BODYSTRUCTURE", "9 ms", always("UID FETCH 1:* BODYSTRUCTURE")},
	{"UID FETCH 1:1000 BODY.PEEK[]", "9 ms", always("UID FETCH 1:1000 BODY.PEEK[]")},
	{"UID STORE 1:* ±FLAGS.SILENT, changing", "40 ms", func(i int) string {
		return "UID STORE 1:* " + []string{"+", "-"}[i%2] + "FLAGS.SILENT (\\Flagged)"
	}},
	{"SELECT INBOX", "1 ms", always("SELECT INBOX")},
}

// syncRuns is how often each is run. Others use the machine as well: the best of
// many is what the server can do, so it is noted beside the median.
const syncRuns = 15

// fetch measures those commands.
func fetch(b *bench) {
	src := b.first()
	s := b.slot()
	addUsers(b, s, 1)
	loaded := b.load(s, "user0", src)
	p := b.startPeer(false)
	if p != nil {
		p.load(src)
	}
	s.Start(b)
	settle(b, s)
	b.table.note("%s: %d messages; %d runs each", src.name, loaded.messages, syncRuns)
	own, other := dial(b, s, "user0"), p.dial()
	for _, c := range syncCommands {
		before := s.CPU(b)
		mine := timesOf(own, syncRuns, c.text)
		f := figure{cpu: perEach(s.CPU(b)-before, syncRuns), wanted: c.wanted}
		before = p.cpu()
		theirs := timesOf(other, syncRuns, c.text)
		f.peerCPU = perEach(p.cpu()-before, syncRuns)
		b.timed(c.what, mine, theirs, f)
		b.table.note("best %s%s", millis(mine.at(0)), bestOf(mine, theirs))
	}
	own.close()
	other.close()
	s.Stop(b)
}

// bestOf compares the best runs of both.
func bestOf(mine, theirs durations) string {
	if len(theirs) == 0 {
		return ""
	}
	return fmt.Sprintf("; the peer's best %s, %s", millis(theirs.at(0)), ratio(float64(mine.at(0)), float64(theirs.at(0))))
}
