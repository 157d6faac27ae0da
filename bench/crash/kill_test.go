package crash

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/bench/daemon"
)

func TestMain(m *testing.M) {
	code := m.Run()
	daemon.Clean()
	os.Exit(code)
}

func environ(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

const password = "correct horse"

// world is what the outside was told, over all rounds.
type world struct {
	slot  *daemon.Slot
	users []string

	mu    sync.Mutex
	acked map[string]string              // token → user
	seen  map[string]map[uint32][32]byte // user → UID → hash of the message

	delivering, searching, compacting atomic.Int32
	compactions, searches, wrong      atomic.Int32
}

// TestKillNine kills imapd, and half of the time squatter, while four clients
// deliver, one searches and one compaction runs.
func TestKillNine(t *testing.T) {
	rounds := environ("COUNT", 4)
	rng := rand.New(rand.NewPCG(uint64(environ("SEED", 1)), 9))
	w := &world{slot: daemon.New(t, filepath.Join(t.TempDir(), "slot"), "[squatter]\ndelay = \"20ms\"\n"),
		users: []string{"anna", "brong"}, acked: map[string]string{}, seen: map[string]map[uint32][32]byte{}}
	for _, u := range w.users {
		w.slot.AddUser(t, u, password)
		w.seen[u] = map[uint32][32]byte{}
	}
	for round := range rounds {
		w.slot.Start(t)
		w.verify(t, round)
		if t.Failed() {
			t.Fatalf("after round %d\n%s", round, w.slot.Log())
		}
		w.round(t, round, time.Duration(100+rng.IntN(900))*time.Millisecond, rng.IntN(2) == 0)
	}
	w.slot.Start(t)
	w.verify(t, rounds)
	w.slot.Stop(t)
	for _, u := range w.users {
		if out, err := w.slot.Run(context.Background(), t, "", "slotctl", "--config", w.slot.Config, "verify", u); err != nil {
			t.Errorf("verify %s: %v\n%s", u, err, out)
		}
	}
	t.Logf("proof: %d kills, %d acknowledged messages all there, %d searches and %d compactions finished between them, %d searches missed a message",
		rounds, len(w.acked), w.searches.Load(), w.compactions.Load(), w.wrong.Load())
}

// round lets everything run for a while, and then kills it.
func (w *world) round(t *testing.T, round int, after time.Duration, squatterToo bool) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() { w.deliver(ctx, round, i) })
	}
	running.Go(func() { w.search(ctx, t) })
	running.Go(func() { w.compact(ctx, t, squatterToo) })
	alarm := time.NewTimer(after)
	<-alarm.C
	t.Logf("round %d: kill -9 after %s with %d deliveries, %d searches, %d compactions in flight (squatter killed too: %t), %d messages acknowledged so far",
		round, after, w.delivering.Load(), w.searching.Load(), w.compacting.Load(), squatterToo, w.count())
	w.slot.Kill()
	cancel()
	running.Wait()
}

func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// deliver delivers until the connection breaks.
func (w *world) deliver(ctx context.Context, round, client int) {
	d, err := daemon.DialLMTP(w.slot.LMTP)
	if err != nil {
		return
	}
	defer d.Close()
	user := w.users[client%len(w.users)]
	for n := 0; ctx.Err() == nil; n++ {
		token := fmt.Sprintf("token%dx%dx%dq", round, client, n)
		w.delivering.Add(1)
		err := d.Deliver(user+"@example.org", message(token, n))
		w.delivering.Add(-1)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.acked[token] = user
		w.mu.Unlock()
	}
}

// message is a message that can be found by its token; one in fifty is large.
func message(token string, n int) []byte {
	filler := strings.Repeat("The quick brown fox sends mail to the lazy dog.\r\n", 5+n%40)
	if n%50 == 49 {
		filler = strings.Repeat(filler, 40)
	}
	return []byte("From: a@example.org\r\nTo: b@example.org\r\nSubject: " + token + "\r\nMessage-ID: <" + token + "@example.org>\r\n\r\n" + filler + token + "\r\n")
}

// search looks for messages that were acknowledged: each must be found.
func (w *world) search(ctx context.Context, t *testing.T) {
	clients := map[string]*imapclient.Client{}
	for _, user := range w.users {
		c, err := w.slot.DialIMAP(user, password)
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			return
		}
		clients[user] = c
	}
	for ctx.Err() == nil {
		token, user := w.any()
		if token == "" {
			runtime.Gosched()
			continue
		}
		w.searching.Add(1)
		found, err := clients[user].UIDSearch(&imap.SearchCriteria{Body: []string{token}}, nil).Wait()
		w.searching.Add(-1)
		if err != nil {
			return // the connection broke
		}
		w.searches.Add(1)
		if len(found.AllUIDs()) != 1 {
			w.wrong.Add(1)
			t.Errorf("search for %s of %s found %v", token, user, found.AllUIDs())
		}
	}
}

func (w *world) any() (token, user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for token, user = range w.acked {
		return token, user
	}
	return "", ""
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

// verify reads all mail over IMAP and holds it against what was acknowledged
// and seen before.
func (w *world) verify(t *testing.T, round int) {
	found := map[string]string{}
	for _, user := range w.users {
		c, err := w.slot.DialIMAP(user, password)
		if err != nil {
			t.Fatal(err)
		}
		box, err := c.Select("INBOX", nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		if box.NumMessages > 0 {
			var all imap.UIDSet
			all.AddRange(1, 0)
			whole := &imap.FetchItemBodySection{Peek: true}
			messages, err := c.Fetch(all, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				raw := m.FindBodySection(whole)
				w.sawUID(t, user, uint32(m.UID), sha256.Sum256(raw))
				found[tokenOf(string(raw))] = user
			}
		}
		c.Close()
	}
	for token, user := range w.acked {
		if found[token] != user {
			t.Errorf("round %d: message %s, acknowledged to %s, is gone", round, token, user)
		}
	}
}

// sawUID holds that a UID never means two messages.
func (w *world) sawUID(t *testing.T, user string, uid uint32, hash [32]byte) {
	if before, ok := w.seen[user][uid]; ok && before != hash {
		t.Errorf("UID %d of %s was another message before", uid, user)
	}
	w.seen[user][uid] = hash
}

// tokenOf returns the subject's token if the last line repeats it: the message
// is whole.
func tokenOf(raw string) string {
	_, rest, _ := strings.Cut(raw, "\r\nSubject: ")
	token, _, _ := strings.Cut(rest, "\r\n")
	if token != "" && strings.HasSuffix(raw, "\r\n"+token+"\r\n") {
		return token
	}
	return "not whole"
}
