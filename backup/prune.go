package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// Keep says which generations stay. The latest always does; of the others those that
// either rule keeps. The zero value keeps all.
type Keep struct {
	Count int           // so many of the latest; 0 is no rule, beside Age as LeastByAge
	Age   time.Duration // those not older than that; 0 is no rule
}

// LeastByAge is how many of the latest generations stay where only Age says which: a
// clock that runs ahead makes all of them old, at once.
const LeastByAge = 3

// Pruned is what Prune did.
type Pruned struct {
	Generations int   // removed
	Files       int   // removed
	Bytes       int64 // that they had
}

// putBack makes manifests that were removed what they were.
func (r *Repository) putBack(gone []*Generation) error {
	var failed []error
	for _, g := range gone {
		b, err := g.encode()
		if err == nil {
			err = disk.Create(r.fs, filepath.Join(r.dir, generationsDir, g.Name), 0o600, write(b))
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// Prune removes the generations that are not to be kept, and then every file of this
// package that no generation names: what interrupted runs have left, too. Where a
// manifest cannot be read, no files are removed: what it names is not known.
func (r *Repository) Prune(ctx context.Context, keep Keep) (out Pruned, err error) {
	lock, err := r.lock(disk.Exclusive)
	if err != nil {
		return out, err
	}
	defer func() {
		if err = errors.Join(err, lock.Close()); err != nil {
			err = fmt.Errorf("prune %s: %w", r.dir, err)
		}
	}()
	names, err := r.generationNames()
	if err != nil {
		return out, err
	}
	// All before the first goes: a newer one that is damaged keeps none from being the
	// last that mail can be restored from.
	all := make([]*Generation, len(names))
	for i, name := range names {
		if all[i], err = r.Generation(name); err != nil {
			return out, fmt.Errorf("nothing is removed: %w", err)
		}
	}
	var left, gone []*Generation
	for i, g := range all {
		if newer := len(all) - 1 - i; keep.keeps(newer, r.o.Now().Sub(g.Time)) {
			left = append(left, g)
			continue
		}
		if err := r.fs.Remove(filepath.Join(r.dir, generationsDir, g.Name)); err != nil {
			return out, err
		}
		gone = append(gone, g)
	}
	out.Generations = len(gone)
	// Before what they name, and what those name that a run has removed which was killed: a manifest that comes back would name what is
	// gone. One that failed no other sync makes good: the next run is to remove them anew.
	if err := r.fs.SyncDir(filepath.Join(r.dir, generationsDir)); err != nil {
		return out, errors.Join(err, r.putBack(gone))
	}
	r.o.Step(StepRetired)
	err = r.sweep(ctx, named(left), &out)
	return out, err
}

// keeps tells whether a generation stays that is so old, and older than so many.
func (k Keep) keeps(newer int, age time.Duration) bool {
	if k.Count == 0 && k.Age > 0 {
		k.Count = LeastByAge
	}
	return newer == 0 || k == (Keep{}) || newer < k.Count || k.Age > 0 && age <= k.Age
}

// named returns the files that generations name, below the directory.
func named(all []*Generation) map[string]bool {
	files := map[string]bool{}
	for _, g := range all {
		files[g.Accounts.File] = true
		for _, u := range g.Users {
			files[u.Records.File] = true
			for _, p := range u.Packs {
				files[filepath.ToSlash(filepath.Join(userDir(u.ID), p.File))] = true
			}
		}
	}
	return files
}

// sweep removes this package's files that are not named, and empty directories of users.
func (r *Repository) sweep(ctx context.Context, named map[string]bool, out *Pruned) error {
	if err := r.sweepDir(accountsDir, named, out); err != nil {
		return err
	}
	groups, err := r.list(usersDir)
	if err != nil {
		return err
	}
	for _, group := range groups {
		users, err := r.list(filepath.Join(usersDir, group.Name()))
		if err != nil {
			return err
		}
		for _, e := range users {
			u, err := mailbox.ParseUser(e.Name())
			if err != nil || !e.IsDir() || filepath.Base(filepath.Dir(u.Dir())) != group.Name() {
				continue
			}
			if err := interrupted(ctx); err != nil {
				return err
			}
			if err := r.sweepDir(userDir(u), named, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Repository) list(dir string) ([]fs.DirEntry, error) {
	entries, err := r.fs.ReadDir(filepath.Join(r.dir, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

func (r *Repository) sweepDir(dir string, named map[string]bool, out *Pruned) error {
	entries, err := r.list(dir)
	if err != nil {
		return err
	}
	left := len(entries)
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		if e.IsDir() || named[filepath.ToSlash(file)] || !ours(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if err := r.fs.Remove(filepath.Join(r.dir, file)); err != nil {
			return err
		}
		left--
		out.Files++
		out.Bytes += info.Size()
		r.o.Step(StepRemoved)
	}
	// Not synced: a file that comes back is removed the next time.
	if left == 0 && dir != accountsDir {
		return r.fs.Remove(filepath.Join(r.dir, dir))
	}
	return nil
}

// ours tells whether a name is one that this package gives to files of generations.
func ours(name string) bool {
	if _, ok := packNumber(name); ok {
		return true
	}
	return isGenerationName(strings.TrimSuffix(name, recordsSuffix))
}
