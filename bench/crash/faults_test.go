package crash

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sys/unix"

	"teraslot/bench/daemon"
)

// patience is for what a slot does by itself, on a machine that is busy with much else.
const patience = 2 * time.Minute

// mount puts a small file system in memory at dir, until the test ends.
func mount(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700"); err != nil {
		t.Skipf("a small tmpfs cannot be mounted, which takes root: %v", err)
	}
	t.Cleanup(func() {
		for unix.Unmount(dir, unix.MNT_DETACH) == nil { // what lies over it, too
		}
	})
}

// some delivers messages to all users in turn. Each must be taken.
func (w *world) some(t *testing.T, name string, n int) {
	t.Helper()
	if taken, err := w.try(t, name, n); taken != n {
		t.Fatalf("%s: %d of %d messages were taken: %v\n%s", name, taken, n, err, w.slot.Log())
	}
}

// try is some of which each may be refused for now, and only for now.
func (w *world) try(t *testing.T, name string, n int) (taken int, refusal error) {
	t.Helper()
	d, err := daemon.DialLMTP(w.slot.LMTP)
	if err != nil {
		return 0, err
	}
	defer func() { d.Close() }()
	for i := range n {
		err := w.send(d, w.users[i%len(w.users)], fmt.Sprintf("%sx%dq", name, i), i)
		if err == nil {
			taken++
			continue
		}
		if refusal = err; !strings.Contains(err.Error(), `"4`) {
			t.Errorf("%s: refused by %v, want a temporary failure", name, err)
		}
		d.Close() // a dialogue that ended somewhere
		if d, err = daemon.DialLMTP(w.slot.LMTP); err != nil {
			return taken, err
		}
	}
	return taken, refusal
}

// served holds that every acknowledged message of everybody is there, whole, and found by
// a search, of the daemon that runs.
func (w *world) served(t *testing.T) {
	t.Helper()
	for _, user := range w.users {
		c, err := w.open(user)
		if err != nil {
			t.Fatalf("%s: %v\n%s", user, err, w.slot.Log())
		}
		for token, l := range w.letters {
			if l.user != user || !l.acked || l.doomed {
				continue
			}
			found, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{token}}, nil).Wait()
			if err != nil || len(found.AllUIDs()) != 1 {
				t.Fatalf("search for %s of %s: %v, %v\n%s", token, user, found, err, w.slot.Log())
			}
			if l.n > 3 {
				continue // a few are fetched
			}
			section := &imap.FetchItemBodySection{Peek: true}
			got, err := c.Fetch(imap.UIDSetNum(found.AllUIDs()...), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
			if err != nil || len(got) != 1 || !strings.HasSuffix(string(got[0].FindBodySection(section)), string(message(token, l.n))) {
				t.Fatalf("fetch of %s of %s: %v, %d messages\n%s", token, user, err, len(got), w.slot.Log())
			}
		}
		c.Close()
	}
}

// squatter runs one.
func (w *world) squatter(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return w.slot.Run(t.Context(), t, "", "squatter", append([]string{"-C", w.slot.Config}, args...)...)
}

// await asks until something is so, which nobody sees to.
func await(t *testing.T, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatal("what was waited for does not come")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// indexed waits until all mail is in the index, which nobody asks for.
func (w *world) indexed(t *testing.T) {
	t.Helper()
	await(t, func() bool {
		_, err := w.squatter(t, "-A")
		return err == nil
	})
}

// TestTempVanishes takes away the temp tier: between two runs, as a reboot does, and under a
// running server, by unmounting it and by removing its root. Searches find everything at
// any time, mail is taken, and the index is made again without being asked for.
func TestTempVanishes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tmpfs bool
		lose  func(t *testing.T, w *world)
	}{
		{"before the start", false, func(t *testing.T, w *world) {
			w.slot.Kill() // a stop would save it
			remove(t, w.slot.Temp)
			w.slot.Start(t)
		}},
		{"its root is removed", false, func(t *testing.T, w *world) { remove(t, w.slot.Temp) }},
		{"it is unmounted", true, func(t *testing.T, w *world) {
			if err := unix.Unmount(w.slot.Temp, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 1, slotOfSteps, "anna", "brong")
			if tc.tmpfs {
				mount(t, w.slot.Temp, "16m")
			}
			w.slot.Start(t)
			w.some(t, "before", 12)
			w.indexed(t)
			tc.lose(t, w)
			w.served(t)
			w.some(t, "after", 6)
			w.served(t)
			w.recovered(t)
		})
	}
}

func remove(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// TestFullPartitions fills what a slot is made of, one after the other: with a full temp or
// full search partitions mail is taken and found; with a full spool senders wait. When
// room returns, all goes on by itself.
func TestFullPartitions(t *testing.T) {
	for _, tc := range []struct {
		name  string
		dirs  func(w *world) []string
		taken bool // mail, meanwhile
	}{
		{"temp", func(w *world) []string { return []string{w.slot.Temp} }, true},
		{"temp and the search partition", func(w *world) []string { return []string{w.slot.Temp, filepath.Join(w.slot.Root, "search")} }, true},
		{"spool", func(w *world) []string { return []string{filepath.Join(w.slot.Root, "spool")} }, false},
		{"archive", func(w *world) []string { return []string{filepath.Join(w.slot.Root, "archive")} }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSlotOnPartitions(t, tc.dirs)
			w.slot.Start(t)
			w.some(t, "before", 8)
			var ballast []string
			for _, dir := range tc.dirs(w) {
				ballast = append(ballast, fillUp(t, dir))
			}
			taken, err := w.try(t, "full", 60)
			if tc.taken && taken != 60 || !tc.taken && (taken == 60 || err == nil) {
				t.Errorf("%d of 60 messages were taken, %v\n%s", taken, err, w.slot.Log())
			}
			w.served(t)
			for _, file := range ballast {
				remove(t, file)
			}
			w.some(t, "room", 8)
			w.recovered(t)
		})
	}
}

// newSlotOnPartitions is newWorld with some of its directories on file systems of their own.
func newSlotOnPartitions(t *testing.T, dirs func(*world) []string) *world {
	t.Helper()
	w := newWorld(t, 1, slotOfSteps, "anna", "brong")
	for _, dir := range dirs(w) {
		var had string
		if _, err := os.Stat(dir); err == nil {
			had = dir + ".before"
			if err := os.Rename(dir, had); err != nil {
				t.Fatal(err)
			}
		}
		mount(t, dir, "4m")
		if had == "" {
			continue
		}
		if err := os.CopyFS(dir, os.DirFS(had)); err != nil {
			t.Fatal(err)
		}
		remove(t, had)
	}
	return w
}

// fillUp leaves no room where a directory lies.
func fillUp(t *testing.T, dir string) (ballast string) {
	t.Helper()
	ballast = filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for range 1 << 20 {
		if _, err := f.Write(block); err != nil {
			return ballast
		}
	}
	t.Fatalf("%s is never full", dir)
	return ""
}

// TestPartitionVanishes unmounts a partition under a running server and mounts it again.
// Mail that cannot be stored waits with its senders, and none is put below the empty
// mount point, where nobody would find it afterwards.
func TestPartitionVanishes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		taken bool // all mail, meanwhile
	}{{"spool", false}, {"archive", true}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 1, slotOfSteps, "anna", "brong", "carla")
			dir := filepath.Join(w.slot.Root, tc.name)
			disk := dir + ".disk"
			mount(t, disk, "32m")
			if err := os.CopyFS(disk, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			remove(t, dir)
			bind(t, disk, dir)
			w.slot.Start(t)
			w.users = w.users[:2] // who have mail
			w.some(t, "before", 52)
			w.users = append(w.users, "carla")
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
			taken, err := w.try(t, "gone", 60)
			if tc.taken && taken != 60 {
				t.Errorf("%d of 60 messages were taken, %v\n%s", taken, err, w.slot.Log())
			}
			if below, _ := filepath.Glob(filepath.Join(dir, "users", "*", "*", "*")); len(below) > 0 {
				t.Errorf("mail was put where the partition was: %q", below)
			}
			bind(t, disk, dir)
			w.some(t, "back", 60)
			w.served(t)
			w.slot.Stop(t)
			w.check(t, true)
			t.Logf("%d of 60 messages were taken without the %s", taken, tc.name)
			if t.Failed() {
				t.Log(w.slot.Log())
			}
		})
	}
}

// recovered holds that the slot indexes and serves all of its mail again, and that all is
// whole when it has stopped.
func (w *world) recovered(t *testing.T) {
	t.Helper()
	w.indexed(t)
	w.served(t)
	w.slot.Stop(t)
	w.check(t, true)
	if t.Failed() {
		t.Log(w.slot.Log())
	}
}

// bind mounts a directory once more.
func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("a directory cannot be mounted a second time, which takes root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(to, unix.MNT_DETACH) })
}
