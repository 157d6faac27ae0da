package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// newSuffix marks the file that Publish writes before it renames it.
const newSuffix = ".new"

// Publish makes name hold what write writes, or leaves it as it was: it writes
// name.new, syncs it, renames it and syncs the directory. A crash may leave
// name.new behind, which the next Publish overwrites; nobody reads it. Two
// Publish of one name must not run at once: the caller's lock sees to that.
//
// After an error the file is as it was, with one exception: when the last step,
// the sync of the directory, fails, name holds the new content, which a power
// cut may undo.
func Publish(fsys FS, name string, perm fs.FileMode, write func(io.Writer) error) error {
	if err := WriteSynced(fsys, name+newSuffix, perm, write); err != nil {
		return err
	}
	if err := fsys.Rename(name+newSuffix, name); err != nil {
		return errors.Join(fmt.Errorf("publish %s: %w", name, err), fsys.Remove(name+newSuffix))
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("publish %s: sync the directory: %w", name, err)
	}
	return nil
}

// Place gives a file that is whole and synced a name in its directory that nothing has, durably. After an error nothing has it: who
// found it there would take it for durable, and no other sync of the directory makes good one that failed.
func Place(fsys FS, from, name string) error {
	if err := fsys.Rename(from, name); err != nil {
		return fmt.Errorf("place %s: %w", name, err)
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return errors.Join(fmt.Errorf("place %s: sync the directory: %w", name, err), fsys.Rename(name, from))
	}
	return nil
}

// Replace is Publish of a file that something else than an FS has written, and not synced: from, in the directory of name.
func Replace(fsys FS, from, name string) error {
	f, err := fsys.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := fsys.Rename(from, name); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("replace %s: sync the directory: %w", name, err)
	}
	return nil
}

// Create is Publish of a name that nothing has: after an error nothing has it.
func Create(fsys FS, name string, perm fs.FileMode, write func(io.Writer) error) error {
	if err := WriteSynced(fsys, name+newSuffix, perm, write); err != nil {
		return err
	}
	if err := Place(fsys, name+newSuffix, name); err != nil {
		return errors.Join(err, fsys.Remove(name+newSuffix))
	}
	return nil
}

// WriteSynced writes a whole file, replacing what has the name, and syncs it,
// but not its directory. After an error it removes what it began.
func WriteSynced(fsys FS, name string, perm fs.FileMode, write func(io.Writer) error) error {
	return writeSynced(fsys, name, perm, func(f File) error { return write(f) })
}

func writeSynced(fsys FS, name string, perm fs.FileMode, write func(File) error) error {
	f, err := fsys.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, perm)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	// A close error after a good sync says nothing about the bytes, yet is odd
	// enough to stop here.
	if err = errors.Join(err, f.Close()); err == nil {
		return nil
	}
	if rm := fsys.Remove(name); rm != nil {
		err = errors.Join(err, rm)
	}
	return fmt.Errorf("write %s: %w", name, err)
}

// piece is how many bytes of a large file WriteSteadily syncs at a time. Who syncs a small
// one meanwhile waits for one of these at most: of pieces of 1 MiB, the longest waits in a
// hundred are twice those of pieces of this size, which are as long as without a large file.
const piece = 256 << 10

// WriteSteadily is WriteSynced for files that may be large: it syncs them piece by piece, while write makes the next
// piece. What is written at once at the end of a large file, others who sync a small one wait for:
// their writes come behind it, and where the file system's journal is, so does their commit.
func WriteSteadily(fsys FS, name string, perm fs.FileMode, write func(io.Writer) error) error {
	return writeSynced(fsys, name, perm, func(f File) error {
		s := &steady{next: make([]byte, 0, piece), full: make(chan []byte), idle: make(chan stored, 2)}
		s.idle <- stored{b: make([]byte, 0, piece)}
		ended := make(chan error, 1)
		go func() { ended <- s.store(f) }()
		err := s.fill(write)
		if failed := <-ended; failed != nil {
			return failed
		}
		return err
	})
}

// steady gathers a piece of a file while another one is stored: no more than one is written and not synced.
type steady struct {
	next []byte      // what is gathered
	full chan []byte // to store
	idle chan stored // and back; it has room for both
}

// stored is memory of which the piece is durable, or err says why not.
type stored struct {
	b   []byte
	err error
}

// fill has write make the file.
func (s *steady) fill(write func(io.Writer) error) error {
	defer close(s.full)
	if err := write(s); err != nil {
		return err
	}
	s.full <- s.next
	return nil
}

// Write gathers.
func (s *steady) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(len(p), n+cap(s.next)-len(s.next))]
		s.next = append(s.next, part...)
		n += len(part)
		if len(s.next) < cap(s.next) {
			continue
		}
		s.full <- s.next
		was := <-s.idle
		if was.err != nil {
			return n, was.err
		}
		s.next = was.b[:0]
	}
	return n, nil
}

// store writes and syncs whole pieces, and writes the last one. After an error it stores nothing.
func (s *steady) store(f File) (err error) {
	for b := range s.full {
		if err == nil {
			_, err = f.Write(b)
		}
		if err == nil && len(b) == piece {
			err = f.Sync()
		}
		s.idle <- stored{b, err}
	}
	return err
}

// ReadFile reads a whole file.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// MkdirAll makes a directory and those above it that are missing, and makes
// each new name durable before it makes the next.
func MkdirAll(fsys FS, name string, perm fs.FileMode) error {
	name = filepath.Clean(name)
	if info, err := fsys.Stat(name); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(name)
	if parent == name {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrNotExist}
	}
	if err := MkdirAll(fsys, parent, perm); err != nil {
		return err
	}
	made := fsys.Mkdir(name, perm)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return made
	}
	// Also if another has made it in the meantime: he may not have synced it yet.
	err := fsys.SyncDir(parent)
	if err != nil && made == nil {
		// Else the next call would find it, and take it for durable.
		err = errors.Join(err, fsys.Remove(name))
	}
	return err
}

// ErrRefused is returned by RemoveTree for what it will not remove.
var ErrRefused = errors.New("refused to remove")

// RemoveTree removes a directory with all that is in it, and syncs the one
// above. It removes symbolic links, never what they point to, and refuses the
// root, a relative name that leaves its directory, a name that is no directory,
// and, before it removes anything, a tree with another file system mounted in
// it. A tree that is not there is no error. A crash leaves some of it.
func RemoveTree(fsys FS, dir string) error {
	dir = filepath.Clean(dir)
	if dir == "/" || !filepath.IsAbs(dir) && !filepath.IsLocal(dir) || dir == "." {
		return fmt.Errorf("%s: %w", dir, ErrRefused)
	}
	parent := filepath.Dir(dir)
	entry, err := lookup(fsys, parent, filepath.Base(dir))
	if err != nil || entry == nil {
		return err
	}
	if !entry.IsDir() {
		return fmt.Errorf("%s is no directory: %w", dir, ErrRefused)
	}
	var names []string // directories before what they hold
	if names, err = walk(fsys, dir, nil, device(entry)); err != nil {
		return err
	}
	for i := len(names) - 1; i >= 0; i-- {
		if err := fsys.Remove(names[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fsys.SyncDir(parent)
}

// lookup returns the entry itself, where Stat would follow a link; nil if there
// is none.
func lookup(fsys FS, parent, base string) (fs.DirEntry, error) {
	entries, err := fsys.ReadDir(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() == base {
			return e, nil
		}
	}
	return nil, nil
}

// walk appends dir and all names below it that are on the given device.
func walk(fsys FS, dir string, names []string, dev uint64) ([]string, error) {
	names = append(names, dir)
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if !e.IsDir() {
			names = append(names, name)
			continue
		}
		if device(e) != dev {
			return nil, fmt.Errorf("%s is another file system: %w", name, ErrRefused)
		}
		if names, err = walk(fsys, name, names, dev); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// device numbers the file system of an entry; 0 where that is not known.
func device(e fs.DirEntry) uint64 {
	info, err := e.Info()
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev)
	}
	return 0
}
