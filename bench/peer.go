package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/peers"
)

// peer is the server that the same work is put to.
type peer struct {
	b      *bench
	name   string
	server *peers.Server
	places []int // by UID, less 1: the message's place in the corpus
	loaded int   // messages that it was given, those that it refused as well
	octets int64
}

// startPeer starts the peer that the options name, or returns nil. It does not index
// what comes, unless rolling.
func (b *bench) startPeer(rolling bool) *peer {
	p := &peer{b: b, name: b.o.peer}
	switch b.o.peer {
	case "":
		return nil
	case "dovecot":
		p.server = peers.Dovecot(b, peers.Mdbox)
		if !rolling {
			p.leaveUnindexed()
		}
	case "cyrus":
		p.server = peers.Cyrus(b)
	default:
		b.Fatalf("PEER is %q: dovecot and cyrus are known", b.o.peer)
	}
	return p
}

// leaveUnindexed stops Dovecot from indexing each message that comes: the work would
// go on beside what is measured.
func (p *peer) leaveUnindexed() {
	file := filepath.Join(p.server.Dir, "dovecot.conf")
	text, err := os.ReadFile(file)
	p.b.must(err)
	changed := strings.Replace(string(text), "fts_autoindex = yes", "fts_autoindex = no", 1)
	p.b.must(os.WriteFile(file, []byte(changed), 0o644))
	p.run("doveadm", "-c", file, "reload")
}

func (p *peer) run(name string, args ...string) time.Duration {
	start := time.Now()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		p.b.Fatalf("%s: %s %v: %v: %s", p.name, name, args, err, out)
	}
	return time.Since(start)
}

// squatter runs Cyrus's.
func (p *peer) squatter(args ...string) time.Duration {
	return p.run(filepath.Join(p.server.Dir, "run"), append([]string{"squatter", "-C", filepath.Join(p.server.Dir, "imapd.conf")}, args...)...)
}

// index indexes all mail of user0.
func (p *peer) index() time.Duration {
	if p.name == "cyrus" {
		return p.squatter("-i", "-r", "user.user0")
	}
	return p.run("doveadm", "-c", filepath.Join(p.server.Dir, "dovecot.conf"), "index", "-u", "user0", "INBOX")
}

// compact brings the index of user0 into the form that is searched fastest.
func (p *peer) compact() time.Duration {
	if p.name == "cyrus" {
		return p.squatter("-z", "data", "-t", "temp", "-u", "user0")
	}
	return p.run("doveadm", "-c", filepath.Join(p.server.Dir, "dovecot.conf"), "fts", "optimize", "-u", "user0")
}

// indexed is how many octets the index of user0 has.
func (p *peer) indexed() (total int64) {
	if p.name == "dovecot" {
		p.b.each(filepath.Join(p.server.Dir, "mail", "user0"), func(path string, size int64) {
			if strings.Contains(path, "xapian-indexes") {
				total += size
			}
		})
		return total
	}
	temp, err := os.ReadFile(filepath.Join(p.server.Dir, "temp"))
	p.b.must(err)
	for _, dir := range []string{strings.TrimSpace(string(temp)), filepath.Join(p.server.Dir, "search")} {
		p.b.each(dir, func(_ string, size int64) { total += size })
	}
	return total
}

// recipient is the address of user0 for LMTP.
func (p *peer) recipient() string { return "user0" }

// dial logs in; a peer that is nil has no clients.
func (p *peer) dial() *client {
	if p == nil {
		return nil
	}
	return dialTo(p.b, p.server.IMAP, "user0")
}

// load adds mail to user0's INBOX. It returns how long that took.
func (p *peer) load(src source) time.Duration {
	c := p.dial()
	defer c.close()
	start, refused, place := time.Now(), 0, p.loaded
	add := func(mail []corpus.Message) {
		if p.append(c, mail, place) {
			return
		}
		for i := range mail {
			if !p.append(c, mail[i:i+1], place+i) {
				refused++
			}
		}
	}
	var batch []corpus.Message
	for m, err := range src.all {
		p.b.must(err)
		p.octets += int64(len(m.Raw))
		if batch = append(batch, m); len(batch) == 100 {
			add(batch)
			place, batch = place+len(batch), batch[:0]
		}
	}
	if len(batch) > 0 {
		add(batch)
		place += len(batch)
	}
	p.loaded = place
	if refused > 0 {
		p.b.table.note("%s: %d of %d messages refused", p.name, refused, place)
	}
	return time.Since(start)
}

// append adds messages by one command (RFC 3502), with LITERAL+; the first has the
// given place. It reports whether they were taken.
func (p *peer) append(c *client, mail []corpus.Message, place int) bool {
	var command strings.Builder
	command.WriteString("APPEND INBOX")
	for _, m := range mail {
		fmt.Fprintf(&command, " {%d+}\r\n%s", len(m.Raw), m.Raw)
	}
	_, result := c.try(command.String())
	if !strings.HasPrefix(result, "OK") {
		return false
	}
	_, code, ok := strings.Cut(result, "[APPENDUID ")
	var validity, uid int
	if _, err := fmt.Sscanf(code, "%d %d", &validity, &uid); !ok || err != nil {
		p.b.Fatalf("%s: APPEND gave no UID: %s", p.name, result)
	}
	for i := range mail {
		p.remember(uid+i, place+i)
	}
	return true
}

func (p *peer) remember(uid, place int) {
	for len(p.places) < uid {
		p.places = append(p.places, -1)
	}
	p.places[uid-1] = place
}

// place is that of a message, by its UID; -1 for one that is none of the corpus.
func (p *peer) place(uid uint32) int {
	if uid == 0 || int(uid) > len(p.places) {
		return -1
	}
	return p.places[uid-1]
}

// cpu is the processor time of the peer's processes, those that ended included: all are
// of the session that its master began.
func (p *peer) cpu() (total time.Duration) {
	if p == nil {
		return 0
	}
	master := 0
	for _, name := range []string{"master.pid", "run/master.pid"} {
		if text, err := os.ReadFile(filepath.Join(p.server.Dir, name)); err == nil {
			_, err := fmt.Sscan(string(text), &master)
			p.b.must(err)
		}
	}
	of, ok := processOf(master)
	if !ok {
		p.b.Fatalf("%s: no master process %d", p.name, master)
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	p.b.must(err)
	for _, dir := range dirs {
		var pid int
		if _, err := fmt.Sscan(filepath.Base(dir), &pid); err != nil {
			continue
		}
		// One that ended meanwhile is none, or is in its parent's sum.
		if one, ok := processOf(pid); ok && one.session == of.session {
			total += one.used
		}
	}
	return total
}

// process is what /proc says of one.
type process struct {
	session int
	used    time.Duration // by it and by its children that have ended
}

func processOf(pid int) (one process, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return one, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks [4]int64
	if _, err := fmt.Sscan(strings.Join(fields[11:15], " "), &ticks[0], &ticks[1], &ticks[2], &ticks[3]); err != nil {
		return one, false
	}
	if _, err := fmt.Sscan(fields[3], &one.session); err != nil {
		return one, false
	}
	one.used = time.Duration(ticks[0]+ticks[1]+ticks[2]+ticks[3]) * 10 * time.Millisecond // USER_HZ is 100 on Linux
	return one, true
}
