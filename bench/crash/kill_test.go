package crash

import (
	"context"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/bench/daemon"
)

// killsOfASlot is after how many kills a new slot is begun: what is checked after
// each kill is all mail that there is.
const killsOfASlot = 5

// TestKillNine kills imapd, and half of the time squatter, at random moments while
// four clients deliver, one searches, one expunges and one compaction runs.
func TestKillNine(t *testing.T) {
	rounds, seed := environ("COUNT", 3), environ("SEED", 1)
	var w *world
	acked, searches, compactions, killed := 0, 0, 0, 0
	end := func() {
		if w != nil {
			acked, searches, compactions = acked+w.count(), searches+int(w.searches.Load()), compactions+int(w.compactions.Load())
		}
	}
	for round := range rounds {
		if round%killsOfASlot == 0 {
			end()
			w = newWorld(t, uint64(seed+round), "[squatter]\ndelay = \"20ms\"\nbatch = 5\n", "anna", "brong")
		}
		squatterToo := w.rng.IntN(2) == 0
		w.slot.Start(t)
		w.round(t, round, time.Duration(40+w.rng.IntN(160))*time.Millisecond, squatterToo)
		if squatterToo {
			killed++
		}
		w.check(t, w.rng.IntN(2) == 0)
		if t.Failed() {
			t.Fatalf("SEED=%d, round %d\n%s", seed, round, w.slot.Log())
		}
	}
	end()
	t.Logf("proof: seed %d: imapd killed %d times and squatter %d times, %d acknowledged messages all there, %d searches and %d compactions finished between them, none wrong",
		seed, rounds, killed, acked, searches, compactions)
}

// round lets everything run for a while from the first search on, and then kills it.
func (w *world) round(t *testing.T, round int, after time.Duration, squatterToo bool) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() { w.deliver(ctx, round, i) })
	}
	user, ready := w.users[round%len(w.users)], make(chan struct{})
	running.Go(func() { w.searchAndExpunge(ctx, t, user, ready) })
	running.Go(func() { w.compact(ctx, t, squatterToo) })
	<-ready
	alarm := time.NewTimer(after)
	<-alarm.C
	t.Logf("round %d: kill -9 after %s with %d deliveries, %d searches, %d compactions in flight (squatter killed too: %t), %d messages acknowledged so far",
		round, after, w.delivering.Load(), w.searching.Load(), w.compacting.Load(), squatterToo, w.count())
	cancel()
	w.slot.Kill()
	running.Wait()
}

// searchAndExpunge works in one session: a login costs more than all else here. It
// closes ready when it has logged in, or cannot.
func (w *world) searchAndExpunge(ctx context.Context, t *testing.T, user string, ready chan<- struct{}) {
	c, err := w.open(user)
	close(ready)
	if err != nil {
		return
	}
	defer c.Close()
	var both sync.WaitGroup
	both.Go(func() { w.search(ctx, t, c, user) })
	both.Go(func() { w.expunge(ctx, c) })
	both.Wait()
}

// search looks for a user's messages that were acknowledged: each must be found.
func (w *world) search(ctx context.Context, t *testing.T, c *imapclient.Client, user string) {
	for ctx.Err() == nil {
		token := w.any(user)
		w.searching.Add(1)
		found, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{token}}, nil).Wait()
		w.searching.Add(-1)
		if err != nil {
			return // the connection broke
		}
		w.searches.Add(1)
		if n := len(found.AllUIDs()); w.stands(token) && n != 1 || token == unsent && n != 0 {
			t.Errorf("search for %s of %s found %v", token, user, found.AllUIDs())
		}
	}
}

// open logs in and selects INBOX.
func (w *world) open(user string) (*imapclient.Client, error) {
	c, err := w.slot.DialIMAP(user, password)
	if err != nil {
		return nil, err
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// stands reports whether a message is to be found: nobody has asked to expunge it.
func (w *world) stands(token string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.letters[token]
	return l != nil && l.acked && !l.doomed
}

// expunge expunges the older half of the INBOX, over and over.
func (w *world) expunge(ctx context.Context, c *imapclient.Client) {
	for ctx.Err() == nil {
		if err := c.Noop().Wait(); err != nil {
			return
		}
		if n := c.Mailbox().NumMessages; n >= 20 && w.expungeSeq(c, 1, n/2) != nil {
			return
		}
	}
}

// expungeSeq expunges messages by number, and keeps who was doomed by that.
func (w *world) expungeSeq(c *imapclient.Client, from, to uint32) error {
	tokens, err := subjects(c, from, to)
	if err != nil {
		return err
	}
	w.mu.Lock()
	for _, token := range tokens {
		w.letters[token].doomed = true
	}
	w.mu.Unlock()
	seq := imap.SeqSetNum()
	seq.AddRange(from, to)
	flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := c.Store(seq, flags, nil).Close(); err != nil {
		return err
	}
	if err := c.Expunge().Close(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, token := range tokens {
		l := w.letters[token]
		l.expunged = !l.copied
	}
	return nil
}

// subjects are the tokens of messages, by number.
func subjects(c *imapclient.Client, from, to uint32) ([]string, error) {
	seq := imap.SeqSetNum()
	seq.AddRange(from, to)
	list, err := c.Fetch(seq, &imap.FetchOptions{Envelope: true}).Collect()
	if err != nil {
		return nil, err
	}
	var tokens []string
	for _, m := range list {
		if m.Envelope != nil {
			tokens = append(tokens, m.Envelope.Subject)
		}
	}
	return tokens, nil
}

// compact runs squatter processes one after the other.
func (w *world) compact(ctx context.Context, t *testing.T, kill bool) {
	for n := 0; ctx.Err() == nil; n++ {
		dest := []string{"data", "archive"}[n%2]
		cmd := exec.Command(daemon.Bin(t, "squatter"), "-C", w.slot.Config, "-v", "-z", dest, "-t", "temp,data,archive", "-u", w.users[n%len(w.users)])
		w.compacting.Add(1)
		if err := cmd.Start(); err != nil {
			t.Error(err)
			return
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("squatter: %v", err)
			}
		case <-ctx.Done():
			if kill {
				cmd.Process.Kill()
			}
			<-ended
		}
		w.compacting.Add(-1)
		w.compactions.Add(1)
	}
}
