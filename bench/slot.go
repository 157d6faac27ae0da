package main

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

// slot makes a slot on the disk of the working directory, where fsync is real.
func (b *bench) slot() *daemon.Slot { return daemon.New(b, filepath.Join(b.TempDir(), "slot"), "") }

func addUsers(b *bench, s *daemon.Slot, n int) []string {
	var users []string
	for i := range n {
		users = append(users, fmt.Sprintf("user%d", i))
		s.AddUser(b, users[i], password)
	}
	return users
}

// filled is a slot with a user, user0, who has the mail, indexed and compacted.
func (b *bench) filled(src source) (s *daemon.Slot, loaded amount) {
	s = b.slot()
	addUsers(b, s, 1)
	loaded = b.load(s, "user0", src)
	b.squatter(s, "-i", "-r", "-u", "user0")
	b.compact(s, "data", "temp", "-u", "user0")
	return s, loaded
}

// amount is what was put into a mailbox.
type amount struct {
	messages int
	octets   int64
	took     time.Duration // of the import alone
}

// chunk is how many messages are written to one file for an import.
const chunk = 50_000

// load imports mail, by way of files with so many messages.
func (b *bench) load(s *daemon.Slot, user string, src source) (a amount) {
	next, stop := iter.Pull2(src.all)
	defer stop()
	path := filepath.Join(b.TempDir(), "mbox")
	for {
		n, octets := b.writeMbox(path, next)
		if n == 0 {
			return a
		}
		start := time.Now()
		_, err := s.Run(context.Background(), b, "", "slotctl", "--config", s.Config, "import", user, path)
		b.must(err)
		a.messages, a.octets, a.took = a.messages+n, a.octets+octets, a.took+time.Since(start)
		b.must(os.Remove(path))
	}
}

// writeMbox writes the next messages, a chunk of them at most.
func (b *bench) writeMbox(path string, next func() (corpus.Message, error, bool)) (n int, octets int64) {
	f, err := os.Create(path)
	b.must(err)
	w := bufio.NewWriterSize(f, 1<<20)
	for n < chunk {
		m, err, ok := next()
		if !ok {
			break
		}
		b.must(err)
		b.must(corpus.WriteMbox(w, m))
		n, octets = n+1, octets+int64(len(m.Raw))
	}
	b.must(w.Flush())
	b.must(f.Close())
	return n, octets
}

// squatter runs the command to its end, and returns how long it took.
func (b *bench) squatter(s *daemon.Slot, args ...string) time.Duration {
	start := time.Now()
	_, err := s.Run(context.Background(), b, "", "squatter", append([]string{"-C", s.Config, "-v"}, args...)...)
	b.must(err)
	return time.Since(start)
}

// compact brings databases of those whom it names to a tier, at full speed: what
// is measured is not the bandwidth that a slot is configured to.
func (b *bench) compact(s *daemon.Slot, to, from string, args ...string) time.Duration {
	return b.squatter(s, append([]string{"--full-speed", "-z", to, "-t", from}, args...)...)
}

// settle waits until the slot has indexed what it found when it started.
func settle(b *bench, s *daemon.Slot) {
	for before := time.Duration(-1); s.CPU(b) != before; {
		before = s.CPU(b)
		time.Sleep(time.Second)
	}
}

// ownCPU is the processor time of this process.
func ownCPU(b *bench) time.Duration {
	var u syscall.Rusage
	b.must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// each calls f for the files below a directory; one that goes meanwhile is none.
func (b *bench) each(dir string, f func(path string, size int64)) {
	b.must(filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if fi, err := e.Info(); err == nil {
			f(path, fi.Size())
		}
		return nil
	}))
}

// forget drops the pages of all files below a directory from the system's cache.
// Nobody may have them mapped.
func (b *bench) forget(dir string) {
	b.each(dir, func(path string, _ int64) {
		f, err := os.Open(path)
		if err != nil {
			return
		}
		defer f.Close()
		// What was not written yet cannot be dropped.
		b.must(f.Sync())
		b.must(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
}

// memory is a line of a process's status, in bytes: VmRSS, VmHWM or RssAnon.
func (b *bench) memory(s *daemon.Slot, line string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	b.must(err)
	_, rest, _ := strings.Cut(string(text), line+":")
	var kb int64
	_, err = fmt.Sscan(rest, &kb)
	b.must(err)
	return kb << 10
}

// children is the processor time of the commands that were run to their end.
func children(b *bench) time.Duration {
	var u syscall.Rusage
	b.must(syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
