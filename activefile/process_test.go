package activefile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain makes this binary the other processes too: called with the word
// "process", it does what the words after that say.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "process" {
		if err := process(os.Args[2], os.Args[3], os.Args[4:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// process is another process: it works on the user directory dir.
func process(what, dir string, args []string) error {
	f, ctx := New(dir, Options{}), context.Background()
	switch what {
	case "hold":
		return hold(f, ctx, args[0])
	case "change":
		return changeOften(f, ctx, args[0])
	case "read":
		return readForEver(f, ctx)
	}
	return fmt.Errorf("do what? %q", what)
}

// take takes a lock by name.
func take(f *File, ctx context.Context, name string) (*Lock, error) {
	switch name {
	case "shared":
		return f.Shared(ctx)
	case "exclusive":
		return f.Exclusive(ctx)
	case "write":
		return f.Write(ctx)
	case "compact":
		return f.TryCompact()
	}
	return nil, fmt.Errorf("no lock %q", name)
}

// hold takes a lock, says so, and holds it until its input ends.
func hold(f *File, ctx context.Context, name string) error {
	l, err := take(f, ctx, name)
	if err != nil {
		return err
	}
	fmt.Println("held")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return l.Unlock()
}

// changeOften puts databases in front and prints their names; while it holds the
// lock, it counts in a file, in a way that two at once would spoil.
func changeOften(f *File, ctx context.Context, times string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	for range n {
		l, err := f.Exclusive(ctx)
		if err != nil {
			return err
		}
		if err := count(filepath.Join(f.dir, "count")); err != nil {
			return err
		}
		d, err := frontUnder(l, "temp")
		if err != nil {
			return err
		}
		if err := l.Unlock(); err != nil {
			return err
		}
		fmt.Println(d)
	}
	return nil
}

// count adds one to the number in a file.
func count(name string) error {
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	n, _ := strconv.Atoi(string(b))
	return os.WriteFile(name, strconv.AppendInt(nil, int64(n+1), 10), 0o600)
}

// readForEver holds the shared lock from several goroutines, so that it is held
// nearly always, until its input ends.
func readForEver(f *File, ctx context.Context) error {
	fmt.Println("reading")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				l, err := f.Shared(ctx)
				if err != nil {
					continue // cancelled
				}
				select { // a reader that holds the lock for a while
				case <-time.After(2 * time.Millisecond):
				case <-ctx.Done():
				}
				if err := l.Unlock(); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}
		})
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	cancel()
	wg.Wait()
	return err
}

// other is a process that was started.
type other struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Scanner
	err strings.Builder
}

func start(t *testing.T, args ...string) *other {
	t.Helper()
	exe, err := os.Executable()
	check(t, err)
	o := &other{cmd: exec.Command(exe, append([]string{"process"}, args...)...)}
	in, err := o.cmd.StdinPipe()
	check(t, err)
	out, err := o.cmd.StdoutPipe()
	check(t, err)
	o.in, o.out = in, bufio.NewScanner(out)
	o.cmd.Stderr = &o.err
	check(t, o.cmd.Start())
	t.Cleanup(func() {
		_ = o.cmd.Process.Kill()
		_ = o.cmd.Wait()
	})
	return o
}

// line waits for the next line of output.
func (o *other) line(t *testing.T) string {
	t.Helper()
	if !o.out.Scan() {
		t.Fatalf("no output: %v %s", o.out.Err(), o.err.String())
	}
	return o.out.Text()
}

// finish lets the process end, and returns its remaining output.
func (o *other) finish(t *testing.T) (lines []string) {
	t.Helper()
	check(t, o.in.Close())
	for o.out.Scan() {
		lines = append(lines, o.out.Text())
	}
	if err := o.cmd.Wait(); err != nil {
		t.Errorf("a process failed: %v %s", err, o.err.String())
	}
	return lines
}

// kill is kill -9.
func (o *other) kill(t *testing.T) {
	t.Helper()
	check(t, o.cmd.Process.Kill())
	_ = o.cmd.Wait() // says that it was killed
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestProcessesExclude has several processes change one activefile: no change is
// lost, no generation given twice, and nobody counted at the same time.
func TestProcessesExclude(t *testing.T) {
	const processes, times = 4, 25
	dir := t.TempDir()
	var all []*other
	for range processes {
		all = append(all, start(t, "change", dir, strconv.Itoa(times)))
	}
	given := map[string]bool{}
	for _, o := range all {
		for _, name := range o.finish(t) {
			if given[name] {
				t.Errorf("%s was given twice", name)
			}
			given[name] = true
		}
	}
	a := mustRead(t, New(dir, Options{}))
	counted, err := os.ReadFile(filepath.Join(dir, "count"))
	check(t, err)
	if want := processes * times; len(given) != want || len(a.Databases) != want || string(counted) != strconv.Itoa(want) {
		t.Errorf("%d names given, %d databases published, counted to %s; want %d", len(given), len(a.Databases), counted, want)
	}
}

// TestLocksAmongProcesses: which lock of another process keeps which of ours out.
func TestLocksAmongProcesses(t *testing.T) {
	for _, c := range []struct{ theirs, free, busy string }{
		{"shared", "shared write compact", "exclusive"},
		{"exclusive", "write compact", "shared exclusive"},
		{"write", "shared exclusive compact", "write"},
		{"compact", "shared exclusive write", "compact"},
	} {
		t.Run(c.theirs, func(t *testing.T) {
			dir := t.TempDir()
			f := New(dir, Options{})
			o := start(t, "hold", dir, c.theirs)
			o.line(t)
			for _, name := range strings.Fields(c.free) {
				l, err := take(f, within(t, 10*time.Second), name)
				check(t, err)
				check(t, l.Unlock())
			}
			for _, name := range strings.Fields(c.busy) {
				_, err := take(f, within(t, 30*time.Millisecond), name)
				if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrHeld) {
					t.Errorf("%s beside %s: %v", name, c.theirs, err)
				}
				if errors.Is(err, ErrHeld) && !strings.Contains(err.Error(), strconv.Itoa(o.cmd.Process.Pid)) {
					t.Errorf("%v does not name process %d", err, o.cmd.Process.Pid)
				}
			}
			o.finish(t)
			for _, name := range strings.Fields(c.busy) {
				l, err := take(f, within(t, 10*time.Second), name)
				check(t, err)
				check(t, l.Unlock())
			}
		})
	}
}

// TestKilledHolder: kill -9 frees every lock, and the lock files stay the same.
func TestKilledHolder(t *testing.T) {
	dir := t.TempDir()
	f := New(dir, Options{})
	var before os.FileInfo
	for _, name := range []string{"exclusive", "shared", "write", "compact", "exclusive"} {
		o := start(t, "hold", dir, name)
		o.line(t)
		o.kill(t)
		l, err := take(f, within(t, 10*time.Second), name)
		check(t, err)
		check(t, l.Unlock())
		after, err := os.Stat(filepath.Join(dir, lockName))
		check(t, err)
		if before != nil && !os.SameFile(before, after) {
			t.Error("the lock file was replaced")
		}
		before = after
	}
}

// TestKilledAtRandom kills processes in the midst of their changes, over and over,
// while others go on: the activefile is whole at every moment, what was printed
// as published is published, and no generation comes twice.
func TestKilledAtRandom(t *testing.T) {
	dir := t.TempDir()
	f := New(dir, Options{})
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	given := map[string]bool{}
	for range rounds(t, 12) {
		victim, other := start(t, "change", dir, "1000000"), start(t, "change", dir, "5")
		lines := []string{victim.line(t)}
		for range random.IntN(8) {
			lines = append(lines, victim.line(t))
		}
		// Somewhere in the next change, which takes about a millisecond.
		timer := time.NewTimer(time.Duration(random.IntN(3000)) * time.Microsecond)
		<-timer.C
		victim.kill(t)
		for victim.out.Scan() {
			lines = append(lines, victim.out.Text())
		}
		lines = append(lines, other.finish(t)...)
		a, err := f.Read(within(t, 10*time.Second))
		check(t, err)
		for _, name := range lines {
			d, err := Parse(name)
			check(t, err)
			if given[name] || !a.Contains(d) {
				t.Errorf("%s: given before %v, published %v", name, given[name], a.Contains(d))
			}
			given[name] = true
		}
	}
}

// rounds is how often a test repeats itself: COUNT, or few.
func rounds(t *testing.T, few int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("COUNT")); err == nil {
		return n
	}
	return few
}

// TestReadersDoNotStarveTheWriter: several processes hold the shared lock, over
// and over, so that it is never free by itself; the exclusive one must be had
// nonetheless, again and again, and the readers must go on.
func TestReadersDoNotStarveTheWriter(t *testing.T) {
	dir := t.TempDir()
	f := New(dir, Options{})
	var readers []*other
	for range 3 {
		o := start(t, "read", dir)
		o.line(t)
		readers = append(readers, o)
	}
	begin := time.Now()
	const turns = 20
	var longest time.Duration
	for range turns {
		before := time.Now()
		l, err := f.Exclusive(within(t, 20*time.Second))
		check(t, err)
		longest = max(longest, time.Since(before))
		check(t, l.Unlock())
		check(t, second(f.Read(within(t, 20*time.Second))))
	}
	t.Logf("%d exclusive and shared locks among readers: %v, longest wait %v", turns, time.Since(begin), longest)
	for _, o := range readers {
		o.finish(t)
	}
}

// BenchmarkRead is a reader's way in and out: gate, lock, file, unlock.
func BenchmarkRead(b *testing.B) {
	f := New(b.TempDir(), Options{})
	if _, err := front(f, b.Context(), "temp"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := f.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublish is a change of the activefile, with its two syncs.
func BenchmarkPublish(b *testing.B) {
	f := New(b.TempDir(), Options{})
	for b.Loop() {
		l, err := f.Exclusive(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		d, err := l.Reserve("temp")
		if err == nil {
			err = l.Publish(Active{Databases: []Database{d}})
		}
		if err = errors.Join(err, l.Unlock()); err != nil {
			b.Fatal(err)
		}
	}
}
