package replicas

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"teraslot/bench/daemon"
	"teraslot/replication"
	"teraslot/slot"
)

// What catching up may cost in memory beyond what a process has before, on each side: a
// fixed part, and so much for each record of the user who has most (docs/decisions/0005). The
// second is several times what a record takes: memory that was used is not given back at once.
const (
	catchUpMemory = 192 << 20
	recordMemory  = 1000
)

// backlogUsers share a backlog: the first has half of it.
var backlogUsers = []string{"anna", "brong", "carla", "dora", "emil"}

// TestBacklog lets mail come while the replica is away, and brings it back: it catches up with all
// of it, in bounded memory on both sides.
func TestBacklog(t *testing.T) {
	n := environ("COUNT", 1500)
	root := daemon.Scratch(t)
	master, replicas := daemon.NewStore(t, root, "[squatter]\noff = true\n", daemon.Place{}, daemon.Replica{})
	other := replicas[0]
	for _, u := range backlogUsers {
		master.AddUser(t, u, password)
	}
	master.Start(t)
	w := &world{slots: []*daemon.Slot{master, other}}
	admin := w.admin(t)
	defer func() { must(t, admin.Close()) }()
	for i, u := range backlogUsers {
		share := n / 2
		if i > 0 {
			share = n / 2 / (len(backlogUsers) - 1)
		}
		takeIn(t, master, u, share)
	}
	waiting := status(t, admin)
	if waiting.Users != len(backlogUsers) || waiting.Line == "" {
		t.Errorf("before it comes back: %+v", waiting)
	}
	before := memory(t, master)
	other.Start(t)
	begun := time.Now()
	must(t, admin.Replicate(t.Context(), "retry", slot.ReplicationRequest{}, func(slot.ReplicationResult) {}))
	done := caughtUp(t, admin)
	took := time.Since(begun)
	if done.Total.Messages < int64(n/2) {
		t.Errorf("%d messages were sent", done.Total.Messages)
	}
	w.equal(t, admin)
	most := int64(catchUpMemory + n/2*recordMemory)
	ours, theirs := memory(t, master), memory(t, other)
	if ours-before > most || theirs > most {
		t.Errorf("the master took %d MB more, the replica %d MB: more than %d MB", (ours-before)>>20, theirs>>20, most>>20)
	}
	t.Logf("proof: %d messages that had come while the replica was away were there %.1f s after it came back, %.0f a second; the master's memory rose by %d MB to %d MB, the replica's to %d MB",
		done.Total.Messages, took.Seconds(), float64(done.Total.Messages)/took.Seconds(), (ours-before)>>20, ours>>20, theirs>>20)
}

// takeIn imports small messages.
func takeIn(t *testing.T, s *daemon.Slot, user string, n int) {
	t.Helper()
	path := filepath.Join(s.Root, "mbox")
	f, err := os.Create(path)
	must(t, err)
	b := bufio.NewWriterSize(f, 1<<20)
	for i := range n {
		fmt.Fprintf(b, "From sender@example.org Thu Jan  1 00:00:00 2026\r\nMessage-ID: <%d@%s>\r\nSubject: letter %d\r\n\r\nNumber %d.\r\n\r\n", i, user, i, i)
	}
	must(t, b.Flush())
	must(t, f.Close())
	if out, err := s.Run(t.Context(), t, "", "slotctl", "--config", s.Config, "import", user, path); err != nil {
		t.Fatal(out, err)
	}
	must(t, os.Remove(path))
}

func status(t *testing.T, admin *slot.Client) replication.Status {
	t.Helper()
	s, err := admin.ReplicationStatus(t.Context())
	must(t, err)
	return s.Replicas[0]
}

// caughtUp waits until nothing is waiting.
func caughtUp(t *testing.T, admin *slot.Client) replication.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s := status(t, admin)
		if s.Users == 0 && s.Line == "" {
			return s
		}
		if len(s.HeldUp) > 0 {
			t.Fatalf("held up: %+v", s.HeldUp)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not caught up: %+v", s)
		}
	}
}

// memory is the most that a slot's process has had at a time, in octets.
func memory(t *testing.T, s *daemon.Slot) (n int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	must(t, err)
	for line := range bytes.Lines(text) {
		if rest, ok := strings.CutPrefix(string(line), "VmHWM:"); ok {
			_, err := fmt.Sscan(rest, &n)
			must(t, err)
			return n << 10
		}
	}
	t.Fatal("/proc tells of no VmHWM")
	return 0
}
