package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

const password = "correct horse"

// workload is one thing to measure.
type workload struct {
	name string
	run  func(b *bench)
}

var workloads = []workload{
	{"deliver", deliver},
	{"index", index},
	{"select", selectLarge},
	{"fetch", fetch},
	{"idle", idleSessions},
	{"search", searchKeys},
	{"sort", sortMail},
	{"several", severalMailboxes},
}

// bench runs workloads. It stands where a test would for package daemon.
type bench struct {
	cleanups []func()
	mail     map[string][]corpus.Message
}

func main() {
	only := flag.String("run", "", "run only workloads whose name contains this")
	flag.Parse()
	for _, w := range workloads {
		if strings.Contains(w.name, *only) {
			b := &bench{mail: map[string][]corpus.Message{}}
			fmt.Printf("## %s\n", w.name)
			w.run(b)
			b.close()
		}
	}
	daemon.Clean()
}

// messages reads a corpus once.
func (b *bench) messages(name string) []corpus.Message {
	if b.mail[name] == nil {
		dir := os.Getenv("CORPUS")
		if dir == "" {
			b.Fatal("CORPUS is not set: it names the directory of the real mail archives")
		}
		m, err := corpus.Read(filepath.Join(dir, name+".tar.xz"))
		if err != nil {
			b.Fatal(err)
		}
		b.mail[name] = m
	}
	return b.mail[name]
}

// row prints one figure.
func row(what string, format string, args ...any) {
	fmt.Printf("%-58s %s\n", what, fmt.Sprintf(format, args...))
}

// rate prints so many things in so long.
func rate(what string, n int, took time.Duration) {
	row(what, "%8.0f /s   (%d in %.2f s)", float64(n)/took.Seconds(), n, took.Seconds())
}

// percentiles prints the median and the 95th percentile.
func percentiles(what string, times []time.Duration, note string) {
	slices.Sort(times)
	row(what, "p50 %8.3f ms   p95 %8.3f ms   %s", ms(times[len(times)/2]), ms(times[len(times)*95/100]), note)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// must ends the run on an error.
func (b *bench) must(err error) {
	if err != nil {
		b.Fatal(err)
	}
}

// slot makes a slot on the disk of the working directory, where fsync is real.
func (b *bench) slot() *daemon.Slot { return daemon.New(b, filepath.Join(b.TempDir(), "slot"), "") }

func (b *bench) close() {
	for _, f := range slices.Backward(b.cleanups) {
		f()
	}
}

// Helper is part of daemon.TB.
func (b *bench) Helper() {}

// Cleanup is part of daemon.TB.
func (b *bench) Cleanup(f func()) { b.cleanups = append(b.cleanups, f) }

// TempDir is part of daemon.TB: below var/, on the disk that holds the tree.
func (b *bench) TempDir() string {
	b.must(os.MkdirAll("var", 0o755))
	dir, err := os.MkdirTemp("var", "bench")
	b.must(err)
	dir, err = filepath.Abs(dir)
	b.must(err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Errorf is part of daemon.TB.
func (b *bench) Errorf(format string, args ...any) { b.Fatalf(format, args...) }

// Fatalf is part of daemon.TB.
func (b *bench) Fatalf(format string, args ...any) { b.Fatal(fmt.Sprintf(format, args...)) }

// Skipf is part of peers.TB: who asks for a peer wants it.
func (b *bench) Skipf(format string, args ...any) { b.Fatalf(format, args...) }

// Fatal is part of daemon.TB.
func (b *bench) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"bench:"}, args...)...)
	b.close()
	daemon.Clean()
	os.Exit(1)
}
