package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Source is the slot that is backed up.
type Source struct {
	Store *mailstore.Store
	// Names are the login names of its users, to find them by later. Who has one and no
	// mail has lost it, unless he was removed since.
	Names map[mailbox.User]string
	// Exists, if set, reports whether one of Names has an account still.
	Exists func(ctx context.Context, u mailbox.User) (bool, error)
	// Accounts writes a copy of slot.db to a new file of the real disk.
	Accounts func(ctx context.Context, path string) error
	// Progress, if set, is told how far it got, one call at a time.
	Progress func(Result)
}

// Result is what a run did.
type Result struct {
	Generation string // "" if none was made
	Users      int    // that are in it
	Unchanged  int    // of them: nothing was copied
	Kept       int    // of them: could not be read now, and are as in the generation before
	Failed     int    // could not be read, and are in no generation
	Damaged    int    // messages copied as they are, which do not match their GUIDs
	Bytes      int64  // of packs copied
}

// run is one run.
type run struct {
	*Repository
	src    Source
	name   string
	before map[mailbox.User]User               // of the latest generation, or of this one once it has him
	said   map[mailbox.User]mailstore.Snapshot // what the copies of this generation say of mailboxes that changed owners
	same   map[mailbox.User]bool               // those who are as in the generation before
	needed map[string]int64                    // octets that generations need of pack copies; nil: not known yet
	result Result
}

// Run adds a generation. A user whose mail is lost or cannot be read is reported and stays as
// the generation before has him; any other error ends the run, without a generation.
func (r *Repository) Run(ctx context.Context, src Source) (Result, error) {
	lock, err := r.lock(disk.Exclusive)
	if err != nil {
		return Result{}, err
	}
	job := &run{Repository: r, src: src, said: map[mailbox.User]mailstore.Snapshot{}, same: map[mailbox.User]bool{}}
	err = job.all(ctx)
	if err = errors.Join(err, lock.Close()); err != nil {
		err = fmt.Errorf("backup to %s: %w", r.dir, err)
	}
	return job.result, err
}

func (r *run) all(ctx context.Context) (err error) {
	begun := r.o.Now()
	if r.name, err = r.generationName(begun); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.cleanScratch()) }()
	users, err := r.users(ctx)
	if err != nil {
		return err
	}
	g := &Generation{Version: manifestVersion, Name: r.name, Time: begun.UTC()}
	for _, u := range users {
		if err := interrupted(ctx); err != nil {
			return err
		}
		entry, ok, err := r.user(ctx, u)
		if err != nil {
			return fmt.Errorf("user %s: %w", u, err)
		}
		if ok {
			g.Users = append(g.Users, entry)
			r.result.Users++
		}
		if r.src.Progress != nil {
			r.src.Progress(r.result)
		}
	}
	if err := r.settleHanded(ctx, g); err != nil {
		return err
	}
	// After the mail: who is in it has his account in it, unless it was removed.
	if g.Accounts, err = r.accounts(ctx); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	return r.publish(g)
}

// users lists who has mail or an account, sorted.
func (r *run) users(ctx context.Context) ([]mailbox.User, error) {
	users, err := r.src.Store.Users(ctx)
	if err != nil {
		return nil, err
	}
	users = slices.AppendSeq(users, maps.Keys(r.src.Names))
	slices.Sort(users)
	return slices.Compact(users), nil
}

// begin reads the latest generation and makes the directories.
func (r *run) begin() error {
	for _, dir := range []string{generationsDir, accountsDir, usersDir} {
		if err := disk.MkdirAll(r.fs, filepath.Join(r.dir, dir), 0o700); err != nil {
			return err
		}
	}
	if err := r.cleanScratch(); err != nil {
		return err
	}
	if err := os.MkdirAll(r.o.Scratch, 0o700); err != nil {
		return err
	}
	r.before = map[mailbox.User]User{}
	last, err := r.latest()
	if errors.Is(err, ErrNoGeneration) {
		return nil
	}
	if err != nil {
		// All is copied anew beside it.
		r.o.Report("the latest generation", err)
		return nil
	}
	for _, u := range last.Users {
		r.before[u.ID] = u
	}
	return nil
}

// cleanScratch removes the directory for SQLite, which is on the real disk.
func (r *Repository) cleanScratch() error { return disk.RemoveTree(disk.OS(), r.o.Scratch) }

// publish makes the generation one.
func (r *run) publish(g *Generation) error {
	b, err := g.encode()
	if err != nil {
		return err
	}
	if err := disk.Publish(r.fs, filepath.Join(r.dir, generationsDir, r.name), 0o600, write(b)); err != nil {
		return err
	}
	r.result.Generation = r.name
	r.o.Step(StepPublished)
	return nil
}

// accounts copies slot.db.
func (r *run) accounts(ctx context.Context) (Object, error) {
	if r.src.Accounts == nil {
		return Object{}, nil
	}
	temporary := filepath.Join(r.o.Scratch, "accounts")
	if err := r.src.Accounts(ctx, temporary); err != nil {
		return Object{}, err
	}
	o, err := r.store(filepath.Join(accountsDir, r.name), temporary)
	if err == nil {
		err = r.fs.SyncDir(filepath.Join(r.dir, accountsDir))
	}
	r.o.Step(StepAccounts)
	return o, errors.Join(err, os.Remove(temporary))
}

// errLost is told of a user who has an account and no mail.
var errLost = errors.New("he has an account, and his mail.db is lost")

// user copies a user's mail, or finds that it is there. ok is false if there is none.
func (r *run) user(ctx context.Context, u mailbox.User) (entry User, ok bool, err error) {
	m, err := r.src.Store.Acquire(ctx, u)
	if errors.Is(err, mailstore.ErrNoUser) {
		lost, err := r.lost(ctx, u)
		if err != nil || !lost {
			return User{}, false, err
		}
		entry, ok = r.keep(u, errLost)
		return entry, ok, nil
	}
	if err == nil {
		entry, err = r.mail(ctx, m)
		m.Release()
	}
	var here *sourceError
	switch {
	case err == nil:
		entry.Name = r.src.Names[u]
		r.o.Step(StepUserDone)
		return entry, true, nil
	case ctx.Err() != nil, m != nil && !errors.As(err, &here):
		return User{}, false, err
	}
	entry, ok = r.keep(u, err)
	return entry, ok, nil
}

// lost reports whether one without mail should have some: he was not removed since the
// accounts were listed.
func (r *run) lost(ctx context.Context, u mailbox.User) (bool, error) {
	if _, listed := r.src.Names[u]; !listed || r.src.Exists == nil {
		return listed, nil
	}
	return r.src.Exists(ctx, u)
}

// keep tells why a user cannot be read, and takes him from the generation before, so
// that his mail there is not pruned with it.
func (r *run) keep(u mailbox.User, why error) (User, bool) {
	r.o.Report("user "+string(u), why)
	old, known := r.before[u]
	if known {
		r.result.Kept++
	} else {
		r.result.Failed++
	}
	return old, known
}

// sourceError is an error of the slot, not of the backup's directory.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func ofSource(err error) error {
	if err == nil {
		return nil
	}
	return &sourceError{err}
}

// maxTries bounds how often a user is begun anew because packs were repacked
// meanwhile.
const maxTries = 100

// mail copies a user's packs and mail.db.
func (r *run) mail(ctx context.Context, m *mailstore.Mail) (User, error) {
	now, err := m.Look(ctx)
	if err != nil {
		return User{}, ofSource(err)
	}
	old := r.before[m.User()]
	if old.Fingerprint == fingerprint(now) && r.complete(old) {
		r.copied(old, now, true)
		return old, nil
	}
	if err := disk.MkdirAll(r.fs, filepath.Join(r.dir, userDir(m.User())), 0o700); err != nil {
		return User{}, err
	}
	p := packs{run: r, mail: m, done: map[uint64]Pack{}}
	for _, pack := range old.Packs {
		p.done[pack.N] = pack
	}
	for try := 1; ; try++ {
		u, err := p.copyUser(ctx, now)
		if err == nil || !errors.Is(err, errPackGone) || try == maxTries {
			return u, err
		}
		if now, err = m.Look(ctx); err != nil {
			return User{}, ofSource(err)
		}
	}
}

func fingerprint(s mailstore.Snapshot) string { return hex.EncodeToString(s.Fingerprint[:]) }

// complete reports whether the files of a user are all there, as far as their sizes
// tell: Verify reads them.
func (r *Repository) complete(u User) bool {
	if !r.there(u.Records) {
		return false
	}
	return !slices.ContainsFunc(u.Packs, func(p Pack) bool {
		info, err := r.fs.Stat(r.packPath(u.ID, p.File))
		return err != nil || info.Size() < p.End
	})
}

// copyUser copies packs, mail.db, and what the packs have grown by since.
func (p *packs) copyUser(ctx context.Context, now mailstore.Snapshot) (User, error) {
	u := User{ID: p.mail.User()}
	if _, err := p.copyAll(ctx, now.Packs); err != nil {
		return u, err
	}
	temporary := filepath.Join(p.o.Scratch, "records")
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return u, err
	}
	snap, err := p.mail.Snapshot(ctx, temporary)
	if errors.Is(err, mailstore.ErrFull) {
		return u, err // of the backup's disk: the slot is only read
	}
	if err != nil {
		return u, ofSource(err)
	}
	if u.Packs, err = p.copyAll(ctx, snap.Packs); err != nil {
		return u, err
	}
	u.Fingerprint = fingerprint(snap)
	u.Records, err = p.store(filepath.Join(userDir(u.ID), p.name+recordsSuffix), temporary)
	if err != nil {
		return u, err
	}
	p.o.Step(StepRecordsWritten)
	// The names of the packs, too.
	if err := p.fs.SyncDir(filepath.Join(p.dir, userDir(u.ID))); err != nil {
		return u, err
	}
	p.copied(u, snap, false)
	return u, os.Remove(temporary)
}
