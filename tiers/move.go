package tiers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"teraslot/activefile"
	"teraslot/disk"
)

// tierRoot is one of the roots of a tier.
type tierRoot struct{ tier, root string }

// everyRoot are the roots of all tiers on all partitions, each once.
func (o Options) everyRoot() (out []tierRoot) {
	for _, p := range append([]map[string]string{o.Roots}, o.Partitions...) {
		for _, tier := range slices.Sorted(maps.Keys(p)) {
			if r := (tierRoot{tier, p[tier]}); !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// roots are those of the user's tiers.
func (x *Index) roots() (map[string]string, error) {
	if x.set.o.RootsOf == nil {
		return x.set.o.Roots, nil
	}
	return x.set.o.RootsOf(x.user)
}

// below is the directory of a generation below a root.
func (x *Index) below(root string, generation uint64) string {
	return filepath.Join(root, x.user.Dir(), strconv.FormatUint(generation, 10))
}

// found lists the generations of a tier that have a directory, on whatever partition.
func (x *Index) found(tier string) (out []uint64, err error) {
	for _, r := range x.set.o.everyRoot() {
		if r.tier != tier {
			continue
		}
		below, err := x.foundBelow(r.root)
		if err != nil {
			return nil, err
		}
		out = append(out, below...)
	}
	return out, nil
}

// cleanElsewhere deletes what the user has below roots that are not his: what a move has
// left behind, or had brought before it was interrupted. index.compact is held.
func (x *Index) cleanElsewhere() error {
	mine, err := x.roots()
	if err != nil {
		return err
	}
	for _, r := range x.set.o.everyRoot() {
		if mine[r.tier] == r.root {
			continue
		}
		generations, err := x.foundBelow(r.root)
		if err != nil {
			return err
		}
		for _, n := range generations {
			if err := x.removeDatabase(x.below(r.root, n)); err != nil {
				return err
			}
		}
		dir := filepath.Join(r.root, x.user.Dir())
		if entries, err := x.set.o.FS.ReadDir(dir); err == nil && len(entries) == 0 {
			if err := removeIfThere(x.set.o.FS, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// Move copies the user's databases to other roots and has commit make these the ones that
// Options.RootsOf tells; then it deletes those that were left. Searches go on all the
// while, commits but for the copying of what came last. It returns ErrHeld while the user is
// compacted. Where commit was not called, nothing has changed. A copy that a crash or an error leaves goes with the
// next Clean; so does, if commit has failed, whichever is not the user's.
func (x *Index) Move(ctx context.Context, to map[string]string, commit func() error) (err error) {
	if _, err := x.set.o.FS.Stat(x.dir); errors.Is(err, fs.ErrNotExist) {
		return commit()
	}
	held, err := x.file.TryCompact()
	if err != nil {
		return fmt.Errorf("move the index of %s: %w", x.user, err)
	}
	defer func() { err = errors.Join(err, held.Unlock()) }()
	if err := x.clean(ctx, false); err != nil { // also what an earlier move has left there
		return fmt.Errorf("move the index of %s: %w", x.user, x.advised(err))
	}
	if err := x.move(ctx, to, commit); err != nil {
		return fmt.Errorf("move the index of %s: %w", x.user, x.advised(err))
	}
	x.set.o.Step("move: published")
	if err := x.clean(context.WithoutCancel(ctx), false); err != nil {
		return fmt.Errorf("clean up after moving the index of %s: %w", x.user, err)
	}
	return nil
}

// move is Move up to the commit, with index.compact held.
func (x *Index) move(ctx context.Context, to map[string]string, commit func() error) (err error) {
	copied := map[activefile.Database]bool{}
	active, err := x.file.Read(ctx)
	if err != nil {
		return err
	}
	for i, db := range active.Databases {
		if i == 0 {
			continue // it changes still
		}
		if err := x.copyDatabase(ctx, db, to); err != nil {
			return err
		}
		copied[db] = true
	}
	x.set.o.Step("move: copied")
	write, err := x.file.Write(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, write.Unlock()) }()
	if active, err = x.file.Read(ctx); err != nil {
		return err
	}
	for _, db := range active.Databases {
		if copied[db] {
			continue
		}
		if err := x.copyDatabase(ctx, db, to); err != nil {
			return err
		}
	}
	lock, err := x.file.Exclusive(ctx)
	if err != nil {
		return err
	}
	return errors.Join(commit(), lock.Unlock())
}

// copyDatabase copies a database, octet by octet, damaged ones too; one that is missing
// stays so. Its manifest goes last: without it there is none.
func (x *Index) copyDatabase(ctx context.Context, db activefile.Database, to map[string]string) error {
	from, err := x.databaseDir(db)
	if err != nil {
		return err
	}
	dest := x.below(to[db.Tier], db.Generation)
	if dest == from {
		return nil
	}
	fsys := x.set.o.FS
	if _, err := fsys.Stat(filepath.Join(from, manifestName)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := disk.MkdirAll(fsys, filepath.Join(dest, storeDir), 0o700); err != nil {
		return err
	}
	entries, err := fsys.ReadDir(filepath.Join(from, storeDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !storeFile.MatchString(e.Name()) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		name := filepath.Join(storeDir, e.Name())
		if err := x.copyFile(filepath.Join(from, name), filepath.Join(dest, name), disk.WriteSynced); err != nil {
			return err
		}
	}
	if err := fsys.SyncDir(filepath.Join(dest, storeDir)); err != nil {
		return err
	}
	return x.copyFile(filepath.Join(from, manifestName), filepath.Join(dest, manifestName), disk.Publish)
}

// copyFile copies one file by the given way of writing.
func (x *Index) copyFile(from, to string, write func(disk.FS, string, fs.FileMode, func(io.Writer) error) error) error {
	f, err := x.set.o.FS.OpenFile(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	err = write(x.set.o.FS, to, 0o600, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
	return errors.Join(err, f.Close())
}
