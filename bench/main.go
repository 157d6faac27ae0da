package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"teraslot/bench/daemon"
)

const password = "correct horse"

// workload is one thing to measure.
type workload struct {
	name string
	what string
	run  func(b *bench)
}

var workloads = []workload{
	{"deliver", "LMTP, each reply after the message is durable", deliver},
	{"index", "import, bulk indexing, compaction, sizes", index},
	{"files", "the size of the index of mail that carries files, 60 kB a message", attached},
	{"queries", "distinct searches by kind, warm and cold, against the oracle", askAll},
	{"fresh", "from delivery to being found, on 100,000 messages", fresh},
	{"spread", "200 deliveries a second to 500 users, indexing included", spread},
	{"during", "searching and delivering during compactions; the activefile's lock", during},
	{"fetch", "FETCH, STORE, SELECT of all messages", fetch},
	{"sort", "SORT and THREAD of all messages", sortMail},
	{"several", "one search of twenty mailboxes", severalMailboxes},
	{"select", "SELECT of 100,000 messages", selectLarge},
	{"limits", "what this machine can do: memory, disk, fsync, a command that does nothing", limits},
	{"replica", "the first full sync of a replica, and its lag under a steady flow", replica},
	{"idle", "memory of 1,000 sessions that idle", idleSessions},
}

// extra are run only when they are asked for by name.
var extra = []workload{
	{"growth", "searches at 10,000 to 600,000 messages; goes on where it stopped", growth},
	{"profile", "the largest costs of indexing, searching and compacting", profile},
}

// bench runs workloads. It stands where a test would for package daemon.
type bench struct {
	mu       sync.Mutex // guards cleanups: an interrupt runs them as well
	cleanups []func()
	table    *table
	o        options
}

// options are the command line and the variables that make passes on.
type options struct {
	corpus   string // a path: an mbox, a Maildir, a directory of messages or of archives
	only     string // the archive, where there are several
	count    int    // messages to make, or 0
	limit    int    // of messages read of a corpus, or 0
	peer     string // "", "cyrus" or "dovecot"
	seed     uint64
	asked    int // queries of each kind
	state    string
	growth   string        // the file that growth appends to
	sizes    string        // of mailboxes, for growth
	lasts    time.Duration // for how long growth goes on
	patience time.Duration // for how long a peer is asked queries of one kind
}

func main() {
	run := flag.String("run", "", "run only these `workloads`, separated by commas")
	list := flag.Bool("list", false, "list the workloads")
	markdown := flag.Bool("md", false, "print tables as Markdown")
	drawn := flag.String("plot", "", "draw the growth in this `file` as SVG, and nothing else")
	var o options
	flag.StringVar(&o.corpus, "corpus", os.Getenv("CORPUS"), "`path` of an mbox, a Maildir, a directory of messages or of archives")
	flag.StringVar(&o.only, "archive", "", "`name` of the archive, where there are several")
	flag.IntVar(&o.count, "n", number("N", 0), "make so many synthetic messages instead of reading a corpus")
	flag.IntVar(&o.limit, "limit", number("LIMIT", 0), "read or make so many messages at most")
	flag.StringVar(&o.peer, "peer", os.Getenv("PEER"), "cyrus or dovecot: put the same work to it")
	flag.Uint64Var(&o.seed, "seed", uint64(number("SEED", 1)), "of queries and synthetic mail")
	flag.IntVar(&o.asked, "queries", number("QUERIES", 1000), "timed queries of each kind")
	flag.StringVar(&o.state, "state", "var/growth", "`directory` of the growing slot")
	flag.StringVar(&o.growth, "growth", "docs/growth.tsv", "`file` that growth appends to")
	flag.StringVar(&o.sizes, "sizes", "", "`numbers` of messages at which growth measures, rising, separated by commas")
	flag.DurationVar(&o.lasts, "for", 8*time.Minute, "for how long growth goes on")
	flag.DurationVar(&o.patience, "patience", 12*time.Second, "for how long a peer is asked queries of one kind")
	flag.Parse()
	switch {
	case *list:
		for _, w := range slices.Concat(workloads, extra) {
			fmt.Printf("%-9s %s\n", w.name, w.what)
		}
	case *drawn != "":
		if err := drawGrowth(*drawn, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	default:
		measure(o, *run, *markdown)
	}
}

// measure runs the workloads that are named, or all but the extra ones.
func measure(o options, names string, markdown bool) {
	chosen := workloads
	if names != "" {
		chosen = nil
		for name := range strings.SplitSeq(names, ",") {
			i := slices.IndexFunc(slices.Concat(workloads, extra), func(w workload) bool { return w.name == name })
			if i < 0 {
				fmt.Fprintf(os.Stderr, "bench: no workload %q; -list lists them\n", name)
				os.Exit(2)
			}
			chosen = append(chosen, slices.Concat(workloads, extra)[i])
		}
	}
	// Thousands of users log in for idle: the commands know cheap hashes of passwords.
	// What else the tag adds does nothing unless the environment asks for it.
	daemon.Tags("steps")
	t := &table{out: os.Stdout, markdown: markdown, peer: o.peer}
	for _, w := range chosen {
		b := &bench{table: t, o: o}
		stop := b.endOnSignal()
		t.begin(w.name + ": " + w.what)
		w.run(b)
		stop()
		b.close()
	}
	daemon.Clean()
}

// endOnSignal ends the run when somebody interrupts it: what it started goes as well.
func (b *bench) endOnSignal() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			b.Fatal("interrupted")
		case <-done:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// number is a variable of the environment, as make passes them on.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// must ends the run on an error.
func (b *bench) must(err error) {
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) close() {
	b.mu.Lock()
	cleanups := b.cleanups
	b.cleanups = nil
	b.mu.Unlock()
	for _, f := range slices.Backward(cleanups) {
		f()
	}
}

// Helper is part of daemon.TB.
func (b *bench) Helper() {}

// Cleanup is part of daemon.TB.
func (b *bench) Cleanup(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cleanups = append(b.cleanups, f)
}

// TempDir is part of daemon.TB: below var/, on the disk that holds the tree, where
// fsync is real.
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
