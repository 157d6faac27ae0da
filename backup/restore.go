package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"teraslot/disk"
	"teraslot/mailstore"
)

// Restored is what a restore put back.
type Restored struct {
	Users   int
	Bytes   int64 // of packs
	Damaged int   // messages that do not match their GUIDs, put back as they are
	// Aside are files that were in the way and have other names now.
	Aside []string
	// Twice are mailboxes that the user had given away since, and has again as they were then; Nowhere those that he had
	// got since: nobody has them but the giver in the generation.
	Twice, Nowhere []Stray
}

var (
	// ErrNotEmpty is returned for a slot where there is mail already.
	ErrNotEmpty = errors.New("the slot is not empty")
	// ErrOtherRestore: an interrupted restore of another generation is there.
	ErrOtherRestore = errors.New("an interrupted restore of another generation is there")
)

// markerName is the file in the conf root that tells of a restore under way.
const markerName = "restoring"

// putter puts mail back into a slot.
type putter struct {
	*Repository
	to  mailstore.Options
	out Restored
}

// RestoreSlot puts a whole generation back into the roots of a slot, which must hold
// nothing of one, and the accounts into the file of that name. What was interrupted
// goes on when it is done again; until the end there are no accounts, and no daemon
// starts. Every message, flag and UID is as it was; the counters are renewed.
func (r *Repository) RestoreSlot(ctx context.Context, g *Generation, to mailstore.Options, accounts string, progress func(Restored)) (Restored, error) {
	lock, err := r.lock(disk.Shared)
	if err != nil {
		return Restored{}, err
	}
	p := &putter{Repository: r, to: to}
	err = p.slot(ctx, g, accounts, progress)
	if err = errors.Join(err, lock.Close()); err != nil {
		err = fmt.Errorf("restore %s: %w", g.Name, err)
	}
	return p.out, err
}

func (p *putter) slot(ctx context.Context, g *Generation, accounts string, progress func(Restored)) error {
	if err := p.beginSlot(g, accounts); err != nil {
		return err
	}
	for _, u := range g.Users {
		if err := interrupted(ctx); err != nil {
			return err
		}
		if err := p.user(u); err != nil {
			return fmt.Errorf("user %s (%s): %w", u.ID, u.Name, err)
		}
		p.out.Users++
		if progress != nil {
			progress(p.out)
		}
	}
	if err := p.renew(ctx, g.Users); err != nil {
		return err
	}
	if g.Accounts != (Object{}) {
		if err := p.object(g.Accounts, accounts); err != nil {
			return fmt.Errorf("accounts: %w", err)
		}
	}
	if err := p.fs.Remove(filepath.Join(p.to.Conf, markerName)); err != nil {
		return err
	}
	return p.fs.SyncDir(p.to.Conf)
}

// beginSlot refuses a slot with mail, unless it is what this restore has put there.
func (p *putter) beginSlot(g *Generation, accounts string) error {
	for _, root := range []string{p.to.Conf, p.to.Spool, p.to.Archive} {
		if err := disk.MkdirAll(p.fs, root, 0o700); err != nil {
			return err
		}
	}
	marker := filepath.Join(p.to.Conf, markerName)
	b, err := disk.ReadFile(p.fs, marker)
	if err == nil {
		if string(b) != g.Name+"\n" {
			return fmt.Errorf("%s: %w: %q", marker, ErrOtherRestore, b)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range []string{accounts, filepath.Join(p.to.Conf, "users"), filepath.Join(p.to.Spool, "users"), filepath.Join(p.to.Archive, "users")} {
		if _, err := p.fs.Stat(name); err == nil {
			return fmt.Errorf("%s: %w", name, ErrNotEmpty)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return disk.Create(p.fs, marker, 0o600, write([]byte(g.Name+"\n")))
}

// user puts back a user's packs and then mail.db, which makes him one.
func (p *putter) user(u User) error {
	path := p.to.DatabaseFile(u.ID)
	if err := disk.MkdirAll(p.fs, filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := p.packs(u); err != nil {
		return err
	}
	for _, leftover := range []string{path + "-wal", path + "-shm", path + "-journal"} {
		if err := p.fs.Remove(leftover); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return p.database(u.Records, path)
}

func (p *putter) packs(u User) error {
	for _, pack := range u.Packs {
		if err := p.pack(u, pack); err != nil {
			return fmt.Errorf("pack %d: %w", pack.N, err)
		}
	}
	return nil
}

// database puts a mail.db back. It gives up the packs that it meant to remove when it was
// copied before it has its name: beside newer packs, they are others' by now.
func (p *putter) database(o Object, path string) error {
	next := path + ".new"
	if err := disk.WriteSynced(p.fs, next, 0o600, func(w io.Writer) error { return p.load(o, w) }); err != nil {
		return err
	}
	if err := mailstore.Disown(next); err != nil {
		return errors.Join(err, p.fs.Remove(next))
	}
	if err := p.fs.Rename(next, path); err != nil {
		return err
	}
	return p.fs.SyncDir(filepath.Dir(path))
}

// object puts a file back under its name, at once or not at all.
func (p *putter) object(o Object, path string) error {
	return disk.Publish(p.fs, path, 0o600, func(w io.Writer) error { return p.load(o, w) })
}

// pack puts back a pack, unless it is there: with more than the generation has,
// perhaps, which stays.
func (p *putter) pack(u User, c Pack) error {
	path, err := p.to.PackFile(u.ID, c.of())
	if err != nil {
		return err
	}
	if err := disk.MkdirAll(p.fs, filepath.Dir(path), 0o700); err != nil {
		return err
	}
	switch same, err := p.isThere(path, c); {
	case err != nil || same:
		return err
	default:
		if err := p.moveAside(path); err != nil {
			return err
		}
	}
	err = disk.Create(p.fs, path, 0o600, func(w io.Writer) error { return p.copyPack(w, u, c) })
	if err == nil {
		p.out.Bytes += c.End
	}
	return err
}

func (p *putter) copyPack(w io.Writer, u User, c Pack) (err error) {
	f, err := p.fs.OpenFile(p.packPath(u.ID, c.File), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = mailstore.ScanPack(w, io.NewSectionReader(f, 0, c.End), 0, c.End, func(at int64, err error) bool {
		p.out.Damaged++
		p.o.Report(fmt.Sprintf("user %s, pack %d at %d", u.ID, c.N, at), err)
		return true
	})
	return err
}

// isThere reports whether a file holds all that the generation has of a pack.
func (p *putter) isThere(path string, c Pack) (bool, error) {
	f, err := p.fs.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	same := false
	if info, err := f.Stat(); err == nil && info.Size() >= c.End {
		s, err := mailstore.ScanPack(io.Discard, io.NewSectionReader(f, 0, c.End), 0, c.End, func(int64, error) bool { return false })
		same = err == nil && s.Whole == c.End && s.Last == c.Last && s.Mark == c.Mark
	}
	return same, f.Close()
}

// moveAside gives a file that is in the way a name under which nobody looks.
func (p *putter) moveAside(path string) error {
	if _, err := p.fs.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	moment := path + ".before-" + p.o.Now().UTC().Format(timeLayout)
	aside := moment
	for n := 2; ; n++ { // twice in a second, after a run that was interrupted
		if _, err := p.fs.Stat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		aside = fmt.Sprintf("%s-%d", moment, n)
	}
	if err := p.fs.Rename(path, aside); err != nil {
		return err
	}
	p.out.Aside = append(p.out.Aside, aside)
	return p.fs.SyncDir(filepath.Dir(path))
}

// renew raises the counters of what was put back.
func (p *putter) renew(ctx context.Context, users []User) (err error) {
	store, err := mailstore.Open(ctx, p.to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := p.settleDoubles(ctx, store, users); err != nil {
		return err
	}
	for _, u := range users {
		m, err := store.Acquire(ctx, u.ID)
		if err != nil {
			return err
		}
		err = m.Renew(ctx)
		m.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// RestoreUser puts a user's mail of a generation in place of what the slot has of it.
// No daemon may run. What was there gets other names (Restored.Aside), but for packs
// that hold what the generation has: messages that came since stay in them.
func (r *Repository) RestoreUser(ctx context.Context, u User, to mailstore.Options) (Restored, error) {
	lock, err := r.lock(disk.Shared)
	if err != nil {
		return Restored{}, err
	}
	p := &putter{Repository: r, to: to}
	err = p.replace(ctx, u)
	if err = errors.Join(err, lock.Close()); err != nil {
		err = fmt.Errorf("restore user %s: %w", u.ID, err)
	}
	return p.out, err
}

func (p *putter) replace(ctx context.Context, u User) (err error) {
	store, err := mailstore.Open(ctx, p.to) // holds slot.lock: nobody else has the mail open
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	path := p.to.DatabaseFile(u.ID)
	// mail.db first: nothing is served without it, and it must never be without its WAL.
	for _, name := range []string{path, path + "-wal", path + "-shm", path + "-journal"} {
		if err := p.moveAside(name); err != nil {
			return err
		}
	}
	if err := p.packs(u); err != nil {
		return err
	}
	if err := store.PutBack(ctx, u.ID, func(w io.Writer) error { return p.load(u.Records, w) }); err != nil {
		return err
	}
	p.out.Users++
	return p.strays(ctx, store, u.ID)
}
