package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"teraslot/disk"
	"teraslot/mailstore"
)

func environ(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// dump copies what a file system has to a directory of the real disk.
func dump(t testing.TB, from disk.FS, dir, to string) {
	t.Helper()
	entries, err := from.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.MkdirAll(to, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			dump(t, from, filepath.Join(dir, e.Name()), filepath.Join(to, e.Name()))
			continue
		}
		b, err := disk.ReadFile(from, filepath.Join(dir, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// errKilled stands for the end of the process.
var errKilled = errors.New("killed")

// script is what happens to a slot and its backups: three generations, mail that
// comes and goes between them, and a retention of two.
func (w *world) script(o Options) (acknowledged int, err error) {
	steps := []func(){
		func() { w.add(anna, "INBOX", 12); w.add(brong, "Work", 2, "k") },
		func() { w.add(anna, "INBOX", 6); w.remove(anna, "INBOX", 2, 5) },
		func() { w.repack(anna); w.add(brong, "INBOX", 1) },
	}
	for _, step := range steps {
		step()
		w.now = w.now.Add(1)
		r, err := Create("/backups", o)
		if err != nil {
			return acknowledged, err
		}
		if _, err := r.Run(context.Background(), w.source()); err != nil {
			return acknowledged, err
		}
		acknowledged++
		if _, err := r.Prune(context.Background(), Keep{Count: 2}); err != nil {
			return acknowledged, err
		}
	}
	return acknowledged, nil
}

// TestCutAtEveryOperation ends the process, or the power, at each operation on the
// backup's disk in turn: what was acknowledged is there, every generation that is
// there is whole, and the next run works.
func TestCutAtEveryOperation(t *testing.T) {
	total := 0
	w := newWorld(t)
	o := w.memoryOptions(disk.WithFaults(disk.NewMemory(), disk.Faults{Done: func(op disk.Op, _ string) {
		if op.Changes() {
			total++
		}
	}}))
	if n, err := w.script(o); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	cuts := environ("COUNT", 12)
	for i := range min(cuts, total) {
		cut := 1 + i*total/min(cuts, total)
		t.Run(fmt.Sprint(cut), func(t *testing.T) { cutAt(t, cut, uint64(environ("SEED", 1)+i)) })
	}
	t.Logf("proof: %d of %d operations cut", min(cuts, total), total)
}

func (w *world) memoryOptions(fsys disk.FS) Options {
	o := w.options()
	o.FS, o.Scratch = fsys, filepath.Join(w.dir, "scratch")
	return o
}

func cutAt(t *testing.T, cut int, seed uint64) {
	w := newWorld(t)
	memory := disk.NewMemory()
	done := 0
	fail := func(op disk.Op, _ string) error {
		if op.Changes() {
			done++
		}
		if done >= cut {
			return errKilled
		}
		return nil
	}
	acknowledged, err := w.script(w.memoryOptions(disk.WithFaults(memory, disk.Faults{Fail: fail})))
	if !errors.Is(err, errKilled) {
		t.Fatalf("the cut was not met: %v", err)
	}
	if seed%2 == 0 {
		memory.Crash(seed) // the power; otherwise the process alone
	}
	copied := filepath.Join(w.dir, "copied")
	dump(t, memory, "/backups", copied)
	if _, err := os.Stat(filepath.Join(copied, identityName)); err == nil {
		w.soundAfterCut(copied, acknowledged)
	} else if acknowledged > 0 {
		t.Fatalf("%d generations were made, and the directory is none of backups", acknowledged)
	}
	// And then it goes on, on the same disk.
	r, err := Create("/backups", w.memoryOptions(memory))
	w.check(err)
	want := w.states()
	if _, err := r.Run(t.Context(), w.source()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prune(t.Context(), Keep{Count: 1}); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(w.dir, "again")
	dump(t, memory, "/backups", again)
	sound(t, again, 1)
	g, err := r.Generation("")
	w.check(err)
	if got := statesIn(t, again, g); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}
}

// soundAfterCut verifies every generation that is there: of those acknowledged, the
// last two, but for what a retention has removed.
func (w *world) soundAfterCut(dir string, acknowledged int) {
	w.t.Helper()
	r, err := Open(dir, Options{})
	w.check(err)
	all, err := r.Generations()
	w.check(err)
	if least := min(acknowledged, 2); len(all) < least {
		w.t.Errorf("%d generations of %d acknowledged", len(all), acknowledged)
	}
	sound(w.t, dir, len(all))
}

// TestFullDisk: a disk that is full at any write ends the run with the generations
// as they were, and with room it goes on.
func TestFullDisk(t *testing.T) {
	w := newWorld(t)
	memory := disk.NewMemory()
	o := w.memoryOptions(memory)
	w.add(anna, "INBOX", 8)
	r, err := Create("/backups", o)
	w.check(err)
	_, err = r.Run(t.Context(), w.source())
	w.check(err)
	for n := 1; ; n++ {
		w.now = w.now.Add(1)
		w.add(anna, "INBOX", 3)
		w.add(brong, "INBOX", 1)
		full := o
		full.FS = disk.WithFaults(memory, disk.Faults{Fail: disk.FailFrom(n, syscall.ENOSPC, disk.OpCreate, disk.OpWrite, disk.OpMkdir, disk.OpSync)})
		r, err := Create("/backups", full)
		w.check(err)
		result, err := r.Run(t.Context(), w.source())
		if err == nil {
			if n < 5 {
				t.Fatalf("only %d operations", n)
			}
			break
		}
		if !errors.Is(err, syscall.ENOSPC) || result.Generation != "" || result.Kept+result.Failed > 0 {
			t.Fatalf("%+v, %v", result, err)
		}
		copied := filepath.Join(w.dir, fmt.Sprint("full", n))
		dump(t, memory, "/backups", copied)
		sound(t, copied, 1)
		w.check(os.RemoveAll(copied))
	}
	copied := filepath.Join(w.dir, "done")
	dump(t, memory, "/backups", copied)
	sound(t, copied, 2)
	if len(w.told) > 0 {
		t.Errorf("reported: %q", w.told)
	}
}

// TestSlotErrors: a slot that cannot be read at some operation costs a generation or
// a user's part of it, and is told; it never makes a generation that is not whole.
func TestSlotErrors(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 8)
	w.backup()
	w.add(anna, "INBOX", 3)
	w.close()
	for n := 1; n < environ("COUNT", 15); n++ {
		slot := w.slot
		slot.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: disk.FailFrom(n, syscall.EIO, disk.OpOpen, disk.OpRead)})
		slot.ReadOnly = true
		w.store = nil
		store, err := mailstore.Open(t.Context(), slot)
		if err != nil {
			continue
		}
		w.store = store
		w.now = w.now.Add(1)
		result, err := w.repository(w.options()).Run(t.Context(), w.source())
		if err == nil && result.Kept == 0 && result.Users != 2 {
			t.Errorf("fault %d: %+v, reported %q", n, result, w.told)
		}
		w.close()
	}
	r := w.repository(Options{})
	all, err := r.Generations()
	w.check(err)
	sound(t, w.repo, len(all))
}
