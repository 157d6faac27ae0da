package disk_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"teraslot/disk"
)

func content(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		// Two writes, so that a fault can come between.
		_, err := io.WriteString(w, s[:len(s)/2])
		if err == nil {
			_, err = io.WriteString(w, s[len(s)/2:])
		}
		return err
	}
}

// TestPublishSurvivesCrashes looks, after each operation of a Publish, at what
// power cuts leave: the old content or the new, whole; after it, the new.
func TestPublishSurvivesCrashes(t *testing.T) {
	m := disk.NewMemory()
	check(t, disk.Publish(m, "/f", 0o600, content("the old one")))
	points := 0
	look := func(may ...string) {
		points++
		for seed := range uint64(100) {
			if got := read(t, m.Crashed(seed), "/f"); !slices.Contains(may, got) {
				t.Fatalf("point %d, seed %d: the crash leaves %q", points, seed, got)
			}
		}
	}
	f := disk.WithFaults(m, disk.Faults{Done: func(disk.Op, string) { look("the old one", "the new one") }})
	check(t, disk.Publish(f, "/f", 0o600, content("the new one")))
	look("the new one")
	if points < 6 {
		t.Errorf("looked at %d points only", points)
	}
}

// TestOmittedSyncsShow leaves out each sync of Publish in turn: the test above
// must be able to see it.
func TestOmittedSyncsShow(t *testing.T) {
	for _, omit := range []disk.Op{disk.OpSync, disk.OpSyncDir} {
		m := disk.NewMemory()
		check(t, disk.Publish(m, "/f", 0o600, content("the old one")))
		check(t, disk.Publish(omitting{m, omit}, "/f", 0o600, content("the new one")))
		got := outcomes(t, m, "/f")
		if slices.Equal(got, []string{"the new one"}) {
			t.Errorf("without %s, nothing is ever lost", omit)
		}
	}
}

// omitting leaves out one kind of sync.
type omitting struct {
	disk.FS
	op disk.Op
}

func (o omitting) SyncDir(name string) error {
	if o.op == disk.OpSyncDir {
		return nil
	}
	return o.FS.SyncDir(name)
}

func (o omitting) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := o.FS.OpenFile(name, flag, perm)
	if err == nil && o.op == disk.OpSync {
		f = unsynced{f}
	}
	return f, err
}

type unsynced struct{ disk.File }

func (unsynced) Sync() error { return nil }

// TestPublishFails lets each operation of a Publish fail: the old content stays,
// and nothing else lies about, but for the last operation, which has published.
func TestPublishFails(t *testing.T) {
	for n := 1; ; n++ {
		m := disk.NewMemory()
		check(t, disk.Publish(m, "/f", 0o600, content("the old one")))
		var last disk.Op
		fail := disk.FailAt(n, syscall.ENOSPC)
		err := disk.Publish(disk.WithFaults(m, disk.Faults{Fail: func(op disk.Op, name string) error {
			err := fail(op, name)
			if err != nil {
				last = op
			}
			return err
		}}), "/f", 0o600, content("the new one"))
		if err == nil {
			if n < 6 {
				t.Fatalf("only %d operations", n-1)
			}
			return
		}
		want := "the old one"
		if last == disk.OpSyncDir {
			want = "the new one"
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "/f") {
			t.Errorf("%s: error %v", last, err)
		}
		entries, _ := m.ReadDir("/")
		if got := read(t, m, "/f"); got != want || len(entries) != 1 {
			t.Errorf("%s failed: content %q, %d files", last, got, len(entries))
		}
		// A good one after it is not disturbed.
		check(t, disk.Publish(m, "/f", 0o600, content("the new one")))
	}
}

// TestWriteSteadily looks at how much of a large file is not synced at any time, that all of it is there, and that
// a write or a sync which fails on the way is the end of it.
func TestWriteSteadily(t *testing.T) {
	const part, most = 200 << 10, 256 << 10
	for _, size := range []int{0, 1, most - 1, most, most + 1, 2 * most, 5<<20 + 12345} {
		whole := make([]byte, size)
		for i := range whole {
			whole[i] = byte(i * i >> 8)
		}
		fill := func(w io.Writer) error {
			for left := whole; len(left) > 0; left = left[min(len(left), part):] {
				if n, err := w.Write(left[:min(len(left), part)]); err != nil || n != min(len(left), part) {
					return errors.Join(err, fmt.Errorf("%d written", n))
				}
			}
			return nil
		}
		m := disk.NewMemory()
		var was, synced, calls int
		f := disk.WithFaults(m, disk.Faults{Done: func(op disk.Op, name string) {
			if op != disk.OpWrite && op != disk.OpSync {
				return
			}
			info, err := m.Stat(name)
			check(t, err)
			if was = int(info.Size()); op == disk.OpSync {
				synced = was
			}
			if calls++; was-synced > most {
				t.Errorf("%d bytes are not synced", was-synced)
			}
		}})
		check(t, disk.WriteSteadily(f, "/f", 0o600, fill))
		if got := read(t, m, "/f"); got != string(whole) || synced != size {
			t.Errorf("%d bytes of %d, %d of them synced", len(got), size, synced)
		}
		for n := 1; n <= calls; n++ {
			failing := disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(n, syscall.EIO, disk.OpWrite, disk.OpSync)})
			if err := disk.WriteSteadily(failing, "/g", 0o600, fill); !errors.Is(err, syscall.EIO) {
				t.Errorf("call %d of %d failed, and the write with %v", n, calls, err)
			}
			if _, err := m.Stat("/g"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("call %d failed, and the file is there: %v", n, err)
			}
		}
	}
	mine := errors.New("mine")
	err := disk.WriteSteadily(disk.NewMemory(), "/f", 0o600, func(io.Writer) error { return mine })
	if !errors.Is(err, mine) {
		t.Errorf("error %v", err)
	}
}

func TestPublishReturnsTheWritersError(t *testing.T) {
	m := disk.NewMemory()
	mine := errors.New("mine")
	if err := disk.Publish(m, "/f", 0o600, func(io.Writer) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("error %v", err)
	}
	if entries, _ := m.ReadDir("/"); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
}

// TestPublishOverwritesLitter: what a crash left under the name for writing.
func TestPublishOverwritesLitter(t *testing.T) {
	m := disk.NewMemory()
	write(t, m, "/f.new", "much longer litter of a crash", true)
	check(t, disk.Publish(m, "/f", 0o600, content("short")))
	if got := read(t, m, "/f"); got != "short" {
		t.Errorf("content %q", got)
	}
}

func TestMkdirAll(t *testing.T) {
	m := disk.NewMemory()
	check(t, disk.MkdirAll(m, "/a/b/c", 0o700))
	check(t, disk.MkdirAll(m, "/a/b/c", 0o700))
	if _, err := m.Crashed(disk.LoseUnsynced).Stat("/a/b/c"); err != nil {
		t.Errorf("after a crash: %v", err)
	}
	write(t, m, "/file", "", true)
	for _, name := range []string{"/file", "/file/below"} {
		if err := disk.MkdirAll(m, name, 0o700); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m = disk.NewMemory()
	check(t, disk.MkdirAll(omitting{m, disk.OpSyncDir}, "/a", 0o700))
	if _, err := m.Crashed(disk.LoseUnsynced).Stat("/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an omitted sync does not show: %v", err)
	}
	check(t, disk.MkdirAll(disk.OS(), filepath.Join(t.TempDir(), "x/y/z"), 0o700))
}

// TestMkdirAllFails: after a failure it can be tried again, and is durable then.
func TestMkdirAllFails(t *testing.T) {
	for n := 1; ; n++ {
		m := disk.NewMemory()
		f := disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(n, syscall.EIO)})
		err := disk.MkdirAll(f, "/a/b/c", 0o700)
		if err == nil {
			if n < 8 {
				t.Fatalf("only %d operations", n-1)
			}
			return
		}
		check(t, disk.MkdirAll(f, "/a/b/c", 0o700))
		if _, err := m.Crashed(disk.LoseUnsynced).Stat("/a/b/c"); err != nil {
			t.Errorf("operation %d failed, tried again, then a crash: %v", n, err)
		}
	}
}

// tree makes files in a real directory; a name that ends with a slash is a
// directory, and "a -> b" a symbolic link.
func tree(t *testing.T, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		link, target, isLink := strings.Cut(name, " -> ")
		full := filepath.Join(root, link)
		check(t, os.MkdirAll(filepath.Dir(full), 0o700))
		switch {
		case isLink:
			check(t, os.Symlink(target, full))
		case strings.HasSuffix(name, "/"):
			check(t, os.MkdirAll(full, 0o700))
		default:
			check(t, os.WriteFile(full, []byte(name), 0o600))
		}
	}
}

func list(t *testing.T, root string) string {
	t.Helper()
	var names []string
	check(t, filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, name)
		names = append(names, rel)
		return err
	}))
	return strings.Join(names[1:], " ")
}

func TestRemoveTreeRemovesOnlyWhatItIsTold(t *testing.T) {
	root := t.TempDir()
	tree(t, root, "spool/u/1.pack", "spool/u2/1.pack", "search/u/7/x.zap", "search/u/7/deep/er/",
		"search/u/7/out -> ../../../spool/u", "search/u/7/file -> ../../../spool/u2/1.pack", "search/u/8/x.zap",
		"search/link -> ../spool/u")
	check(t, disk.RemoveTree(disk.OS(), filepath.Join(root, "search/u/7")))
	want := "search search/link search/u search/u/8 search/u/8/x.zap spool spool/u spool/u/1.pack spool/u2 spool/u2/1.pack"
	if got := list(t, root); got != want {
		t.Errorf("left: %s\nwant: %s", got, want)
	}
	if err := disk.RemoveTree(disk.OS(), filepath.Join(root, "search/link")); !errors.Is(err, disk.ErrRefused) {
		t.Errorf("a link: %v", err)
	}
	if err := disk.RemoveTree(disk.OS(), filepath.Join(root, "spool/u/1.pack")); !errors.Is(err, disk.ErrRefused) {
		t.Errorf("a file: %v", err)
	}
	check(t, disk.RemoveTree(disk.OS(), filepath.Join(root, "search/u/7")))
	check(t, disk.RemoveTree(disk.OS(), filepath.Join(root, "no/such/dir")))
	for _, dir := range []string{"", ".", "/", "//", "..", "../x", "/..", "a/../.."} {
		if err := disk.RemoveTree(disk.OS(), dir); !errors.Is(err, disk.ErrRefused) {
			t.Errorf("%q: %v", dir, err)
		}
	}
	if got := list(t, root); got != want {
		t.Errorf("after refusals: %s", got)
	}
}

// mounted says that one name is a mount point.
type mounted struct {
	disk.FS
	name string
}

func (m mounted) ReadDir(dir string) ([]fs.DirEntry, error) {
	entries, err := m.FS.ReadDir(dir)
	for i, e := range entries {
		if filepath.Join(dir, e.Name()) == m.name {
			entries[i] = onAnotherDevice{e}
		}
	}
	return entries, err
}

type onAnotherDevice struct{ fs.DirEntry }

func (e onAnotherDevice) Info() (fs.FileInfo, error) {
	info, err := e.DirEntry.Info()
	if err != nil {
		return nil, err
	}
	st := *info.Sys().(*syscall.Stat_t)
	st.Dev++
	return otherInfo{info, &st}, nil
}

type otherInfo struct {
	fs.FileInfo
	st *syscall.Stat_t
}

func (i otherInfo) Sys() any { return i.st }

func TestRemoveTreeStaysOnItsFileSystem(t *testing.T) {
	root := t.TempDir()
	tree(t, root, "u/1/a", "u/2/spool/mail", "u/3/b")
	before := list(t, root)
	err := disk.RemoveTree(mounted{disk.OS(), filepath.Join(root, "u/2/spool")}, filepath.Join(root, "u"))
	if !errors.Is(err, disk.ErrRefused) || !strings.Contains(err.Error(), "spool") {
		t.Errorf("error %v", err)
	}
	if got := list(t, root); got != before {
		t.Errorf("left %s", got)
	}
	// The tree itself may be a file system of its own.
	err = disk.RemoveTree(disk.OS(), filepath.Join(root, "u"))
	if err != nil || list(t, root) != "" {
		t.Errorf("error %v, left %q", err, list(t, root))
	}
}

func TestRemoveTreeIsDurable(t *testing.T) {
	m := disk.NewMemory()
	check(t, disk.MkdirAll(m, "/u/7", 0o700))
	write(t, m, "/u/7/x", "x", true)
	check(t, m.SyncDir("/u/7"))
	check(t, disk.RemoveTree(m, "/u/7"))
	for seed := range uint64(50) {
		if _, err := m.Crashed(seed).Stat("/u/7"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestFaults(t *testing.T) {
	m := disk.NewMemory()
	var ops []string
	f := disk.WithFaults(m, disk.Faults{
		Fail: disk.FailFrom(2, syscall.EIO, disk.OpWrite),
		Done: func(op disk.Op, name string) { ops = append(ops, fmt.Sprint(op, name)) },
	})
	file, err := f.OpenFile("/f", os.O_CREATE|os.O_RDWR, 0o600)
	check(t, err)
	_, err = file.Write([]byte("1234"))
	check(t, err)
	for range 2 {
		n, err := file.Write([]byte("abcd"))
		if n != 2 || !errors.Is(err, syscall.EIO) {
			t.Errorf("write %d, %v", n, err)
		}
	}
	check(t, file.Sync())
	check(t, f.SyncDir("/"))
	held, err := f.TryLock("/l", disk.Shared)
	check(t, err)
	check(t, held.Close())
	if got := read(t, f, "/f"); got != "1234abab" {
		t.Errorf("content %q", got)
	}
	want := "create/f write/f sync/f syncdir/ lock/l open/f read/f"
	if got := strings.Join(ops, " "); got != want {
		t.Errorf("operations %s, want %s", got, want)
	}
}

// TestFailedSyncIsFinal: to sync again makes nothing durable; to write again does.
func TestFailedSyncIsFinal(t *testing.T) {
	m := disk.NewMemory()
	write(t, m, "/f", "old", true)
	check(t, m.SyncDir("/"))
	f := disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(1, syscall.EIO, disk.OpSync)})
	file, err := f.OpenFile("/f", os.O_WRONLY, 0)
	check(t, err)
	put := func() { check(t, second(file.WriteAt([]byte("new"), 0))) }
	put()
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	check(t, file.Sync())
	if got := read(t, m, "/f"); got != "new" {
		t.Errorf("readable: %q", got)
	}
	if got := outcomes(t, m, "/f"); !slices.Equal(got, []string{"old"}) {
		t.Errorf("after a second sync, crashes leave %q", got)
	}
	put()
	check(t, file.Sync())
	if got := outcomes(t, m, "/f"); !slices.Equal(got, []string{"new"}) {
		t.Errorf("written again, crashes leave %q", got)
	}
}

func TestFaultsAtEachKind(t *testing.T) {
	for _, op := range []disk.Op{disk.OpOpen, disk.OpCreate, disk.OpRead, disk.OpTruncate, disk.OpSync, disk.OpRename,
		disk.OpRemove, disk.OpMkdir, disk.OpReadDir, disk.OpStat, disk.OpSyncDir, disk.OpLock} {
		m := disk.NewMemory()
		write(t, m, "/f", "content", true)
		f := disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(1, syscall.EIO, op)})
		failed := 0
		for _, err := range everything(f) {
			var pathErr *fs.PathError
			if errors.As(err, &pathErr) && errors.Is(err, syscall.EIO) && pathErr.Op == string(op) {
				failed++
			} else if err != nil {
				t.Errorf("%s: %v", op, err)
			}
		}
		if failed != 1 {
			t.Errorf("%s failed %d times", op, failed)
		}
	}
}

// everything does each operation once and returns the errors. A file that could
// not be opened is not used.
func everything(f disk.FS) []error {
	var errs []error
	note := func(err error) bool { errs = append(errs, err); return err == nil }
	if file, err := f.OpenFile("/f", os.O_RDWR, 0); note(err) {
		note(second(file.Read(make([]byte, 1))))
		note(file.Truncate(1))
		note(file.Sync())
		note(file.Close())
	}
	if file, err := f.OpenFile("/g", os.O_CREATE|os.O_RDWR, 0o600); note(err) {
		note(file.Close())
	}
	note(f.Rename("/f", "/h"))
	note(second(f.Stat("/")))
	note(second(f.ReadDir("/")))
	note(f.Mkdir("/dir", 0o700))
	note(f.SyncDir("/"))
	note(second(f.TryLock("/l", disk.Exclusive)))
	note(f.Remove("/l"))
	return slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, fs.ErrNotExist) })
}

// TestPlaceUndone: a name whose directory could not be synced is not there for who comes next; with another try it is, and
// durable, which a mere second sync would not make it.
func TestPlaceUndone(t *testing.T) {
	hold := func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err }
	for _, c := range []struct {
		name string
		make func(disk.FS) error
		left []string // after the failure
	}{
		{"Create", func(fsys disk.FS) error { return disk.Create(fsys, "/d/file", 0o600, hold) }, nil},
		{"Place", func(fsys disk.FS) error {
			return errors.Join(disk.WriteSynced(fsys, "/d/next", 0o600, hold), disk.Place(fsys, "/d/next", "/d/file"))
		}, []string{"next"}},
	} {
		m := disk.NewMemory()
		if err := disk.MkdirAll(m, "/d", 0o700); err != nil {
			t.Fatal(err)
		}
		broken := disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(1, syscall.EIO, disk.OpSyncDir)})
		if err := c.make(broken); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: %v", c.name, err)
		}
		entries, err := m.ReadDir("/d")
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, e := range entries {
			left = append(left, e.Name())
		}
		if !slices.Equal(left, c.left) {
			t.Errorf("%s that failed leaves %q", c.name, left)
		}
		if err := c.make(broken); err != nil {
			t.Fatalf("%s again: %v", c.name, err)
		}
		if b, err := disk.ReadFile(m.Crashed(disk.LoseUnsynced), "/d/file"); err != nil || string(b) != "text" {
			t.Errorf("%s again, and a crash: %q, %v", c.name, b, err)
		}
	}
}

// TestSyncDirFailed: what a SyncDir failed to make durable no later one does, but what is changed anew.
func TestSyncDirFailed(t *testing.T) {
	m := disk.NewMemory()
	fsys := disk.WithFaults(m, disk.Faults{Fail: disk.FailAt(1, syscall.EIO, disk.OpSyncDir)})
	for _, name := range []string{"/a", "/b"} {
		if err := disk.WriteSynced(fsys, name, 0o600, func(io.Writer) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := fsys.SyncDir("/"); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := errors.Join(fsys.Rename("/b", "/c"), fsys.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"/a": false, "/b": false, "/c": true} {
		if _, err := m.Stat(name); (err == nil) != (name != "/b") {
			t.Errorf("%s is seen: %v", name, err)
		}
		if _, err := m.Crashed(disk.KeepUnsynced).Stat(name); (err == nil) != want {
			t.Errorf("%s after a crash: %v", name, err)
		}
	}
}
