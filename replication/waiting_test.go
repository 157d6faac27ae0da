package replication

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/synclog"
)

// TestMuchHoldsUpLittle: users of whom much is to be sent are four at once and wait for each other, and
// the others wait for none of them.
func TestMuchHoldsUpLittle(t *testing.T) {
	const much, little = largeWorkers + 2, 20
	a, b, c := pair(t)
	var users []mailbox.User
	for i := range much + little {
		u := a.user(fmt.Sprintf("user%d", i))
		users = append(users, u)
		a.sync(c, u)
		texts := [][]byte{[]byte(letter(i))}
		if i < much {
			for k := range smallRecords {
				texts = append(texts, []byte(letter(k)))
			}
		}
		a.fill(u, texts)
	}
	b.stop()
	silent, err := net.Listen("tcp", b.address) // whoever is on his way stays there
	must(t, err)
	r := a.channel(c, filepath.Join(t.TempDir(), "channel"))
	for _, u := range users {
		r.note(u)
	}
	eventually(t, func() error {
		large, small := r.onTheirWay(users[:much], true), r.onTheirWay(users[much:], false)
		if large > largeWorkers {
			t.Fatalf("%d users of whom much is to be sent are on their way", large)
		}
		if large < largeWorkers || small < little {
			return fmt.Errorf("%d and %d users are on their way", large, small)
		}
		return nil
	})
	must(t, silent.Close())
	b.serveAt(b.address, false, "a")
	eventually(t, r.done)
	for _, u := range users {
		same(t, u, a, b)
	}
}

// onTheirWay counts those of some users whom a worker has, of one kind.
func (r *running) onTheirWay(users []mailbox.User, large bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range users {
		if j := r.users[u]; j != nil && j.running && j.large == large {
			n++
		}
	}
	return n
}

// TestLittle: a small sync ends without having sent anything where it does not suffice: of many records, of many octets,
// and where all records have to be compared. Then a whole one does it.
func TestLittle(t *testing.T) {
	for name, change := range map[string]func(n *node, u mailbox.User){
		"many messages": func(n *node, u mailbox.User) {
			for i := range smallRecords + 1 {
				n.deliver(u, []string{"INBOX", "Drafts"}[i%2], letter(i))
			}
		},
		"a large message": func(n *node, u mailbox.User) {
			n.deliver(u, "INBOX", letter(1)+string(make([]byte, smallBytes)))
		},
		"records were forgotten": func(n *node, u mailbox.User) { n.forgetful(u, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b, c := pair(t)
			u := a.user("anna")
			for i := range 3 {
				a.deliver(u, "INBOX", letter(i))
			}
			if _, err := c.syncSmall(t.Context(), u); err != nil {
				t.Fatalf("of three messages: %v", err)
			}
			same(t, u, a, b)
			change(a, u)
			before := b.seen(u)
			if s, err := c.syncSmall(t.Context(), u); !errors.Is(err, errLarge) || s.Messages+s.Records != 0 {
				t.Errorf("sent %+v, %v", s, err)
			}
			if b.seen(u) != before {
				t.Error("the replica's mail has changed")
			}
			a.sync(c, u)
			same(t, u, a, b)
		})
	}
}

// TestLagOfTheLater: what changes while a user is on his way is behind since then, and not only since the
// end of that sync.
func TestLagOfTheLater(t *testing.T) {
	a, _, c := pair(t)
	log, err := synclog.Open(synclog.Options{Dir: filepath.Join(t.TempDir(), "channel"), Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, log.Close()) }()
	now := time.Unix(1_800_000_000, 0)
	ch := NewChannel(ChannelOptions{Client: c, Log: log, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	u := a.user("anna")
	after := func(d time.Duration) { now = now.Add(d) }
	ch.Note(synclog.Note{User: u})
	after(time.Second)
	_, j := ch.take(&ch.small)
	after(2 * time.Second)
	ch.Note(synclog.Note{User: u})
	after(4 * time.Second)
	ch.Note(synclog.Note{User: u})
	after(8 * time.Second)
	if lag := ch.Status().Lag; lag != 15*time.Second {
		t.Errorf("on his way: a lag of %s", lag)
	}
	ch.finish(t.Context(), u, j, Stats{}, nil)
	if s := ch.Status(); s.LagMedian != 15*time.Second || s.Lag != 12*time.Second || s.Users != 1 {
		t.Errorf("after the first: %+v", s)
	}
	if _, j = ch.take(&ch.small); j == nil {
		t.Fatal("he does not wait")
	}
	after(time.Second)
	ch.finish(t.Context(), u, j, Stats{}, nil)
	if s := ch.Status(); ch.lags.quantile(0) != 13*time.Second || s.LagP99 != 15*time.Second || s.Lag != 0 || s.Users != 0 {
		t.Errorf("after the second: %+v", s)
	}
}

// TestStatusKnowsWhatItDoesNotKnow: after a stop that was not clean, "no user is behind" is said to be unsure
// until all were compared; and a replica that does not answer is told of, although no user has changed.
func TestStatusKnowsWhatItDoesNotKnow(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	a.sync(c, u)
	b.stop()
	// The first start is not clean. What tells of the line is the comparison: nothing else looks.
	r := a.channelOf(ChannelOptions{Client: c, After: func(d time.Duration) <-chan time.Time {
		if d == lookEvery {
			return nil
		}
		return time.After(d)
	}}, filepath.Join(t.TempDir(), "channel"))
	eventually(t, func() error {
		s := r.Status()
		if !s.Uncompared {
			t.Fatalf("nobody was asked: %+v", s)
		}
		if s.Line == "" || s.Users != 0 {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	b.serveAt(b.address, false, "a")
	eventually(t, func() error {
		if s := r.Status(); s.Uncompared || s.Line != "" {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	if s := r.Status(); s.Syncs != 0 || s.Users != 0 {
		t.Errorf("nothing had changed: %+v", s)
	}
}
