package activefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/disk"
)

func check(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const userDir = "/conf/users/ab/abcd"

// newMemory returns a file system with a user's directory.
func newMemory(t interface {
	Helper()
	Fatal(...any)
}) *disk.Memory {
	t.Helper()
	m := disk.NewMemory()
	check(t, disk.MkdirAll(m, userDir, 0o700))
	return m
}

func clock() time.Time { return time.Unix(1_800_000_000, 0) }

func exclusive(t *testing.T, f *File) *Lock {
	t.Helper()
	l, err := f.Exclusive(t.Context())
	check(t, err)
	return l
}

// front reserves a database of the tier, puts it in front and publishes.
func front(f *File, ctx context.Context, tier string) (Database, error) {
	l, err := f.Exclusive(ctx)
	if err != nil {
		return Database{}, err
	}
	d, err := frontUnder(l, tier)
	return d, errors.Join(err, l.Unlock())
}

func frontUnder(l *Lock, tier string) (Database, error) {
	a, err := l.Active()
	if err != nil {
		return Database{}, err
	}
	d, err := l.Reserve(tier)
	if err != nil {
		return Database{}, err
	}
	a.Databases = slices.Insert(slices.Clone(a.Databases), 0, d)
	return d, l.Publish(a)
}

func mustRead(t *testing.T, f *File) Active {
	t.Helper()
	a, err := f.Read(t.Context())
	check(t, err)
	return a
}

func TestNewUser(t *testing.T) {
	f := New(userDir, Options{FS: newMemory(t), Now: clock})
	if a := mustRead(t, f); !a.Equal(Active{}) {
		t.Errorf("a new user has %v", a)
	}
	for i, want := range []string{"temp:1", "data:1", "temp:2"} {
		d, err := front(f, t.Context(), want[:4])
		check(t, err)
		if d.String() != want {
			t.Errorf("%d: reserved %v, want %s", i, d, want)
		}
	}
	if a := mustRead(t, f); a.String() != "temp:2 data:1 temp:1" || a.Next["temp"] != 3 || a.Next["data"] != 2 {
		t.Errorf("published %v", a)
	}
}

// Peek waits for no lock, and sees what was published last, or that it is damaged.
func TestPeek(t *testing.T) {
	m := newMemory(t)
	f := New(userDir, Options{FS: m, Now: clock})
	if a, err := f.Peek(); err != nil || !a.Equal(Active{}) {
		t.Errorf("a new user has %v, %v", a, err)
	}
	l := exclusive(t, f)
	for _, want := range []string{"temp:1", "temp:2 temp:1"} {
		_, err := frontUnder(l, "temp")
		check(t, err)
		if a, err := f.Peek(); err != nil || a.String() != want {
			t.Errorf("peeked %v, %v, want %s", a, err, want)
		}
	}
	check(t, disk.WriteSynced(m, f.path(activeName), 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, "temp:1\n")
		return err
	}))
	if a, err := f.Peek(); !errors.Is(err, ErrDamaged) {
		t.Errorf("peeked %v, %v at a damaged file", a, err)
	}
	check(t, l.Unlock())
}

func TestReserveWithoutPublish(t *testing.T) {
	f := New(userDir, Options{FS: newMemory(t)})
	l := exclusive(t, f)
	a, err := l.Reserve("temp")
	check(t, err)
	b, err := l.Reserve("temp")
	check(t, err)
	if a == b {
		t.Errorf("one lock gave %v twice", a)
	}
	if _, err := l.Reserve("no tier"); !errors.Is(err, ErrDatabase) {
		t.Errorf("a bad tier: %v", err)
	}
	check(t, l.Publish(Active{}))
	check(t, l.Unlock())
	c, err := front(f, t.Context(), "temp")
	check(t, err)
	if c.Generation <= b.Generation {
		t.Errorf("%v was given after %v was published", c, b)
	}
}

func TestPublishRefuses(t *testing.T) {
	f := New(userDir, Options{FS: newMemory(t)})
	_, err := front(f, t.Context(), "temp")
	check(t, err)
	before := mustRead(t, f)
	l := exclusive(t, f)
	for name, a := range map[string]Active{
		"never reserved": {Databases: []Database{{"temp", 7}}},
		"twice":          {Databases: []Database{{"temp", 1}, {"temp", 1}}},
		"no name":        {Databases: []Database{{"a b", 0}}, Next: map[string]uint64{"a b": 1}},
	} {
		if err := l.Publish(a); err == nil {
			t.Errorf("%s was published", name)
		}
	}
	// A caller who forgets the counters cannot lower them.
	check(t, l.Publish(Active{Databases: before.Databases, Next: map[string]uint64{"temp": 0}}))
	check(t, l.Unlock())
	if got := mustRead(t, f); !got.Equal(before) {
		t.Errorf("published %v, want %v", got, before)
	}
}

func TestLocksAreForWhatTheyAre(t *testing.T) {
	f := New(userDir, Options{FS: newMemory(t)})
	ctx := t.Context()
	shared, err := f.Shared(ctx)
	check(t, err)
	write, err := f.Write(ctx)
	check(t, err)
	compact, err := f.TryCompact()
	check(t, err)
	staged, err := compact.Stage(Active{}, Active{})
	check(t, err)
	for name, err := range map[string]error{
		"Publish under shared":       shared.Publish(Active{}),
		"Reserve under shared":       second(shared.Reserve("temp")),
		"Reset under shared":         second(shared.Reset()),
		"PublishStaged under shared": shared.PublishStaged(staged),
		"Stage under shared":         second(shared.Stage(Active{}, Active{})),
		"Active under write":         second(write.Active()),
		"Publish under write":        write.Publish(Active{}),
		"Active under compact":       second(compact.Active()),
		"PublishStaged, compact":     compact.PublishStaged(staged),
	} {
		if !errors.Is(err, ErrNotHeld) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, l := range []*Lock{shared, write, compact, shared} {
		check(t, l.Unlock())
	}
	for name, err := range map[string]error{
		"Active after Unlock": second(shared.Active()),
		"Stage after Unlock":  second(compact.Stage(Active{}, Active{})),
	} {
		if !errors.Is(err, ErrNotHeld) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTryCompactNamesTheHolder(t *testing.T) {
	m := newMemory(t)
	f := New(userDir, Options{FS: m, Now: clock})
	l, err := f.TryCompact()
	check(t, err)
	_, err = New(userDir, Options{FS: m, Holder: "another"}).TryCompact()
	want := fmt.Sprintf("process %d since 2027-01-15T08:00:00Z", os.Getpid())
	var held *HeldError
	if !errors.Is(err, ErrHeld) || !errors.As(err, &held) || held.Holder != want {
		t.Errorf("error %v, want one that names %q", err, want)
	}
	check(t, l.Unlock())
	l, err = New(userDir, Options{FS: m, Holder: "squatter -z data"}).TryCompact()
	check(t, err)
	if _, err := f.TryCompact(); !strings.HasSuffix(fmt.Sprint(err), "by another: squatter -z data") {
		t.Errorf("error %v", err)
	}
	check(t, l.Unlock())
}

// TestLocksAreIndependent: each of the locks can be had while the others are held.
func TestLocksAreIndependent(t *testing.T) {
	f := New(userDir, Options{FS: newMemory(t)})
	compact, err := f.TryCompact()
	check(t, err)
	write, err := f.Write(t.Context())
	check(t, err)
	index := exclusive(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for name, wait := range map[string]func(context.Context) (*Lock, error){"shared": f.Shared, "exclusive": f.Exclusive, "write": f.Write} {
		if _, err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, l := range []*Lock{index, write, compact} {
		check(t, l.Unlock())
	}
	// Nobody who gave up has left a lock behind.
	check(t, exclusive(t, f).Unlock())
	l, err := f.Write(t.Context())
	check(t, err)
	check(t, l.Unlock())
}

// staging prepares a compaction of temp:1 to data:1, as design §5 has it, up to
// step 3.
func staging(t *testing.T, f *File) (compact *Lock, s *Staged, next Active) {
	t.Helper()
	src, err := front(f, t.Context(), "temp")
	check(t, err)
	compact, err = f.TryCompact()
	check(t, err)
	l := exclusive(t, f)
	a, err := l.Active()
	check(t, err)
	first, err := l.Reserve("temp")
	check(t, err)
	dest, err := l.Reserve("data")
	check(t, err)
	a.Databases = append([]Database{first}, a.Databases...)
	check(t, l.Publish(a))
	a, err = l.Active()
	check(t, err)
	check(t, l.Unlock())
	next = a.Clone()
	next.Databases = append(slices.DeleteFunc(next.Databases, func(d Database) bool { return d == src }), dest)
	s, err = compact.Stage(next, a)
	check(t, err)
	return compact, s, next
}

func TestPublishStaged(t *testing.T) {
	m := newMemory(t)
	f := New(userDir, Options{FS: m})
	compact, s, next := staging(t, f)
	l := exclusive(t, f)
	check(t, l.PublishStaged(s))
	check(t, l.Unlock())
	if got := mustRead(t, f); !got.Equal(next) || got.String() != "temp:2 data:1" {
		t.Errorf("published %v, want %v", got, next)
	}
	l = exclusive(t, f)
	if err := l.PublishStaged(s); !errors.Is(err, ErrLostRace) {
		t.Errorf("a second time: %v", err)
	}
	check(t, l.Unlock())
	check(t, s.Discard())
	check(t, compact.Unlock())
	for seed := range uint64(50) {
		if got := mustRead(t, New(userDir, Options{FS: m.Crashed(seed)})); !got.Equal(next) {
			t.Fatalf("seed %d: a crash after it leaves %v", seed, got)
		}
	}
}

func TestPublishStagedLosesRaces(t *testing.T) {
	for name, between := range map[string]func(t *testing.T, m *disk.Memory, f *File){
		"a database more": func(t *testing.T, m *disk.Memory, f *File) {
			check(t, second(front(f, t.Context(), "temp")))
		},
		"a database less": func(t *testing.T, m *disk.Memory, f *File) {
			l := exclusive(t, f)
			a, err := l.Active()
			check(t, err)
			check(t, l.Publish(Active{Databases: a.Databases[:1]}))
			check(t, l.Unlock())
		},
		"only a generation reserved": func(t *testing.T, m *disk.Memory, f *File) {
			l := exclusive(t, f)
			a, err := l.Active()
			check(t, err)
			check(t, second(l.Reserve("archive")))
			check(t, l.Publish(a))
			check(t, l.Unlock())
		},
		"the activefile gone": func(t *testing.T, m *disk.Memory, f *File) {
			check(t, m.Remove(f.path(activeName)))
		},
		"the staged file gone": func(t *testing.T, m *disk.Memory, f *File) {
			check(t, m.Remove(f.path(stagedName)))
		},
		"the staged file damaged": func(t *testing.T, m *disk.Memory, f *File) {
			file, err := m.OpenFile(f.path(stagedName), os.O_WRONLY, 0)
			check(t, err)
			check(t, second(file.WriteAt([]byte{'x'}, 3)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(t)
			f := New(userDir, Options{FS: m})
			_, s, _ := staging(t, f)
			between(t, m, f)
			before, _ := f.readAll(f.path(activeName))
			l := exclusive(t, f)
			if err := l.PublishStaged(s); !errors.Is(err, ErrLostRace) {
				t.Errorf("error %v", err)
			}
			check(t, l.Unlock())
			if after, _ := f.readAll(f.path(activeName)); string(after) != string(before) {
				t.Errorf("the activefile became %q", after)
			}
			check(t, s.Discard())
			check(t, s.Discard())
		})
	}
}

func TestDamagedFile(t *testing.T) {
	m := newMemory(t)
	f := New(userDir, Options{FS: m, Now: clock})
	check(t, second(front(f, t.Context(), "temp")))
	file, err := m.OpenFile(f.path(activeName), os.O_WRONLY, 0)
	check(t, err)
	check(t, second(file.WriteAt([]byte{'9'}, 5)))
	if _, err := f.Read(t.Context()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), userDir) {
		t.Errorf("read: %v", err)
	}
	l := exclusive(t, f)
	for name, err := range map[string]error{"Reserve": second(l.Reserve("temp")), "Publish": l.Publish(Active{})} {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, err := l.Reset()
	check(t, err)
	if len(a.Databases) > 0 {
		t.Errorf("reset to %v", a)
	}
	again, err := l.Reset()
	check(t, err)
	check(t, l.Unlock())
	if got := mustRead(t, f); !got.Equal(a) || !again.Equal(a) {
		t.Errorf("reset to %v, then %v, reads %v", a, again, got)
	}
	for _, tier := range []string{"temp", "data", "neverseen"} {
		d, err := front(f, t.Context(), tier)
		check(t, err)
		if d.Generation < uint64(clock().Unix()) {
			t.Errorf("after damage: %v", d)
		}
	}
	if b, err := disk.ReadFile(m, filepath.Join(userDir, "index.damaged")); err != nil || !strings.HasPrefix(string(b), "temp:9") {
		t.Errorf("kept %q, %v", b, err)
	}
}

func TestTooLongFileIsDamaged(t *testing.T) {
	m := newMemory(t)
	f := New(userDir, Options{FS: m})
	file, err := m.OpenFile(f.path(activeName), os.O_WRONLY|os.O_CREATE, 0o600)
	check(t, err)
	check(t, file.Truncate(maxSize+1))
	if _, err := f.Read(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("read: %v", err)
	}
	l := exclusive(t, f)
	check(t, second(l.Reset()))
	check(t, l.Unlock())
	mustRead(t, f)
}

// TestLaterVersion: what a later program wrote is neither used nor replaced.
func TestLaterVersion(t *testing.T) {
	m := newMemory(t)
	f := New(userDir, Options{FS: m})
	file, err := m.OpenFile(f.path(activeName), os.O_CREATE|os.O_WRONLY, 0o600)
	check(t, err)
	check(t, second(file.Write([]byte(summed("temp:1\n#2 0 temp:2 ")))))
	l := exclusive(t, f)
	for name, err := range map[string]error{"Active": second(l.Active()), "Reset": second(l.Reset()),
		"Reserve": second(l.Reserve("temp")), "Publish": l.Publish(Active{})} {
		if !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	check(t, l.Unlock())
	if b, err := disk.ReadFile(m, f.path(activeName)); err != nil || string(b) != summed("temp:1\n#2 0 temp:2 ") {
		t.Errorf("the file became %q, %v", b, err)
	}
}

// TestTooLongList: what could not be read back is not written.
func TestTooLongList(t *testing.T) {
	f := New(userDir, Options{FS: newMemory(t)})
	check(t, second(front(f, t.Context(), "temp")))
	before := mustRead(t, f)
	long := Active{Next: map[string]uint64{"temp": 200_000}}
	for i := range 150_000 {
		long.Databases = append(long.Databases, Database{"temp", uint64(i)})
	}
	l := exclusive(t, f)
	if err := l.Publish(long); err == nil || !strings.Contains(err.Error(), "150000 databases") {
		t.Errorf("published: %v", err)
	}
	check(t, l.Unlock())
	compact, err := f.TryCompact()
	check(t, err)
	if _, err := compact.Stage(long, before); err == nil {
		t.Error("staged")
	}
	check(t, compact.Unlock())
	if got := mustRead(t, f); !got.Equal(before) {
		t.Errorf("%d databases now", len(got.Databases))
	}
}

// TestGenerationsAreNeverGivenTwice makes random changes to a user's index, loses
// the activefile, damages it, loses directories, and looks at every generation
// that comes out. The clock runs a second for each change.
func TestGenerationsAreNeverGivenTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMemory(t)
		now := clock()
		dirs := map[Database]bool{} // on disk
		given := map[Database]bool{}
		f := New(userDir, Options{FS: m, Now: func() time.Time { return now },
			Found: func(tier string) (found []uint64, err error) {
				for d := range dirs {
					if d.Tier == tier {
						found = append(found, d.Generation)
					}
				}
				return found, nil
			}})
		ctx := context.Background()
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				now = now.Add(time.Second)
				tier := tierNames.Draw(t, "tier")
				d, err := front(f, ctx, tier)
				if errors.Is(err, ErrDamaged) {
					l, err := f.Exclusive(ctx)
					check(t, err)
					check(t, second(l.Reset()))
					check(t, l.Unlock())
					d, err = front(f, ctx, tier)
					check(t, err)
				}
				if given[d] {
					t.Fatalf("%v was given twice", d)
				}
				given[d], dirs[d] = true, true
			},
			"lose the file": func(t *rapid.T) { _ = m.Remove(f.path(activeName)) },
			"damage the file": func(t *rapid.T) {
				if file, err := m.OpenFile(f.path(activeName), os.O_WRONLY, 0); err == nil {
					check(t, file.Truncate(3))
				}
			},
			"lose directories": func(t *rapid.T) {
				tier := tierNames.Draw(t, "tier")
				for d := range dirs {
					if d.Tier == tier {
						delete(dirs, d)
					}
				}
			},
		})
	})
}

// TestRestoredBackup: an old activefile comes back, and the directories are newer.
func TestRestoredBackup(t *testing.T) {
	m := newMemory(t)
	f := New(userDir, Options{FS: m, Found: func(string) ([]uint64, error) { return []uint64{3, 41, 7}, nil }})
	d, err := front(f, t.Context(), "temp")
	check(t, err)
	if d.Generation <= 41 {
		t.Errorf("with a directory 41: %v", d)
	}
	f.o.Found = func(string) ([]uint64, error) { return []uint64{d.Generation + 5}, nil }
	next, err := front(f, t.Context(), "temp")
	check(t, err)
	if next.Generation != d.Generation+6 {
		t.Errorf("after %v, with a directory five above it: %v", d, next)
	}
	f.o.Found = func(string) ([]uint64, error) { return nil, syscall.EIO }
	if _, err := front(f, t.Context(), "temp"); !errors.Is(err, syscall.EIO) {
		t.Errorf("unreadable directories: %v", err)
	}
}

// TestLockFileReplaced: while index.lock is held, its name is removed, or given to another file. Who has it by the old file publishes nothing, because
// another may have the new one; that there was an activefile is known as before.
func TestLockFileReplaced(t *testing.T) {
	for _, how := range []string{"removed", "replaced"} {
		dir := t.TempDir()
		f, other := New(dir, Options{Now: clock}), New(dir, Options{Now: clock})
		first, err := front(f, t.Context(), "temp")
		check(t, err)
		l := exclusive(t, f)
		before, err := l.Active()
		check(t, err)
		name := filepath.Join(dir, lockName)
		if how == "removed" {
			check(t, os.Remove(name))
		} else {
			check(t, os.WriteFile(name+".other", nil, 0o600))
			check(t, os.Rename(name+".other", name))
		}
		second, err := front(other, t.Context(), "temp") // who finds the new file
		check(t, err)
		for what, err := range map[string]error{
			"Reserve": func() error { _, err := l.Reserve("temp"); return err }(),
			"Publish": l.Publish(before),
			"Reset":   func() error { _, err := l.Reset(); return err }(),
		} {
			if !errors.Is(err, ErrNotHeld) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s: %v", how, what, err)
			}
		}
		check(t, l.Unlock())
		if a := mustRead(t, f); !slices.Equal(a.Databases, []Database{second, first}) {
			t.Errorf("%s: the activefile has %v, want %v and %v", how, a.Databases, second, first)
		}
		// The new file says that there was an activefile, so that no generation is given twice when that is lost.
		check(t, os.Remove(filepath.Join(dir, activeName)))
		third, err := front(f, t.Context(), "temp")
		check(t, err)
		if third.Generation <= second.Generation+1 {
			t.Errorf("%s: after %v and the loss of the activefile came %v", how, second, third)
		}
	}
}

// TestLockFileReplacedBeforeTheRename: it happens as late as can be, between reading and publishing.
func TestLockFileReplacedBeforeTheRename(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, lockName)
	remove := func(op disk.Op, path string) error {
		if op == disk.OpOpen && path == name { // to see whether it is marked
			return os.Remove(name)
		}
		return nil
	}
	f := New(dir, Options{Now: clock})
	_, err := front(f, t.Context(), "temp")
	check(t, err)
	was := mustRead(t, f)
	late := New(dir, Options{Now: clock, FS: disk.WithFaults(disk.OS(), disk.Faults{Fail: remove})})
	if _, err := front(late, t.Context(), "temp"); !errors.Is(err, ErrNotHeld) && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("published: %v", err)
	}
	if a := mustRead(t, f); !a.Equal(was) {
		t.Errorf("%v, was %v", a, was)
	}
}
