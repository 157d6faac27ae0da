package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
	"teraslot/replication"
	"teraslot/slot"
)

// The steady flow to a master with a replica.
const (
	replicaUsers = 8
	replicaRate  = 50 // deliveries a second, of all together
	replicaFlow  = 20 * time.Second
)

// replica measures how fast an empty replica takes over all mail, and how far it is behind
// while mail comes, with the processor time of both sides.
func replica(b *bench) {
	src := b.first()
	master, replicas := daemon.NewStore(b, filepath.Join(b.TempDir(), "store"), "[squatter]\noff = true\n", daemon.Place{}, daemon.Replica{})
	other := replicas[0]
	var users []string
	total := amount{}
	for i := range replicaUsers {
		users = append(users, fmt.Sprintf("user%d", i))
		master.AddUser(b, users[i], password)
		a := b.load(master, users[i], src)
		total.messages, total.octets = total.messages+a.messages, total.octets+a.octets
	}
	pair := b.startPair(users, src)
	other.Start(b)
	begun := time.Now()
	master.Start(b)
	admin := b.administer(master)
	defer func() { b.must(admin.Close()) }()
	status := b.drained(admin, int64(total.messages))
	took := time.Since(begun)
	b.table.note("%s to %d users: %d messages, %.1f MB, of which %d were sent", src.name, replicaUsers, total.messages, mb(total.octets), status.Total.Messages)
	theirs, theirCPU := pair.first()
	b.rated("first full sync, from the start of the master", work{total.messages, took}, theirs,
		figure{cpu: perEach(master.CPU(b)+other.CPU(b), total.messages), peerCPU: theirCPU, wanted: "5000/s"})
	b.flow(master, other, admin, pair, users, src)
}

// flow delivers at a steady rate and measures how far the replica is behind.
func (b *bench) flow(master, other *daemon.Slot, admin *slot.Client, pair *pair, users []string, src source) {
	mail := b.held(src)
	n := int(replicaFlow.Seconds()) * replicaRate
	before := other.CPU(b)
	late := b.deliveries(master.LMTP, "@example.org", users, mail, n)
	status := b.drained(admin, 0)
	b.table.row(fmt.Sprintf("lag that the master tells, %d deliveries a second", replicaRate), figure{ours: millis(status.LagMedian), p99: millis(status.LagP99),
		cpu: perEach(other.CPU(b)-before, n), n: count(n), wanted: "100 ms, p99 1 s"})
	b.table.note("%d deliveries began more than 100 ms late; processor time is the replica's", late)
	ours := b.seen(master.LMTP, "@example.org", other.IMAP, users, mail, n)
	theirs, theirCPU := pair.flow(users, mail, n)
	b.timed(fmt.Sprintf("from a delivery's acknowledgement to its being seen on the replica, by looking every %s", glance), ours, theirs,
		figure{peerCPU: theirCPU, wanted: "100 ms, p99 1 s"})
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

// drained waits until the replica has all, and at least so many records were sent to it.
func (b *bench) drained(admin *slot.Client, least int64) replication.Status {
	for {
		s, err := admin.ReplicationStatus(context.Background())
		b.must(err)
		if r := s.Replicas[0]; r.Users == 0 && r.Total.Records >= least {
			return r
		}
		time.Sleep(5 * time.Millisecond)
	}
}
