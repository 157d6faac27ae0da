package mailstore

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"teraslot/mailbox"
	"teraslot/sealed"
)

// Errors by which callers decide. Every error returned by this package that has
// one of these causes answers to errors.Is.
var (
	// ErrBusy: another process owns the slot. The error names its pid.
	ErrBusy = errors.New("slot is in use")
	// ErrReadOnly: the store was opened with Options.ReadOnly.
	ErrReadOnly = errors.New("store is open for reading only")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrNoUser: there is no such user.
	ErrNoUser = errors.New("no such user")
	// ErrNoMailbox: there is no such mailbox.
	ErrNoMailbox = errors.New("no such mailbox")
	// ErrExists: a user or mailbox of that name exists.
	ErrExists = errors.New("exists already")
	// ErrName: the name is not one that a mailbox may have.
	ErrName = errors.New("not a mailbox name")
	// ErrSpecialUse: the attribute is not one that a mailbox may have.
	ErrSpecialUse = errors.New("not a special use")
	// ErrUseTaken: another mailbox has that special use.
	ErrUseTaken = errors.New("another mailbox has that special use")
	// ErrInbox: what was asked cannot be done to INBOX.
	ErrInbox = errors.New("INBOX cannot be changed so")
	// ErrNoMessage: the message is not there, or no longer.
	ErrNoMessage = errors.New("no such message")
	// ErrOverQuota: the user's quota does not allow it.
	ErrOverQuota = errors.New("over quota")
	// ErrTooBig: the message is larger than Options.MaxMessage.
	ErrTooBig = errors.New("message too large")
	// ErrFull: a disk is full. Nothing was changed; it may work later.
	ErrFull = errors.New("disk is full")
	// ErrNoUIDs: a mailbox has given out all its UIDs.
	ErrNoUIDs = errors.New("mailbox has no UIDs left")
	// ErrWhole: a mail.db that has all that it was given is not replaced unless that is forced.
	ErrWhole = errors.New("mail.db is whole, and reconstruct would lose flags, copies and moves: " +
		"run slotctl verify --repair for what is wrong otherwise, or slotctl reconstruct --force to replace it nevertheless")
	// ErrBeyondRepair: a mail.db is lost, or cannot be read as a database, and so not mended where it lies.
	ErrBeyondRepair = errors.New("mail.db is lost or no longer a database: it has to be made anew")
	// ErrNoCopy: there is no copy of mail.db of which it could be made anew.
	ErrNoCopy = errors.New("there is no copy of mail.db that can be used: slotctl reconstruct makes what can be made of the packs alone, " +
		"with all mail below " + Recovered)
	// ErrVersion: a file has a version that this program does not know.
	ErrVersion = errors.New("unknown version")
)

// Damage tells that stored mail cannot be read as it was written: where it lies,
// and what is wrong. The bytes are never handed out.
type Damage struct {
	User    mailbox.User
	Mailbox mailbox.ID  // "" if not known
	UID     mailbox.UID // 0 if not known
	Pack    uint64      // number of the pack; 0 if the damage is in mail.db
	Offset  int64       // of the frame in the pack
	Err     error
}

// Error names everything that is known of the place.
func (d *Damage) Error() string {
	s := "damage: user " + string(d.User)
	if d.Mailbox != "" {
		s += ", mailbox " + string(d.Mailbox)
	}
	if d.UID != 0 {
		s += fmt.Sprintf(", UID %d", d.UID)
	}
	if d.Pack != 0 {
		s += fmt.Sprintf(", pack %d at %d", d.Pack, d.Offset)
	} else {
		s += ", mail.db"
	}
	s += ": " + d.Err.Error()
	if errors.Is(d.Err, sealed.ErrRow) {
		s += "; nothing is written until slotctl verify --repair mends it"
	}
	return s
}

// Unwrap returns the cause.
func (d *Damage) Unwrap() error { return d.Err }

// classify marks the errors of a full disk as ErrFull.
func classify(err error) error {
	if err == nil || errors.Is(err, ErrFull) {
		return err
	}
	err = sealed.Classify(err)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	var se *sqlite.Error
	// SQLite fills the -shm beside a WAL with zeros when it is made, and says of a disk
	// without room for it only where it failed.
	if errors.As(err, &se) && (se.Code()&0xff == sqlite3.SQLITE_FULL || se.Code() == sqlite3.SQLITE_IOERR_SHMSIZE) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// databaseDamaged reports whether SQLite found its file to be malformed, or a row does not
// match its CRC.
func databaseDamaged(err error) bool {
	if errors.Is(err, sealed.ErrRow) {
		return true
	}
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false
	}
	code := se.Code() & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}
