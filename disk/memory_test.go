package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"teraslot/disk"
)

// write makes a file of the content, synced or not.
func write(t *testing.T, fsys disk.FS, name, content string, sync bool) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	check(t, err)
	_, err = io.WriteString(f, content)
	check(t, err)
	if sync {
		check(t, f.Sync())
	}
	check(t, f.Close())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read returns a file's content, or "-" if it is not there.
func read(t *testing.T, fsys disk.FS, name string) string {
	t.Helper()
	b, err := disk.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	check(t, err)
	return string(b)
}

// outcomes returns what a file holds after a crash, over many seeds, sorted.
func outcomes(t *testing.T, m *disk.Memory, name string) []string {
	t.Helper()
	var all []string
	for seed := range uint64(300) {
		all = append(all, read(t, m.Crashed(seed), name))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestMemoryForgets holds the rule of the package: bytes by Sync, names by
// SyncDir, and nothing else. Each row leaves one of them out.
func TestMemoryForgets(t *testing.T) {
	for _, c := range []struct {
		name     string
		sync     bool // the file
		syncDir  bool
		mayLeave []string // over all crashes
	}{
		{"nothing synced", false, false, []string{"", "-", "new"}},
		{"file synced, name not", true, false, []string{"-", "new"}},
		{"name synced, file not", false, true, []string{"", "new"}},
		{"both synced", true, true, []string{"new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := disk.NewMemory()
			write(t, m, "/f", "new", c.sync)
			if c.syncDir {
				check(t, m.SyncDir("/"))
			}
			got := outcomes(t, m, "/f")
			// Torn writes leave more than the row says; they are part of "" and "new".
			got = slices.DeleteFunc(got, func(s string) bool { return !c.sync && torn(s, "new") })
			if !slices.Equal(got, c.mayLeave) {
				t.Errorf("a crash leaves %q, want %q", got, c.mayLeave)
			}
			if s := read(t, m, "/f"); s != "new" {
				t.Errorf("without a crash the file holds %q", s)
			}
		})
	}
}

// torn reports whether s is what a write of whole, cut short, may leave.
func torn(s, whole string) bool {
	return s != "" && s != "-" && s != whole && (strings.HasPrefix(whole, s) || strings.Trim(s, "\x00") == "")
}

func TestMemoryTearsWrites(t *testing.T) {
	m := disk.NewMemory()
	old, next := strings.Repeat("o", 4000), strings.Repeat("n", 4000)
	write(t, m, "/f", old, true)
	check(t, m.SyncDir("/"))
	f, err := m.OpenFile("/f", os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt([]byte(next), 100)
	check(t, err)
	var absent, present, short, holes bool
	for _, s := range outcomes(t, m, "/f") {
		switch {
		case s == old:
			absent = true
		case s == old[:100]+next:
			present = true
		case strings.HasPrefix(old[:100]+next, strings.TrimRight(s, "o")) && len(s) < 4100:
			short = true
		default:
			holes = true
		}
		if !strings.HasPrefix(s, old[:100]) || len(s) < len(old) {
			t.Fatalf("a crash changed what was synced before the write: %d bytes", len(s))
		}
	}
	if !absent || !present || !short || !holes {
		t.Errorf("absent %v, present %v, cut short %v, with holes %v: want all", absent, present, short, holes)
	}
}

// TestMemoryWritesInAnyOrder: a later write may be there and an earlier one not.
func TestMemoryWritesInAnyOrder(t *testing.T) {
	m := disk.NewMemory()
	write(t, m, "/f", "", true)
	check(t, m.SyncDir("/"))
	f, err := m.OpenFile("/f", os.O_WRONLY, 0)
	check(t, err)
	for _, s := range []string{"a", "b", "c"} {
		_, err := f.Write([]byte(s))
		check(t, err)
	}
	if got := outcomes(t, m, "/f"); !slices.Contains(got, "\x00\x00c") || !slices.Contains(got, "a") || !slices.Contains(got, "a\x00c") {
		t.Errorf("crashes leave %q", got)
	}
}

func TestMemoryRenames(t *testing.T) {
	both := func(m *disk.Memory) string {
		return read(t, m, "/d/a") + " " + read(t, m, "/d/b") + " " + read(t, m, "/e/a")
	}
	for _, c := range []struct {
		name string
		to   string
		sync []string
		may  []string
	}{
		{"not synced", "/d/b", nil, []string{"1 2 -", "- 1 -"}},
		{"synced", "/d/b", []string{"/d"}, []string{"- 1 -"}},
		{"to another directory", "/e/a", nil, []string{"1 2 -", "1 2 1", "- 2 1", "- 2 -"}},
		{"only the old directory synced", "/e/a", []string{"/d"}, []string{"- 2 -", "- 2 1"}},
		{"only the new directory synced", "/e/a", []string{"/e"}, []string{"1 2 1", "- 2 1"}},
		{"both synced", "/e/a", []string{"/e", "/d"}, []string{"- 2 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := disk.NewMemory()
			check(t, disk.MkdirAll(m, "/d", 0o700))
			check(t, disk.MkdirAll(m, "/e", 0o700))
			write(t, m, "/d/a", "1", true)
			write(t, m, "/d/b", "2", true)
			check(t, m.SyncDir("/d"))
			check(t, m.Rename("/d/a", c.to))
			for _, dir := range c.sync {
				check(t, m.SyncDir(dir))
			}
			var got []string
			for seed := range uint64(200) {
				got = append(got, both(m.Crashed(seed)))
			}
			slices.Sort(got)
			got = slices.Compact(got)
			slices.Sort(c.may)
			if !slices.Equal(got, c.may) {
				t.Errorf("crashes leave %q, want %q", got, c.may)
			}
		})
	}
}

func TestMemoryCrashInPlace(t *testing.T) {
	m := disk.NewMemory()
	write(t, m, "/kept", "k", true)
	check(t, m.SyncDir("/"))
	f, err := m.OpenFile("/lost", os.O_CREATE|os.O_RDWR, 0o600)
	check(t, err)
	held, err := m.TryLock("/lock", disk.Exclusive)
	check(t, err)
	m.Crash(disk.LoseUnsynced)
	for name, err := range map[string]error{
		"write": second(f.Write([]byte("x"))), "read": second(f.Read(make([]byte, 1))),
		"sync": f.Sync(), "truncate": f.Truncate(0), "stat": second(f.Stat()), "close": f.Close(),
	} {
		if !errors.Is(err, disk.ErrCrashed) {
			t.Errorf("%s after the crash: %v", name, err)
		}
	}
	if got := read(t, m, "/kept") + read(t, m, "/lost"); got != "k-" {
		t.Errorf("left: %q", got)
	}
	again, err := m.TryLock("/lock", disk.Exclusive)
	if err != nil {
		t.Fatalf("the crash did not free the lock: %v", err)
	}
	check(t, held.Close()) // the dead holder's
	if _, err := m.TryLock("/lock", disk.Shared); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("a dead holder freed the lock of a living one: %v", err)
	}
	check(t, again.Close())
}

func second[T any](_ T, err error) error { return err }

// TestCrashedIsACopy: looking at a crash changes nothing, in either direction.
func TestCrashedIsACopy(t *testing.T) {
	m := disk.NewMemory()
	write(t, m, "/f", "one", true)
	check(t, m.SyncDir("/"))
	c := m.Crashed(disk.KeepUnsynced)
	write(t, m, "/f", "two", true)
	write(t, c, "/f", "three", true)
	if got := read(t, m, "/f") + " " + read(t, c, "/f"); got != "two three" {
		t.Errorf("got %q", got)
	}
}

// TestMemoryAgainstOS makes the same random calls on a Memory and on a real
// directory: the answers must be the same.
func TestMemoryAgainstOS(t *testing.T) {
	base := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		root := filepath.Join(base, fmt.Sprint(run))
		check(t, os.Mkdir(root, 0o700))
		p := &pair{t: rt, root: root, memory: disk.NewMemory()}
		rt.Repeat(map[string]func(*rapid.T){
			"open": p.open, "write": p.write, "writeAt": p.writeAt, "read": p.read, "readAt": p.readAt,
			"truncate": p.truncate, "close": p.close, "rename": p.rename, "remove": p.remove,
			"mkdir": p.mkdir, "readDir": p.readDir, "stat": p.stat, "sync": p.sync,
		})
	})
}

// pair is a real directory, a Memory, and the files open in both.
type pair struct {
	t      *rapid.T
	root   string
	memory *disk.Memory
	files  [][2]disk.File
}

var names = rapid.SampledFrom([]string{"a", "b", "d", "d/a", "d/b", "d/d", "d/d/a", "x/y"})

func (p *pair) real(name string) string { return filepath.Join(p.root, name) }

// same compares two results; of errors, which sentinel they are.
func (p *pair) same(what string, real, memory any, realErr, memoryErr error) {
	if (realErr == nil) != (memoryErr == nil) {
		p.t.Fatalf("%s: real %v, memory %v", what, realErr, memoryErr)
	}
	for _, sentinel := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrClosed, io.EOF} {
		if errors.Is(realErr, sentinel) != errors.Is(memoryErr, sentinel) {
			p.t.Fatalf("%s: real %v, memory %v", what, realErr, memoryErr)
		}
	}
	if r, m := fmt.Sprint(real), fmt.Sprint(memory); r != m {
		p.t.Fatalf("%s: real %s, memory %s", what, r, m)
	}
}

func (p *pair) open(t *rapid.T) {
	name := names.Draw(t, "name")
	flag := rapid.SampledFrom([]int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR}).Draw(t, "mode")
	for _, f := range []int{os.O_CREATE, os.O_EXCL, os.O_APPEND, os.O_TRUNC} {
		if rapid.Bool().Draw(t, "flag") {
			flag |= f
		}
	}
	if flag&os.O_EXCL != 0 && flag&os.O_CREATE == 0 || flag&os.O_TRUNC != 0 && flag&3 == os.O_RDONLY {
		return // unspecified
	}
	r, rerr := disk.OS().OpenFile(p.real(name), flag, 0o600)
	m, merr := p.memory.OpenFile(name, flag, 0o600)
	p.same("open "+name, nil, nil, rerr, merr)
	if rerr == nil {
		p.files = append(p.files, [2]disk.File{r, m})
	}
}

// both runs an operation on one open file, in both.
func (p *pair) both(t *rapid.T, what string, op func(disk.File) (any, error)) {
	if len(p.files) == 0 {
		t.Skip()
	}
	f := p.files[rapid.IntRange(0, len(p.files)-1).Draw(t, "file")]
	r, rerr := op(f[0])
	m, merr := op(f[1])
	p.same(what, r, m, rerr, merr)
}

func (p *pair) write(t *rapid.T) {
	b := rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "bytes")
	p.both(t, "write", func(f disk.File) (any, error) { return f.Write(b) })
}

func (p *pair) writeAt(t *rapid.T) {
	b := rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "bytes")
	off := rapid.Int64Range(0, 40).Draw(t, "off")
	p.both(t, "writeAt", func(f disk.File) (any, error) { return f.WriteAt(b, off) })
}

func (p *pair) read(t *rapid.T) {
	n := rapid.IntRange(1, 30).Draw(t, "n")
	p.both(t, "read", func(f disk.File) (any, error) { return readInto(n, f.Read) })
}

func (p *pair) readAt(t *rapid.T) {
	n, off := rapid.IntRange(1, 30).Draw(t, "n"), rapid.Int64Range(0, 60).Draw(t, "off")
	p.both(t, "readAt", func(f disk.File) (any, error) {
		return readInto(n, func(b []byte) (int, error) { return f.ReadAt(b, off) })
	})
}

func readInto(n int, read func([]byte) (int, error)) (any, error) {
	b := make([]byte, n)
	n, err := read(b)
	return b[:n], err
}

func (p *pair) truncate(t *rapid.T) {
	size := rapid.Int64Range(0, 50).Draw(t, "size")
	p.both(t, "truncate", func(f disk.File) (any, error) { return nil, f.Truncate(size) })
}

func (p *pair) close(t *rapid.T) {
	p.both(t, "close", func(f disk.File) (any, error) { return nil, f.Close() })
}

// sync is only for files: of a directory, it is SyncDir's to do.
func (p *pair) sync(t *rapid.T) {
	p.both(t, "sync", func(f disk.File) (any, error) { return nil, f.Sync() })
	r, m := disk.OS().SyncDir(p.real("d")), p.memory.SyncDir("d")
	if info, err := os.Stat(p.real("d")); err == nil && info.IsDir() {
		p.same("syncDir", nil, nil, r, m)
	}
}

func (p *pair) rename(t *rapid.T) {
	from, to := names.Draw(t, "from"), names.Draw(t, "to")
	p.same("rename "+from+" "+to, nil, nil, disk.OS().Rename(p.real(from), p.real(to)), p.memory.Rename(from, to))
}

func (p *pair) remove(t *rapid.T) {
	name := names.Draw(t, "name")
	p.same("remove "+name, nil, nil, disk.OS().Remove(p.real(name)), p.memory.Remove(name))
}

func (p *pair) mkdir(t *rapid.T) {
	name := names.Draw(t, "name")
	p.same("mkdir "+name, nil, nil, disk.OS().Mkdir(p.real(name), 0o700), p.memory.Mkdir(name, 0o700))
}

func (p *pair) readDir(t *rapid.T) {
	name := names.Draw(t, "name")
	r, rerr := disk.OS().ReadDir(p.real(name))
	m, merr := p.memory.ReadDir(name)
	p.same("readDir "+name, describe(r), describe(m), rerr, merr)
}

func describe(entries []fs.DirEntry) string {
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%s %v;", e.Name(), e.Type())
	}
	return b.String()
}

func (p *pair) stat(t *rapid.T) {
	name := names.Draw(t, "name")
	r, rerr := disk.OS().Stat(p.real(name))
	m, merr := p.memory.Stat(name)
	p.same("stat "+name, nil, nil, rerr, merr)
	if rerr == nil && !r.IsDir() {
		p.same("stat "+name, fmt.Sprint(r.Name(), r.Size(), r.Mode()), fmt.Sprint(m.Name(), m.Size(), m.Mode()), nil, nil)
	}
}
