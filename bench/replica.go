package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

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
	other.Start(b)
	begun := time.Now()
	master.Start(b)
	admin := b.administer(master)
	defer func() { b.must(admin.Close()) }()
	status := b.drained(admin, int64(total.messages))
	took := time.Since(begun)
	b.table.note("%s to %d users: %d messages, %.1f MB, of which %d were sent", src.name, replicaUsers, total.messages, mb(total.octets), status.Total.Messages)
	b.rated("first full sync, from the start of the master", work{total.messages, took}, work{},
		figure{cpu: perEach(master.CPU(b)+other.CPU(b), total.messages), wanted: "5000/s"})
	b.flow(master, other, admin, users, src)
}

// flow delivers at a steady rate and measures how far the replica is behind.
func (b *bench) flow(master, other *daemon.Slot, admin *slot.Client, users []string, src source) {
	mail := b.held(src)
	n := int(replicaFlow.Seconds()) * replicaRate
	d, err := daemon.DialLMTP(master.LMTP)
	b.must(err)
	defer d.Close()
	before := other.CPU(b)
	late, _ := b.paced(n, replicaRate, 1, func(_, i int) {
		b.must(d.Deliver(users[i%len(users)]+"@example.org", mail[i%len(mail)].Raw))
	})
	status := b.drained(admin, 0)
	b.table.row(fmt.Sprintf("lag of the replica, %d deliveries a second", replicaRate), figure{ours: millis(status.LagMedian), p99: millis(status.LagP99),
		cpu: perEach(other.CPU(b)-before, n), n: count(n), wanted: "100 ms, p99 1 s"})
	b.table.note("%d deliveries began more than 100 ms late; processor time is the replica's", late)
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
