package mailstore

import (
	"errors"
	"fmt"
	"path/filepath"

	"teraslot/mailbox"
)

// errNotHere: packs that mail.db refers to are not below some roots.
var errNotHere = errors.New("not all packs are there")

// Holds returns an error unless roots hold all packs that a user's mail.db refers to, in their whole length.
// The mail need not be open, nor is it opened.
func (s *Store) Holds(u mailbox.User, roots Roots) (err error) {
	c, err := openCopy(s.databasePath(u)) // it may be of an earlier version still
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	packs, err := loadPacks(c)
	if err != nil {
		return err
	}
	for _, p := range packs {
		if p.end == 0 || p.held == 0 || p.state == packDropped {
			continue
		}
		path := filepath.Join(roots.of(p.place), u.Dir(), fmt.Sprint(p.n)+packSuffix)
		info, err := s.o.FS.Stat(path)
		if err != nil {
			return fmt.Errorf("%w: %w", errNotHere, err)
		}
		if info.Size() < p.end {
			return fmt.Errorf("%w: %s has %d bytes of %d", errNotHere, path, info.Size(), p.end)
		}
	}
	return nil
}
