package replication

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/bench/line"
	"teraslot/mailbox"
)

// TestReplicaJoinsWhileMailComes: a new replica, of which the master hears while it takes mail, has in the end all
// that was there and all that came meanwhile; cut off again and again, it goes on where it was.
func TestReplicaJoinsWhileMailComes(t *testing.T) {
	const old, more = 60, 40 // messages of each user before the replica is there, and while it catches up
	id := identities(t)
	a, b := newNode(t, "a", id), newNode(t, "b", id)
	var users []mailbox.User
	long := strings.Repeat("and so on\r\n", 100)
	for i := range 4 {
		u := a.user(fmt.Sprintf("user%d", i))
		users = append(users, u)
		for k := range old {
			a.deliver(u, "INBOX", letter(k)+long)
		}
	}
	b.serve(false, "a")
	l := newLine(t, b.address)
	must(t, l.Set(line.Fault{Limit: 40_000})) // each line is cut there
	r := a.channel(a.clientAt("b", l.Address()), filepath.Join(t.TempDir(), "channel"))
	for k := range more {
		for _, u := range users {
			a.deliver(u, "INBOX", letter(1000+k)+long)
			r.note(u)
		}
	}
	eventually(t, func() error { // no one line carries as much
		if s := r.Status(); s.Total.Messages < old {
			return fmt.Errorf("a replica that does not catch up: %+v", s)
		}
		return nil
	})
	must(t, l.Set(line.Fault{}))
	eventually(t, func() error {
		if s := r.Status(); s.Uncompared {
			return fmt.Errorf("not compared: %+v", s)
		}
		return r.done()
	})
	for _, u := range users {
		same(t, u, a, b)
	}
}
