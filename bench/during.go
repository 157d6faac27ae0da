package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"teraslot/account"
	"teraslot/bench/daemon"
	"teraslot/bench/queries"
	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/slot"
	"teraslot/tiers"
)

// The load beside compactions.
const (
	duringMessages   = 100_000
	duringRate       = 40 // searches a second of one session
	duringDeliveries = 10 // deliveries a second
	duringSessions   = 20 // that search as fast as they can while locks are timed
	duringLocks      = 100
)

// during measures what a compaction of a whole mailbox does to those who use it:
// searches and deliveries at a steady rate without one and beside one, and the
// activefile's lock while twenty sessions search.
func during(b *bench) {
	src := b.large(duringMessages)
	s, loaded := b.filled(src)
	p := b.startPeer(false)
	if p != nil {
		p.load(src)
		p.index()
		p.compact()
	}
	d := b.draw(src, loaded.messages, b.o.asked, []queries.Kind{queries.Word, queries.Part, queries.Anywhere, queries.Sender, queries.Title}, false)
	list := turns(d)
	s.Start(b)
	settle(b, s)
	b.table.note("%s; a session asks %d distinct queries a second, %d messages a second are delivered", src.name, duringRate, duringDeliveries)
	half := len(list) / 2
	quiet := b.steady(s, list[:half])
	from, to := "data", "archive"
	compactions := 0
	busy := b.beside(func() {
		b.compact(s, to, from, "-u", "user0")
		from, to = to, from
		compactions++
	}, func() load { return b.steady(s, list[half:]) })
	b.timed("search, no compaction", quiet.searches, nil, figure{})
	b.timed("search, beside compactions", busy.searches, nil, figure{wanted: "2× p99"})
	b.table.note("p99 beside compactions is %s that without; %d compactions of %d messages", ratio(float64(quiet.searches.at(0.99)), float64(busy.searches.at(0.99))), compactions, loaded.messages)
	b.timed("delivery, no compaction", quiet.deliveries, nil, figure{})
	b.timed("delivery, beside compactions", busy.deliveries, nil, figure{wanted: "the same"})
	b.duringLocks(s, list)
	s.Stop(b)
	b.peerDuring(p, list)
}

// turns takes queries of each kind by turns.
func turns(d drawn) (list []queries.Query) {
	for i := 0; ; i++ {
		before := len(list)
		for _, kind := range queries.Kinds {
			if of := d.lists[kind]; i < len(of) {
				list = append(list, of[i])
			}
		}
		if len(list) == before {
			return list
		}
	}
}

// load is what a steady load took.
type load struct{ searches, deliveries durations }

// steady searches and delivers at once until the queries are asked.
func (b *bench) steady(s *daemon.Slot, list []queries.Query) (l load) {
	c := dial(b, s, "user0")
	defer c.close()
	d, err := daemon.DialLMTP(s.LMTP)
	b.must(err)
	defer d.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, l.deliveries = b.paced(len(list)*duringDeliveries/duringRate, duringDeliveries, 1, func(_, i int) {
			b.must(d.Deliver("user0@example.org", fmt.Appendf(nil, "From: b@example.org\r\nSubject: while\r\n\r\nNumber %d at %d.\r\n", i, time.Now().UnixNano())))
		})
	})
	_, l.searches = b.paced(len(list), duringRate, 1, func(_, i int) { c.do("UID SEARCH " + list[i].String()) })
	wg.Wait()
	return l
}

// beside repeats work until the load is through.
func (b *bench) beside(work func(), steady func() load) (l load) {
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !over.Load() {
			work()
		}
	})
	l = steady()
	over.Store(true)
	wg.Wait()
	return l
}

// duringLocks compacts a small database again and again in this process, as squatter
// does in its own, and takes the time of the lock; between the compactions it writes,
// syncs and renames a file on the same disk, which is all that is done under it.
func (b *bench) duringLocks(s *daemon.Slot, list []queries.Query) {
	config, err := slot.Load(s.Config)
	b.must(err)
	locks := &timedLocks{FS: disk.OS()}
	o := config.TiersOptions()
	o.FS = locks
	set, err := tiers.New(o)
	b.must(err)
	defer set.Close()
	index := set.User(b.userID(config))
	var over atomic.Bool
	var wg sync.WaitGroup
	for i := range duringSessions {
		wg.Go(func() {
			c := dial(b, s, "user0")
			defer c.close()
			for at := i; !over.Load(); at += duringSessions {
				c.do("UID SEARCH " + list[at%len(list)].String())
			}
		})
	}
	var published durations
	dir := b.TempDir()
	for range duringLocks {
		_, err := index.Compact(context.Background(), tiers.CompactOptions{Sources: []string{"temp"}, Dest: "temp", Force: true})
		b.must(err)
		published = append(published, b.publish(dir))
	}
	over.Store(true)
	wg.Wait()
	b.timed("lock held exclusively, 20 sessions searching", locks.held, nil, figure{wanted: "p99 5 ms"})
	b.timed("  write, fsync, rename, fsync beside it", published, nil, figure{})
	b.table.note("the longest hold is %.2f of the longest of these; wanted: at most 2", float64(locks.held.at(1))/float64(published.at(1)))
	b.timed("lock waited for", locks.waited, nil, figure{wanted: "p99 100"})
}

// userID is the id of user0.
func (b *bench) userID(config *slot.Config) mailbox.User {
	accounts, err := account.Open(context.Background(), config.AccountsFile(), account.Options{})
	b.must(err)
	defer accounts.Close()
	a, err := accounts.Lookup(context.Background(), "user0")
	b.must(err)
	return a.ID
}

// publish makes a small file new, as the activefile is.
func (b *bench) publish(dir string) time.Duration {
	start := time.Now()
	b.must(disk.Publish(disk.OS(), filepath.Join(dir, "index.active"), 0o600, func(w io.Writer) error {
		_, err := w.Write(make([]byte, 120))
		return err
	}))
	return time.Since(start)
}

// peerDuring has the peer compact beside searches; Dovecot's index is never rotated.
func (b *bench) peerDuring(p *peer, list []queries.Query) {
	if p == nil {
		return
	}
	c := p.dial()
	defer c.close()
	half := min(len(list)/2, 200)
	ask := func(list []queries.Query) load {
		_, times := b.paced(len(list), duringRate, 1, func(_, i int) { c.try("UID SEARCH " + list[i].String()) })
		return load{searches: times}
	}
	quiet := ask(list[:half])
	busy := b.beside(func() { p.recompact() }, func() load { return ask(list[half : 2*half]) })
	b.timed("their search, no compaction", nil, quiet.searches, figure{})
	b.timed("their search, beside compactions", nil, busy.searches, figure{})
}

// recompact rewrites the peer's index.
func (p *peer) recompact() {
	if p.name == "cyrus" {
		p.squatter("-z", "data", "-t", "data", "-F", "-u", "user0")
		return
	}
	p.compact()
}
