package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

// sortCommands are sorts and threads of all messages, with the time that each may
// take on 6,046 messages and on 100,000; 0 where none is asked for.
var sortCommands = []struct {
	text        string
	small, huge float64 // ms
}{
	{"UID SORT (SUBJECT) UTF-8 ALL", 3, 150},
	{"UID SORT (DATE) UTF-8 ALL", 3, 150},
	{"UID SORT (REVERSE ARRIVAL) UTF-8 ALL", 3, 150},
	{"UID SORT (FROM) UTF-8 ALL", 3, 150},
	{"UID SORT (TO) UTF-8 ALL", 3, 150},
	{"UID SORT (CC) UTF-8 ALL", 3, 150},
	{"UID SORT (REVERSE SIZE) UTF-8 ALL", 3, 150},
	{"UID SORT (DISPLAYFROM) UTF-8 ALL", 3, 150},
	{"UID SORT (DISPLAYTO) UTF-8 ALL", 3, 150},
	{"UID SORT (SUBJECT REVERSE DATE) UTF-8 ALL", 3, 150},
	{"SORT (SUBJECT) UTF-8 ALL", 3, 150},
	{"UID THREAD ORDEREDSUBJECT UTF-8 ALL", 15, 0},
	{"UID THREAD REFERENCES UTF-8 ALL", 15, 0},
	{"UID THREAD REFS UTF-8 ALL", 15, 0},
}

// sortMail measures SORT and THREAD on real mail and on a large mailbox, beside a peer
// where PEER names one: the first command in a new process, which reads what is kept
// of all messages, and the best of many.
func sortMail(b *bench) {
	b.sortIn("spamassassin", b.messages("spamassassin"), false)
	b.sortIn("synthetic", letters(100_000), true)
}

func (b *bench) sortIn(name string, mail []corpus.Message, huge bool) {
	s := b.slot()
	addUsers(b, s, 1)
	load(b, s, "user0", mail)
	var other *client
	if peer := os.Getenv("PEER"); peer != "" && !huge {
		other = peerClient(b, peer, mail)
	}
	for _, first := range []string{"UID SORT (SUBJECT) UTF-8 ALL", "UID THREAD REFERENCES UTF-8 ALL"} {
		s.Start(b)
		settle(b, s)
		c := dial(b, s, "user0")
		before := s.CPU(b)
		_, took := c.do(first)
		row(fmt.Sprintf("%s, %d messages, new process: %s", name, len(mail), strings.TrimPrefix(first, "UID ")),
			"%9.2f ms   cpu %.2f ms", ms(took), ms(s.CPU(b)-before))
		c.conn.Close()
		s.Stop(b)
	}
	s.Start(b)
	settle(b, s)
	own := dial(b, s, "user0")
	own.do(sortCommands[0].text)
	row("", "%9s %9s %9s", "best ms", "cpu ms", "wanted")
	for _, c := range sortCommands {
		b.sortBy(s, own, other, c.text, map[bool]float64{false: c.small, true: c.huge}[huge])
	}
	own.conn.Close()
	if other != nil {
		other.conn.Close()
	}
	s.Stop(b)
}

func (b *bench) sortBy(s *daemon.Slot, own, other *client, command string, wanted float64) {
	before := s.CPU(b)
	mine := timesOf(own, always(command))
	cpu := ms(s.CPU(b)-before) / syncRuns
	row(strings.TrimSuffix(command, " UTF-8 ALL"), "%9.2f %9.2f %9.1f", ms(slices.Min(mine)), cpu, wanted)
	if other != nil {
		theirs := timesOf(other, always(command))
		row("  "+os.Getenv("PEER"), "%9.2f   %.2f times its time", ms(slices.Min(theirs)),
			float64(slices.Min(mine))/float64(slices.Min(theirs)))
	}
}

// letters are synthetic messages: a third begins a thread, the others answer one of
// the last thousand and name their ancestors, as mail programs do.
func letters(n int) []corpus.Message {
	random := rand.New(rand.NewPCG(42, 1))
	mail := make([]corpus.Message, n)
	refs := make([][]string, n)
	subject := make([]string, n)
	for i := range mail {
		id := fmt.Sprintf("<%d.%x@host%d.example.org>", i, random.Uint32(), random.IntN(50))
		head := ""
		subject[i] = fmt.Sprintf("topic %d of the %s", random.IntN(n), []string{"day", "week", "year"}[random.IntN(3)])
		if parent := i - 1 - random.IntN(min(i, 1000)+1); parent >= 0 && random.IntN(3) > 0 {
			refs[i] = slices.Clone(refs[parent])
			subject[i] = subject[parent]
			head = "References: " + strings.Join(refs[i], "\r\n ") + "\r\nIn-Reply-To: " + refs[i][len(refs[i])-1] + "\r\n"
		}
		re := []string{"", "Re: "}[min(len(refs[i]), 1)]
		refs[i] = append(refs[i], id)
		refs[i] = refs[i][max(0, len(refs[i])-10):]
		person := func() int { return int(random.ExpFloat64() * 400) }
		from, to := person(), person()
		mail[i].Raw = fmt.Appendf(nil, "From: Person %d <p%d@example.org>\r\nTo: Person %d <p%d@example.org>\r\nDate: %s\r\nSubject: %s%s\r\nMessage-ID: %s\r\n%s\r\nText of letter %d.\r\n",
			from, from, to, to, dateOf(i+random.IntN(5000)), re, subject[i], id, head, i)
	}
	return mail
}

// dateOf is a date so many minutes after the start of 2020.
func dateOf(minutes int) string {
	start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
	return start.Add(time.Duration(minutes) * time.Minute).Format(time.RFC1123Z)
}
