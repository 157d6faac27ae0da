package activefile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"teraslot/disk"
)

// Lock is one held lock of a user. It belongs to one goroutine, and ends with
// Unlock or with the process.
type Lock struct {
	f        *File
	held     io.Closer
	name     string
	mode     disk.LockMode
	reserved map[string]uint64 // next generations, as far as this holder raised them
}

// ErrNotHeld is returned for what the lock at hand does not allow: another lock,
// another mode, or one that was given back.
var ErrNotHeld = errors.New("the lock for this is not held")

// need checks that this is index.lock, held in the mode or better.
func (l *Lock) need(mode disk.LockMode) error {
	if l.held == nil || l.name != lockName || l.mode < mode {
		return fmt.Errorf("%s: %w", l.f.path(activeName), ErrNotHeld)
	}
	if mode == disk.Shared {
		return nil
	}
	// Who has the lock by a file that is removed meanwhile is not alone: what he would publish may be without what another did.
	named, err := disk.Named(l.held)
	if err == nil && !named {
		err = ErrNotHeld
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.f.path(l.name), err)
	}
	return nil
}

// Unlock gives the lock back. Doing so again does nothing.
func (l *Lock) Unlock() error {
	if l.held == nil {
		return nil
	}
	held := l.held
	l.held = nil
	if err := held.Close(); err != nil {
		return fmt.Errorf("unlock %s: %w", l.f.path(l.name), err)
	}
	return nil
}

// Active reads the activefile from disk: the zero Active for a user without one,
// ErrDamaged for one that is not as it was written (see Reset), ErrVersion for one
// of a later program.
func (l *Lock) Active() (Active, error) {
	if err := l.need(disk.Shared); err != nil {
		return Active{}, err
	}
	a, _, err := l.f.read(activeName)
	return a, err
}

// Reserve returns a name for a new database of the tier. It is the caller's once
// Publish has succeeded: before that, nothing must be made under it, for after a
// crash it may be given again.
func (l *Lock) Reserve(tier string) (Database, error) {
	if err := l.need(disk.Exclusive); err != nil {
		return Database{}, err
	}
	if !ValidTier(tier) {
		return Database{}, fmt.Errorf("tier %q: %w", tier, ErrDatabase)
	}
	a, _, err := l.current()
	if err != nil {
		return Database{}, err
	}
	n, err := l.f.next(a, tier)
	if err != nil {
		return Database{}, err
	}
	l.reserved = raised(l.reserved, map[string]uint64{tier: n + 1})
	return Database{tier, n}, nil
}

// current returns what is on disk, with the counters as this holder has raised
// them. If the user had an activefile and it is gone, so are its counters: then
// the floor is the clock.
func (l *Lock) current() (a Active, found bool, err error) {
	a, found, err = l.f.read(activeName)
	if err != nil {
		return Active{}, found, err
	}
	if !found {
		lost, err := l.f.marked()
		if err != nil {
			return Active{}, false, err
		}
		if lost {
			a.Floor = l.f.clock()
		}
	}
	a.Next = raised(a.Next, l.reserved)
	return a, found, nil
}

// raised returns counters that are at least those of a and b.
func raised(a, b map[string]uint64) map[string]uint64 {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]uint64{}
	}
	for tier, n := range b {
		out[tier] = max(out[tier], n)
	}
	return out
}

// Publish makes next the activefile, durable when it returns. Counters never
// fall: those on disk and those given by Reserve under this lock are taken into
// account, so a caller need only change the databases of what Active returned.
// After an error, read again: the file is either as it was or as next.
func (l *Lock) Publish(next Active) error {
	if err := l.need(disk.Exclusive); err != nil {
		return err
	}
	a, _, err := l.current()
	if err != nil {
		return err
	}
	return l.publish(a, next)
}

// publish writes next with counters and floor not below those of old.
func (l *Lock) publish(old, next Active) error {
	next = Active{next.Databases, raised(next.Next, old.Next), max(next.Floor, old.Floor)}
	name := l.f.path(activeName)
	content, err := next.encode()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := l.f.mark(); err != nil { // not only of the first: the file may have been made anew
		return err
	}
	if err := l.need(disk.Exclusive); err != nil {
		return err
	}
	err = disk.Publish(l.f.o.FS, name, 0o600, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	l.f.o.Step("published")
	return nil
}

// Assure publishes the activefile anew as it is, if there is one: what it says is durable then, also where the last sync of an
// earlier publication failed, which no other sync makes good, or did not come to pass.
func (f *File) Assure(ctx context.Context) (err error) {
	l, err := f.Exclusive(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	a, found, err := l.current()
	if err != nil || !found {
		return err
	}
	return l.publish(a, a)
}

// Exists reports whether there is an activefile, be it damaged.
func (l *Lock) Exists() (bool, error) {
	_, err := l.f.o.FS.Stat(l.f.path(activeName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Reset replaces a damaged activefile by one that names no database, and returns
// that: the index is derived, and what is gone is made anew. Counters restart
// above the clock. The damaged file is kept as index.damaged, for who wants to
// know. If the activefile can be read, Reset changes nothing and returns what it
// says.
func (l *Lock) Reset() (Active, error) {
	if err := l.need(disk.Exclusive); err != nil {
		return Active{}, err
	}
	a, _, err := l.f.read(activeName)
	if !errors.Is(err, ErrDamaged) {
		return a, err
	}
	if err := l.f.keepDamaged(); err != nil {
		return Active{}, err
	}
	a = Active{Next: raised(nil, l.reserved), Floor: l.f.clock()}
	return a, l.publish(a, a)
}

// keepDamaged copies the activefile. The copy is not synced in its directory: it
// is for who looks into what happened, not for the program.
func (f *File) keepDamaged() error {
	b, err := f.readAll(f.path(activeName))
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	return disk.WriteSynced(f.o.FS, f.path("index.damaged"), 0o600, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// The content of index.lock once an activefile has been published.
const mark = "published\n"

// mark notes, durably, that the user has had an activefile.
func (f *File) mark() error {
	done, err := f.marked()
	if err != nil || done {
		return err
	}
	file, err := f.o.FS.OpenFile(f.path(lockName), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, mark)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = f.o.FS.SyncDir(filepath.Dir(f.path(lockName)))
	}
	if err != nil { // or the next holder would take it for durable
		err = errors.Join(err, file.Truncate(0))
	}
	err = errors.Join(err, file.Close())
	if err != nil {
		return fmt.Errorf("mark %s: %w", f.path(lockName), err)
	}
	f.o.Step("marked")
	return nil
}

func (f *File) marked() (bool, error) {
	b, err := f.readAll(f.path(lockName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(b) > 0, err
}

// ErrLostRace is returned by PublishStaged if the activefile is no longer the one
// that the staged one was made for.
var ErrLostRace = errors.New("lost the race: the activefile has changed")

// Staged is an activefile that is written and synced, but not in place.
type Staged struct {
	f           *File
	predecessor []byte
	content     []byte
}

// Stage writes and syncs next, to take the place of predecessor by PublishStaged
// later. It needs index.compact, which also makes its file the only one of its
// name, and takes no time from who searches: index.lock is not needed.
func (l *Lock) Stage(next, predecessor Active) (*Staged, error) {
	if l.held == nil || l.name != compactName {
		return nil, fmt.Errorf("%s: %w", l.f.path(stagedName), ErrNotHeld)
	}
	next = Active{next.Databases, raised(next.Next, predecessor.Next), max(next.Floor, predecessor.Floor)}
	content, err := next.encode()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.f.path(stagedName), err)
	}
	s := &Staged{l.f, predecessor.append(nil), content}
	err = disk.WriteSynced(l.f.o.FS, l.f.path(stagedName), 0o600, func(w io.Writer) error {
		_, err := w.Write(s.content)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.f.o.Step("staged")
	return s, nil
}

// Discard removes the staged file, if it is still there.
func (s *Staged) Discard() error {
	err := s.f.o.FS.Remove(s.f.path(stagedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// PublishStaged puts the staged activefile in place, if the one on disk is still
// its predecessor; else it returns ErrLostRace and changes nothing. The caller
// holds index.compact as well. Its cost is one rename and one sync of the
// directory: so long is the exclusive lock needed.
func (l *Lock) PublishStaged(s *Staged) error {
	if err := l.need(disk.Exclusive); err != nil {
		return err
	}
	name, staged := l.f.path(activeName), l.f.path(stagedName)
	if err := l.f.holds(name, s.predecessor); err != nil {
		return err
	}
	if err := l.f.holds(staged, s.content); err != nil {
		return err
	}
	if len(l.reserved) > 0 {
		return fmt.Errorf("%s: generations were reserved under this lock: %w", name, ErrLostRace)
	}
	if err := l.f.o.FS.Rename(staged, name); err != nil {
		return fmt.Errorf("publish %s: %w", name, err)
	}
	l.f.o.Step("swapped")
	if err := l.f.o.FS.SyncDir(l.f.dir); err != nil {
		return fmt.Errorf("publish %s: sync the directory: %w", name, err)
	}
	l.f.o.Step("published")
	return nil
}

// holds returns ErrLostRace if a file does not hold exactly content.
func (f *File) holds(name string, content []byte) error {
	b, err := f.readAll(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is gone: %w", name, ErrLostRace)
	}
	if err == nil && !bytes.Equal(b, content) {
		err = fmt.Errorf("%s: %w", name, ErrLostRace)
	}
	return err
}
