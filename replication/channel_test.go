package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"teraslot/account"
	"teraslot/bench/line"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/synclog"
)

// running is a channel that runs.
type running struct {
	*Channel
	log  *synclog.Log
	stop func()
}

// channel runs a channel of n, with its log in dir.
func (n *node) channel(c *Client, dir string) *running {
	n.t.Helper()
	return n.channelOf(ChannelOptions{Client: c}, dir)
}

// channelOf is channel with options, of which Client has to be there.
func (n *node) channelOf(o ChannelOptions, dir string) *running {
	n.t.Helper()
	log, err := synclog.Open(synclog.Options{Dir: dir, FlushEvery: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	must(n.t, err)
	o.Log, o.Logger = log, slog.New(slog.DiscardHandler)
	ch := NewChannel(o)
	ctx, cancel := context.WithCancel(context.Background())
	flushing, stopFlushing := context.WithCancel(context.Background())
	done, flushed := make(chan error, 1), make(chan error, 1)
	go func() { done <- ch.Run(ctx) }()
	go func() { flushed <- log.Run(flushing) }()
	r := &running{Channel: ch, log: log}
	r.stop = func() {
		cancel()
		err := <-done
		stopFlushing()
		if err := errors.Join(err, <-flushed, log.Close()); err != nil {
			n.t.Error(err)
		}
		r.stop = func() {}
	}
	n.t.Cleanup(func() { r.stop() })
	return r
}

// eventually waits until something holds.
func eventually(t testing.TB, holds func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

// done is nil when nobody is behind.
func (r *running) done() error {
	if s := r.Status(); s.Users > 0 {
		return fmt.Errorf("behind: %+v", s)
	}
	return nil
}

func (r *running) note(u mailbox.User) { r.Note(synclog.Note{User: u}) }

// TestOneUserHoldsUpNobody: a user that cannot be synced is told of and tried again, also
// after a stop, and the others flow.
func TestOneUserHoldsUpNobody(t *testing.T) {
	a, b, c := pair(t)
	dir := filepath.Join(t.TempDir(), "channel")
	r := a.channel(c, dir)
	acc, err := a.accounts.Add(t.Context(), "bad", "secret", account.Quota{}) // his mail is lost
	must(t, err)
	bad := acc.ID
	var users []mailbox.User
	for i := range 8 {
		u := a.user(fmt.Sprintf("user%d", i))
		users = append(users, u)
		r.note(bad)
		r.note(u)
		a.deliver(u, "INBOX", letter(i))
		r.note(u)
	}
	eventually(t, func() error {
		s := r.Status()
		if s.Users != 1 || len(s.HeldUp) != 1 || s.HeldUp[0].User != bad || !strings.Contains(s.HeldUp[0].Err, "no such user") {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	for _, u := range users {
		same(t, u, a, b)
	}
	must(t, r.Skip(bad))
	if s := r.Status(); len(s.HeldUp) != 1 || !s.HeldUp[0].Skipped {
		t.Errorf("after skip: %+v", s)
	}
	r.stop()
	must(t, a.store.CreateUser(t.Context(), bad, mailstore.UserOptions{}))
	r = a.channel(c, dir)
	eventually(t, func() error { // he is left out still
		if s := r.Status(); s.Users != 1 || len(s.HeldUp) != 1 || s.HeldUp[0].User != bad || !s.HeldUp[0].Skipped {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	must(t, r.Retry(bad))
	eventually(t, func() error {
		if s := r.Status(); s.Syncs == 0 {
			return errors.New("nobody was synced")
		}
		return r.done()
	})
	same(t, bad, a, b)
}

// TestAfterAnUncleanStartAllAreCompared: a change of which nobody noted anything is found.
func TestAfterAnUncleanStartAllAreCompared(t *testing.T) {
	a, b, c := pair(t)
	u, v := a.user("anna"), a.user("bert")
	dir := filepath.Join(t.TempDir(), "channel")
	r := a.channel(c, dir) // the first start is not clean
	eventually(t, func() error {
		if !r.log.Clean() {
			return errors.New("not compared")
		}
		return r.done()
	})
	same(t, u, a, b)
	same(t, v, a, b)
	a.deliver(v, "INBOX", letter(1))
	// The log may name him once more for the first comparison, and he be synced already.
	if n, err := r.Compare(t.Context()); err != nil || n > 1 {
		t.Errorf("%d users differ, %v; want one", n, err)
	}
	eventually(t, r.done)
	same(t, v, a, b)
	if n, err := r.Compare(t.Context()); err != nil || n != 0 {
		t.Errorf("%d users differ, %v; want none", n, err)
	}
}

// TestSyncByNameIsDone: Sync returns when the user is equal, whatever else goes on.
func TestSyncByNameIsDone(t *testing.T) {
	a, b, c := pair(t)
	r := a.channel(c, filepath.Join(t.TempDir(), "channel"))
	u := a.user("anna")
	for i := range 20 {
		a.deliver(u, "INBOX", letter(i))
		r.note(u)
		if i%5 == 4 {
			must(t, r.Sync(t.Context(), u))
			same(t, u, a, b)
		}
		if i%7 == 6 {
			must(t, r.Verify(t.Context(), u, true, func(what string) { t.Errorf("verify: %s", what) }))
		}
	}
}

// TestBrokenLines: a line that is cut at any point, silent or slow costs time, and in the
// end all is there, once.
func TestBrokenLines(t *testing.T) {
	a, b, _ := pair(t)
	p := newLine(t, b.address)
	c := a.clientAt("b", p.Address())
	u := a.user("anna")
	for i := range 60 {
		a.deliver(u, "INBOX", letter(i)+strings.Repeat("and so on\r\n", 300))
	}
	sent := int64(0)
	for limit := 2_000; limit < 200_000; limit += limit / 3 { // cut further and further on
		must(t, p.Set(line.Fault{Limit: limit}))
		s, err := c.Sync(within(t, 20*time.Second), u)
		sent += s.Messages
		must(t, p.Cut())
		if err == nil {
			break
		}
		if !Unreachable(err) {
			t.Fatalf("cut after %d octets: %v", limit, err)
		}
	}
	must(t, p.Set(line.Fault{Delay: time.Millisecond}))
	eventually(t, func() error {
		s, err := c.Sync(t.Context(), u)
		sent += s.Messages
		return err
	})
	same(t, u, a, b)
	if sent > 3*60 {
		t.Errorf("%d messages were sent for 60: what had arrived was not found", sent)
	}
	must(t, p.Set(line.Fault{Silent: true}))
	a.deliver(u, "INBOX", letter(99))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Sync(ctx, u); !Unreachable(err) {
		t.Errorf("a silent line: %v", err)
	}
	must(t, p.Set(line.Fault{}))
	must(t, p.Cut())
	eventually(t, func() error { _, err := c.Sync(t.Context(), u); return err })
	same(t, u, a, b)
}

// TestAnEmptyReplicaIsRebuilt: a replica that lost its disk gets all users again.
func TestAnEmptyReplicaIsRebuilt(t *testing.T) {
	a, b, c := pair(t)
	var users []mailbox.User
	for i := range 5 {
		u := a.user(fmt.Sprintf("user%d", i))
		users = append(users, u)
		for k := range 30 {
			a.deliver(u, "INBOX", letter(k))
		}
		a.sync(c, u)
	}
	address := b.address
	b.stop()
	fresh := newNode(t, "b", func(string) *Identity { return b.identity })
	fresh.serveAt(address, false, "a")
	r := a.channel(c, filepath.Join(t.TempDir(), "channel"))
	eventually(t, func() error {
		if !r.log.Clean() {
			return errors.New("not compared")
		}
		return r.done()
	})
	for _, u := range users {
		same(t, u, a, fresh)
	}
}

// TestReplicaLosesItsDiskUnderARunningMaster: a master that goes on serving brings all users to the
// slot that takes the place of its replica, those who do not change as well, however often the line breaks
// meanwhile and the new slot loses its disk, too.
func TestReplicaLosesItsDiskUnderARunningMaster(t *testing.T) {
	a, b, _ := pair(t)
	l := newLine(t, b.address)
	r := a.channel(a.clientAt("b", l.Address()), filepath.Join(t.TempDir(), "channel"))
	var users []mailbox.User
	for i := range 6 {
		u := a.user(fmt.Sprintf("user%d", i))
		users = append(users, u)
		for k := range 40 {
			a.deliver(u, "INBOX", letter(k)+strings.Repeat("and so on\r\n", 100))
		}
		r.note(u)
	}
	eventually(t, func() error {
		if s := r.Status(); s.Uncompared {
			return fmt.Errorf("not compared: %+v", s)
		}
		return r.done()
	})
	for n, limit := range []int{90_000, 60_000, 0} {
		b.stop()
		identity := b.identity
		fresh := newNode(t, "b", func(string) *Identity { return identity })
		fresh.slot = fmt.Sprintf("slot-b%d", n)
		fresh.serveAt(b.address, false, "a")
		b = fresh
		must(t, l.Set(line.Fault{Limit: limit}))
		sent := r.Status().Total.Messages
		a.deliver(users[n], "INBOX", letter(100+n))
		r.note(users[n]) // of the others nobody says anything
		eventually(t, func() error {
			if s := r.Status(); s.Total.Messages < sent+20 {
				return fmt.Errorf("a replica without mail: %+v", s)
			}
			return nil
		})
	}
	eventually(t, func() error {
		for _, u := range users {
			if a.digest(u) != b.digest(u) {
				return fmt.Errorf("user %s: %+v", u, r.Status())
			}
		}
		return r.done()
	})
	for _, u := range users {
		same(t, u, a, b)
	}
}

// digest is that of a user's mail, zero if there is none.
func (n *node) digest(u mailbox.User) (d mailstore.Digest) {
	n.t.Helper()
	m, err := n.store.Acquire(n.t.Context(), u)
	if errors.Is(err, mailstore.ErrNoUser) {
		return d
	}
	must(n.t, err)
	defer m.Release()
	image, err := m.Image(n.t.Context())
	must(n.t, err)
	return image.Digest()
}
