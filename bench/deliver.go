package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

// deliver measures LMTP: the SpamAssassin corpus over one connection and over
// four, each reply after its message is durable; what it costs the processors and
// the disk; and the time from a message's first byte to its being found.
func deliver(b *bench) {
	mail := b.messages("spamassassin")
	for _, r := range []struct {
		what               string
		connections, users int
		more               string // configuration
	}{
		{"one connection", 1, 1, ""},
		{"four connections, one user each", 4, 4, ""},
		{"four connections, all to one user", 4, 1, ""},
		{"one connection, nothing indexed", 1, 1, "[squatter]\noff = true\n"},
	} {
		s := daemon.New(b, filepath.Join(b.TempDir(), "slot"), r.more)
		users := addUsers(b, s, r.users)
		s.Start(b)
		sendMeasured(b, s, "LMTP, "+r.what, users, mail, r.connections)
		if r.connections == 1 && r.more == "" {
			found(b, s, users[0])
		}
		s.Stop(b)
	}
	syncs(b, mail[:500])
	rawAppend(b, mail)
}

// sendMeasured delivers the messages and prints what that took. The processor time
// is that until the last reply: indexing goes on afterwards.
func sendMeasured(b *bench, s *daemon.Slot, what string, users []string, mail []corpus.Message, connections int) {
	before, mine, start := s.CPU(b), ownCPU(b), time.Now()
	send(b, s, users, mail, connections)
	took := time.Since(start)
	rate(what, len(mail), took)
	each := func(d time.Duration) float64 { return ms(d) / float64(len(mail)) }
	row("    processor time for each message", "%.2f ms the daemon, %.2f ms this client", each(s.CPU(b)-before), each(ownCPU(b)-mine))
}

// ownCPU is the processor time of this process.
func ownCPU(b *bench) time.Duration {
	var u syscall.Rusage
	b.must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func addUsers(b *bench, s *daemon.Slot, n int) []string {
	var users []string
	for i := range n {
		users = append(users, fmt.Sprintf("user%d", i))
		s.AddUser(b, users[i], password)
	}
	return users
}

// send delivers the messages, dealt out to the connections, and these to the users.
func send(b *bench, s *daemon.Slot, users []string, mail []corpus.Message, connections int) {
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() {
			d, err := daemon.DialLMTP(s.LMTP)
			b.must(err)
			defer d.Close()
			for j := i; j < len(mail); j += connections {
				b.must(d.Deliver(users[i%len(users)]+"@example.org", mail[j].Raw))
			}
		})
	}
	wg.Wait()
}

// found measures from the first byte of a delivery to a SEARCH that finds it: right
// after much mail came, and when that is indexed.
func found(b *bench, s *daemon.Slot, user string) {
	c, err := s.DialIMAP(user, password)
	b.must(err)
	defer c.Close()
	_, err = c.Select("INBOX", nil).Wait()
	b.must(err)
	d, err := daemon.DialLMTP(s.LMTP)
	b.must(err)
	defer d.Close()
	round := 0
	measure := func(when string) {
		round++
		var times []time.Duration
		for i := range 50 {
			token := fmt.Sprintf("needle%dof%dq", i, round)
			start := time.Now()
			b.must(d.Deliver(user+"@example.org", []byte("From: a@example.org\r\nSubject: "+token+"\r\n\r\n"+token+"\r\n")))
			hits, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{token}}, nil).Wait()
			b.must(err)
			times = append(times, time.Since(start))
			if len(hits.AllUIDs()) != 1 {
				b.Fatalf("%s was acknowledged and not found", token)
			}
		}
		percentiles("from LMTP's first byte to being found by SEARCH BODY", times, when)
	}
	measure("while the last of it is indexed")
	awaitIndexed(b, s, c)
	measure("afterwards")
}

// scanned is what the log says of a search.
var scanned = regexp.MustCompile(` scanned=(\d+) `)

// awaitIndexed searches until no more messages are scanned than the indexer leaves.
func awaitIndexed(b *bench, s *daemon.Slot, c *imapclient.Client) {
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(200 * time.Millisecond) {
		_, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{"no such word"}}, nil).Wait()
		b.must(err)
		all := scanned.FindAllStringSubmatch(s.Log(), -1)
		if len(all) > 0 {
			if n, _ := strconv.Atoi(all[len(all)-1][1]); n < 20 {
				return
			}
		}
	}
	b.Fatalf("the mail is not indexed after a minute")
}

// syncCall is a line of strace -y.
var syncCall = regexp.MustCompile(`(?:fsync|fdatasync)\(\d+<([^>]*)>`)

// syncs counts the sync calls of deliveries over one connection, by what was synced.
func syncs(b *bench, mail []corpus.Message) {
	if _, err := exec.LookPath("strace"); err != nil {
		row("fsyncs", "strace is not installed")
		return
	}
	s := b.slot()
	users := addUsers(b, s, 1)
	trace := filepath.Join(s.Root, "trace")
	s.Start(b, "strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace)
	send(b, s, users, mail, 1)
	s.Stop(b)
	text, err := os.ReadFile(trace)
	b.must(err)
	counts := map[string]int{}
	for _, m := range syncCall.FindAllStringSubmatch(string(text), -1) {
		counts[synced(s, m[1])]++
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%.2f of %s", float64(counts[kind])/float64(len(mail)), kind))
	}
	row(fmt.Sprintf("sync calls for each of %d deliveries, one connection", len(mail)), "%s", strings.Join(parts, ", "))
}

// synced tells what kind of file a path is.
func synced(s *daemon.Slot, path string) string {
	switch name := filepath.Base(path); {
	case strings.HasPrefix(path, s.Temp):
		return "the index in memory"
	case strings.HasSuffix(name, ".pack"), name == "mail.db", name == "mail.db-wal":
		return strings.TrimLeft(name, "0123456789.")
	}
	return "others"
}
