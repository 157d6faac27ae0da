package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// limits measures what no figure of the other workloads can pass on this machine, with
// as little code as there can be in the way.
func limits(b *bench) {
	block := make([]byte, 256<<20)
	for i := range block {
		block[i] = "etaoin shrdlu"[i%13]
	}
	speed := func(what string, n int, do func()) {
		do() // pages are there from now on
		best := time.Duration(1<<63 - 1)
		for range 5 {
			start := time.Now()
			do()
			best = min(best, time.Since(start))
		}
		b.table.row(what, figure{ours: fmt.Sprintf("%.1f GB/s", float64(n)/best.Seconds()/1e9), n: "5"})
	}
	to := make([]byte, len(block))
	speed("memory: copied, of 256 MB", len(block), func() { copy(to, block) })
	speed("memory: searched for a word (bytes.Index)", len(block), func() {
		if bytes.Contains(block, []byte("qzxwvk")) {
			b.Fatal("found what is not there")
		}
	})
	file := filepath.Join(b.TempDir(), "block")
	b.must(os.WriteFile(file, block, 0o600))
	speed("disk: read, nothing cached", len(block), func() { b.readUncached(file, to) })
	b.syncTimes()
	c := b.roundTrips()
	b.timed("NOOP over the wire", c, nil, figure{})
}

// readUncached reads a file from the disk.
func (b *bench) readUncached(name string, to []byte) {
	f, err := os.Open(name)
	b.must(err)
	defer f.Close()
	b.must(f.Sync())
	b.must(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	_, err = f.Read(to)
	b.must(err)
}

// syncTimes measures what durability costs: an append of 4 kB in a file that grows, and in
// one whose space is there, and a small file written anew.
func (b *bench) syncTimes() {
	dir := b.TempDir()
	for _, how := range []struct {
		what string
		size int64
	}{{"append of 4 kB and fsync", 0}, {"the same where the file is long enough, and fdatasync", 4 << 20}} {
		f, err := os.Create(filepath.Join(dir, "log"))
		b.must(err)
		if how.size > 0 {
			_, err := f.Write(make([]byte, how.size))
			b.must(err)
			b.must(f.Sync())
			_, err = f.Seek(0, 0)
			b.must(err)
		}
		var times durations
		for range 500 {
			start := time.Now()
			_, err := f.Write(make([]byte, 4096))
			b.must(err)
			if how.size > 0 {
				b.must(unix.Fdatasync(int(f.Fd())))
			} else {
				b.must(f.Sync())
			}
			times = append(times, time.Since(start))
		}
		b.must(f.Close())
		b.timed(how.what, times, nil, figure{})
	}
	var times durations
	for range 300 {
		times = append(times, b.publish(dir))
	}
	b.timed("write, fsync, rename, fsync", times, nil, figure{})
}

// roundTrips times the command that does nothing.
func (b *bench) roundTrips() durations {
	s := b.slot()
	addUsers(b, s, 1)
	s.Start(b)
	defer s.Kill()
	c := dial(b, s, "user0")
	defer c.close()
	return timesOf(c, 1000, always("NOOP"))
}
