package activefile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"teraslot/disk"
)

// crashSeeds is how many power cuts are looked at after each operation.
const crashSeeds = 60

// history is what a run of changes has come to so far.
type history struct {
	may   []Active          // what a reader may find now
	given map[Database]bool // published: never to be given again
}

// watched runs the change on a Memory that has been prepared, and after each
// operation of it looks at what power cuts leave: one of the states that may be,
// in which no generation that was published is given anew.
func watched(t *testing.T, m *disk.Memory, change func(f *File, h *history)) {
	t.Helper()
	h := &history{given: map[Database]bool{}}
	points := 0
	look := func(op disk.Op, name string) {
		if !op.Changes() || t.Failed() {
			return
		}
		points++
		for seed := range uint64(crashSeeds) {
			if err := h.check(m.Crashed(seed)); err != nil {
				t.Errorf("after %s %s (%d), seed %d: %v", op, name, points, seed, err)
				return
			}
		}
	}
	f := New(userDir, Options{FS: disk.WithFaults(m, disk.Faults{Done: look}), Now: clock})
	change(f, h)
	look(disk.OpWrite, "all")
	if points < 3 {
		t.Errorf("looked at %d points only", points)
	}
}

// check looks at one file system after a crash.
func (h *history) check(c *disk.Memory) error {
	f := New(userDir, Options{FS: c, Now: clock})
	a, err := f.Read(context.Background())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(h.may, a.Equal) {
		return fmt.Errorf("the activefile says %v, which it never did", a)
	}
	for _, tier := range []string{"temp", "data"} {
		d, err := front(f, context.Background(), tier)
		if err != nil {
			return err
		}
		if h.given[d] {
			return fmt.Errorf("%v was given twice", d)
		}
	}
	return nil
}

// to runs a change from the state that is into the state next: while it runs,
// both may be found; after it, only next. What it published is given from then on.
func (h *history) to(next Active, run func() error) error {
	h.may = append(h.may, next)
	if err := run(); err != nil {
		return err
	}
	h.may = []Active{next}
	for _, d := range next.Databases {
		h.given[d] = true
	}
	return nil
}

func TestPublishSurvivesCrashes(t *testing.T) {
	watched(t, newMemory(t), func(f *File, h *history) {
		h.may = []Active{{}}
		for i, tier := range []string{"temp", "temp", "data"} {
			l := exclusive(t, f)
			a, err := l.Active()
			check(t, err)
			d, err := l.Reserve(tier)
			check(t, err)
			a.Databases = append([]Database{d}, a.Databases...)
			a.Next = raised(a.Next, map[string]uint64{tier: d.Generation + 1})
			check(t, h.to(a, func() error { return l.Publish(a) }))
			check(t, l.Unlock())
			if got := mustRead(t, f); !got.Equal(a) {
				t.Fatalf("%d: published %v, want %v", i, got, a)
			}
		}
	})
}

func TestPublishStagedSurvivesCrashes(t *testing.T) {
	m := newMemory(t)
	_, s, next := staging(t, New(userDir, Options{FS: m}))
	watched(t, m, func(f *File, h *history) {
		before := mustRead(t, f)
		h.may = []Active{before}
		for _, d := range before.Databases {
			h.given[d] = true
		}
		l := exclusive(t, f)
		check(t, h.to(next, func() error { return l.PublishStaged(&Staged{f, s.predecessor, s.content}) }))
		check(t, l.Unlock())
	})
}

// TestStageSurvivesCrashes: the staged file is whole after Stage, and before it
// is in place nobody sees it.
func TestStageSurvivesCrashes(t *testing.T) {
	m := newMemory(t)
	f := New(userDir, Options{FS: m})
	check(t, second(front(f, t.Context(), "temp")))
	before := mustRead(t, f)
	watched(t, m, func(f *File, h *history) {
		h.may = []Active{before}
		h.given[before.Databases[0]] = true
		for range 2 {
			compact, err := f.TryCompact()
			check(t, err)
			s, err := compact.Stage(Active{}, before)
			check(t, err)
			check(t, s.Discard())
			check(t, compact.Unlock())
		}
	})
}

// TestLostFileAfterCrash: the mark is durable before the first activefile is, so
// its loss is noticed however early the power went.
func TestLostFileAfterCrash(t *testing.T) {
	m := newMemory(t)
	check(t, second(front(New(userDir, Options{FS: m, Now: clock}), t.Context(), "temp")))
	for seed := range uint64(crashSeeds) {
		c := m.Crashed(seed)
		f := New(userDir, Options{FS: c, Now: clock})
		check(t, c.Remove(f.path(activeName)))
		d, err := front(f, t.Context(), "temp")
		check(t, err)
		if d.Generation < uint64(clock().Unix()) {
			t.Fatalf("seed %d: after the loss of the file: %v", seed, d)
		}
	}
}

// TestAssure: after a publication whose last sync failed, readers
// see the new list and a power cut may bring back the old. Whoever then deletes
// what the new one does not name must not do so before it is durable.
func TestAssure(t *testing.T) {
	m := newMemory(t)
	compact, s, next := staging(t, New(userDir, Options{FS: m}))
	f := New(userDir, Options{FS: disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(1, syscall.EIO, disk.OpSyncDir)})})
	l := exclusive(t, f)
	if err := l.PublishStaged(&Staged{f, s.predecessor, s.content}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	check(t, l.Unlock())
	check(t, compact.Unlock())
	if got := mustRead(t, f); !got.Equal(next) {
		t.Fatalf("readers see %v", got)
	}
	if got := mustRead(t, New(userDir, Options{FS: m.Crashed(disk.LoseUnsynced)})); got.Equal(next) {
		t.Fatal("this test needs a publication that is not durable")
	}
	compact, err := f.TryCompact()
	check(t, err)
	check(t, f.Assure(t.Context()))
	if got := mustRead(t, New(userDir, Options{FS: m.Crashed(disk.LoseUnsynced)})); !got.Equal(next) {
		t.Errorf("under index.compact a crash brings back %v", got)
	}
	check(t, compact.Unlock())
}

// TestMarkNotDurable: that a user has had an activefile is known only once it is durable, whatever became of an earlier sync.
func TestMarkNotDurable(t *testing.T) {
	m := newMemory(t)
	f := New(userDir, Options{FS: disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(1, syscall.EIO, disk.OpSync)})})
	if _, err := front(f, t.Context(), "temp"); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	check(t, second(front(f, t.Context(), "temp")))
	c := m.Crashed(disk.LoseUnsynced)
	if marked, err := New(userDir, Options{FS: c}).marked(); err != nil || !marked {
		t.Errorf("marked %v, %v", marked, err)
	}
}

// TestEachOperationFails lets every operation of a change fail once: the file is
// then as it was or as it was to be, no lock is left, and the change can be tried
// again.
func TestEachOperationFails(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		for n := 1; ; n++ {
			m := newMemory(t)
			plain := New(userDir, Options{FS: m})
			check(t, second(front(plain, t.Context(), "temp")))
			before := mustRead(t, plain)
			f := New(userDir, Options{FS: disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(n, errno)})})
			err := swap(f, t.Context())
			if err == nil {
				if n < 20 {
					t.Fatalf("only %d operations", n-1)
				}
				break
			}
			if !errors.Is(err, errno) {
				t.Errorf("operation %d: %v", n, err)
			}
			// before, after step 1, or after step 3
			after := mustRead(t, plain)
			if !slices.Contains([]string{before.String(), "temp:2 temp:1", "temp:2 data:1"}, after.String()) {
				t.Errorf("operation %d failed and left %v", n, after)
			}
			check(t, swap(plain, t.Context()))
		}
	}
}

// swap is the whole of a compaction as this package sees it: a new front, and a
// result in place of all others.
func swap(f *File, ctx context.Context) error {
	compact, err := f.TryCompact()
	if err != nil {
		return err
	}
	defer compact.Unlock()
	a, dest, err := begin(f, ctx)
	if err != nil {
		return err
	}
	next := a.Clone()
	next.Databases = []Database{a.Databases[0], dest}
	s, err := compact.Stage(next, a)
	if err != nil {
		return err
	}
	l, err := f.Exclusive(ctx)
	if err != nil {
		return err
	}
	return errors.Join(l.PublishStaged(s), l.Unlock())
}

// begin is step 1.
func begin(f *File, ctx context.Context) (a Active, dest Database, err error) {
	l, err := f.Exclusive(ctx)
	if err != nil {
		return Active{}, Database{}, err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	if dest, err = l.Reserve("data"); err != nil {
		return Active{}, Database{}, err
	}
	if _, err = frontUnder(l, "temp"); err != nil {
		return Active{}, Database{}, err
	}
	a, err = l.Active()
	return a, dest, err
}
