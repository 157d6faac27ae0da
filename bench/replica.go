package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
	"teraslot/bench/line"
	"teraslot/replication"
	"teraslot/slot"
)

// The steady flow to a master with two replicas, the second far away.
const (
	replicaUsers = 8
	replicaRate  = 50 // deliveries a second, of all together
	replicaFlow  = 20 * time.Second
	replicaTrip  = 90 * time.Millisecond // to the second replica and back
)

// replica measures how fast an empty replica takes over all mail, and how far it is behind
// while mail comes, with the processor time of both sides; then the same of one that is far away.
func replica(b *bench) {
	src := b.first()
	master, replicas := daemon.NewStore(b, filepath.Join(b.TempDir(), "store"), "[squatter]\noff = true\n", daemon.Place{},
		daemon.Replica{}, daemon.Replica{Through: b.distant})
	var users []string
	total := amount{}
	for i := range replicaUsers {
		users = append(users, fmt.Sprintf("user%d", i))
		master.AddUser(b, users[i], password)
		a := b.load(master, users[i], src)
		total.messages, total.octets = total.messages+a.messages, total.octets+a.octets
	}
	pair := b.startPair(users, src)
	near, far := replicas[0], replicas[1]
	near.Start(b)
	begun := time.Now()
	master.Start(b)
	admin := b.administer(master)
	status := b.drained(admin, 0, int64(total.messages))
	took := time.Since(begun)
	cpu := master.CPU(b) + near.CPU(b)
	b.table.note("%s to %d users: %d messages, %.1f MB, of which %d were sent", src.name, replicaUsers, total.messages, mb(total.octets), status.Total.Messages)
	theirs, theirCPU := pair.first()
	b.rated("first full sync, from the start of the master", work{total.messages, took}, theirs,
		figure{cpu: perEach(cpu, total.messages), peerCPU: theirCPU, wanted: "5000/s"})
	master.Kill()
	b.must(admin.Close())
	far.Start(b)
	begun = time.Now()
	master.Start(b)
	admin = b.administer(master)
	defer func() { b.must(admin.Close()) }()
	b.drained(admin, 1, int64(total.messages))
	b.rated(fmt.Sprintf("the same over %s of round trip", replicaTrip), work{total.messages, time.Since(begun)}, work{}, figure{})
	f := flow{b: b, master: master, admin: admin, users: users, mail: b.held(src), n: int(replicaFlow.Seconds()) * replicaRate}
	f.run(near, far, pair)
}

// distant lays a line to a replica that is far away.
func (b *bench) distant(address string) string {
	l, err := line.New(address)
	b.must(err)
	b.Cleanup(func() { b.must(l.Close()) })
	b.must(l.Set(line.Fault{Delay: replicaTrip / 2}))
	return l.Address()
}

// flow is mail that comes at a steady rate.
type flow struct {
	b      *bench
	master *daemon.Slot
	admin  *slot.Client
	users  []string
	mail   []corpus.Message
	n      int // deliveries
}

// run measures how far the replicas are behind.
func (f *flow) run(near, far *daemon.Slot, pair *pair) {
	b := f.b
	before := near.CPU(b)
	late := b.deliveries(f.master.LMTP, "@example.org", f.users, f.mail, f.n)
	for i, where := range []string{"", fmt.Sprintf(" of the replica that is %s away", replicaTrip)} {
		status := b.drained(f.admin, i, 0)
		row := figure{ours: millis(status.LagMedian), p99: millis(status.LagP99), n: count(f.n), wanted: "100 ms, p99 1 s"}
		if i == 0 {
			row.cpu = perEach(near.CPU(b)-before, f.n)
		}
		b.table.row(fmt.Sprintf("lag that the master tells%s, %d deliveries a second", where, replicaRate), row)
	}
	b.table.note("%d deliveries began more than 100 ms late; processor time is the replica's", late)
	theirs, theirCPU := pair.flow(f.users, f.mail, f.n)
	for i, other := range []*daemon.Slot{near, far} {
		ours := b.seen(f.master.LMTP, "@example.org", other.IMAP, f.users, f.mail, f.n)
		if i == 0 {
			b.timed(fmt.Sprintf("from a delivery's acknowledgement to its being seen on the replica, by looking every %s", glance), ours, theirs,
				figure{peerCPU: theirCPU, wanted: "100 ms, p99 1 s"})
		} else {
			b.timed(fmt.Sprintf("the same over %s of round trip", replicaTrip), ours, nil, figure{wanted: "100 ms, p99 1 s"})
		}
	}
}

// deliveries sends mail to one user after the other at the steady rate.
func (b *bench) deliveries(lmtp, domain string, users []string, mail []corpus.Message, n int) (late int) {
	d, err := daemon.DialLMTP(lmtp)
	b.must(err)
	defer d.Close()
	late, _ = b.paced(n, replicaRate, 1, func(_, i int) {
		b.must(d.Deliver(users[i%len(users)]+domain, mail[i%len(mail)].Raw))
	})
	return late
}

func (b *bench) administer(s *daemon.Slot) *slot.Client {
	c, err := slot.Load(s.Config)
	b.must(err)
	admin, err := slot.Administer(context.Background(), c, slot.Options{})
	b.must(err)
	return admin
}

// drained waits until a replica has all, and at least so many records were sent to it.
func (b *bench) drained(admin *slot.Client, which int, least int64) replication.Status {
	for {
		s, err := admin.ReplicationStatus(context.Background())
		b.must(err)
		if r := s.Replicas[which]; r.Users == 0 && r.Total.Records >= least {
			return r
		}
		time.Sleep(5 * time.Millisecond)
	}
}
