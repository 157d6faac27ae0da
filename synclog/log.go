package synclog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"teraslot/disk"
)

// The files of a channel.
const (
	logName   = "log"
	runName   = "log-run"
	cleanName = "clean"
	lockName  = "lock"
)

// Options say where a channel is. Dir is needed; the zero value of the others
// works.
type Options struct {
	FS         disk.FS       // nil: disk.OS()
	Dir        string        // <conf root>/sync/<channel>; made if it is missing
	FlushEvery time.Duration // the most that a note waits for its flush; 0: 100 ms
	Logger     *slog.Logger  // nil: slog.Default()
	// Step, if set, is called between the steps of a change, with the name of the
	// one just done: "written", "flushed", "aside", "done", "clean".
	Step func(step string)
}

// ErrHeld is returned by Open if another process uses the channel.
var ErrHeld = errors.New("the sync log is in use by another")

// Log is one channel. Its methods may be called from any goroutine.
type Log struct {
	o    Options
	lock io.Closer
	// wake holds a token when notes have been flushed since Next looked last; full
	// when notes were added since Run looked last.
	wake, full chan struct{}

	io     sync.Mutex        // guards the files, and the fields down to closed
	file   disk.File         // log, open for appending; nil: not open
	torn   bool              // log ends, or may end, within a line
	size   int64             // of log, up to the last write that succeeded
	logged map[Note]struct{} // what log holds, while it is open
	closed bool

	mu      sync.Mutex        // guards what follows; taken after io
	pending map[Note]struct{} // added, not flushed
	order   []Note            // the keys of pending as they came
	clean   bool
}

// Open opens a channel and makes it unclean on disk until Close.
func Open(o Options) (*Log, error) {
	if o.FS == nil {
		o.FS = disk.OS()
	}
	if o.FlushEvery <= 0 {
		o.FlushEvery = 100 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if err := disk.MkdirAll(o.FS, o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sync log: %w", err)
	}
	lock, err := o.FS.TryLock(filepath.Join(o.Dir, lockName), disk.Exclusive)
	if errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("%s: %w", o.Dir, ErrHeld)
	}
	if err != nil {
		return nil, fmt.Errorf("sync log: %w", err)
	}
	l := &Log{o: o, lock: lock, pending: map[Note]struct{}{},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	if l.clean, err = l.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("sync log %s: %w", o.Dir, err), lock.Close())
	}
	signal(l.wake) // what the last run left
	return l, nil
}

func (l *Log) path(name string) string { return filepath.Join(l.o.Dir, name) }

// begin reports whether the last stop was clean, and takes the mark away: from
// here on, a crash loses notes.
func (l *Log) begin() (clean bool, err error) {
	err = l.o.FS.Remove(l.path(cleanName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	clean = err == nil
	// The sync is needed in both cases: a crash right after the last start may
	// have undone its removal, and this one must not find the mark again.
	err = l.o.FS.SyncDir(l.o.Dir)
	if err != nil && clean { // no later sync would make it good: the next start is to remove it anew
		err = errors.Join(err, l.mark())
	}
	return clean, err
}

// mark says that the stop was clean.
func (l *Log) mark() error {
	return disk.Publish(l.o.FS, l.path(cleanName), 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, version+"\n")
		return err
	})
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Clean reports whether no note was lost: the last stop was clean, and no
// damaged line has been met since. If it is false, every user has to be compared
// once; then say so by Compared.
func (l *Log) Clean() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clean
}

// Compared says that every user has been compared since Clean was false.
func (l *Log) Compared() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clean = true
}

// Add notes a change. It does not wait for the disk. Notes for what is noted
// already cost nothing; so the buffer is no larger than there are mailboxes.
func (l *Log) Add(n Note) {
	if !n.valid() {
		l.o.Logger.Error("sync log: not a note", "channel", l.o.Dir, "user", n.User, "mailbox", n.Mailbox)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.pending[n]; ok {
		return
	}
	l.pending[n] = struct{}{}
	l.order = append(l.order, n)
	signal(l.full)
}

// tellEvery is how often the log says that flushes fail, of which there may be ten a
// second for as long as a disk is full.
const tellEvery = time.Minute

// Run flushes what Add was given until ctx is done, and once more then. A flush
// that fails is logged and tried again: the notes stay in the buffer. It returns
// the error of the last flush, or nil.
func (l *Log) Run(ctx context.Context) error {
	timer := time.NewTimer(l.o.FlushEvery)
	defer timer.Stop()
	var told time.Time // zero while flushes succeed
	for {
		select {
		case <-ctx.Done():
			return l.Flush()
		case <-timer.C:
		}
		if err := l.Flush(); err != nil {
			if time.Since(told) >= tellEvery {
				told = time.Now()
				l.o.Logger.Error("sync log: cannot flush, will try again", "channel", l.o.Dir, "err", err)
			}
		} else {
			if !told.IsZero() {
				told = time.Time{}
				l.o.Logger.Info("sync log: flushes again", "channel", l.o.Dir)
			}
			select { // sleep until there is something to do
			case <-l.full:
			case <-ctx.Done():
				return l.Flush()
			}
		}
		timer.Reset(l.o.FlushEvery)
	}
}

// Flush makes durable what Add was given before.
func (l *Log) Flush() error {
	l.io.Lock()
	defer l.io.Unlock()
	return l.flush()
}

func (l *Log) flush() error {
	notes := l.take()
	if len(notes) == 0 {
		return nil
	}
	if err := l.write(notes); err != nil {
		l.giveBack(notes)
		return fmt.Errorf("sync log %s: %w", l.o.Dir, err)
	}
	l.o.Step("flushed")
	signal(l.wake)
	return nil
}

func (l *Log) take() []Note {
	l.mu.Lock()
	defer l.mu.Unlock()
	notes := l.order
	l.order, l.pending = nil, map[Note]struct{}{}
	return notes
}

// giveBack puts notes that were not made durable before those that came since.
func (l *Log) giveBack(notes []Note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	newer := l.order
	l.order, l.pending = nil, map[Note]struct{}{}
	for _, n := range append(notes, newer...) {
		if _, ok := l.pending[n]; !ok {
			l.pending[n] = struct{}{}
			l.order = append(l.order, n)
		}
	}
}

// write appends lines to log, and syncs them. l.io is held. After an error, what
// was written cannot be trusted, nor synced by a second try: the file is closed,
// and the next write appends all of it again on a new line.
func (l *Log) write(notes []Note) error {
	if l.closed {
		return fs.ErrClosed
	}
	isNew, err := l.open()
	if err != nil {
		return err
	}
	// Who takes log aside looks at the mailboxes after that: a line there serves
	// all changes until then. So a log that nobody reads does not grow for ever.
	notes = slices.DeleteFunc(slices.Clone(notes), func(n Note) bool {
		_, ok := l.logged[n]
		return ok
	})
	if len(notes) == 0 && !isNew {
		return nil
	}
	var b []byte
	if l.torn {
		b = append(b, '\n')
	}
	for _, n := range notes {
		b = n.appendLine(b)
	}
	_, err = l.file.Write(b)
	if err == nil {
		l.o.Step("written")
		err = l.file.Sync()
	}
	if err == nil && isNew {
		err = l.o.FS.SyncDir(l.o.Dir)
	}
	if err != nil {
		// Half a line would be taken for damage. If it cannot be cut, so be it.
		_ = l.file.Truncate(l.size)
		err = errors.Join(err, l.closeFile())
		if l.size == 0 { // its name may not be durable, and the next sync would not make it so
			err = errors.Join(err, l.o.FS.Remove(l.path(logName)))
		}
		return err
	}
	l.torn, l.size = false, l.size+int64(len(b))
	for _, n := range notes {
		l.logged[n] = struct{}{}
	}
	return nil
}

// open opens log for appending. isNew asks for a sync of file and directory: the
// file may have been made just now, or written before a sync that failed.
func (l *Log) open() (isNew bool, err error) {
	if l.file != nil {
		return false, nil
	}
	content, err := disk.ReadFile(l.o.FS, l.path(logName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	l.logged = map[Note]struct{}{}
	there, _ := parse(string(content))
	for _, n := range there {
		l.logged[n] = struct{}{}
	}
	l.size, l.torn = int64(len(content)), len(content) > 0 && content[len(content)-1] != '\n'
	l.file, err = l.o.FS.OpenFile(l.path(logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return true, err
}

func (l *Log) closeFile() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// Close flushes, and marks the stop as clean if nothing was lost. Run and Next
// must have returned.
func (l *Log) Close() error {
	l.io.Lock()
	defer l.io.Unlock()
	if l.closed {
		return nil
	}
	err := errors.Join(l.flush(), l.closeFile())
	l.closed = true
	if err == nil && l.Clean() {
		err = l.mark()
		l.o.Step("clean")
	}
	return errors.Join(err, l.lock.Close())
}

// Batch is a log that was taken aside. It is there until Done, and comes again
// after a crash.
type Batch struct {
	l       *Log
	notes   []Note
	damaged int
	removed bool // guarded by l.io: log-run is gone, or another's by now
}

// Notes are the notes of the batch, each once, in the order of their first
// mention: at least one, unless Damaged is not 0.
func (b *Batch) Notes() []Note { return b.notes }

// Damaged is the number of lines that could not be read. If it is not 0, the log
// is no longer Clean.
func (b *Batch) Damaged() int { return b.damaged }

// Done says that every note of the batch has been dealt with, and forgets it.
// After an error the batch may come again, or Done be tried again.
func (b *Batch) Done() error {
	l := b.l
	l.io.Lock()
	defer l.io.Unlock()
	if err := b.remove(); err != nil {
		return fmt.Errorf("sync log %s: %w", l.o.Dir, err)
	}
	l.o.Step("done")
	signal(l.wake) // more may have come
	return nil
}

// remove removes log-run. l.io is held.
func (b *Batch) remove() error {
	if !b.removed {
		if err := b.l.o.FS.Remove(b.l.path(runName)); err != nil {
			return err
		}
		b.removed = true
	}
	return b.l.o.FS.SyncDir(b.l.o.Dir)
}

// Next waits until there are notes, takes the log aside and returns it. Until
// that batch is Done, Next returns it again. One goroutine reads a channel.
func (l *Log) Next(ctx context.Context) (*Batch, error) {
	for {
		b, err := l.aside()
		if b != nil || err != nil {
			return b, err
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// aside returns the batch in log-run, made of log if there is none yet; nil if
// there is nothing at all.
func (l *Log) aside() (*Batch, error) {
	l.io.Lock()
	defer l.io.Unlock()
	for {
		b, err := l.load()
		if err == nil && b != nil && len(b.notes) == 0 && b.damaged == 0 {
			err = b.remove() // an empty log, left by a write that failed
			if err == nil {
				continue
			}
		}
		if err != nil {
			return nil, fmt.Errorf("sync log %s: %w", l.o.Dir, err)
		}
		return b, nil
	}
}

func (l *Log) load() (*Batch, error) {
	content, err := disk.ReadFile(l.o.FS, l.path(runName))
	if errors.Is(err, fs.ErrNotExist) {
		if err := l.rotate(); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		content, err = disk.ReadFile(l.o.FS, l.path(runName))
	}
	if err != nil {
		return nil, err
	}
	b := &Batch{l: l}
	b.notes, b.damaged = parse(string(content))
	if b.damaged > 0 {
		l.report(b.damaged)
	}
	return b, nil
}

func (l *Log) report(damaged int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clean {
		l.clean = false
		l.o.Logger.Error("sync log: damaged lines", "channel", l.o.Dir, "lines", damaged)
	}
}

// rotate takes log aside. The sync makes sure that notes which are flushed from
// here on are not taken for part of the batch, nor removed with it.
func (l *Log) rotate() error {
	if err := l.closeFile(); err != nil {
		return err
	}
	if err := l.o.FS.Rename(l.path(logName), l.path(runName)); err != nil {
		return err
	}
	if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
		return err
	}
	l.o.Step("aside")
	return nil
}

// ValidChannel reports whether a channel may have that name: it becomes that of
// a directory.
func ValidChannel(name string) bool {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return false
	}
	return true
}
