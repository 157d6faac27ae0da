package tiers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"

	"teraslot/activefile"
)

// Clean deletes what the activefile does not name: databases of compactions that
// were interrupted, segments of commits that were. It returns ErrHeld if the user
// is being compacted.
func (x *Index) Clean(ctx context.Context) (err error) {
	if _, err := x.set.o.FS.Stat(x.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	held, err := x.file.TryCompact()
	if err != nil {
		return fmt.Errorf("clean the index of %s: %w", x.user, err)
	}
	defer func() { err = errors.Join(err, held.Unlock()) }()
	if err := x.clean(ctx, false); err != nil {
		return fmt.Errorf("clean the index of %s: %w", x.user, x.advised(err))
	}
	return nil
}

// clean is Clean with index.compact held. Directories are listed before the
// activefile is read: one that is made in between is not seen, one that was made
// before is named by then, or never will be. sure: the caller has published the activefile, or else that
// is done before anything goes, for of an earlier publication nobody knows whether its last sync failed.
func (x *Index) clean(ctx context.Context, sure bool) error {
	there, err := x.directories()
	if err != nil {
		return err
	}
	active, err := x.file.Read(ctx)
	if errors.Is(err, activefile.ErrDamaged) {
		return nil // which databases are live is for the next commit to decide
	}
	if err != nil {
		return err
	}
	unnamed := func(db activefile.Database) bool { return !active.Contains(db) }
	if !sure && slices.ContainsFunc(there, unnamed) {
		if err := x.file.Assure(ctx); err != nil {
			return err
		}
		if active, err = x.file.Read(ctx); err != nil {
			return err
		}
	}
	var failed []error
	for _, db := range there {
		if unnamed(db) {
			dir, err := x.databaseDir(db)
			if err == nil {
				err = x.removeDatabase(dir)
			}
			failed = append(failed, err)
		}
	}
	failed = append(failed, x.cleanElsewhere())
	for _, db := range active.Databases {
		failed = append(failed, x.cleanLive(ctx, db))
	}
	return errors.Join(failed...)
}

// directories are the user's databases that have a directory, listed or not.
func (x *Index) directories() ([]activefile.Database, error) {
	var out []activefile.Database
	roots, err := x.roots()
	if err != nil {
		return nil, err
	}
	for _, tier := range slices.Sorted(maps.Keys(roots)) {
		generations, err := x.foundBelow(roots[tier])
		if err != nil {
			return nil, err
		}
		for _, n := range generations {
			out = append(out, activefile.Database{Tier: tier, Generation: n})
		}
	}
	return out, nil
}

// Names of files of a database, and below its store; .new is what a publication
// leaves that was interrupted. index_meta.json, root.bolt and .zap are of databases
// of format 1.
var (
	databaseFile = regexp.MustCompile(`^(manifest|index_meta\.json)(\.new)?$`)
	storeFile    = regexp.MustCompile(`^(root\.bolt|[0-9a-f]{12,16}\.(lists|terms|text|zap))$`)
)

// removeDatabase deletes a database's directory: the manifest first, so that a
// part of it is none; then the files that have our names, and the directories if
// nothing else is in them.
func (x *Index) removeDatabase(dir string) error {
	fsys := x.set.o.FS
	if err := removeIfThere(fsys, filepath.Join(dir, manifestName)); err != nil {
		return err
	}
	store := filepath.Join(dir, storeDir)
	for _, d := range []struct {
		dir   string
		names *regexp.Regexp
	}{{store, storeFile}, {dir, databaseFile}} {
		if err := x.removeFiles(d.dir, d.names); err != nil {
			return err
		}
		if err := removeIfThere(fsys, d.dir); err != nil {
			return fmt.Errorf("delete %s, of which the user's index knows nothing any more: %w", d.dir, err)
		}
	}
	x.set.dropStaleIn(dir) // or a tier in memory stays full until Run does it
	x.set.o.Step("clean: removed")
	return fsys.SyncDir(filepath.Dir(dir))
}

// removeFiles deletes the files of a directory that match.
func (x *Index) removeFiles(dir string, names *regexp.Regexp) error {
	entries, err := x.set.o.FS.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && names.MatchString(e.Name()) {
			if err := removeIfThere(x.set.o.FS, filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// cleanLive deletes segments of a live database that its manifest does not name: of
// the first one, or of one that was the first when a commit was interrupted. Only if
// there are any, index.write is taken, and looked at again.
func (x *Index) cleanLive(ctx context.Context, db activefile.Database) (err error) {
	extra, _, err := x.unnamed(db)
	if err != nil || len(extra) == 0 {
		return err
	}
	write, err := x.file.Write(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, write.Unlock()) }()
	extra, store, err := x.unnamed(db)
	if err != nil {
		return err
	}
	for _, name := range extra {
		if err := removeIfThere(x.set.o.FS, filepath.Join(store, name)); err != nil {
			return err
		}
	}
	return nil
}

// unnamed lists the files in a database's store that its manifest does not name.
func (x *Index) unnamed(db activefile.Database) (names []string, store string, err error) {
	s := x.source(db)
	if s.missing || s.damage != nil {
		return nil, "", nil
	}
	named := map[string]bool{}
	for _, info := range s.m.Segments {
		for _, ext := range []string{listsExt, termsExt, textExt} {
			named[filepath.Base(segmentFile("", info.Number, ext))] = true
		}
	}
	store = filepath.Join(s.dir, storeDir)
	entries, err := x.set.o.FS.ReadDir(store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, store, err
	}
	for _, e := range entries {
		if storeFile.MatchString(e.Name()) && !named[e.Name()] {
			names = append(names, e.Name())
		}
	}
	return names, store, nil
}

// Remove deletes the user's databases. The activefile stays, naming none, so that
// generations are not used again. It returns ErrHeld if the user is being
// compacted.
func (x *Index) Remove(ctx context.Context) (err error) {
	if _, err := x.set.o.FS.Stat(x.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	held, err := x.file.TryCompact()
	if err != nil {
		return fmt.Errorf("remove the index of %s: %w", x.user, err)
	}
	defer func() { err = errors.Join(err, held.Unlock()) }()
	write, err := x.file.Write(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, write.Unlock()) }()
	if err := x.nameNone(ctx); err != nil {
		return fmt.Errorf("remove the index of %s: %w", x.user, x.advised(err))
	}
	if err := x.clean(ctx, false); err != nil {
		return fmt.Errorf("remove the index of %s: %w", x.user, err)
	}
	for _, r := range x.set.o.everyRoot() {
		dir := filepath.Join(r.root, x.user.Dir())
		if err := removeIfThere(x.set.o.FS, dir); err != nil {
			return fmt.Errorf("remove the index of %s: %w", x.user, err)
		}
	}
	return nil
}

// Reset replaces an activefile that is damaged or gone by one that names no database, as the next commit
// or compaction would: for users who have neither. One that can be read stays as it is.
func (x *Index) Reset(ctx context.Context) error {
	lock, err := x.file.Exclusive(ctx)
	if err != nil {
		return fmt.Errorf("reset the index of %s: %w", x.user, err)
	}
	active, err := lock.Reset()
	if err == nil {
		var there bool
		if there, err = lock.Exists(); err == nil && !there {
			err = lock.Publish(active)
		}
	}
	if err = errors.Join(err, lock.Unlock()); err != nil {
		return fmt.Errorf("reset the index of %s: %w", x.user, x.advised(err))
	}
	return nil
}

// nameNone publishes an activefile without databases.
func (x *Index) nameNone(ctx context.Context) (err error) {
	lock, err := x.file.Exclusive(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	active, err := lock.Reset()
	if err != nil || len(active.Databases) == 0 {
		return err
	}
	active.Databases = nil
	return lock.Publish(active)
}
