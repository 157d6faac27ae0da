package synclog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"teraslot/disk"
	"teraslot/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const channelDir = "/conf/sync/squatter"

func check(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t interface {
	Helper()
	Fatal(...any)
}, fsys disk.FS) *Log {
	t.Helper()
	l, err := Open(Options{FS: fsys, Dir: channelDir, Logger: slog.New(slog.DiscardHandler)})
	check(t, err)
	return l
}

// next returns the notes that wait, and the batch.
func next(t *testing.T, l *Log) (*Batch, []Note) {
	t.Helper()
	b, err := l.Next(t.Context())
	check(t, err)
	return b, b.Notes()
}

// nothing checks that there is no batch.
func nothing(t *testing.T, l *Log) {
	t.Helper()
	if b, err := l.aside(); b != nil || err != nil {
		t.Errorf("there is a batch: %v, %v", b, err)
	}
}

func flush(t *testing.T, l *Log, notes ...Note) {
	t.Helper()
	for _, n := range notes {
		l.Add(n)
	}
	check(t, l.Flush())
}

func TestBatches(t *testing.T) {
	a, b, c := Note{alice, inbox}, Note{alice, trash}, Note{User: bob}
	l := open(t, disk.NewMemory())
	nothing(t, l)
	flush(t, l, a, b, a)
	first, notes := next(t, l)
	if !slices.Equal(notes, []Note{a, b}) {
		t.Errorf("first batch %v", notes)
	}
	flush(t, l, c, a)
	if _, notes := next(t, l); !slices.Equal(notes, []Note{a, b}) {
		t.Errorf("before Done: %v", notes)
	}
	check(t, first.Done())
	second, notes := next(t, l)
	if !slices.Equal(notes, []Note{c, a}) {
		t.Errorf("second batch %v", notes)
	}
	check(t, second.Done())
	nothing(t, l)
	check(t, l.Close())
}

// TestBatchComesAgain: what was not Done is there after a stop, and what was
// flushed behind it follows.
func TestBatchComesAgain(t *testing.T) {
	m := disk.NewMemory()
	a, b := Note{alice, inbox}, Note{User: bob}
	l := open(t, m)
	flush(t, l, a)
	next(t, l)
	l.Add(b)
	check(t, l.Close())
	l = open(t, m)
	batch, notes := next(t, l)
	if !slices.Equal(notes, []Note{a}) {
		t.Errorf("first batch %v", notes)
	}
	check(t, batch.Done())
	if _, notes := next(t, l); !slices.Equal(notes, []Note{b}) {
		t.Errorf("second batch %v", notes)
	}
	check(t, l.Close())
}

// TestUnreadLogDoesNotGrow: a channel that nobody reads holds each mailbox once.
func TestUnreadLogDoesNotGrow(t *testing.T) {
	m := disk.NewMemory()
	l := open(t, m)
	for range 50 {
		flush(t, l, Note{alice, inbox}, Note{User: bob})
	}
	check(t, l.Close())
	l = open(t, m)
	flush(t, l, Note{alice, inbox}, Note{alice, trash})
	b, err := disk.ReadFile(m, channelDir+"/log")
	check(t, err)
	if n := strings.Count(string(b), "\n"); n != 3 {
		t.Errorf("%d lines: %q", n, b)
	}
	check(t, l.Close())
}

func TestClean(t *testing.T) {
	m := disk.NewMemory()
	clean := func(want bool, why string) *Log {
		t.Helper()
		l := open(t, m)
		if l.Clean() != want {
			t.Errorf("%s: Clean is %v", why, l.Clean())
		}
		return l
	}
	l := clean(false, "the first start")
	check(t, l.Close())
	l = clean(false, "nobody has compared")
	l.Compared()
	check(t, l.Close())
	clean(true, "compared, then stopped")
	m.Crash(disk.KeepUnsynced)
	l = clean(false, "a crash")
	l.Compared()
	m.Crash(disk.KeepUnsynced)
	l = clean(false, "compared, then a crash")
	l.Compared()
	l.Add(Note{alice, inbox})
	check(t, l.Close())
	l = clean(true, "Close flushes")
	if _, notes := next(t, l); len(notes) != 1 {
		t.Errorf("notes %v", notes)
	}
	check(t, l.Close())
	check(t, l.Close())
	clean(true, "closed twice")
}

func TestDamageIsNotClean(t *testing.T) {
	m := disk.NewMemory()
	l := open(t, m)
	flush(t, l, Note{alice, inbox}, Note{User: bob})
	l.Compared()
	check(t, l.Close())
	f, err := m.OpenFile(channelDir+"/log", os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteAt([]byte("x"), 10)
	check(t, err)
	l = open(t, m)
	b, notes := next(t, l)
	if b.Damaged() != 1 || !slices.Equal(notes, []Note{{User: bob}}) || l.Clean() {
		t.Errorf("%d damaged, notes %v, clean %v", b.Damaged(), notes, l.Clean())
	}
	check(t, b.Done())
	check(t, l.Close())
	if l = open(t, m); l.Clean() {
		t.Error("clean after a damaged line, without a comparison")
	}
	check(t, l.Close())
}

func TestSecondHolder(t *testing.T) {
	for _, fsys := range []disk.FS{disk.NewMemory(), disk.OS()} {
		dir := filepath.Join(t.TempDir(), "sync/replica")
		l, err := Open(Options{FS: fsys, Dir: dir})
		check(t, err)
		if _, err := Open(Options{FS: fsys, Dir: dir}); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), dir) {
			t.Errorf("a second holder: %v", err)
		}
		check(t, l.Close())
		l, err = Open(Options{FS: fsys, Dir: dir})
		check(t, err)
		check(t, l.Close())
	}
}

func TestAddRefusesWhatCannotBeRead(t *testing.T) {
	var out bytes.Buffer
	l, err := Open(Options{FS: disk.NewMemory(), Dir: channelDir, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	check(t, err)
	for _, n := range []Note{{}, {User: "x"}, {alice, "a b"}, {alice, "-"}, {User: alice + "\n"}} {
		l.Add(n)
	}
	check(t, l.Flush())
	nothing(t, l)
	if n := strings.Count(out.String(), "not a note"); n != 5 {
		t.Errorf("logged %d: %s", n, &out)
	}
	check(t, l.Close())
}

// TestRun: notes become durable within FlushEvery, Next waits for them, and the
// last come with the stop.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := disk.NewMemory()
		l, err := Open(Options{FS: m, Dir: channelDir, FlushEvery: 100 * time.Millisecond})
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error)
		go func() { stopped <- l.Run(ctx) }()
		for i := range 3 {
			begin := time.Now()
			go func() {
				time.Sleep(time.Hour) // in the bubble, an hour takes no time
				l.Add(Note{alice, inbox})
			}()
			b, notes := next(t, l)
			if waited := time.Since(begin) - time.Hour; waited > 100*time.Millisecond || len(notes) != 1 {
				t.Errorf("%d: %v after %v", i, notes, waited)
			}
			check(t, b.Done())
		}
		l.Add(Note{User: bob})
		cancel()
		check(t, <-stopped)
		if _, notes := next(t, l); !slices.Equal(notes, []Note{{User: bob}}) {
			t.Errorf("after the stop: %v", notes)
		}
		check(t, l.Close())
	})
}

func TestNextIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, disk.NewMemory())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if b, err := l.Next(ctx); b != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", b, err)
		}
		check(t, l.Close())
	})
}

// TestRunTriesAgain: a full disk loses nothing, and is not clean if it stays full.
func TestRunTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := disk.NewMemory()
		var full sync.Mutex
		var failing error = syscall.ENOSPC
		fsys := disk.WithFaults(m, disk.Faults{Fail: func(op disk.Op, _ string) error {
			full.Lock()
			defer full.Unlock()
			if op != disk.OpWrite {
				return nil
			}
			return failing
		}})
		var out bytes.Buffer
		l, err := Open(Options{FS: fsys, Dir: channelDir, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error)
		go func() { stopped <- l.Run(ctx) }()
		l.Add(Note{alice, inbox})
		time.Sleep(time.Minute)
		l.Add(Note{User: bob})
		time.Sleep(time.Minute)
		full.Lock()
		failing = nil
		full.Unlock()
		b, notes := next(t, l)
		if !slices.Equal(notes, []Note{{alice, inbox}, {User: bob}}) || b.Damaged() != 0 {
			t.Errorf("notes %v, %d damaged", notes, b.Damaged())
		}
		cancel()
		check(t, <-stopped)
		if n := strings.Count(out.String(), "cannot flush"); n < 2 || n > 4 || strings.Count(out.String(), "flushes again") != 1 {
			t.Errorf("in two minutes logged %s", &out)
		}
		l.Compared()
		full.Lock()
		failing = syscall.ENOSPC
		full.Unlock()
		l.Add(Note{alice, trash})
		if err := l.Close(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("close: %v", err)
		}
		if l := open(t, m); l.Clean() {
			t.Error("clean, with a note lost")
		}
	})
}

// TestConcurrentUse has writers, the flusher and a reader at work at once: each
// note is read after it was last added.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(Options{Dir: dir, FlushEvery: time.Millisecond})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wg, writers sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	const users, rounds = 8, 30
	// state is what a note is about: the reader looks at it after it has the note.
	var mu sync.Mutex
	state, seen := map[mailbox.User]int{}, map[mailbox.User]int{}
	for i := range users {
		user := mailbox.User(fmt.Sprintf("%032x", i))
		writers.Go(func() {
			for n := range rounds {
				mu.Lock()
				state[user] = n + 1
				mu.Unlock()
				l.Add(Note{User: user})
			}
		})
	}
	all := func() bool {
		mu.Lock()
		defer mu.Unlock()
		for i := range users {
			if seen[mailbox.User(fmt.Sprintf("%032x", i))] != rounds {
				return false
			}
		}
		return true
	}
	for !all() {
		b, notes := next(t, l)
		mu.Lock()
		for _, n := range notes {
			seen[n.User] = state[n.User]
		}
		mu.Unlock()
		check(t, b.Done())
	}
	writers.Wait()
	cancel()
	wg.Wait()
	check(t, l.Close())
}

// TestSurvivesCrashes makes random histories on a Memory and cuts the power after
// every operation: what was flushed and not Done is in the batches to come, or
// the start is unclean; and after the crash the channel works.
func TestSurvivesCrashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := disk.NewMemory()
		owed := map[Note]bool{} // flushed, and not Done
		points := uint64(0)
		running := false // between a start and a stop, so that a crash loses notes
		look := func(op disk.Op, name string) {
			if !op.Changes() {
				return
			}
			points++
			for _, seed := range []uint64{disk.LoseUnsynced, disk.KeepUnsynced + points} {
				if err := afterCrash(m.Crashed(seed), owed, running); err != nil {
					t.Fatalf("after %s %s, seed %d: %v", op, name, seed, err)
				}
			}
		}
		fsys := disk.WithFaults(m, disk.Faults{Done: look})
		l := open(t, fsys)
		running = true
		var added []Note
		var batch *Batch
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := anyNote.Draw(t, "note")
				added = append(added, n)
				l.Add(n)
			},
			"flush": func(t *rapid.T) {
				check(t, l.Flush())
				for _, n := range added {
					owed[n] = true
				}
				added = nil
				look(disk.OpSync, "flush")
			},
			"next": func(t *rapid.T) {
				b, err := l.aside()
				check(t, err)
				batch = b
			},
			"done": func(t *rapid.T) {
				if batch == nil {
					return
				}
				// Whoever is Done has looked at the state; a note that is in log again
				// is still owed.
				done := batch.Notes()
				logged, err := disk.ReadFile(m, channelDir+"/log")
				if err != nil {
					logged = nil
				}
				for _, n := range done {
					if !strings.Contains(string(logged), lines(n)) {
						delete(owed, n)
					}
				}
				check(t, batch.Done())
				batch = nil
			},
			"restart": func(t *rapid.T) {
				l.Compared()
				for _, n := range added {
					l.Add(n)
				}
				running = false
				check(t, l.Close())
				for _, n := range added {
					owed[n] = true
				}
				added, batch = nil, nil
				l = open(t, fsys)
				running = true
				if !l.Clean() {
					t.Fatal("unclean after a clean stop")
				}
			},
		})
	})
}

// afterCrash opens what a crash left and reads all of it.
func afterCrash(m *disk.Memory, owed map[Note]bool, running bool) error {
	l, err := Open(Options{FS: m, Dir: channelDir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if l.Clean() && running {
		return errors.New("clean after a crash")
	}
	l.Add(Note{alice, inbox})
	if err := l.Flush(); err != nil {
		return err
	}
	found := map[Note]bool{}
	for {
		b, err := l.aside()
		if err != nil {
			return err
		}
		if b == nil {
			break
		}
		for _, n := range b.Notes() {
			found[n] = true
		}
		if err := b.Done(); err != nil {
			return err
		}
	}
	if !found[Note{alice, inbox}] {
		return errors.New("a note added after the crash is lost")
	}
	for n := range owed {
		if !found[n] {
			return fmt.Errorf("%v was flushed and is lost", n)
		}
	}
	return l.Close()
}

// TestEachOperationFails lets every operation fail once: nothing that was added
// is lost, and the channel goes on.
func TestEachOperationFails(t *testing.T) {
	a, b := Note{alice, inbox}, Note{User: bob}
	for n := 1; ; n++ {
		m := disk.NewMemory()
		fail := disk.FailAt(n, syscall.EIO)
		l, err := Open(Options{FS: disk.WithFaults(m, disk.Faults{Fail: fail}), Dir: channelDir})
		if err != nil {
			l = open(t, disk.WithFaults(m, disk.Faults{Fail: fail}))
		}
		failed := err != nil
		again := func(run func() error) {
			if err := run(); err != nil {
				failed = true
				check(t, run())
			}
		}
		seen := map[Note]bool{}
		for _, note := range []Note{a, b} {
			l.Add(note)
			again(l.Flush)
			if err := afterCrash(m.Crashed(disk.LoseUnsynced), map[Note]bool{note: true}, true); err != nil {
				t.Fatalf("operation %d failed, then a crash: %v", n, err)
			}
			var batch *Batch
			again(func() (err error) { batch, err = l.aside(); return err })
			for _, note := range batch.Notes() {
				seen[note] = true
			}
			again(batch.Done)
		}
		if !seen[a] || !seen[b] {
			t.Fatalf("operation %d failed: seen %v", n, seen)
		}
		if err := l.Close(); err == nil && !failed {
			if n < 15 {
				t.Errorf("only %d operations", n-1)
			}
			return
		}
	}
}

// TestMarkIsGoneForGood: a start that could not make it durable that the mark of a clean stop is gone leaves that to the next one, and no
// power cut brings the mark back then.
func TestMarkIsGoneForGood(t *testing.T) {
	m := disk.NewMemory()
	check(t, open(t, m).Close())
	l := open(t, m)
	l.Compared()
	check(t, l.Close())
	broken := disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(1, syscall.EIO, disk.OpSyncDir)})
	if _, err := Open(Options{FS: broken, Dir: channelDir}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	open(t, m)
	if l := open(t, m.Crashed(disk.LoseUnsynced)); l.Clean() {
		t.Error("clean, after a power cut under a running log")
	}
}

func TestValidChannel(t *testing.T) {
	for name, want := range map[string]bool{
		"squatter": true, "replica-2": true, "a_b": true, "": false, ".": false, "..": false, "a/b": false, "A": false,
		"a.b": false, "a b": false, strings.Repeat("a", 65): false,
	} {
		if ValidChannel(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
