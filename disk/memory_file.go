package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// memoryFile is an open file of a Memory; its mutex guards pos and closed too.
type memoryFile struct {
	fs     *Memory
	node   *node
	name   string
	flag   int
	epoch  int
	pos    int64
	closed bool
}

var (
	errNegativeOffset = errors.New("negative offset")
	errAppending      = errors.New("WriteAt of a file opened with os.O_APPEND")
)

// use locks the file system for an operation, unless the file cannot be used
// for it: then it returns an error, and nothing is locked.
func (f *memoryFile) use(op string, writes bool) error {
	f.fs.mu.Lock()
	var err error
	mode := f.flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
	switch {
	case f.epoch != f.fs.epoch:
		err = ErrCrashed
	case f.closed:
		err = fs.ErrClosed
	case f.node.dir && (op == "read" || op == "write"):
		err = syscall.EISDIR
	case writes && mode == os.O_RDONLY, op == "read" && mode == os.O_WRONLY:
		err = syscall.EBADF
	}
	if err != nil {
		f.fs.mu.Unlock()
		return &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	return nil
}

func (f *memoryFile) Name() string { return f.name }

func (f *memoryFile) Read(p []byte) (int, error) {
	if err := f.use("read", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	n, err := f.node.readAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 || len(p) == 0 {
		err = nil
	}
	return n, err
}

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.use("read", false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off < 0 {
		return 0, &fs.PathError{Op: "readat", Path: f.name, Err: errNegativeOffset}
	}
	return f.node.readAt(p, off)
}

func (n *node) readAt(p []byte, off int64) (int, error) {
	if off >= int64(len(n.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	copied := copy(p, n.data[off:])
	if copied < len(p) {
		return copied, io.EOF
	}
	return copied, nil
}

func (f *memoryFile) Write(p []byte) (int, error) {
	if err := f.use("write", true); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if f.flag&os.O_APPEND != 0 {
		f.pos = int64(len(f.node.data))
	}
	f.node.writeAt(p, f.pos)
	f.pos += int64(len(p))
	return len(p), nil
}

// WriteAt refuses files opened for appending, as os.File does.
func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	if f.flag&os.O_APPEND != 0 {
		return 0, &fs.PathError{Op: "writeat", Path: f.name, Err: errAppending}
	}
	if err := f.use("write", true); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off < 0 {
		return 0, &fs.PathError{Op: "writeat", Path: f.name, Err: errNegativeOffset}
	}
	f.node.writeAt(p, off)
	return len(p), nil
}

func (n *node) writeAt(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	n.writes = append(n.writes, write{off: off, data: slices.Clone(p)})
	n.data = overlay(n.data, p, off)
}

// overlay writes p into data at off; a gap before it reads as zeros.
func overlay(data, p []byte, off int64) []byte {
	data = resize(data, max(int64(len(data)), off+int64(len(p))))
	copy(data[off:], p)
	return data
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		clear(data[size:])
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

func (f *memoryFile) Truncate(size int64) error {
	if err := f.use("truncate", true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if size < 0 || f.node.dir {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: syscall.EINVAL}
	}
	f.node.truncate(size)
	return nil
}

func (n *node) truncate(size int64) {
	n.writes = append(n.writes, write{off: size, truncate: true})
	n.data = resize(n.data, size)
}

// Sync makes the bytes durable, through whichever open file they came.
func (f *memoryFile) Sync() error {
	if err := f.use("sync", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	n := f.node
	if n.dir {
		return nil // SyncDir is the one way to sync names
	}
	for _, w := range n.writes {
		n.durable = w.applyTo(n.durable)
	}
	n.writes = nil
	return nil
}

// failSync is a Sync that failed: the kernel takes the pages for clean, and they
// never reach the disk.
func (f *memoryFile) failSync() {
	if f.use("sync", false) != nil {
		return
	}
	defer f.fs.mu.Unlock()
	f.node.writes = nil
}

func (w write) applyTo(data []byte) []byte {
	if w.truncate {
		return resize(data, w.off)
	}
	return overlay(data, w.data, w.off)
}

func (f *memoryFile) Stat() (fs.FileInfo, error) {
	if err := f.use("stat", false); err != nil {
		return nil, err
	}
	defer f.fs.mu.Unlock()
	return f.node.info(lastPart(f.name)), nil
}

func (f *memoryFile) Close() error {
	if err := f.use("close", false); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.closed = true
	return nil
}
