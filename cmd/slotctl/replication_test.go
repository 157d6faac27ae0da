package main

import (
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/replication"
	"teraslot/slot"
)

// TestReplicationStatusIsTold: each thing that is wrong with a replica has a line, and what is well has none.
func TestReplicationStatusIsTold(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	const anna, brong mailbox.User = "00000000000000000000000000000001", "00000000000000000000000000000002"
	for _, c := range []struct {
		name   string
		status replication.Status
		want   []string
	}{
		{"all is there", replication.Status{Replica: "b", Syncs: 3, Last: now.Add(-2 * time.Second)}, []string{
			"b: lag 0.0 s, 0 records of 0 users; 3 syncs, 0 messages sent; lag of late syncs 0.000 s median, 0.000 s 99th percentile",
			"b: last sync 2s ago; 0 users left out, 0 failures; 0 differences found, 0 things healed, 0 users merged"}},
		{"nothing is known", replication.Status{Replica: "b", Uncompared: true, Line: "connection refused"}, []string{
			"b: lag 0.0 s, 0 records of 0 users; 0 syncs, 0 messages sent; lag of late syncs 0.000 s median, 0.000 s 99th percentile",
			"b: last sync none since the start; 0 users left out, 0 failures; 0 differences found, 0 things healed, 0 users merged",
			"b: not all users were compared since the last stop, which was not clean: there may be more changes",
			"b: cannot be reached: connection refused"}},
		{"users", replication.Status{Replica: "c", Lag: 90 * time.Second, Users: 2, Notes: 7, LeftOut: 1, Failures: 4, Last: now, HeldUp: []replication.HeldUp{
			{User: anna, Since: now.Add(-time.Minute), Tries: 4, Next: now.Add(8 * time.Second), Err: "disk is full"},
			{User: brong, Since: now.Add(-90 * time.Second), Skipped: true, Err: "damaged"}}}, []string{
			"c: lag 90.0 s, 7 records of 2 users; 0 syncs, 0 messages sent; lag of late syncs 0.000 s median, 0.000 s 99th percentile",
			"c: last sync 0s ago; 1 users left out, 4 failures; 0 differences found, 0 things healed, 0 users merged",
			"c: anna is held up for 1m0s, 4 tries, the next in 8s: disk is full",
			"c: " + string(brong) + " is left out, behind for 1m30s: damaged"}},
	} {
		var b strings.Builder
		writeReplication(&b, &slot.ReplicationStatus{Store: "s", Role: "master", Slot: "x", Replicas: []replication.Status{c.status},
			Names: map[mailbox.User]string{anna: "anna"}}, now)
		if want := "store s, master, slot x\n" + strings.Join(c.want, "\n") + "\n"; b.String() != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, &b, want)
		}
	}
	var b strings.Builder
	if writeReplication(&b, &slot.ReplicationStatus{}, now); b.String() != "no replication is configured\n" {
		t.Errorf("of a slot alone: %q", &b)
	}
}
