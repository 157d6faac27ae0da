package account

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/sealed"
)

// The errors that callers decide by.
var (
	ErrNoAccount   = errors.New("no such user")
	ErrExists      = errors.New("the login name is taken")
	ErrCredentials = errors.New("wrong login name or password")
	ErrVersion     = errors.New("slot.db has a version that this program does not know")
)

// Quota is the most that a user may store; 0 is no limit.
type Quota struct {
	Bytes    int64
	Messages int64
}

// Account is a user as the slot knows him.
type Account struct {
	ID       mailbox.User
	Name     string // login name, folded
	Quota    Quota
	Created  time.Time // to the second, UTC
	Disabled bool      // may not log in, and is delivered to nonetheless
	// HasMail says that mail was made for him: where there is none, it was lost.
	HasMail bool
	// Removing says that his removal was begun: he is to be gone.
	Removing bool
}

// Options of Open; the zero value works.
type Options struct {
	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // of ids and salts; nil: crypto/rand.Reader
	Cost Cost             // of new hashes
	// Hashing is how many passwords are hashed at once; each takes Cost.Memory. 0:
	// GOMAXPROCS.
	Hashing int
	Logger  *slog.Logger // nil: slog.Default()
	FS      disk.FS      // of copies; nil: disk.OS()
	// Owner says that this process alone writes slot.db until Close, as the holder
	// of slot.lock does. Lookup then answers from memory what it was asked before.
	Owner bool
}

// Accounts is an open slot.db.
type Accounts struct {
	o       Options
	path    string
	db      *sql.DB
	damaged atomic.Bool   // a row was, when all were read last
	hashing chan struct{} // a place for each hash that is being computed
	decoy   hash          // compared where there is no user, or a disabled one
	byName  *sql.Stmt     // selectAccount of a name: asked for every recipient and login
	cache   cache         // used if o.Owner
}

// userVersion is SQLite's PRAGMA user_version of the schema.
const userVersion = 3

// stepsFrom leads from the schema of a version to this one. Of accounts by a program of version 1 nobody
// knows whether a crash came before their mail was made; nearly all have some.
func stepsFrom(version int) []string {
	columns := map[int]string{1: "*, 1, 0", 2: "*"}[version]
	var steps []string
	if columns != "" {
		steps = append(steps, "ALTER TABLE users RENAME TO unsealed")
	}
	steps = append(steps, usersTable.Create()...)
	if columns != "" {
		steps = append(steps, "INSERT INTO users SELECT "+columns+" FROM unsealed", "DROP TABLE unsealed")
	}
	return append(steps, fmt.Sprintf("PRAGMA user_version = %d", userVersion))
}

// Open opens slot.db, and makes it if it is missing. Several processes may.
func Open(ctx context.Context, path string, o Options) (*Accounts, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Cost == (Cost{}) {
		o.Cost = defaultCost
	}
	if o.Hashing <= 0 {
		o.Hashing = runtime.GOMAXPROCS(0)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.FS == nil {
		o.FS = disk.OS()
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	db := sql.OpenDB(sealed.Connector(dsn(path)))
	a := &Accounts{o: o, path: path, db: db, hashing: make(chan struct{}, o.Hashing),
		decoy: hash{cost: o.Cost, salt: make([]byte, saltBytes), sum: make([]byte, hashBytes)}}
	if err := a.prepareSchema(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("accounts %s: %w", path, err), db.Close())
	}
	var err error
	if a.byName, err = db.PrepareContext(ctx, rows(selectAccount+" AND name = ?")); err != nil {
		return nil, errors.Join(fmt.Errorf("accounts %s: %w", path, err), db.Close())
	}
	if err := a.look(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("accounts %s: %w", path, err), a.Close())
	}
	return a, nil
}

// create makes the file if it is missing, readable by its owner alone: SQLite would
// let the umask decide, and gives the same mode to its other files. A file that is
// there is not opened.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return err
	}
	if err := disk.OS().SyncDir(filepath.Dir(path)); err != nil { // or the next one would take it for durable
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// dsn names the database and what each connection sets. _txlock=immediate: a
// transaction that writes takes its lock at the start, where waiting is possible.
func dsn(path string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// Close closes the database.
func (a *Accounts) Close() error { return errors.Join(a.byName.Close(), a.db.Close()) }

func (a *Accounts) prepareSchema(ctx context.Context) error {
	return a.update(ctx, func(tx *sql.Tx) error {
		var version int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		var steps []string
		switch version {
		case userVersion:
		case 0, 1, 2:
			steps = stepsFrom(version)
		default:
			return fmt.Errorf("version %d: %w", version, ErrVersion)
		}
		for _, sql := range steps {
			if _, err := tx.ExecContext(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// update runs fn in a transaction that writes.
func (a *Accounts) update(ctx context.Context, fn func(*sql.Tx) error) error {
	defer a.cache.forget() // also after an error: what it left is not known
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(a.told(err), tx.Rollback())
	}
	return tx.Commit()
}

// Add makes a user with a new id.
func (a *Accounts) Add(ctx context.Context, name, password string, q Quota) (Account, error) {
	folded, err := Fold(name)
	if err != nil {
		return Account{}, err
	}
	h, err := a.newHash(ctx, password)
	if err != nil {
		return Account{}, fmt.Errorf("add user %s: %w", folded, err)
	}
	var id [16]byte
	if _, err := io.ReadFull(a.o.Rand, id[:]); err != nil {
		return Account{}, fmt.Errorf("add user %s: %w", folded, err)
	}
	acc := Account{ID: mailbox.User(hex.EncodeToString(id[:])), Name: folded, Quota: q,
		Created: time.Unix(a.o.Now().Unix(), 0).UTC()}
	err = a.update(ctx, func(tx *sql.Tx) error {
		if err := a.free(ctx, tx, folded); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO users (id, name, hash, quota_bytes, quota_messages, created, disabled) VALUES (?, ?, ?, ?, ?, ?, 0)",
			string(acc.ID), folded, h.String(), q.Bytes, q.Messages, acc.Created.Unix())
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("add user %s: %w", folded, err)
	}
	return acc, nil
}

// free returns ErrExists if a user has the folded name.
func (a *Accounts) free(ctx context.Context, tx *sql.Tx, folded string) error {
	var n int
	err := tx.QueryRowContext(ctx, rows("SELECT count(*) FROM {users} WHERE name = ?"), folded).Scan(&n)
	switch {
	case err == nil && n > 0:
		err = ErrExists
	case err == nil && a.damaged.Load(): // the name may be the damaged one's
		err = a.absent(ErrNoAccount)
	}
	return err
}

// Passwd gives a user a new password.
func (a *Accounts) Passwd(ctx context.Context, name, password string) error {
	h, err := a.newHash(ctx, password)
	if err != nil {
		return fmt.Errorf("password of %s: %w", name, err)
	}
	return a.change(ctx, name, "hash = ?", h.String())
}

// SetQuota gives a user another quota.
func (a *Accounts) SetQuota(ctx context.Context, name string, q Quota) error {
	return a.change(ctx, name, "quota_bytes = ?, quota_messages = ?", q.Bytes, q.Messages)
}

// Disable forbids a user to log in, or allows it again, which calls off a removal.
func (a *Accounts) Disable(ctx context.Context, name string, disabled bool) error {
	return a.change(ctx, name, "disabled = ?, removing = removing AND ?", disabled, disabled)
}

// MadeMail notes that a user's mail was made: from now on, none is made in its place.
func (a *Accounts) MadeMail(ctx context.Context, name string) error {
	return a.change(ctx, name, "mail = 1")
}

// BeginRemoval disables a user and notes that he is to be gone, mail and all: who finds
// the mark after a crash goes on.
func (a *Accounts) BeginRemoval(ctx context.Context, name string) error {
	return a.change(ctx, name, "disabled = 1, removing = 1")
}

// Remove forgets a user, but not that the id was given, and who got mailboxes of his. The mail is mailstore's
// to remove.
func (a *Accounts) Remove(ctx context.Context, name string, heirs ...Heir) error {
	return a.change(ctx, name, "name = NULL, hash = ?", joinHeirs(heirs))
}

// Rename gives a user another login name; the id stays.
func (a *Accounts) Rename(ctx context.Context, name, newname string) error {
	from, err := Fold(name)
	if err != nil {
		return err
	}
	to, err := Fold(newname)
	if err != nil {
		return err
	}
	err = a.update(ctx, func(tx *sql.Tx) error {
		if from != to {
			if err := a.free(ctx, tx, to); err != nil {
				return err
			}
		}
		return changed(tx.ExecContext(ctx, "UPDATE users SET name = ? WHERE name = ?", to, from))
	})
	if err != nil {
		return fmt.Errorf("rename user %s to %s: %w", from, to, err)
	}
	return nil
}

// change sets columns of one user.
func (a *Accounts) change(ctx context.Context, name, columns string, values ...any) error {
	folded := name
	if !lostName(name) {
		var err error
		if folded, err = Fold(name); err != nil {
			return err
		}
	}
	defer a.cache.forget() // as in update
	err := changed(a.db.ExecContext(ctx, "UPDATE users SET "+columns+" WHERE name = ?", append(values, folded)...))
	if err != nil {
		return fmt.Errorf("change user %s: %w", folded, a.absent(err))
	}
	return nil
}

// changed returns ErrNoAccount if a statement found no user.
func changed(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 0 {
		err = ErrNoAccount
	}
	return err
}

const selectAccount = "SELECT id, name, quota_bytes, quota_messages, created, disabled, mail, removing, hash FROM {users} WHERE name IS NOT NULL"

// scanAccount reads a row of selectAccount.
func scanAccount(scan func(...any) error) (acc Account, phc string, err error) {
	var created int64
	err = scan(&acc.ID, &acc.Name, &acc.Quota.Bytes, &acc.Quota.Messages, &created, &acc.Disabled, &acc.HasMail, &acc.Removing, &phc)
	acc.Created = time.Unix(created, 0).UTC()
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoAccount
	}
	return acc, phc, err
}

// List returns all users by name. Where rows are damaged, there is an error that is ErrDamaged, and names the first;
// the users are those of the other rows.
func (a *Accounts) List(ctx context.Context) ([]Account, error) {
	all, err := a.list(ctx, rows(selectAccount+" ORDER BY name"))
	if err = a.told(err); errors.Is(err, ErrDamaged) {
		sound, others := a.list(ctx, usersTable.Intact(selectAccount+" ORDER BY name"))
		return sound, errors.Join(err, others)
	}
	return all, err
}

func (a *Accounts) list(ctx context.Context, query string) ([]Account, error) {
	found, err := a.db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	defer found.Close()
	var all []Account
	for found.Next() {
		acc, _, err := scanAccount(found.Scan)
		if err != nil {
			return nil, fmt.Errorf("list users: %w", err)
		}
		all = append(all, acc)
	}
	return all, found.Err()
}

// Lookup returns the user of a login name, in any case; ErrNoAccount also for
// what can be nobody's name.
func (a *Accounts) Lookup(ctx context.Context, name string) (Account, error) {
	if !a.o.Owner {
		acc, _, err := a.lookup(ctx, name)
		return acc, err
	}
	known, found, age := a.cache.get(name)
	if found {
		return known.account, known.err
	}
	acc, _, err := a.lookup(ctx, name)
	if err == nil || errors.Is(err, ErrNoAccount) {
		a.cache.put(name, answer{acc, err}, age)
	}
	return acc, err
}

func (a *Accounts) lookup(ctx context.Context, name string) (Account, string, error) {
	folded, err := Fold(name)
	if err != nil {
		return Account{}, "", fmt.Errorf("%w: %w", ErrNoAccount, err)
	}
	acc, phc, err := scanAccount(a.byName.QueryRowContext(ctx, folded).Scan)
	if err != nil {
		return Account{}, "", fmt.Errorf("user %s: %w", folded, a.absent(err))
	}
	return acc, phc, nil
}

// ByID returns the user of an id.
func (a *Accounts) ByID(ctx context.Context, id mailbox.User) (Account, error) {
	acc, _, err := scanAccount(a.db.QueryRowContext(ctx, rows(selectAccount+" AND id = ?"), string(id)).Scan)
	if err != nil {
		return Account{}, fmt.Errorf("user %s: %w", id, a.absent(err))
	}
	return acc, nil
}

// Authenticate returns the user if the password is his and he may log in, else
// ErrCredentials, which does not say what was wrong, nor does the time it takes.
// Other errors are not the client's fault.
func (a *Accounts) Authenticate(ctx context.Context, name, password string) (Account, error) {
	acc, phc, err := a.lookup(ctx, name)
	if err != nil && !errors.Is(err, ErrNoAccount) {
		return Account{}, err
	}
	h, known := a.decoy, false
	if err == nil {
		if h, err = parseHash(phc); err != nil {
			return Account{}, fmt.Errorf("password of %s in slot.db: %w", acc.Name, err)
		}
		known = !acc.Disabled
	}
	ok, err := a.matches(ctx, h, password)
	if err != nil {
		return Account{}, err
	}
	if !ok || !known {
		return Account{}, ErrCredentials
	}
	if h.cost != a.o.Cost {
		if err := a.rehash(ctx, acc, phc, password); err != nil {
			a.o.Logger.Warn("accounts: the password keeps its old hash", "user", acc.Name, "err", err)
		}
	}
	return acc, nil
}

// rehash replaces a hash of another cost, unless the password has been changed
// in the meantime.
func (a *Accounts) rehash(ctx context.Context, acc Account, phc, password string) error {
	h, err := a.newHash(ctx, password)
	if err != nil {
		return err
	}
	_, err = a.db.ExecContext(ctx, "UPDATE users SET hash = ? WHERE id = ? AND hash = ?", h.String(), string(acc.ID), phc)
	if err != nil {
		return fmt.Errorf("password of %s: %w", acc.Name, err)
	}
	return nil
}
