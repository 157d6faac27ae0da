package synclog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"teraslot/disk"
)

// Files with lines like those of log: the notes that are owed, and those that are passed over.
const (
	owedName    = "owed"
	skippedName = "skipped"
)

// Owe writes down the notes that a reader still has to deal with although he is done
// with their batches, in the place of those that he owed before. So one note that takes
// long, or fails again and again, holds up no other.
func (l *Log) Owe(notes []Note) error {
	err := l.keep(owedName, notes)
	if err == nil {
		l.o.Step("owed")
	}
	return err
}

// Skip writes down the notes that a reader is told to pass over, in the place of those that he
// was told before.
func (l *Log) Skip(notes []Note) error {
	err := l.keep(skippedName, notes)
	if err == nil {
		l.o.Step("skipped")
	}
	return err
}

// keep replaces a file of notes.
func (l *Log) keep(name string, notes []Note) error {
	l.io.Lock()
	defer l.io.Unlock()
	if l.closed {
		return fs.ErrClosed
	}
	var b []byte
	for _, n := range notes {
		b = n.appendLine(b)
	}
	err := disk.Publish(l.o.FS, l.path(name), 0o600, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return fmt.Errorf("sync log %s: %w", l.o.Dir, err)
	}
	return nil
}

// Owed returns the notes of the last Owe. Lines that cannot be read make the log one
// that is not Clean.
func (l *Log) Owed() ([]Note, error) { return l.kept(owedName) }

// Skipped returns the notes of the last Skip, as Owed does those of Owe.
func (l *Log) Skipped() ([]Note, error) { return l.kept(skippedName) }

func (l *Log) kept(name string) ([]Note, error) {
	l.io.Lock()
	defer l.io.Unlock()
	content, err := disk.ReadFile(l.o.FS, l.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sync log %s: %w", l.o.Dir, err)
	}
	notes, damaged := parse(string(content))
	if damaged > 0 {
		l.report(damaged)
	}
	return notes, nil
}
