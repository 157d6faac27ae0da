package main

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
	"teraslot/bench/peers"
)

// pair is a peer and its copy. Its methods do nothing if it is nil.
type pair struct {
	b               *bench
	master, replica *peer
	messages        int
}

// startPair starts two of the peer that the options name and gives each user of one of them all mail;
// nil if the options name none that can copy itself.
func (b *bench) startPair(users []string, src source) *pair {
	if b.o.peer != "cyrus" {
		return nil
	}
	master, replica := peers.CyrusPair(b)
	p := &pair{b: b, master: &peer{b: b, name: "cyrus", server: master}, replica: &peer{b: b, name: "cyrus", server: replica}}
	for _, u := range users {
		p.messages += p.load(u, src)
	}
	return p
}

// load adds mail to the INBOX of a user and returns how many messages were taken.
func (p *pair) load(user string, src source) (n int) {
	c := dialTo(p.b, p.master.server.IMAP, user)
	defer c.close()
	add := func(some []corpus.Message) {
		if p.master.append(c, some, 0) {
			n += len(some)
			return
		}
		for i := range some { // one that it refuses does not keep the others out
			if p.master.append(c, some[i:i+1], 0) {
				n++
			}
		}
	}
	var batch []corpus.Message
	for m, err := range src.all {
		p.b.must(err)
		if batch = append(batch, m); len(batch) == 100 {
			add(batch)
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		add(batch)
	}
	return n
}

// cpu is the processor time of both.
func (p *pair) cpu() time.Duration { return p.master.cpu() + p.replica.cpu() }

// first makes the copy, and returns the processor time of both sides for each message.
func (p *pair) first() (w work, cpu string) {
	if p == nil {
		return w, ""
	}
	before, begun := p.cpu(), time.Now()
	cmd := p.master.server.Command("sync_client", "-n", "copy", "-A")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.b.Fatalf("sync_client: %v: %s", err, out)
	}
	w = work{p.messages, time.Since(begun)}
	own := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return w, perEach(p.cpu()-before+own, w.n)
}

// flow keeps the copy up to date while mail is delivered, twice: once to measure the processor time
// of the copy's side, and once how long messages take to be seen there.
func (p *pair) flow(users []string, mail []corpus.Message, n int) (times durations, cpu string) {
	if p == nil {
		return nil, ""
	}
	rolling := p.master.server.Command("sync_client", "-n", "copy", "-R")
	p.b.must(rolling.Start())
	p.b.Cleanup(func() { stopped(rolling) })
	p.b.await(p.replica.server.IMAP, users, p.master.server.IMAP)
	before := p.replica.cpu()
	p.b.deliveries(p.master.server.LMTP, "", users, mail, n)
	p.b.await(p.replica.server.IMAP, users, p.master.server.IMAP)
	cpu = perEach(p.replica.cpu()-before, n)
	return p.b.seen(p.master.server.LMTP, "", p.replica.server.IMAP, users, mail, n), cpu
}

func stopped(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

// exists is how many messages the INBOX of c has, told by a NOOP or the SELECT before it.
func (c *client) exists(command string) int {
	out, _ := c.do(command)
	n := -1
	for line := range strings.Lines(string(out)) {
		var count int
		if _, err := fmt.Sscanf(line, "* %d EXISTS", &count); err == nil {
			n = count
		}
	}
	return n
}

// glance is how often a replica is asked what it has.
const glance = 20 * time.Millisecond

// await waits until all users have as much mail at one server as at another.
func (b *bench) await(at string, users []string, as string) {
	for _, u := range users {
		wanted := dialTo(b, as, u)
		n := wanted.exists("SELECT INBOX")
		wanted.close()
		c := dialTo(b, at, u)
		for c.exists("SELECT INBOX") < n {
			time.Sleep(glance)
		}
		c.close()
	}
}

// seen delivers mail at a steady rate to one server and returns how long after its
// acknowledgement each message was seen at another. The last second's glances go on until all were.
func (b *bench) seen(lmtp, domain, imap string, users []string, mail []corpus.Message, n int) (times durations) {
	watch := make([]watcher, len(users))
	var watching sync.WaitGroup
	for i := range watch {
		w := &watch[i]
		w.c = dialTo(b, imap, users[i])
		w.had, w.want = w.c.exists("SELECT INBOX"), (n-i+len(users)-1)/len(users)
		watching.Go(w.run)
	}
	d, err := daemon.DialLMTP(lmtp)
	b.must(err)
	defer d.Close()
	b.paced(n, replicaRate, 1, func(_, i int) {
		b.must(d.Deliver(users[i%len(users)]+domain, mail[i%len(mail)].Raw))
		watch[i%len(users)].acknowledged(time.Now())
	})
	watching.Wait()
	for i := range watch {
		watch[i].c.close()
		times = append(times, watch[i].times()...)
	}
	return times
}

// watcher looks at the INBOX of one user.
type watcher struct {
	c         *client
	had, want int

	mu   sync.Mutex
	acks []time.Time // guarded by mu: of the messages, in their order
	came []time.Time // of the same: when they were seen; the watcher's alone while it runs
}

func (w *watcher) acknowledged(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acks = append(w.acks, at)
}

// run looks until all messages were seen.
func (w *watcher) run() {
	for len(w.came) < w.want {
		time.Sleep(glance)
		n := w.c.exists("NOOP") - w.had
		for now := time.Now(); len(w.came) < n; {
			w.came = append(w.came, now)
		}
	}
}

// times are how long each message took; 0 for one that was seen before its acknowledgement.
func (w *watcher) times() (out durations) {
	for i, at := range w.came {
		out = append(out, max(at.Sub(w.acks[i]), 0))
	}
	return out
}
