package squatter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"teraslot/disk"
	"teraslot/mailbox"
)

// movedFile is an empty file beside the activefile: the user was moved or renamed, and
// his index is to go to archive (docs/formats.md, "Mark of a moved user"). It is a file because whoever
// compacts the slot by its schedule may be another process, or start later.
const movedFile = "index.moved"

// Moved asks for a user's index to be moved to archive in the next round of whoever
// compacts the slot by its schedule.
func (q *Squatter) Moved(u mailbox.User) error {
	if q.o.Conf == "" {
		return nil
	}
	if err := disk.Publish(q.o.FS, q.movedPath(u), 0o600, func(io.Writer) error { return nil }); err != nil {
		return fmt.Errorf("mark the index of %s for archive: %w", u, err)
	}
	return nil
}

func (q *Squatter) movedPath(u mailbox.User) string {
	return filepath.Join(q.o.Conf, u.Dir(), movedFile)
}

// isMoved reports whether Moved was asked for and not done yet.
func (q *Squatter) isMoved(u mailbox.User) (bool, error) {
	if q.o.Conf == "" {
		return false, nil
	}
	_, err := q.o.FS.Stat(q.movedPath(u))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// forgetMoved takes the mark away. Not synced: if it comes back after a power cut, the
// index goes to archive once more.
func (q *Squatter) forgetMoved(u mailbox.User) error {
	if err := q.o.FS.Remove(q.movedPath(u)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
