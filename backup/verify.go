package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"teraslot/disk"
	"teraslot/mailstore"
)

// Checked is what Verify read.
type Checked struct {
	Users    int
	Findings int
}

// Accounts writes the copy of slot.db that a generation has to a new file of the real disk, mode 0600.
func (r *Repository) Accounts(g *Generation, path string) (err error) {
	lock, err := r.lock(disk.Shared)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if g.Accounts == (Object{}) {
		return fmt.Errorf("generation %s: %w", g.Name, ErrNoAccounts)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(r.load(g.Accounts, f), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("generation %s: accounts: %w", g.Name, err), os.Remove(path))
	}
	return nil
}

// Verify reads all that a generation names, as far as its users are wanted (nil is
// all): each mail.db is checked against itself and the packs, each message against
// its GUID. What is wrong is reported.
func (r *Repository) Verify(ctx context.Context, g *Generation, wanted func(User) bool) (out Checked, err error) {
	lock, err := r.lock(disk.Shared)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	report := func(place string, err error) {
		out.Findings++
		r.o.Report(g.Name+": "+place, err)
	}
	if g.Accounts != (Object{}) {
		if err := r.load(g.Accounts, io.Discard); err != nil {
			report("accounts", err)
		}
	}
	for _, u := range g.Users {
		if err := interrupted(ctx); err != nil {
			return out, err
		}
		if wanted != nil && !wanted(u) {
			continue
		}
		out.Users++
		err := r.inLook(ctx, u, func(l *Look) error { return r.verify(ctx, u, l, report) })
		if err != nil {
			report("user "+string(u.ID), err)
		}
	}
	return out, nil
}

func (r *Repository) verify(ctx context.Context, u User, l *Look, report func(string, error)) error {
	for _, p := range u.Packs {
		info, err := r.fs.Stat(r.packPath(u.ID, p.File))
		if err == nil && info.Size() < p.End {
			err = fmt.Errorf("%w: %d octets of %d", errObject, info.Size(), p.End)
		}
		if err != nil {
			report(filepath.Join(userDir(u.ID), p.File), err)
		}
	}
	return l.store.Verify(ctx, u.ID, func(f mailstore.Finding) {
		if !f.Harmless {
			report("user "+string(u.ID), errors.New(f.String()))
		}
	})
}
