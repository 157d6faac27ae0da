package synclog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"teraslot/disk"
)

// owedName holds the notes that are owed, in lines like those of log.
const owedName = "owed"

// Owe writes down the notes that a reader still has to deal with although he is done
// with their batches, in the place of those that he owed before. So one note that takes
// long, or fails again and again, holds up no other.
func (l *Log) Owe(notes []Note) error {
	l.io.Lock()
	defer l.io.Unlock()
	if l.closed {
		return fs.ErrClosed
	}
	var b []byte
	for _, n := range notes {
		b = n.appendLine(b)
	}
	err := disk.Publish(l.o.FS, l.path(owedName), 0o600, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return fmt.Errorf("sync log %s: %w", l.o.Dir, err)
	}
	l.o.Step("owed")
	return nil
}

// Owed returns the notes of the last Owe. Lines that cannot be read make the log one
// that is not Clean.
func (l *Log) Owed() ([]Note, error) {
	l.io.Lock()
	defer l.io.Unlock()
	content, err := disk.ReadFile(l.o.FS, l.path(owedName))
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
