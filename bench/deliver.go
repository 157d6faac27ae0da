package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

// deliver measures LMTP: the SpamAssassin corpus over one connection and over
// four, each reply after its message is durable; the fsyncs that it took; and
// the time from a message's first byte to its being found.
func deliver(b *bench) {
	mail := b.messages("spamassassin")
	for _, connections := range []int{1, 4} {
		s := b.slot()
		users := addUsers(b, s, connections)
		s.Start(b)
		start := time.Now()
		send(b, s, users, mail, connections)
		rate(fmt.Sprintf("LMTP, %d connection(s), one user each", connections), len(mail), time.Since(start))
		row("    processor time, indexing included", "%.2f ms a message", ms(s.CPU(b))/float64(len(mail)))
		if connections == 1 {
			found(b, s, users[0])
		}
		s.Stop(b)
	}
	s := b.slot()
	users := addUsers(b, s, 1)
	s.Start(b)
	start := time.Now()
	send(b, s, []string{users[0], users[0], users[0], users[0]}, mail, 4)
	rate("LMTP, 4 connections, all to one user", len(mail), time.Since(start))
	s.Stop(b)
	syncs(b, mail[:500])
	rawAppend(b, mail)
}

func addUsers(b *bench, s *daemon.Slot, n int) []string {
	var users []string
	for i := range n {
		users = append(users, fmt.Sprintf("user%d", i))
		s.AddUser(b, users[i], password)
	}
	return users
}

// send delivers the messages, dealt out to the connections.
func send(b *bench, s *daemon.Slot, users []string, mail []corpus.Message, connections int) {
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() {
			d, err := daemon.DialLMTP(s.LMTP)
			b.must(err)
			defer d.Close()
			for j := i; j < len(mail); j += connections {
				b.must(d.Deliver(users[i]+"@example.org", mail[j].Raw))
			}
		})
	}
	wg.Wait()
}

// found measures from the first byte of a delivery to a SEARCH that finds it.
func found(b *bench, s *daemon.Slot, user string) {
	c, err := s.DialIMAP(user, password)
	b.must(err)
	defer c.Close()
	_, err = c.Select("INBOX", nil).Wait()
	b.must(err)
	d, err := daemon.DialLMTP(s.LMTP)
	b.must(err)
	defer d.Close()
	var times []time.Duration
	for i := range 50 {
		token := fmt.Sprintf("needle%dq", i)
		start := time.Now()
		b.must(d.Deliver(user+"@example.org", []byte("From: a@example.org\r\nSubject: "+token+"\r\n\r\n"+token+"\r\n")))
		hits, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{token}}, nil).Wait()
		b.must(err)
		times = append(times, time.Since(start))
		if len(hits.AllUIDs()) != 1 {
			b.Fatalf("%s was acknowledged and not found", token)
		}
	}
	percentiles("from LMTP's first byte to being found by SEARCH BODY", times, "")
}

var callCount = regexp.MustCompile(`(?m)^\s*\S+\s+\S+\s+\S+\s+(\d+)\s+(?:\d+\s+)?(fsync|fdatasync)$`)

// syncs counts the sync calls of deliveries over one connection.
func syncs(b *bench, mail []corpus.Message) {
	if _, err := exec.LookPath("strace"); err != nil {
		row("fsyncs", "strace is not installed")
		return
	}
	s := b.slot()
	users := addUsers(b, s, 1)
	trace := filepath.Join(s.Root, "trace")
	s.Start(b, "strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", trace)
	send(b, s, users, mail, 1)
	s.Stop(b)
	var counts []string
	out, err := exec.Command("cat", trace).Output()
	b.must(err)
	for _, m := range callCount.FindAllStringSubmatch(string(out), -1) {
		counts = append(counts, m[1]+" "+m[2])
	}
	row(fmt.Sprintf("sync calls for %d deliveries over one connection", len(mail)), "%s", strings.Join(counts, ", "))
}
