package disk

import (
	"io"
	"io/fs"
	"os"
)

// File is an open file. Reads and writes at offsets may run at the same time.
type File interface {
	io.Reader
	io.Writer
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	// Sync makes the bytes and the size durable, not the name.
	Sync() error
	Truncate(size int64) error
}

// FS is a file system. Names are paths of the operating system; errors are
// *fs.PathError or *os.LinkError and satisfy errors.Is with the sentinels of
// io/fs. All methods may be called from any goroutine.
type FS interface {
	// OpenFile takes the flags of os.OpenFile.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename replaces newname, if it is there, at once. It is durable after
	// SyncDir; between two directories it is two changes, each durable after
	// SyncDir of its own: sync the new one first.
	Rename(oldname, newname string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	Mkdir(name string, perm fs.FileMode) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// TryLock takes the lock on the file of that name, creating the file if it
	// is missing, and returns ErrLocked at once if that would have to wait. The
	// lock lasts until the closer is closed or the process ends.
	TryLock(name string, mode LockMode) (io.Closer, error)
}

// OS returns the file system of the machine.
func OS() FS { return osFS{} }

type osFS struct{}

// OpenFile returns a nil interface with an error, not one that holds a nil *os.File.
func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFS) Rename(oldname, newname string) error       { return os.Rename(oldname, newname) }
func (osFS) Remove(name string) error                   { return os.Remove(name) }
func (osFS) Mkdir(name string, perm fs.FileMode) error  { return os.Mkdir(name, perm) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		d.Close()
		return err
	}
	return d.Close()
}
