package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sys/unix"

	"teraslot/bench/daemon"
)

// TestDiskErrors lets system calls of a real imapd fail, a few of each kind one after the
// other, below SQLite as well as in packs: what is refused is refused for now, what was
// acknowledged is there, and the server goes on when its disk does.
func TestDiskErrors(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: it is what lets system calls fail")
	}
	if out, err := exec.Command("strace", "-qq", "-e", "inject=fsync:error=EIO", "true").CombinedOutput(); err != nil {
		t.Skipf("strace cannot trace here: %v: %.100s", err, out)
	}
	refused := 0
	for _, tc := range []struct{ calls, fault string }{
		{"fsync,fdatasync", "error=EIO"},
		{"pwrite64,write,writev", "error=EIO"},
		{"pread64,read", "error=EIO"},
		{"fsync,fdatasync", "error=ENOSPC"},
		{"openat", "error=EMFILE"},
	} {
		t.Run(tc.calls+" "+tc.fault, func(t *testing.T) {
			w := newWorld(t, 1, slotOfSteps, "anna", "brong")
			w.slot.Start(t)
			w.some(t, "before", 8)
			for round := range 3 {
				end := w.inject(t, tc.calls, fmt.Sprintf("%s:when=%d+%d", tc.fault, 1+round, 2+round))
				taken, _ := w.try(t, fmt.Sprintf("failing%d", round), 12)
				refused += 12 - taken
				end()
				for _, user := range w.users { // who may have to wait a second
					await(t, func() bool { return w.takes(t, user, fmt.Sprintf("waits%dx%s", round, user)) })
				}
				w.some(t, fmt.Sprintf("again%d", round), 4)
				w.served(t)
			}
			w.slot.Kill() // so that nothing is mended by a stop
			w.check(t, true)
			if t.Failed() {
				t.Log(w.slot.Log())
			}
		})
	}
	t.Logf("proof: system calls failed while mail came; %d messages had to wait, no acknowledged one was lost", refused)
}

// inject lets system calls on the slot's files fail, until end is called.
func (w *world) inject(t *testing.T, calls, fault string) (end func()) {
	t.Helper()
	args := []string{"-f", "-qq", "-o", "/dev/null", "-p", fmt.Sprint(w.slot.Pid()), "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + fault}
	err := filepath.WalkDir(w.slot.Root, func(path string, d os.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(path, ".pack") || strings.Contains(filepath.Base(path), "mail.db") || strings.HasSuffix(path, "/store")) {
			args = append(args, "-P", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	trace := exec.Command("strace", args...)
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return w.traced(t) })
	return func() {
		trace.Process.Signal(os.Interrupt) // it detaches
		trace.Wait()
	}
}

// takes reports whether a message is taken now. It has another token each time.
func (w *world) takes(t *testing.T, user, name string) bool {
	t.Helper()
	d, err := daemon.DialLMTP(w.slot.LMTP)
	if err != nil {
		return false
	}
	defer d.Close()
	return w.send(d, user, fmt.Sprintf("%sx%dq", name, len(w.letters)), 1) == nil
}

// traced reports whether somebody traces the daemon.
func (w *world) traced(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.slot.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	return !strings.Contains(string(b), "TracerPid:\t0\n")
}

// TestFewDescriptors runs a slot that may open 64 files, with more sessions than that:
// clients are told or wait, and when they are gone all goes on.
func TestFewDescriptors(t *testing.T) {
	var users []string
	for i := range 12 {
		users = append(users, fmt.Sprintf("user%d", i))
	}
	w := newWorld(t, 1, slotOfSteps, users...)
	w.slot.Start(t, "sh", "-c", `ulimit -n 64; exec "$@"`, "sh")
	w.some(t, "before", 36)
	var sessions []*imapclient.Client
	for range 70 { // some of them wait for a descriptor, as long as others have them
		c, err := imapclient.DialInsecure(w.slot.IMAP, nil)
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, c)
	}
	for _, c := range sessions {
		c.Close()
	}
	for _, user := range users { // as soon as the sessions have ended
		await(t, func() bool { return w.takes(t, user, "after"+user) })
	}
	w.indexed(t)
	for _, user := range users { // a session may be refused while others are indexed
		await(t, func() bool {
			c, err := w.open(user)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	w.slot.Stop(t)
	w.check(t, true)
	if t.Failed() {
		t.Log(w.slot.Log())
	}
}

// TestReadOnlyPartitions mounts what a slot is made of read-only, before its start and
// while it runs: it says so, serves what it can, and takes mail again when it can write.
func TestReadOnlyPartitions(t *testing.T) {
	for _, tc := range []struct {
		name   string
		starts bool // a slot with the partition read-only
		taken  bool // mail, meanwhile
	}{{"spool", false, false}, {"archive", true, true}, {"conf", false, false}, {"search", true, true}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newSlotOnPartitions(t, func(w *world) []string { return []string{filepath.Join(w.slot.Root, tc.name)} })
			dir := filepath.Join(w.slot.Root, tc.name)
			w.slot.Start(t)
			w.some(t, "before", 52)
			w.slot.Stop(t)
			readOnly := func(flag uintptr) {
				if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flag, ""); err != nil {
					t.Fatal(err)
				}
			}
			readOnly(unix.MS_RDONLY)
			err := w.slot.TryStart(t)
			switch {
			case tc.starts && err != nil:
				t.Errorf("the slot does not start: %v\n%s", err, w.slot.Log())
			case err != nil && !strings.Contains(w.slot.Log(), dir):
				t.Errorf("what is wrong is not said: %s", w.slot.Log())
			case err == nil:
				w.served(t)
				if taken, err := w.try(t, "readonly", 60); tc.taken && taken != 60 {
					t.Errorf("%d of 60 messages were taken: %v\n%s", taken, err, w.slot.Log())
				}
			}
			w.slot.Kill()
			readOnly(0)
			w.slot.Start(t)
			w.some(t, "again", 8)
			w.served(t)
			w.slot.Stop(t)
			w.check(t, true)
		})
	}
}
