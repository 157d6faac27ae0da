package mailstore

import (
	"errors"
	"fmt"
	"io/fs"

	"teraslot/disk"
	"teraslot/mailbox"
)

// makeDir makes a user's directory below a root. One that is missing may be so because
// its partition is not mounted: what were put below the mount point would be hidden, and
// seem lost, as soon as it is.
func (s *Store) makeDir(root, dir string) error {
	if _, err := s.o.FS.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := s.o.Present(root); err != nil {
			return err
		}
	}
	return disk.MkdirAll(s.o.FS, dir, 0o700)
}

// present asks for the partitions of a user's messages: what is missing with one of them is not lost.
func (s *Store) present(u mailbox.User) error {
	r, err := s.o.rootsOf(u)
	if err != nil {
		return err
	}
	return errors.Join(s.o.Present(r.Spool), s.o.Present(r.Archive))
}

// errArchive marks the failure of a write to the archive partition.
var errArchive = errors.New("the archive partition takes no mail")

// at marks an error of a write to a pack with the place where that lies.
func (p place) at(err error) error {
	if err == nil || p != archivePlace {
		return err
	}
	return fmt.Errorf("%w: %w", errArchive, err)
}

// anywhere stores messages, and where the archive partition is full, not there, or broken,
// all of them on the spool, from where they are archived some night. store has changed
// nothing where it fails, unless that is not known. The writer's turn is held.
func (m *Mail) anywhere(store func() error) error {
	err := store()
	if !errors.Is(err, errArchive) || errors.Is(err, errCommit) || errors.Is(err, errFault) {
		return err
	}
	m.s.o.Logger.Warn("large messages are put on the spool", "user", m.user, "err", err)
	m.spoolOnly = true
	defer func() { m.spoolOnly = false }()
	return store()
}
