package activefile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"teraslot/disk"
)

// The files of a user's directory that belong to this package.
const (
	activeName  = "index.active"
	stagedName  = "index.staged"
	lockName    = "index.lock"
	gateName    = "index.gate"
	writeName   = "index.write"
	compactName = "index.compact"
)

// Options are what a File needs besides its directory. The zero value works.
type Options struct {
	FS  disk.FS          // nil: disk.OS()
	Now func() time.Time // nil: time.Now
	// Found returns the generations of a tier that have a directory on disk, in
	// any order, so that none is given again whatever became of the counters. It
	// is called by Reserve, under index.lock. Nil: none.
	Found func(tier string) ([]uint64, error)
	// Holder says who takes index.compact, for those who find it held. "": the
	// process's number and start.
	Holder string
	// Step, if set, is called between the steps of a change, with the name of
	// the one just done: "marked", "published", "staged", "swapped".
	Step func(step string)
}

// File is a user's activefile and its locks. It holds no file open and may be
// used from any goroutine.
type File struct {
	dir string
	o   Options
}

// New returns the activefile in a user's directory, which must be there before
// a lock is taken. Nothing is read or written.
func New(dir string, o Options) *File {
	if o.FS == nil {
		o.FS = disk.OS()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Found == nil {
		o.Found = func(string) ([]uint64, error) { return nil, nil }
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return &File{dir, o}
}

func (f *File) path(name string) string { return filepath.Join(f.dir, name) }

// Read reads the activefile under a short shared lock. For a user without one it
// returns the zero Active; for a damaged one, ErrDamaged.
func (f *File) Read(ctx context.Context) (Active, error) {
	l, err := f.Shared(ctx)
	if err != nil {
		return Active{}, err
	}
	a, err := l.Active()
	return a, errors.Join(err, l.Unlock())
}

// Peek reads the activefile without a lock: for who decides nothing by it that he does
// not look at again under one. It is as some publication left it, perhaps one whose last
// sync is still under way; what it names may be deleted at any time. Otherwise it is Read.
func (f *File) Peek() (Active, error) {
	a, _, err := f.read(activeName)
	return a, err
}

// read reads the activefile as it is now; missing is not an error.
func (f *File) read(name string) (a Active, found bool, err error) {
	b, err := f.readAll(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Active{}, false, nil
	}
	if err != nil {
		return Active{}, false, err
	}
	a, err = parse(b)
	if err != nil {
		return Active{}, true, fmt.Errorf("%s: %w", f.path(name), err)
	}
	return a, true, nil
}

func (f *File) readAll(name string) ([]byte, error) {
	file, err := f.o.FS.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err == nil && len(b) > maxSize {
		err = fmt.Errorf("%s: longer than %d bytes: %w", name, maxSize, ErrDamaged)
	}
	return b, errors.Join(err, file.Close())
}

// Shared waits for index.lock, shared: while it is held, the activefile does not
// change, and no database that it names is deleted.
func (f *File) Shared(ctx context.Context) (*Lock, error) {
	return f.index(ctx, disk.Shared)
}

// Exclusive waits for index.lock, exclusive: no other process or goroutine reads
// or changes the activefile while it is held.
func (f *File) Exclusive(ctx context.Context) (*Lock, error) {
	return f.index(ctx, disk.Exclusive)
}

// index takes index.lock through the gate. The gate is held by one at a time, so
// whoever waits for the exclusive lock waits only for those that had the lock
// before, not for those that come after.
func (f *File) index(ctx context.Context, mode disk.LockMode) (*Lock, error) {
	gate, err := disk.Lock(ctx, f.o.FS, f.path(gateName), disk.Exclusive)
	if err != nil {
		return nil, err
	}
	held, err := disk.Lock(ctx, f.o.FS, f.path(lockName), mode)
	if gateErr := gate.Close(); gateErr != nil {
		if held != nil {
			gateErr = errors.Join(gateErr, held.Close())
		}
		return nil, errors.Join(err, gateErr)
	}
	if err != nil {
		return nil, err
	}
	return &Lock{f: f, held: held, name: lockName, mode: mode}, nil
}

// Write waits for index.write: the right to commit to the first database. Take
// Shared next, and look whether the first database is still the same.
func (f *File) Write(ctx context.Context) (*Lock, error) {
	held, err := disk.Lock(ctx, f.o.FS, f.path(writeName), disk.Exclusive)
	if err != nil {
		return nil, err
	}
	return &Lock{f: f, held: held, name: writeName, mode: disk.Exclusive}, nil
}

// ErrHeld is returned, in a *HeldError, by TryCompact when another compacts or
// cleans the user.
var ErrHeld = errors.New("is being compacted by another")

// HeldError says who holds index.compact.
type HeldError struct {
	File   string // the lock file
	Holder string // as it described itself; "" if it has not yet
}

// Error names the file and the holder.
func (e *HeldError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("%s %v", e.File, ErrHeld)
	}
	return fmt.Sprintf("%s %v: %s", e.File, ErrHeld, e.Holder)
}

// Unwrap returns ErrHeld.
func (e *HeldError) Unwrap() error { return ErrHeld }

// TryCompact takes index.compact, without waiting. Who holds this lock may delete what the activefile does
// not name, once that is durable: after a publication of his own, or Assure.
func (f *File) TryCompact() (*Lock, error) {
	name := f.path(compactName)
	held, err := f.o.FS.TryLock(name, disk.Exclusive)
	if errors.Is(err, disk.ErrLocked) {
		b, err := f.readAll(name)
		if err != nil {
			return nil, err
		}
		return nil, &HeldError{name, strings.TrimSpace(string(b))}
	}
	if err != nil {
		return nil, err
	}
	if err := f.describe(name); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	return &Lock{f: f, held: held, name: compactName, mode: disk.Exclusive}, nil
}

// describe writes into a lock file who holds it. It is not synced: a power cut
// ends the holder, too.
func (f *File) describe(name string) error {
	holder := f.o.Holder
	if holder == "" {
		holder = fmt.Sprintf("process %d since %s", os.Getpid(), f.o.Now().UTC().Format(time.RFC3339))
	}
	file, err := f.o.FS.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, holder+"\n")
	return errors.Join(err, file.Close())
}

// next returns the generation that the tier's next database gets after a: above
// all that its counter has given, and above every directory on disk. Directories
// of a tier that has no counter tell that counters were lost, by a restored
// backup perhaps: then the clock decides, as for a lost file.
func (f *File) next(a Active, tier string) (uint64, error) {
	found, err := f.o.Found(tier)
	if err != nil {
		return 0, fmt.Errorf("directories of tier %s for %s: %w", tier, f.dir, err)
	}
	n, counted := a.Next[tier]
	if !counted {
		n = max(1, a.Floor)
	}
	if !counted && len(found) > 0 {
		n = max(n, f.clock())
	}
	for _, generation := range found {
		if generation < maxGeneration-1 {
			n = max(n, generation+1)
		}
	}
	if n >= maxGeneration {
		return 0, fmt.Errorf("%s: tier %s has no generations left", f.path(activeName), tier)
	}
	return n, nil
}

// clock is where counters restart when they are lost: more seconds have passed
// since 1970 than databases were ever made.
func (f *File) clock() uint64 { return uint64(max(0, f.o.Now().Unix())) }
