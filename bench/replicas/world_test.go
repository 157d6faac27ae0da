package replicas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/bench/daemon"
	"teraslot/bench/line"
	"teraslot/bench/netns"
	"teraslot/mailstore"
	"teraslot/replication"
	"teraslot/slot"
)

func TestMain(m *testing.M) {
	daemon.Tags("steps") // with which a slot's clock may be wrong
	status := netns.Main(m)
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

// world is a store of a master and two replicas with a line to each, and what was
// acknowledged to those who sent.
type world struct {
	slots []*daemon.Slot // the master, and its replicas
	lines []*line.Line   // to the replicas
	nets  []*netns.Net   // of the slots; none where the kernel refuses
	disk  *netns.Disk    // of the first replica
	full  bool           // the disk was full in this cycle
	rng   *rand.Rand
	users []string

	mu    sync.Mutex
	sent  int
	acked map[string]map[string]bool // guarded by mu: by user, the words of messages
}

// diskSize is the first replica's disk. Mail of a whole store takes less than half of it.
const diskSize = 128 << 20

// distances are how long everything takes to each replica and back.
var distances = []time.Duration{0, 45 * time.Millisecond}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, seed uint64, users ...string) *world {
	t.Helper()
	w := &world{rng: rand.New(rand.NewPCG(seed, 0)), users: users, acked: map[string]map[string]bool{}, lines: make([]*line.Line, len(distances))}
	root := daemon.Scratch(t)
	places := make([]daemon.Place, 1+len(distances))
	from := "127.0.0.1"
	if w.apart() == 1 {
		for i := range places {
			n := netns.New(t)
			w.nets = append(w.nets, n)
			places[i] = daemon.Place{Host: n.Host, Under: n.Under()}
		}
		from = w.nets[0].Gateway
		w.disk = netns.NewDisk(t, filepath.Join(root, "r0"), diskSize)
	}
	others := make([]daemon.Replica, len(distances))
	for i := range others {
		others[i] = daemon.Replica{Place: places[1+i], Through: func(address string) string { return w.lay(t, i, from, address) }}
	}
	master, replicas := daemon.NewStore(t, root, "[squatter]\noff = true\n", places[0], others...)
	w.slots = append([]*daemon.Slot{master}, replicas...)
	for _, u := range users {
		master.AddUser(t, u, password)
		w.acked[u] = map[string]bool{}
	}
	for _, s := range w.slots {
		s.Start(t)
	}
	return w
}

// apart is 1 where each slot has a network and the first replica a disk of its own.
func (w *world) apart() int {
	if netns.Refused() == nil {
		return 1
	}
	return 0
}

// lay makes the line to a replica, which begins at the host from.
func (w *world) lay(t *testing.T, i int, from, to string) string {
	l, err := line.Listen(net.JoinHostPort(from, "0"), to)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	w.lines[i] = l
	w.set(t, i, line.Fault{})
	return l.Address()
}

// set makes a fault of a line begin, or end; the distance is always the same.
func (w *world) set(t *testing.T, i int, f line.Fault) {
	f.Delay += distances[i]
	must(t, w.lines[i].Set(f))
}

// unplug cuts slots off.
func (w *world) unplug(t *testing.T, which []int) {
	for _, i := range which {
		must(t, w.nets[i].Unplug())
	}
}

// mend ends what is wrong with networks, lines and disk.
func (w *world) mend(t *testing.T, unplugged []int) {
	for _, i := range unplugged {
		must(t, w.nets[i].Plug())
	}
	for i := range w.lines {
		w.set(t, i, line.Fault{})
		must(t, w.lines[i].Cut())
	}
	if w.full {
		must(t, w.disk.Empty())
	}
}

// refused counts the calls of the master that the first replica has refused since its start because its disk was full.
func (w *world) refused() int { return strings.Count(w.slots[1].Log(), mailstore.ErrFull.Error()) }

// logs are the last lines that each slot said.
func (w *world) logs() string {
	const most = 40
	var out strings.Builder
	for i, s := range w.slots {
		lines := slices.Collect(strings.Lines(s.Log()))
		fmt.Fprintf(&out, "slot %d, the last of %d lines:\n%s\n", i, len(lines), strings.Join(lines[max(0, len(lines)-most):], ""))
	}
	return out.String()
}

// text is the message of a word, of a size that the word gives.
func text(word string, n int) []byte {
	return fmt.Appendf(nil, "From: a@example.org\r\nSubject: %s\r\n\r\n%s", word, bytes.Repeat([]byte("Some words more in a line.\r\n"), 1+n*n%400))
}

// deliver sends messages until the master does not answer any longer, and notes which it
// has acknowledged.
func (w *world) deliver(ctx context.Context) {
	d, err := daemon.DialLMTP(w.slots[0].LMTP)
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
	c, err := w.slots[0].DialIMAP(user, password)
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

// drained waits until the master knows of nothing that a replica lacks. Who is held up because
// a disk was full is tried again at once.
func (w *world) drained(ctx context.Context, t *testing.T, admin *slot.Client) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := admin.ReplicationStatus(ctx)
		must(t, err)
		left := slices.DeleteFunc(slices.Clone(s.Replicas), func(r replication.Status) bool { return r.Users == 0 && r.Line == "" && !r.Uncompared })
		if len(left) == 0 {
			return
		}
		if slices.ContainsFunc(left, func(r replication.Status) bool { return len(r.HeldUp) > 0 }) {
			if !w.full {
				t.Fatalf("held up: %+v", left)
			}
			must(t, admin.Replicate(ctx, "retry", slot.ReplicationRequest{}, func(slot.ReplicationResult) {}))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not drained: %+v", left)
		}
	}
}

// arrives waits until the queue has drained, and fails if a replica does not show then all that was
// acknowledged.
func (w *world) arrives(t *testing.T, admin *slot.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	w.drained(ctx, t, admin)
	for i, replica := range w.slots[1:] {
		if lacking := w.lacks(t, replica); lacking != "" {
			t.Fatalf("replica %d, when the queue has drained: %s", i, lacking)
		}
	}
}

// equal fails if the slots find any difference between them, or any damage. A line that was cut
// a moment ago may be noticed only now: who cannot be asked is asked again.
func (w *world) equal(t *testing.T, admin *slot.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for {
		var failed []string
		must(t, admin.Replicate(ctx, "verify", slot.ReplicationRequest{Messages: true}, func(r slot.ReplicationResult) {
			if r.Found != "" {
				t.Errorf("verify: %+v", r)
			}
			if r.Error != "" {
				failed = append(failed, fmt.Sprintf("%+v", r))
			}
		}))
		if len(failed) == 0 || t.Failed() {
			return
		}
		t.Logf("verify: %q", failed)
		w.drained(ctx, t, admin)
	}
}

// admin connects to the master.
func (w *world) admin(t *testing.T) *slot.Client {
	t.Helper()
	c, err := slot.Load(w.slots[0].Config)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := slot.Administer(t.Context(), c, slot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return admin
}
