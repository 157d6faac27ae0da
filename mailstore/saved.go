package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"teraslot/disk"
	"teraslot/mailbox"
)

// A copy of mail.db lies on the archive partition, saved each night: what
// Reconstruct begins with when mail.db is lost or damaged.

// savedName is that copy, in the user's directory below the archive root.
const savedName = "mail.saved"

// savedPath is where a user's copy lies.
func (s *Store) savedPath(u mailbox.User) (string, error) {
	r, err := s.o.rootsOf(u)
	return filepath.Join(r.Archive, u.Dir(), savedName), err
}

// SaveDatabase replaces the copy of mail.db on the archive partition, unless nothing
// has changed since it was made, and reports whether it did. Writers go on meanwhile.
// One caller at a time saves a user.
func (m *Mail) SaveDatabase(ctx context.Context) (bool, error) {
	if m.s.o.ReadOnly {
		return false, ErrReadOnly
	}
	path := filepath.Join(m.packs.dir(archivePlace), savedName)
	now, err := m.Look(ctx)
	if err != nil {
		return false, err
	}
	if old, err := lookAt(path); err == nil && old.Fingerprint == now.Fingerprint {
		return false, nil
	}
	if d := m.broken.Load(); d != nil {
		return false, d // the older copy is worth more
	}
	if err := m.saveDatabase(ctx, path); err != nil {
		return false, fmt.Errorf("save mail.db of user %s: %w", m.user, classify(err))
	}
	return true, nil
}

func (m *Mail) saveDatabase(ctx context.Context, path string) error {
	if err := m.packs.make(archivePlace); err != nil {
		return err
	}
	next := path + ".new"
	if err := removeDatabase(m.s.o.FS, next); err != nil {
		return err
	}
	if _, err := m.Snapshot(ctx, next); err != nil {
		return err
	}
	m.s.o.Step(StepDatabaseCopied)
	return disk.Replace(m.s.o.FS, next, path)
}

// checkCopy checks the copy of mail.db, if there is one: a repair may have nothing else some day.
func (m *Mail) checkCopy() error {
	path := filepath.Join(m.packs.dir(archivePlace), savedName)
	if _, err := m.s.o.FS.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return checkWhole(path, m.user)
}

// mendCopy makes a copy of mail.db anew that is damaged; mail.db itself is whole. That it cannot
// is told, and no failure of the repair.
func (m *Mail) mendCopy(ctx context.Context, report func(string)) {
	err := m.checkCopy()
	if err == nil {
		return
	}
	if failed := m.saveDatabase(ctx, filepath.Join(m.packs.dir(archivePlace), savedName)); failed != nil {
		report(fmt.Sprintf("the copy of mail.db is damaged (%v), and cannot be made anew: %v", err, failed))
		return
	}
	report(fmt.Sprintf("the copy of mail.db is made anew: %v", err))
}

// StepDatabaseCopied: a new copy of mail.db is written, and neither synced nor in
// place.
const StepDatabaseCopied = "database copied"

// lookAt is Look for a copy of mail.db.
func lookAt(path string) (out Snapshot, err error) {
	if _, err := os.Stat(path); err != nil {
		return out, err
	}
	c, err := openCopy(path)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return look(c)
}

// removeDatabase removes a database with what SQLite puts beside it.
func removeDatabase(fsys disk.FS, path string) error {
	for _, beside := range databaseFiles {
		if err := fsys.Remove(path + beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// removeSaved removes a user's copies, in whatever archive.
func (s *Store) removeSaved(u mailbox.User) error {
	var errs []error
	for _, root := range s.o.everyRoot() {
		path := filepath.Join(root, u.Dir(), savedName)
		errs = append(errs, removeDatabase(s.o.FS, path), removeDatabase(s.o.FS, path+".new"))
	}
	return errors.Join(errs...)
}
