package tiers

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// errFault is wrapped in the error that a panic over a segment's bytes becomes.
var errFault = errors.New("fault while reading")

// guard calls fn, which reads mapped files or bytes that may be damaged. A memory
// fault (a mapped file cut short, a bad disk) and a panic that names damage become an
// error that wraps errFault; any other panic is a *Bug, which does so, too. An index may cost speed but never
// the process.
func guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			err = caught(r)
		}
	}()
	return fn()
}

// caught is the error that a panic becomes.
func caught(r any) error {
	err, ok := r.(error)
	if !ok {
		return &Bug{r, debug.Stack()}
	}
	_, fault := err.(interface{ Addr() uintptr }) // of debug.SetPanicOnFault
	if fault || errors.Is(err, errIndex) || errors.Is(err, errList) || errors.Is(err, errKept) {
		return fmt.Errorf("%w: %w", errFault, err)
	}
	return &Bug{r, debug.Stack()}
}

// Bug is a panic while an index was read. If the files are what their manifest says,
// it is the code that is wrong, not the index: then it is logged as a bug, with its
// stack, and the messages are read instead, but the database is not given up. Bytes
// that are damaged may lead to a panic as well; then it is damage.
type Bug struct {
	Panic any
	Stack []byte
}

// Unwrap makes a bug a fault for those to whom it makes no difference.
func (b *Bug) Unwrap() error { return errFault }

// Error says what the panic was.
func (b *Bug) Error() string { return fmt.Sprintf("bug: %v", b.Panic) }

// asBug returns the bug that an error is for a segment: nil if it is none, or if the
// segment's files are not what their manifest says.
func asBug(h *handle, err error) *Bug {
	bug, ok := errors.AsType[*Bug](err)
	if !ok {
		return nil
	}
	for ext, want := range map[string]fileInfo{termsExt: h.info.Terms, listsExt: h.info.Lists, textExt: h.info.Text} {
		name := segmentFile(h.dir, h.info.Number, ext)
		if damaged := guard(func() error { return checkFile(name, want) }); damaged != nil {
			return nil
		}
	}
	return bug
}

// Damage is a database that could not be read, or not to its end. It is read as
// absent: its messages are scanned until they are indexed again.
type Damage struct {
	Database string // such as "data:37"; "index.active" for the activefile
	Path     string
	Err      error
}

// Error names the database and its place.
func (d *Damage) Error() string { return fmt.Sprintf("%s (%s): %v", d.Database, d.Path, d.Err) }

// Unwrap returns what was met.
func (d *Damage) Unwrap() error { return d.Err }
