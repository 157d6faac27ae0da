package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

// deliver measures LMTP: a corpus over one connection and over four, each reply
// after its message is durable, what it costs the processors and the disk, and the
// limit that no delivery over one connection can pass.
func deliver(b *bench) {
	mail := b.held(b.first())
	b.table.note("%s: %d messages", b.first().name, len(mail))
	for _, r := range []struct {
		what               string
		connections, users int
		more               string // configuration
		wanted             string
	}{
		{"one connection", 1, 1, "", "500/s"},
		{"four connections, four users", 4, 4, "", "1000/s"},
		{"four connections, one user", 4, 1, "", "1000/s"},
		{"one connection, nothing indexed", 1, 1, "[squatter]\noff = true\n", ""},
	} {
		s := daemon.New(b, filepath.Join(b.TempDir(), "slot"), r.more)
		users := addUsers(b, s, r.users)
		s.Start(b)
		before, mine := s.CPU(b), ownCPU(b)
		took := send(b, s.LMTP, "@example.org", users, mail, r.connections)
		// The processor time until the last reply: indexing goes on afterwards.
		server, own := s.CPU(b)-before, ownCPU(b)-mine
		theirs, used := b.peerDelivers(mail, r.connections, r.users)
		b.rated(r.what, work{len(mail), took}, theirs, figure{cpu: perEach(server, len(mail)), peerCPU: used, wanted: r.wanted})
		b.table.note("processor time of this client: %s a message", perEach(own, len(mail)))
		s.Stop(b)
	}
	syncs(b, mail[:min(500, len(mail))])
	mail = mail[:min(2000, len(mail))]
	b.rate("limit: append and fsync, nothing else", rawAppend(b, mail), work{}, "")
}

// peerDelivers has the peer take the same.
func (b *bench) peerDelivers(mail []corpus.Message, connections, users int) (w work, cpu string) {
	p := b.startPeer(false)
	if p == nil {
		return w, ""
	}
	var names []string
	for i := range users {
		names = append(names, fmt.Sprintf("user%d", i))
		dialTo(b, p.server.IMAP, names[i]).close() // makes the INBOX
	}
	before := p.cpu()
	w = work{len(mail), send(b, p.server.LMTP, "", names, mail, connections)}
	return w, perEach(p.cpu()-before, len(mail))
}

// send delivers the messages, dealt out to the connections, and these to the users.
func send(b *bench, addr, domain string, users []string, mail []corpus.Message, connections int) time.Duration {
	start := time.Now()
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() {
			d, err := daemon.DialLMTP(addr)
			b.must(err)
			defer d.Close()
			for j := i; j < len(mail); j += connections {
				b.must(d.Deliver(users[i%len(users)]+domain, mail[j].Raw))
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// rawAppend appends each message to a file and syncs it.
func rawAppend(b *bench, mail []corpus.Message) work {
	f, err := os.Create(filepath.Join(b.TempDir(), "append"))
	b.must(err)
	defer f.Close()
	start := time.Now()
	for _, m := range mail {
		_, err := f.Write(m.Raw)
		b.must(err)
		b.must(f.Sync())
	}
	return work{len(mail), time.Since(start)}
}

// syncCall is a line of strace -y.
var syncCall = regexp.MustCompile(`(?:fsync|fdatasync)\(\d+<([^>]*)>`)

// syncs counts the sync calls of deliveries over one connection, by what was synced.
func syncs(b *bench, mail []corpus.Message) {
	if _, err := exec.LookPath("strace"); err != nil {
		b.table.note("sync calls: strace is not installed")
		return
	}
	s := b.slot()
	users := addUsers(b, s, 1)
	trace := filepath.Join(s.Root, "trace")
	s.Start(b, "strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace)
	send(b, s.LMTP, "@example.org", users, mail, 1)
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
	b.table.note("sync calls for each of %d deliveries: %s", len(mail), strings.Join(parts, ", "))
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
