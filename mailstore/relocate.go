package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"teraslot/disk"
	"teraslot/mailbox"
)

// Relocation is the move of a user's messages to other partitions: Copy, while the mail is
// in use, then Switch, which ends in the one moment from which they are there; then
// Store.Vacate of the roots where they were. A crash leaves copies that nothing refers
// to, for Vacate. One at a time of a user.
type Relocation struct {
	s      *Store
	user   mailbox.User
	to     Roots
	copied map[string]bool // paths of copies that need not be made again
}

// StepPackCopied: a pack is on the partition to which its user moves, and not yet his.
const StepPackCopied = "pack copied"

// errOneRoot: a pack's file does not tell whether it is of the spool or the archive.
var errOneRoot = errors.New("a user whose spool and archive are one directory cannot be moved")

// errOccupied: what lies where a user is to move to would go with a move that is given up.
var errOccupied = errors.New("there is mail of the user already, of which nothing here knows: where it says on which partition he is was lost, perhaps; put that back first")

// Vacant looks that a user who is to move to roots has no mail there yet that nobody has
// begun to copy: for who is about to begin.
func (s *Store) Vacant(u mailbox.User, roots Roots) error {
	now, err := s.o.rootsOf(u)
	if err != nil {
		return err
	}
	for _, root := range roots.list() {
		if slices.Contains(now.list(), root) {
			continue
		}
		names, err := s.filesOf(u, root)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return fmt.Errorf("%s: %w", filepath.Join(root, u.Dir()), errOccupied)
		}
	}
	return nil
}

// Relocate prepares the move of a user's messages. Nothing is done yet.
func (s *Store) Relocate(u mailbox.User, to Roots) *Relocation {
	return &Relocation{s: s, user: u, to: to, copied: map[string]bool{}}
}

// Copy copies the packs that are sealed, which nothing is ever added to. The user's mail
// is read and changed meanwhile.
func (r *Relocation) Copy(ctx context.Context) error {
	m, err := r.s.Acquire(ctx, r.user)
	if err != nil {
		return err
	}
	defer m.Release()
	m.repack.Lock() // or packs would go while they are copied
	defer m.repack.Unlock()
	from := m.packs.at.Load().roots
	if err := r.prepare(from); err != nil {
		return err
	}
	var packs []packRow
	err = m.read(ctx, func(c *conn) (err error) {
		packs, err = loadPacks(c)
		return err
	})
	for _, p := range packs {
		if err != nil {
			return err
		}
		if source, dest := from.of(p.place), r.to.of(p.place); p.state == packSealed && source != dest {
			err = r.copy(ctx, filepath.Base(m.packs.path(p.place, p.n)), source, dest)
		}
	}
	return err
}

// of is the root of a place.
func (r Roots) of(p place) string { return [places]string{r.Spool, r.Archive}[p] }

// prepare looks that all partitions are there, and makes the user's directories.
func (r *Relocation) prepare(from Roots) error {
	if from.Spool == from.Archive || r.to.Spool == r.to.Archive {
		return errOneRoot
	}
	for _, root := range append(from.list(), r.to.list()...) {
		if err := r.s.o.Present(root); err != nil {
			return err
		}
	}
	for _, root := range r.to.list() {
		if err := r.s.makeDir(root, filepath.Join(root, r.user.Dir())); err != nil {
			return classify(err)
		}
	}
	return nil
}

// copy copies a file of the user's from one root to another. Its copy has all of its octets,
// damaged ones too, and is durable, or is not there under that name.
func (r *Relocation) copy(ctx context.Context, name, from, to string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	dest := filepath.Join(to, r.user.Dir(), name)
	if r.copied[dest] {
		return nil
	}
	f, err := r.s.o.FS.OpenFile(filepath.Join(from, r.user.Dir(), name), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	err = disk.Publish(r.s.o.FS, dest, 0o600, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
	if err = errors.Join(err, f.Close()); err != nil {
		return classify(err)
	}
	r.copied[dest] = true
	r.s.o.Step(StepPackCopied)
	return nil
}

// Switch copies the rest while nobody has the mail open, and then has commit make the new
// roots those that Options.Roots tells. It has changed nothing where commit was not called.
// ErrBusy while somebody uses the mail: Switch may be tried again. Who wants to open the
// mail meanwhile waits.
func (r *Relocation) Switch(ctx context.Context, commit func() error) error {
	e, err := r.s.reserve(ctx, r.user)
	if err != nil {
		return err
	}
	defer r.s.vanish(e)
	from, err := r.s.o.rootsOf(r.user)
	if err == nil {
		err = r.prepare(from)
	}
	for p := spoolPlace; p < places && err == nil; p++ {
		if from.of(p) != r.to.of(p) {
			err = r.copyRest(ctx, p, from.of(p))
		}
	}
	if err == nil {
		err = r.complete()
	}
	if err != nil {
		return fmt.Errorf("move user %s: %w", r.user, err)
	}
	r.s.forgetMail(r.user)
	return commit()
}

// copyRest makes the user's directory of a place what it is below from.
func (r *Relocation) copyRest(ctx context.Context, p place, from string) error {
	to := r.to.of(p)
	names, err := r.s.filesOf(r.user, from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.copy(ctx, name, from, to); err != nil {
			return err
		}
	}
	there, err := r.s.filesOf(r.user, to)
	if err != nil {
		return err
	}
	for _, name := range there {
		if !slices.Contains(names, name) { // a repack has removed it since it was copied
			if err := r.s.o.FS.Remove(filepath.Join(to, r.user.Dir(), name)); err != nil {
				return err
			}
		}
	}
	return r.s.o.FS.SyncDir(filepath.Join(to, r.user.Dir()))
}

// filesOf are the names of the files below a root that go with a user.
func (s *Store) filesOf(u mailbox.User, root string) (out []string, err error) {
	entries, err := s.o.FS.ReadDir(filepath.Join(root, u.Dir()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if !e.IsDir() && (madeHere(e.Name()) || e.Name() == savedName) {
			out = append(out, e.Name())
		}
	}
	return out, err
}

// complete holds what is to be the user's against mail.db: all that it refers to is there.
func (r *Relocation) complete() error {
	c, err := openConn(r.s.databasePath(r.user), true)
	if err != nil {
		return err
	}
	packs, err := loadPacks(c)
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	for _, p := range packs {
		if p.end == 0 || p.state == packDropped || p.state == packRepacked {
			continue
		}
		path := filepath.Join(r.to.of(p.place), r.user.Dir(), fmt.Sprint(p.n)+packSuffix)
		info, err := r.s.o.FS.Stat(path)
		if err != nil {
			return fmt.Errorf("a pack is not there that mail.db has; run slotctl verify: %w", err)
		}
		if info.Size() < p.end {
			return fmt.Errorf("%s has %d bytes of %d; run slotctl verify", path, info.Size(), p.end)
		}
	}
	return nil
}

// Vacate removes what a user has below roots that are no longer, or did not become, his:
// after a move, or one that was given up. Roots that are his are left alone.
func (s *Store) Vacate(u mailbox.User, roots Roots) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	now, err := s.o.rootsOf(u)
	if err != nil {
		return err
	}
	for _, root := range roots.list() {
		if slices.Contains(now.list(), root) {
			continue
		}
		if err := s.o.Present(root); err != nil {
			return err
		}
		dir := filepath.Join(root, u.Dir())
		for _, name := range []string{savedName, savedName + ".new"} {
			if err := removeDatabase(s.o.FS, filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		if err := s.removePacks(dir); err != nil {
			return err
		}
	}
	return nil
}
