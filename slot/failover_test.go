package slot

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"teraslot/mailbox"
)

// offline is a client that keeps the INBOX in a cache, with QRESYNC (RFC 7162 §3.2.5).
type offline struct {
	validity, highest string
	flags, subjects   map[mailbox.UID]string
}

var (
	fetchLine   = regexp.MustCompile(`^\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\)`)
	subjectLine = regexp.MustCompile(`^\* \d+ FETCH \(UID (\d+) ENVELOPE \((?:NIL|"[^"]*") "([^"]*)"`)
)

// uidOf reads a UID that a pattern found.
func uidOf(t *testing.T, text string) mailbox.UID {
	t.Helper()
	var uid mailbox.UID
	if _, err := fmt.Sscan(text, &uid); err != nil {
		t.Fatal(err)
	}
	return uid
}

// all is what somebody has who looks at the mailbox for the first time.
func (c *rawClient) all() (out offline) {
	out = offline{flags: map[mailbox.UID]string{}, subjects: map[mailbox.UID]string{}}
	for _, line := range c.say("UID FETCH 1:* (FLAGS)") {
		if m := fetchLine.FindStringSubmatch(line); m != nil {
			out.flags[uidOf(c.t, m[1])] = m[2]
		}
	}
	for _, line := range c.say("UID FETCH 1:* (ENVELOPE)") {
		if m := subjectLine.FindStringSubmatch(line); m != nil {
			out.subjects[uidOf(c.t, m[1])] = m[2]
		}
	}
	return out
}

// come brings a client's cache to a slot: with what it is told, and the subjects of messages of which it had none, it has what is there.
func (o *offline) come(r *running) {
	r.t.Helper()
	c := r.raw("anna")
	defer c.conn.Close()
	command := "SELECT INBOX"
	if o.validity != "" {
		command += fmt.Sprintf(" (QRESYNC (%s %s))", o.validity, o.highest)
	}
	told := c.say(command)
	all := strings.Join(told, "\n")
	validity := regexp.MustCompile(`UIDVALIDITY (\d+)`).FindStringSubmatch(all)[1]
	now := c.all()
	if validity != o.validity {
		*o = now
	}
	o.validity, o.highest = validity, regexp.MustCompile(`HIGHESTMODSEQ (\d+)`).FindStringSubmatch(all)[1]
	for _, line := range told {
		if set, gone := strings.CutPrefix(line, "* VANISHED (EARLIER) "); gone {
			uids := uidSet(r.t, set)
			maps.DeleteFunc(o.flags, func(u mailbox.UID, _ string) bool { return uids.Contains(u) })
			maps.DeleteFunc(o.subjects, func(u mailbox.UID, _ string) bool { return uids.Contains(u) })
		}
		if m := fetchLine.FindStringSubmatch(line); m != nil {
			uid := uidOf(r.t, m[1])
			if o.flags[uid] = m[2]; o.subjects[uid] == "" {
				o.subjects[uid] = now.subjects[uid]
			}
		}
	}
	if !maps.Equal(o.flags, now.flags) || !maps.Equal(o.subjects, now.subjects) {
		r.t.Errorf("%s: a client has\n%v\n%v\nwho looks for the first time\n%v\n%v", command, o.flags, o.subjects, now.flags, now.subjects)
	}
}

func uidSet(t *testing.T, text string) (out mailbox.UIDSet) {
	t.Helper()
	for part := range strings.SplitSeq(text, ",") {
		lo, hi, isRange := strings.Cut(part, ":")
		if !isRange {
			hi = lo
		}
		out.AddRange(uidOf(t, lo), uidOf(t, hi))
	}
	return out
}

// as starts a slot that is stopped, in another role.
func (r *running) as(role string, peers ...Peer) *running {
	c := *r.c
	c.Replication.Role, c.Replication.Peers = role, peers
	return start(r.t, &c, Options{})
}

// TestClientsAfterAFailoverByForce: a client that knows what the old master wrote last comes to the replica that is made
// the master, before and after that has written, and to both when what they have is merged: each time it has what is
// there, by what QRESYNC tells.
func TestClientsAfterAFailoverByForce(t *testing.T) {
	master, one, two := startStore(t)
	two.stop()
	master.addUser("anna")
	deliver := func(r *running, subject string) {
		if err := r.deliver("Subject: "+subject+"\r\n\r\nx\r\n", "anna"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		deliver(master, fmt.Sprint("of both ", i))
	}
	master.replicate("b")
	one.stop()
	here := master.raw("anna")
	here.say("SELECT INBOX")
	here.say(`UID STORE 1 +FLAGS.SILENT (\Flagged)`)
	here.say(`UID STORE 2 +FLAGS.SILENT (\Deleted)`)
	here.say("EXPUNGE")
	deliver(master, "lost")
	client, other := offline{}, offline{}
	client.come(master)
	other.come(master)
	here.conn.Close()
	master.stop()

	nowhere := Peer{"a", "127.0.0.1:1"}
	promoted := one.as(RoleMaster, nowhere)
	other.come(promoted)
	deliver(promoted, "after the failover")
	client.come(promoted)
	other.come(promoted)
	promoted.stop()

	alone := master.as(RoleMaster, nowhere) // who goes back finds what was there
	client.come(alone)
	alone.stop()

	c := *master.c
	c.Replication.Role, c.Replication.Listen, c.Replication.Peers = RoleReplica, "127.0.0.1:0", []Peer{{"b", "127.0.0.1:1"}}
	old := start(t, &c, Options{})
	merged := one.as(RoleMaster, Peer{"a", old.Addresses().Replication[0]})
	merged.replicate("a")
	for _, r := range []*running{merged, old, merged} {
		client.come(r)
		other.come(r)
	}
	if n := len(client.subjects); n != 5 {
		t.Errorf("%d messages are there, want those of both: %v", n, client.subjects)
	}
}
