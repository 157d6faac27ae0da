package disk

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
)

// Op names a kind of operation.
type Op string

// The operations that Faults sees.
const (
	OpOpen     Op = "open"   // without creating or truncating
	OpCreate   Op = "create" // OpenFile with os.O_CREATE or os.O_TRUNC
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpSync     Op = "sync"
	OpRename   Op = "rename" // named by its old name
	OpRemove   Op = "remove"
	OpMkdir    Op = "mkdir"
	OpReadDir  Op = "readdir"
	OpStat     Op = "stat"
	OpSyncDir  Op = "syncdir"
	OpLock     Op = "lock"
)

// Changes reports whether the operation changes what a crash may leave.
func (o Op) Changes() bool {
	switch o {
	case OpCreate, OpWrite, OpTruncate, OpSync, OpRename, OpRemove, OpMkdir, OpSyncDir:
		return true
	}
	return false
}

// Faults says how a file system misbehaves. Its functions are called from
// whatever goroutine uses the file system.
type Faults struct {
	// Fail, if set, is asked before each operation. If it returns an error, the
	// operation is not done and returns it, as a *fs.PathError. But a write puts
	// the first half of its bytes in place, as a full disk does; and when Sync of a
	// Memory's file fails, or SyncDir, what it was to sync stays readable and never becomes
	// durable, whatever is synced later, as Linux has it.
	Fail func(op Op, name string) error
	// Done, if set, is called after each operation that succeeded.
	Done func(op Op, name string)
}

// FailAt returns a Faults.Fail that lets the nth operation fail, counted from 1
// among those of the given kinds; without kinds, among all.
func FailAt(n int, err error, ops ...Op) func(Op, string) error {
	return failing(err, ops, func(i int) bool { return i == n })
}

// FailFrom is FailAt for the nth operation and all after it.
func FailFrom(n int, err error, ops ...Op) func(Op, string) error {
	return failing(err, ops, func(i int) bool { return i >= n })
}

func failing(err error, ops []Op, at func(int) bool) func(Op, string) error {
	var mu sync.Mutex
	count := 0
	return func(op Op, _ string) error {
		if len(ops) > 0 && !slices.Contains(ops, op) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if count++; at(count) {
			return err
		}
		return nil
	}
}

// WithFaults returns fsys with the faults.
func WithFaults(fsys FS, faults Faults) FS { return &faultyFS{fsys, faults} }

type faultyFS struct {
	fsys   FS
	faults Faults
}

// do runs an operation with its fault.
func (f *faultyFS) do(op Op, name string, run func() error) error {
	if err := f.fail(op, name); err != nil {
		return err
	}
	err := run()
	if err == nil && f.faults.Done != nil {
		f.faults.Done(op, name)
	}
	return err
}

func (f *faultyFS) fail(op Op, name string) error {
	if f.faults.Fail == nil {
		return nil
	}
	if err := f.faults.Fail(op, name); err != nil {
		return &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}

func (f *faultyFS) OpenFile(name string, flag int, perm fs.FileMode) (file File, err error) {
	op := OpOpen
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		op = OpCreate
	}
	err = f.do(op, name, func() error {
		inner, err := f.fsys.OpenFile(name, flag, perm)
		if err == nil {
			file = &faultyFile{inner, f}
		}
		return err
	})
	return file, err
}

func (f *faultyFS) Rename(oldname, newname string) error {
	return f.do(OpRename, oldname, func() error { return f.fsys.Rename(oldname, newname) })
}

func (f *faultyFS) Remove(name string) error {
	return f.do(OpRemove, name, func() error { return f.fsys.Remove(name) })
}

func (f *faultyFS) Mkdir(name string, perm fs.FileMode) error {
	return f.do(OpMkdir, name, func() error { return f.fsys.Mkdir(name, perm) })
}

func (f *faultyFS) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = f.do(OpReadDir, name, func() (err error) { entries, err = f.fsys.ReadDir(name); return err })
	return entries, err
}

func (f *faultyFS) Stat(name string) (info fs.FileInfo, err error) {
	err = f.do(OpStat, name, func() (err error) { info, err = f.fsys.Stat(name); return err })
	return info, err
}

// SyncDir that fails makes a Memory lose the names that were to be synced.
func (f *faultyFS) SyncDir(name string) error {
	if err := f.fail(OpSyncDir, name); err != nil {
		if m, ok := f.fsys.(*Memory); ok {
			m.failSyncDir(name)
		}
		return err
	}
	err := f.fsys.SyncDir(name)
	if err == nil && f.faults.Done != nil {
		f.faults.Done(OpSyncDir, name)
	}
	return err
}

func (f *faultyFS) TryLock(name string, mode LockMode) (held io.Closer, err error) {
	err = f.do(OpLock, name, func() (err error) { held, err = f.fsys.TryLock(name, mode); return err })
	return held, err
}

type faultyFile struct {
	File
	fsys *faultyFS
}

func (f *faultyFile) Read(p []byte) (n int, err error) {
	err = f.fsys.do(OpRead, f.Name(), func() (err error) { n, err = f.File.Read(p); return err })
	return n, err
}

func (f *faultyFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.fsys.do(OpRead, f.Name(), func() (err error) { n, err = f.File.ReadAt(p, off); return err })
	return n, err
}

func (f *faultyFile) Write(p []byte) (n int, err error) {
	return f.write(p, f.File.Write)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (n int, err error) {
	return f.write(p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *faultyFile) write(p []byte, write func([]byte) (int, error)) (n int, err error) {
	if fault := f.fsys.fail(OpWrite, f.Name()); fault != nil {
		if n, err = write(p[:len(p)/2]); err != nil {
			return n, err
		}
		return n, fault
	}
	if n, err = write(p); err == nil && f.fsys.faults.Done != nil {
		f.fsys.faults.Done(OpWrite, f.Name())
	}
	return n, err
}

// Sync that fails makes a Memory lose what was to be synced.
func (f *faultyFile) Sync() error {
	if err := f.fsys.fail(OpSync, f.Name()); err != nil {
		if m, ok := f.File.(*memoryFile); ok {
			m.failSync()
		}
		return err
	}
	err := f.File.Sync()
	if err == nil && f.fsys.faults.Done != nil {
		f.fsys.faults.Done(OpSync, f.Name())
	}
	return err
}

func (f *faultyFile) Truncate(size int64) error {
	return f.fsys.do(OpTruncate, f.Name(), func() error { return f.File.Truncate(size) })
}
