package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrCrashed is returned by files that were open when the power went.
var ErrCrashed = errors.New("the file system crashed")

// Memory is a file system in memory that forgets, on Crash, what was not
// fsynced. It is as strict as POSIX lets a disk be: the bytes of a file are
// durable after its Sync only, each name after SyncDir of its directory only,
// and what was not synced may be kept or lost in any order and by halves. Times
// of files are zero. "/" is there from the start; relative names lie in it.
type Memory struct {
	mu    sync.Mutex // guards all below, and all nodes
	root  *node
	epoch int            // counts crashes: files of an earlier one are dead
	locks map[*node]hold // by lock file
}

// hold is how a lock file is held: exclusively, or by so many.
type hold struct {
	exclusive bool
	shared    int
}

// node is a file or a directory: both what programs see and what is durable,
// with the changes that lie between, oldest first.
type node struct {
	dir  bool
	perm fs.FileMode

	data, durable []byte
	writes        []write

	entries, synced map[string]*node
	moves           []move
}

// write is a change to a file that is not synced.
type write struct {
	off      int64
	data     []byte
	truncate bool // to off
}

// move is a change to a directory that is not synced: unlink goes and link
// comes, both at once; either may be absent.
type move struct {
	unlink string
	link   string
	node   *node
}

// NewMemory returns an empty file system.
func NewMemory() *Memory {
	return &Memory{root: newDir(0o755), locks: map[*node]hold{}}
}

func newDir(perm fs.FileMode) *node {
	return &node{dir: true, perm: perm, entries: map[string]*node{}, synced: map[string]*node{}}
}

// find returns the node of a name. m.mu is held.
func (m *Memory) find(op, name string) (*node, error) {
	n := m.root
	for part := range strings.SplitSeq(clean(name), "/") {
		if part == "" {
			continue
		}
		if !n.dir {
			return nil, &fs.PathError{Op: op, Path: name, Err: syscall.ENOTDIR}
		}
		if n = n.entries[part]; n == nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: syscall.ENOENT}
		}
	}
	return n, nil
}

// findDir returns the directory that holds name, and the last part of it.
func (m *Memory) findDir(op, name string) (*node, string, error) {
	dir, base := filepath.Split(clean(name))
	n, err := m.find(op, dir)
	if err == nil && !n.dir {
		err = &fs.PathError{Op: op, Path: name, Err: syscall.ENOTDIR}
	}
	return n, base, err
}

func clean(name string) string { return filepath.Clean("/" + name) }

// apply makes the change visible and notes it for SyncDir.
func (n *node) apply(mv move) {
	n.moves = append(n.moves, mv)
	mv.applyTo(n.entries)
}

func (mv move) applyTo(entries map[string]*node) {
	if mv.unlink != "" {
		delete(entries, mv.unlink)
	}
	if mv.link != "" {
		entries[mv.link] = mv.node
	}
}

// OpenFile opens a file, or a directory for reading nothing.
func (m *Memory) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	if flag&os.O_TRUNC != 0 && len(n.data) > 0 {
		n.truncate(0)
	}
	return &memoryFile{fs: m, node: n, name: name, flag: flag, epoch: m.epoch}, nil
}

func (m *Memory) open(name string, flag int, perm fs.FileMode) (*node, error) {
	dir, base, err := m.findDir("open", name)
	if err != nil {
		return nil, err
	}
	n := dir.entries[base]
	if base == "" {
		n = m.root
	}
	fail := func(errno syscall.Errno) (*node, error) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errno}
	}
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return fail(syscall.ENOENT)
	case n == nil:
		n = &node{perm: perm}
		dir.apply(move{link: base, node: n})
	case flag&os.O_EXCL != 0 && flag&os.O_CREATE != 0:
		return fail(syscall.EEXIST)
	case n.dir && flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC) != 0:
		return fail(syscall.EISDIR)
	}
	return n, nil
}

// Rename replaces newname.
func (m *Memory) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.rename(oldname, newname); err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func (m *Memory) rename(oldname, newname string) error {
	from, old, err := m.findDir("rename", oldname)
	if err != nil {
		return err
	}
	to, base, err := m.findDir("rename", newname)
	if err != nil {
		return err
	}
	n, over := from.entries[old], to.entries[base]
	switch {
	case n == nil:
		return syscall.ENOENT
	case base == "" || over != nil && over.dir:
		return syscall.EEXIST // as os.Rename has it, empty or not
	case n == over:
		return nil
	case n.dir && strings.HasPrefix(clean(newname), clean(oldname)+"/"):
		return syscall.EINVAL
	case over != nil && n.dir:
		return syscall.ENOTDIR
	case from == to:
		from.apply(move{unlink: old, link: base, node: n})
	default:
		to.apply(move{link: base, node: n})
		from.apply(move{unlink: old})
	}
	return nil
}

// Remove removes a file or an empty directory.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.findDir("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOENT}
	}
	if len(n.entries) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	dir.apply(move{unlink: base})
	return nil
}

// Mkdir makes a directory.
func (m *Memory) Mkdir(name string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.findDir("mkdir", name)
	if err != nil {
		return err
	}
	if base == "" || dir.entries[base] != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.EEXIST}
	}
	dir.apply(move{link: base, node: newDir(perm)})
	return nil
}

// ReadDir lists a directory.
func (m *Memory) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: syscall.ENOTDIR}
	}
	var entries []fs.DirEntry
	for _, base := range slices.Sorted(maps.Keys(n.entries)) {
		entries = append(entries, fs.FileInfoToDirEntry(n.entries[base].info(base)))
	}
	return entries, nil
}

// Stat describes a file or directory.
func (m *Memory) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("stat", name)
	if err != nil {
		return nil, err
	}
	return n.info(filepath.Base(clean(name))), nil
}

// SyncDir makes the names in a directory durable.
func (m *Memory) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("sync", name)
	if err != nil {
		return err
	}
	if !n.dir {
		return &fs.PathError{Op: "sync", Path: name, Err: syscall.ENOTDIR}
	}
	for _, mv := range n.moves {
		mv.applyTo(n.synced)
	}
	n.moves = nil
	return nil
}

// failSyncDir is a SyncDir that failed: what it was to make durable stays visible, and no later one does.
func (m *Memory) failSyncDir(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, err := m.find("sync", name); err == nil {
		n.moves = nil
	}
}

// TryLock locks within this file system. A crash frees all locks.
func (m *Memory) TryLock(name string, mode LockMode) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.open(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	held := m.locks[n]
	switch {
	case held.exclusive || mode == Exclusive && held.shared > 0:
		return nil, fmt.Errorf("%s: %w", name, ErrLocked)
	case mode == Exclusive:
		held.exclusive = true
	default:
		held.shared++
	}
	m.locks[n] = held
	return &memoryLock{fs: m, node: n, mode: mode, epoch: m.epoch}, nil
}

type memoryLock struct {
	fs    *Memory
	node  *node
	mode  LockMode
	epoch int
	once  sync.Once
}

// Close frees the lock. Closing it again does nothing.
func (l *memoryLock) Close() error {
	l.once.Do(l.free)
	return nil
}

func (l *memoryLock) free() {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.epoch != l.fs.epoch {
		return
	}
	held := l.fs.locks[l.node]
	if l.mode == Exclusive {
		held.exclusive = false
	} else {
		held.shared--
	}
	if held == (hold{}) {
		delete(l.fs.locks, l.node)
		return
	}
	l.fs.locks[l.node] = held
}

func (n *node) info(base string) fs.FileInfo {
	mode := n.perm.Perm()
	if n.dir {
		mode |= fs.ModeDir
	}
	return memoryInfo{base, int64(len(n.data)), mode}
}

type memoryInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i memoryInfo) Name() string       { return i.name }
func (i memoryInfo) Size() int64        { return i.size }
func (i memoryInfo) Mode() fs.FileMode  { return i.mode }
func (i memoryInfo) ModTime() time.Time { return time.Time{} }
func (i memoryInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memoryInfo) Sys() any           { return nil }
