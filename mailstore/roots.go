package mailstore

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"teraslot/disk"
	"teraslot/mailbox"
)

// Roots are the partitions where a user's messages lie.
type Roots struct {
	Spool   string // of new mail
	Archive string // of large and old mail; may be Spool
}

// list are the roots, each once.
func (r Roots) list() []string {
	if r.Archive == r.Spool {
		return []string{r.Spool}
	}
	return []string{r.Spool, r.Archive}
}

// rootsOf tells where a user's messages lie.
func (o Options) rootsOf(u mailbox.User) (Roots, error) {
	if o.Roots == nil {
		return Roots{o.Spool, o.Archive}, nil
	}
	return o.Roots(u)
}

// everyRoot are all roots below which users' messages may lie, each once.
func (o Options) everyRoot() []string {
	all := Roots{o.Spool, o.Archive}.list()
	for _, p := range o.Partitions {
		for _, root := range p.list() {
			if !slices.Contains(all, root) {
				all = append(all, root)
			}
		}
	}
	return all
}

// home is where a user's packs lie.
type home struct {
	roots Roots
	dirs  [places]string // the user's directory below each
}

// settle asks where the user's packs lie, and reports whether that is elsewhere than
// it was.
func (d *packDir) settle() (moved bool, err error) {
	r, err := d.ask(d.user)
	if err != nil {
		return false, err
	}
	before := d.at.Load()
	if before != nil && before.roots == r {
		return false, nil
	}
	d.at.Store(&home{r, [places]string{filepath.Join(r.Spool, d.user.Dir()), filepath.Join(r.Archive, d.user.Dir())}})
	return true, nil
}

// dir is the directory of the packs of a place.
func (d *packDir) dir(p place) string { return d.at.Load().dirs[p] }

// dirs are the directories of all places, each once.
func (d *packDir) dirs() []string { return slices.Compact(slices.Clone(d.at.Load().dirs[:])) }

// archives reports whether the archive is a partition of its own.
func (d *packDir) archives() bool { r := d.at.Load().roots; return r.Archive != r.Spool }

// open opens pack n. Beside the owner of the slot, the user may have moved to another
// partition since the packs were last there: then it is looked for there.
func (d *packDir) open(p place, n uint64, flag int) (disk.File, error) {
	f, err := d.fs.OpenFile(d.path(p, n), flag, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if moved, e := d.settle(); e != nil || !moved {
		return nil, errors.Join(err, e)
	}
	return d.fs.OpenFile(d.path(p, n), flag, 0)
}
