package account

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"teraslot/mailbox"
)

// Entry is a user with his credentials, as replication carries him to another slot.
type Entry struct {
	Account
	Hash    string // of the password: a PHC string
	Removed bool   // the user was removed; nothing but the id is left
	heirs   string // of one who was removed, on the slot that removed him
}

// Digest covers all of the entry.
func (e *Entry) Digest() [sha256.Size]byte {
	var b []byte
	for _, s := range []string{string(e.ID), e.Name, e.Hash} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	for _, n := range []int64{e.Quota.Bytes, e.Quota.Messages, e.Created.Unix(), truth(e.Disabled), truth(e.Removed)} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return sha256.Sum256(b)
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

const selectEntry = "SELECT id, coalesce(name, ''), quota_bytes, quota_messages, created, disabled, hash, name IS NULL FROM {users}"

func scanEntry(scan func(...any) error) (e Entry, err error) {
	var created int64
	err = scan(&e.ID, &e.Name, &e.Quota.Bytes, &e.Quota.Messages, &created, &e.Disabled, &e.Hash, &e.Removed)
	e.Created = time.Unix(created, 0).UTC()
	if e.Removed {
		e.heirs, e.Hash = e.Hash, ""
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoAccount
	}
	return e, err
}

// Entry returns the user of an id, also one who was removed.
func (a *Accounts) Entry(ctx context.Context, id mailbox.User) (Entry, error) {
	e, err := scanEntry(a.db.QueryRowContext(ctx, rows(selectEntry+" WHERE id = ?"), string(id)).Scan)
	if err != nil {
		return Entry{}, fmt.Errorf("user %s: %w", id, a.absent(err))
	}
	return e, nil
}

// Entries returns all users by id, also those who were removed; where rows are damaged, as List does.
func (a *Accounts) Entries(ctx context.Context) ([]Entry, error) {
	all, err := readEntries(ctx, a.db, rows(selectEntry+" ORDER BY id"))
	if err = a.told(err); errors.Is(err, ErrDamaged) {
		sound, others := readEntries(ctx, a.db, usersTable.Intact(selectEntry+" ORDER BY id"))
		return sound, errors.Join(err, others)
	}
	return all, err
}

func readEntries(ctx context.Context, db *sql.DB, query string) ([]Entry, error) {
	found, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list entries: %w", err)
	}
	defer found.Close()
	var all []Entry
	for found.Next() {
		e, err := scanEntry(found.Scan)
		if err != nil {
			return nil, fmt.Errorf("list entries: %w", err)
		}
		all = append(all, e)
	}
	return all, found.Err()
}

// lostName reports whether a name is one that Put gives to a user who has lost his.
func lostName(name string) bool {
	id, is := strings.CutPrefix(name, "\x00")
	if !is {
		return false
	}
	_, err := mailbox.ParseUser(id)
	return err == nil
}

// Put makes a user, who has mail, what another slot says that he is. A user of another id who has the
// name loses it to this one: names were exchanged, or his entry is on its way. Until it
// comes he has a name that nobody can log in with. A removal of the user that was begun here is
// called off.
func (a *Accounts) Put(ctx context.Context, e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	err := a.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE users SET name = char(0) || id WHERE name = ? AND id <> ?", e.Name, string(e.ID))
		if err != nil {
			return err
		}
		var name any = e.Name
		if e.Removed {
			name, e.Hash = nil, ""
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO users (id, name, hash, quota_bytes, quota_messages, created, disabled, mail)
			VALUES (?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (id) DO UPDATE SET mail = 1, removing = 0, name = excluded.name,
			hash = excluded.hash, quota_bytes = excluded.quota_bytes, quota_messages = excluded.quota_messages,
			created = excluded.created, disabled = excluded.disabled`,
			string(e.ID), name, e.Hash, e.Quota.Bytes, e.Quota.Messages, e.Created.Unix(), truth(e.Disabled))
		return err
	})
	if err != nil {
		return fmt.Errorf("take over user %s: %w", e.ID, err)
	}
	return nil
}

// check refuses what Add could not have made.
func (e *Entry) check() error {
	if _, err := mailbox.ParseUser(string(e.ID)); err != nil || e.Removed {
		return err
	}
	if folded, err := Fold(e.Name); err != nil {
		return err
	} else if folded != e.Name {
		return fmt.Errorf("%q: %w", e.Name, ErrName)
	}
	if _, err := parseHash(e.Hash); err != nil {
		return fmt.Errorf("user %s: %w", e.ID, err)
	}
	if e.Quota.Bytes < 0 || e.Quota.Messages < 0 {
		return fmt.Errorf("user %s: a quota below zero", e.ID)
	}
	return nil
}
