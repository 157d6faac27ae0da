package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Look is a user's mail as a generation has it. It can be read as any mail.
type Look struct {
	*mailstore.Mail
	store *mailstore.Store
	dir   string
}

// Look lays out a user's mail of a generation to be read, in a scratch directory: a
// copy of mail.db, and links to the packs. The repository has to be on the real
// disk. The caller keeps it from being written to, and closes what he gets.
func (r *Repository) look(ctx context.Context, u User) (_ *Look, err error) {
	if err := os.MkdirAll(r.o.Scratch, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(r.o.Scratch, "look")
	if err != nil {
		return nil, err
	}
	l := &Look{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("user %s: %w", u.ID, err), l.Close())
		}
	}()
	o := mailstore.Options{Conf: filepath.Join(dir, "conf"), Spool: filepath.Join(dir, "spool"), Archive: filepath.Join(dir, "archive"),
		Logger: r.o.Logger}
	for _, root := range []string{o.Conf, o.Spool, o.Archive} {
		if err := os.MkdirAll(filepath.Join(root, u.ID.Dir()), 0o700); err != nil {
			return nil, err
		}
	}
	if err := r.loadFile(u.Records, o.DatabaseFile(u.ID)); err != nil {
		return nil, err
	}
	for _, p := range u.Packs {
		copied, err := filepath.Abs(r.packPath(u.ID, p.File))
		if err != nil {
			return nil, err
		}
		path, err := o.PackFile(u.ID, p.of())
		if err != nil {
			return nil, err
		}
		if err := os.Symlink(copied, path); err != nil {
			return nil, err
		}
	}
	// Not for reading only: a mail.db of an earlier version is migrated on the way.
	if l.store, err = mailstore.Open(ctx, o); err != nil {
		return nil, err
	}
	l.Mail, err = l.store.Acquire(ctx, u.ID)
	return l, err
}

// loadFile writes what is in an object to a new file of the real disk.
func (r *Repository) loadFile(o Object, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(r.load(o, f), f.Close())
}

// Close gives the mail back and removes the scratch directory.
func (l *Look) Close() error {
	var errs []error
	if l.Mail != nil {
		l.Release()
	}
	if l.store != nil {
		errs = append(errs, l.store.Close())
	}
	return errors.Join(append(errs, disk.RemoveTree(disk.OS(), l.dir))...)
}

// Message is one of those that Messages and Deleted yield.
type Message struct {
	Place   string // generation, mailbox and UID, for people to look at
	Mailbox string // its name then
	Record  mailbox.Record
	Content *mailstore.Content // nil if Err is set; closed by whoever yields it
	Err     error
}

// Messages calls fn with a user's messages of a generation, of the named mailboxes
// and those below them or, without names, of all. A message that is damaged comes
// with its error. ErrNoMailbox tells of a name that there was not.
func (r *Repository) Messages(ctx context.Context, g *Generation, u User, mailboxes []string, fn func(Message) error) error {
	lock, err := r.lock(disk.Shared)
	if err != nil {
		return err
	}
	err = r.inLook(ctx, u, func(l *Look) error {
		boxes, err := l.chosen(ctx, mailboxes)
		if err != nil {
			return err
		}
		for _, b := range boxes {
			v, err := l.View(ctx, b.ID)
			if err != nil {
				return err
			}
			if err := yield(ctx, l.Mail, g.Name, b, v.Records, fn); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, lock.Close())
}

// inLook runs fn on a user's mail of a generation.
func (r *Repository) inLook(ctx context.Context, u User, fn func(*Look) error) error {
	l, err := r.look(ctx, u)
	if err != nil {
		return err
	}
	return errors.Join(fn(l), l.Close())
}

// chosen returns the mailboxes of those names and below, or all.
func (l *Look) chosen(ctx context.Context, names []string) ([]mailbox.State, error) {
	all, err := l.Mailboxes(ctx)
	if err != nil || len(names) == 0 {
		return all, err
	}
	var out []mailbox.State
	for _, name := range names {
		clean, err := mailstore.CleanName(name)
		if err != nil {
			return nil, err
		}
		found := false
		for _, b := range all {
			if b.Name != clean && !isBelow(b.Name, clean) {
				continue
			}
			found = true
			if !slices.ContainsFunc(out, func(s mailbox.State) bool { return s.ID == b.ID }) {
				out = append(out, b)
			}
		}
		if !found {
			return nil, fmt.Errorf("%q: %w", name, mailstore.ErrNoMailbox)
		}
	}
	return out, nil
}

func isBelow(name, above string) bool {
	rest := len(above) + len(mailstore.Separator)
	return len(name) > rest && name[:rest] == above+mailstore.Separator
}

// part is how many messages are opened together.
const part = 64

// yield opens records' messages and calls fn with each.
func yield(ctx context.Context, m *mailstore.Mail, where string, b mailbox.State, recs []mailbox.Record, fn func(Message) error) error {
	for some := range slices.Chunk(recs, part) {
		if err := interrupted(ctx); err != nil {
			return err
		}
		if err := yieldSome(ctx, m, where, b, some, fn); err != nil {
			return err
		}
	}
	return nil
}

func yieldSome(ctx context.Context, m *mailstore.Mail, where string, b mailbox.State, recs []mailbox.Record, fn func(Message) error) (err error) {
	for i, o := range m.OpenAll(ctx, b.ID, recs) {
		if err == nil {
			err = fn(Message{Place: fmt.Sprintf("%s: %s, UID %d", where, b.Name, recs[i].UID), Mailbox: b.Name,
				Record: recs[i], Content: o.Content, Err: o.Err})
		}
		if o.Content != nil {
			err = errors.Join(err, o.Content.Close())
		}
	}
	return err
}
