package mailbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"path/filepath"
)

// User is the stable id of a user: 32 lower-case hexadecimal digits. It never
// changes, and is never given to another user; login names live in account.
type User string

// ErrUserID is returned for a user id that is not 32 lower-case hexadecimal digits.
var ErrUserID = errors.New("not a user id")

// ParseUser checks that s has the form of a user id.
func ParseUser(s string) (User, error) {
	if !lowerHex(s, 32) {
		return "", fmt.Errorf("%q: %w", s, ErrUserID)
	}
	return User(s), nil
}

// Dir is the user's directory below a conf, spool, archive or search root:
// users/<hh>/<user id>, where hh are the first two digits of the id.
func (u User) Dir() string {
	if len(u) < 2 {
		return filepath.Join("users", "--", string(u))
	}
	return filepath.Join("users", string(u[:2]), string(u))
}

// ID is the id of a mailbox, unique in a store and stable through renames: the
// MAILBOXID of RFC 8474 §4. 24 lower-case hexadecimal digits.
type ID string

// ErrMailboxID is returned for a mailbox id that is not 24 lower-case hexadecimal digits.
var ErrMailboxID = errors.New("not a mailbox id")

// ParseID checks that s has the form of a mailbox id.
func ParseID(s string) (ID, error) {
	if !lowerHex(s, 24) {
		return "", fmt.Errorf("%q: %w", s, ErrMailboxID)
	}
	return ID(s), nil
}

func lowerHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// UID identifies a message in a mailbox (RFC 9051 §2.3.1.1): 1 to 4294967295;
// 0 is no UID.
type UID uint32

// UIDValidity is the unique identifier validity value of RFC 9051 §2.3.1.1: 1
// to 4294967295.
type UIDValidity uint32

// ModSeq is a mod-sequence of RFC 7162 §3.1: 1 to 2^63-1, one sequence for each
// user, which only rises. 0 is before every change.
type ModSeq uint64

// GUID is the SHA-256 of a message's bytes. It decides identity: the same in
// every mailbox, database and slot.
type GUID [sha256.Size]byte

// ErrGUID is returned for text that is not 64 hexadecimal digits.
var ErrGUID = errors.New("not a GUID")

// NewGUIDHash returns the hash whose sum over a message's bytes is its GUID.
func NewGUIDHash() hash.Hash { return sha256.New() }

// GUIDOf returns the GUID of a message held in memory.
func GUIDOf(message []byte) GUID { return sha256.Sum256(message) }

// ParseGUID reads the form that String writes.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	if len(s) != hex.EncodedLen(len(g)) {
		return g, fmt.Errorf("%q: %w", s, ErrGUID)
	}
	if _, err := hex.Decode(g[:], []byte(s)); err != nil {
		return GUID{}, fmt.Errorf("%q: %w", s, ErrGUID)
	}
	return g, nil
}

// String is the GUID as 64 lower-case hexadecimal digits.
func (g GUID) String() string { return hex.EncodeToString(g[:]) }

// IsZero tells the absent GUID from a real one.
func (g GUID) IsZero() bool { return g == GUID{} }
