package exporter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"teraslot/disk"
	"teraslot/mailbox"
)

const (
	ledgerFile    = "teraslot-export.json"
	lockFile      = "teraslot-export.lock"
	ledgerVersion = 1
)

// ledger is what a directory is an export of.
type ledger struct {
	Version   int
	User      mailbox.User
	Format    Format
	Mailboxes map[mailbox.ID]entry
	// Left are the paths, below the directory, of mailboxes that are gone or have
	// another name now, with the names they had.
	Left map[string]string
}

// entry is a mailbox that was exported.
type entry struct {
	Name        string
	Path        string // below the directory
	UIDValidity mailbox.UIDValidity
	ModSeq      mailbox.ModSeq // as of which the export is whole; 0 if it is not
	Flags       bool           // Options.Flags
	Size        int64          // of an mbox
}

// begin makes the directory, locks it and reads its ledger.
func (r *run) begin() (unlock io.Closer, err error) {
	if err := disk.MkdirAll(r.fs, r.dir, 0o700); err != nil {
		return nil, err
	}
	// Checked before the lock file is made: nothing is left in a foreign directory.
	if err := r.open(); err != nil {
		return nil, err
	}
	unlock, err = r.fs.TryLock(filepath.Join(r.dir, lockFile), disk.Exclusive)
	if errors.Is(err, disk.ErrLocked) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, err
	}
	// Again: another export may have run since.
	if err = r.open(); err == nil {
		err = r.publishLedger()
	}
	if err != nil {
		return nil, errors.Join(err, unlock.Close())
	}
	return unlock, nil
}

// open reads the ledger, or makes the first one of an empty directory.
func (r *run) open() error {
	want := ledger{Version: ledgerVersion, User: r.mail.User(), Format: r.o.Format,
		Mailboxes: make(map[mailbox.ID]entry), Left: make(map[string]string)}
	b, err := disk.ReadFile(r.fs, filepath.Join(r.dir, ledgerFile))
	if errors.Is(err, fs.ErrNotExist) {
		r.ledger = want
		return r.checkEmpty()
	}
	if err != nil {
		return err
	}
	var l ledger
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("%s: %w: %w", ledgerFile, ErrForeign, err)
	}
	if l.Version != want.Version || l.User != want.User || l.Format != want.Format {
		return fmt.Errorf("it is version %d of user %s as %s: %w", l.Version, l.User, l.Format, ErrForeign)
	}
	if l.Mailboxes == nil {
		l.Mailboxes = want.Mailboxes
	}
	if l.Left == nil {
		l.Left = want.Left
	}
	r.ledger = l
	return nil
}

// checkEmpty allows what a first run may leave that ended before it wrote the
// ledger, and what a new file system has.
func (r *run) checkEmpty() error {
	entries, err := r.fs.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Name() {
		case lockFile, ledgerFile + ".new", "lost+found":
		default:
			return fmt.Errorf("it has %s in it: %w", e.Name(), ErrForeign)
		}
	}
	return nil
}

// track brings the ledger up to the mailboxes that the user has: entries of those
// that are gone, or have another path now, become Left.
func (l *ledger) track(all []mailbox.State, format Format) error {
	paths := make(map[mailbox.ID]string)
	for _, box := range all {
		paths[box.ID] = mailboxPath(format, box.Name)
	}
	for id, e := range l.Mailboxes {
		if paths[id] != e.Path {
			l.Left[e.Path] = e.Name
			delete(l.Mailboxes, id)
		}
	}
	for _, path := range paths {
		delete(l.Left, path)
	}
	return nil
}

// store notes that a mailbox is exported.
func (r *run) store(id mailbox.ID, e entry) error {
	if r.ledger.Mailboxes[id] == e {
		return nil
	}
	r.ledger.Mailboxes[id] = e
	return r.publishLedger()
}

func (r *run) publishLedger() error {
	return disk.Publish(r.fs, filepath.Join(r.dir, ledgerFile), 0o600, func(w io.Writer) error {
		return json.NewEncoder(w).Encode(r.ledger)
	})
}

// tellLeft tells of what is there of mailboxes that are gone, and forgets what
// somebody removed.
func (r *run) tellLeft() error {
	for _, path := range slices.Sorted(maps.Keys(r.ledger.Left)) {
		_, there, err := exists(r.fs, filepath.Join(r.dir, path))
		if err != nil {
			return err
		}
		if !there {
			delete(r.ledger.Left, path)
			continue
		}
		r.o.Notice(fmt.Sprintf("%s is left of the mailbox %s, which is gone or renamed: remove it if it is not wanted",
			filepath.Join(r.dir, path), r.ledger.Left[path]))
	}
	return r.publishLedger()
}
