package replicas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/bench/daemon"
	"teraslot/bench/line"
	"teraslot/slot"
)

func TestMain(m *testing.M) {
	status := m.Run()
	daemon.Clean()
	os.Exit(status)
}

// environ is a number from the environment.
func environ(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

const password = "correct horse"

// world is a store of a master and a replica with a line between them, and what was
// acknowledged to those who sent.
type world struct {
	master, replica *daemon.Slot
	line            *line.Line
	rng             *rand.Rand
	users           []string

	mu    sync.Mutex
	sent  int
	acked map[string]map[string]bool // guarded by mu: by user, the words of messages
}

func newWorld(t *testing.T, seed uint64, users ...string) *world {
	t.Helper()
	w := &world{rng: rand.New(rand.NewPCG(seed, 0)), users: users, acked: map[string]map[string]bool{}}
	w.master, w.replica = daemon.NewStore(t, daemon.Scratch(t), "[squatter]\noff = true\n", func(address string) string {
		var err error
		if w.line, err = line.New(address); err != nil {
			t.Fatal(err)
		}
		return w.line.Address()
	})
	t.Cleanup(func() {
		if err := w.line.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, u := range users {
		w.master.AddUser(t, u, password)
		w.acked[u] = map[string]bool{}
	}
	w.master.Start(t)
	w.replica.Start(t)
	return w
}

// text is the message of a word, of a size that the word gives.
func text(word string, n int) []byte {
	return fmt.Appendf(nil, "From: a@example.org\r\nSubject: %s\r\n\r\n%s", word, bytes.Repeat([]byte("Some words more in a line.\r\n"), 1+n*n%400))
}

// deliver sends messages until the master does not answer any longer, and notes which it
// has acknowledged.
func (w *world) deliver(ctx context.Context) {
	d, err := daemon.DialLMTP(w.master.LMTP)
	if err != nil {
		return
	}
	defer d.Close()
	for ctx.Err() == nil {
		w.mu.Lock()
		w.sent++
		n := w.sent
		w.mu.Unlock()
		user, word := w.users[n%len(w.users)], fmt.Sprintf("word%d", n)
		if err := d.Deliver(user+"@example.org", text(word, n)); err != nil {
			return
		}
		w.mu.Lock()
		w.acked[user][word] = true
		w.mu.Unlock()
	}
}

// change is a client of the master who writes drafts, flags and expunges them.
func (w *world) change(ctx context.Context, user string) error {
	c, err := w.master.DialIMAP(user, password)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := 0; ctx.Err() == nil; n++ {
		draft := text("draft", n)
		a := c.Append("Drafts", int64(len(draft)), nil)
		_, err := a.Write(draft)
		if err := errors.Join(err, a.Close()); err != nil {
			return err
		}
		if _, err := a.Wait(); err != nil {
			return err
		}
		if _, err := c.Select("Drafts", nil).Wait(); err != nil {
			return err
		}
		flags := []imap.Flag{imap.FlagDeleted, imap.FlagSeen, imap.FlagFlagged}[n%3]
		if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flags}}, nil).Close(); err != nil {
			return err
		}
		if n%4 == 3 {
			if err := c.Expunge().Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// lacks tells which message that was acknowledged a slot does not show, or not once; "" if
// there is none.
func (w *world) lacks(t *testing.T, s *daemon.Slot) string {
	t.Helper()
	for _, user := range w.users {
		there := w.subjects(t, s, user)
		for word := range w.acked[user] {
			if there[word] != 1 {
				return fmt.Sprintf("%s of %s is there %d times", word, user, there[word])
			}
		}
	}
	return ""
}

// subjects counts the messages of an INBOX by their subjects.
func (w *world) subjects(t *testing.T, s *daemon.Slot, user string) map[string]int {
	t.Helper()
	c, err := s.DialIMAP(user, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	box, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	if box.NumMessages == 0 {
		return out
	}
	all, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{Envelope: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		out[m.Envelope.Subject]++
	}
	return out
}

// drained waits until the master knows of nothing that the replica lacks.
func (w *world) drained(ctx context.Context, t *testing.T, admin *slot.Client) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := admin.ReplicationStatus(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r := &s.Replicas[0]
		if len(r.HeldUp) > 0 {
			t.Fatalf("held up: %+v", r.HeldUp)
		}
		if r.Users == 0 && r.Line == "" && r.Syncs > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not drained: %+v", r)
		}
	}
}

// arrives waits until the replica shows all that was acknowledged. A master that was killed
// first compares all users, and knows only then what is in the queue.
func (w *world) arrives(t *testing.T, admin *slot.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		w.drained(ctx, t, admin)
		lacking := w.lacks(t, w.replica)
		if lacking == "" {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the replica, when the queue has drained: %s", lacking)
		}
	}
}

// equal fails if the slots find any difference between them, or any damage.
func (w *world) equal(t *testing.T, admin *slot.Client) {
	t.Helper()
	err := admin.Replicate(t.Context(), "verify", slot.ReplicationRequest{Messages: true}, func(r slot.ReplicationResult) {
		if r.Found != "" || r.Error != "" {
			t.Errorf("verify: %+v", r)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// admin connects to the master.
func (w *world) admin(t *testing.T) *slot.Client {
	t.Helper()
	c, err := slot.Load(w.master.Config)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := slot.Administer(t.Context(), c, slot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return admin
}
