package tiers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"teraslot/activefile"
	"teraslot/disk"
)

// Commit adds documents to the user's first database and returns when that is
// durable: every snapshot taken afterwards has them. Of several documents with one
// GUID, the first complete one is taken. It may be called by several goroutines
// and processes at once; they take turns.
func (x *Index) Commit(ctx context.Context, docs []Doc) error {
	_, err := x.CommitInto(ctx, docs)
	return err
}

// CommitInto is Commit that also returns the stamp of the database which has the
// documents, as Claims lists it; "" where there were none.
func (x *Index) CommitInto(ctx context.Context, docs []Doc) (database string, err error) {
	docs = oneEach(docs)
	if len(docs) == 0 {
		return "", nil
	}
	segments, err := x.set.build(ctx, docs)
	if err != nil {
		return "", fmt.Errorf("index of %s: %w", x.user, err)
	}
	defer x.set.recycle(segments)
	x.set.o.Step("commit: built")
	if err := disk.MkdirAll(x.set.o.FS, x.dir, 0o700); err != nil {
		return "", fmt.Errorf("index of %s: %w", x.user, err)
	}
	write, err := x.file.Write(ctx)
	if err != nil {
		return "", fmt.Errorf("index of %s: %w", x.user, err)
	}
	db, m, err := x.commit(ctx, segments)
	if x.ranOut(db.Tier, err) {
		_, m, err = x.commit(ctx, segments)
	}
	if err == nil && pile(m.Segments) != nil {
		err = x.mergeSmall(ctx)
	}
	if err = errors.Join(err, write.Unlock()); err != nil {
		return "", fmt.Errorf("index of %s: commit: %w", x.user, x.advised(err))
	}
	return m.ID.String(), nil
}

// commit publishes new segments, with index.write held. A compaction may freeze
// the first database before the manifest is replaced: then they go to the next. It
// returns the database that they were to go to, and what it has now.
func (x *Index) commit(ctx context.Context, segments []*built) (db activefile.Database, next manifest, err error) {
	for {
		db, dir, m, err := x.writable(ctx, bytesOf(segments))
		if err != nil {
			db.Tier = cmp.Or(db.Tier, x.set.o.DefaultTier)
			return db, m, err
		}
		next, err := x.writeSegments(dir, m, segments)
		if err != nil {
			x.discard(dir, m, len(segments))
			if errors.Is(err, fs.ErrNotExist) && !x.isFirst(db) { // it was compacted meanwhile, and deleted
				continue
			}
			return db, m, err
		}
		x.set.o.Step("commit: written")
		if ok, err := x.replace(ctx, db, dir, next); ok || err != nil {
			return db, next, err
		}
	}
}

// isFirst reports whether a database is the first one, as far as that can be read.
func (x *Index) isFirst(db activefile.Database) bool {
	active, err := x.file.Peek()
	return err != nil || len(active.Databases) > 0 && active.Databases[0] == db
}

// writeSegments writes segments and their names, synced, and returns the manifest that
// has them.
func (x *Index) writeSegments(dir string, m manifest, segments []*built) (manifest, error) {
	next := m
	next.Segments = slices.Clone(m.Segments)
	for _, b := range segments {
		info, err := x.writeSegment(dir, next.Next, b)
		if err != nil {
			return next, err
		}
		next.Segments = append(next.Segments, info)
		next.Next++
	}
	return next, x.set.o.FS.SyncDir(filepath.Join(dir, storeDir))
}

// replace publishes a manifest of the writable database, if it still is that:
// false if not. index.write is held, so nobody else replaces it.
func (x *Index) replace(ctx context.Context, db activefile.Database, dir string, m manifest) (ok bool, err error) {
	lock, err := x.file.Shared(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	active, err := lock.Active()
	if errors.Is(err, activefile.ErrDamaged) {
		return false, nil // writable sees to it
	}
	if err != nil {
		return false, err
	}
	if len(active.Databases) == 0 || active.Databases[0] != db {
		return false, nil
	}
	if err := publishManifest(x.set.o.FS, dir, m); err != nil {
		return false, err
	}
	x.set.o.Step("commit: published")
	return true, nil
}

// writeSegment writes the files of a segment, synced; their names are synced by
// the caller.
func (x *Index) writeSegment(dir string, number uint64, b *built) (segmentInfo, error) {
	info := segmentInfo{Number: number, Docs: b.docs, Complete: b.complete}
	for _, f := range []struct {
		ext  string
		data []byte
		info *fileInfo
	}{{listsExt, b.lists, &info.Lists}, {termsExt, b.terms, &info.Terms}, {textExt, b.text, &info.Text}} {
		// What a crash left under the name may still be mapped by nobody, for no
		// manifest named it; yet a fresh file cannot be anybody's.
		name := segmentFile(dir, number, f.ext)
		if err := removeIfThere(x.set.o.FS, name); err != nil {
			return info, err
		}
		*f.info = fileInfo{int64(len(f.data)), crc32.Checksum(f.data, castagnoli)}
		err := disk.WriteSynced(x.set.o.FS, name, 0o600, func(w io.Writer) error {
			_, err := w.Write(f.data)
			return err
		})
		if err != nil {
			return info, err
		}
	}
	return info, nil
}

func removeIfThere(fsys disk.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writable returns the database to commit to, with its manifest. If the first one
// is missing (a tier in memory after a restart), unreadable, frozen, of other
// versions, or in a tier without room for so many bytes, a new one is put in front.
// index.write is held.
func (x *Index) writable(ctx context.Context, bytes int64) (activefile.Database, string, manifest, error) {
	// Without a lock: replace looks again whether this is still the first database.
	active, err := x.file.Peek()
	if err == nil {
		if db, dir, m, ok, err := x.usable(active, bytes); ok || err != nil {
			return db, dir, m, err
		}
	} else if !errors.Is(err, activefile.ErrDamaged) {
		return activefile.Database{}, "", manifest{}, err
	}
	lock, err := x.file.Exclusive(ctx)
	if err != nil {
		return activefile.Database{}, "", manifest{}, err
	}
	db, dir, m, err := x.renewFront(lock, bytes)
	return db, dir, m, errors.Join(err, lock.Unlock())
}

// usable reports whether the first database can be committed to. An error says
// nothing about the database: it is no reason for a new one.
func (x *Index) usable(active activefile.Active, bytes int64) (db activefile.Database, dir string, m manifest, ok bool, err error) {
	if len(active.Databases) == 0 {
		return db, "", m, false, nil
	}
	db = active.Databases[0]
	s := x.source(db)
	if s.damage == nil && !s.missing {
		s.damage = x.set.known(s.m.ID)
	}
	if s.damage != nil {
		if err := passing(s.damage); err != nil {
			return db, s.dir, m, false, fmt.Errorf("%s: %w", db, err)
		}
		x.set.report(&Damage{db.String(), s.dir, s.damage})
	}
	return db, s.dir, s.m, s.live() && !s.m.Frozen && x.frontTier(db.Tier, bytes) == db.Tier, nil
}

// renewFront puts a new database in front, unless that has happened meanwhile. A
// damaged activefile is replaced first.
func (x *Index) renewFront(lock *activefile.Lock, bytes int64) (activefile.Database, string, manifest, error) {
	active, err := lock.Reset()
	if err != nil {
		return activefile.Database{}, "", manifest{}, err
	}
	if db, dir, m, ok, err := x.usable(active, bytes); ok || err != nil {
		return db, dir, m, err
	}
	db, dir, m, err := x.newFront(lock, x.frontTier(tierOf(active), bytes))
	if err != nil {
		return db, dir, m, err
	}
	active.Databases = append([]activefile.Database{db}, active.Databases...)
	return db, dir, m, lock.Publish(active)
}

// newFront makes an empty database in a tier, which the caller names in the activefile under the same lock. If that does not happen, its directory
// keeps the generation from being given again, and is cleaned up later.
func (x *Index) newFront(lock *activefile.Lock, tier string) (db activefile.Database, dir string, m manifest, err error) {
	if db, err = lock.Reserve(tier); err != nil {
		return db, "", m, err
	}
	if dir, err = x.databaseDir(db); err != nil {
		return db, dir, m, err
	}
	m = manifest{Versions: currentVersions(x.set.o.ExtractVersion), Next: 1}
	if m.ID, err = newStamp(x.set.o.Rand); err != nil {
		return db, dir, m, err
	}
	if err = disk.MkdirAll(x.set.o.FS, filepath.Join(dir, storeDir), 0o700); err != nil {
		return db, dir, m, err
	}
	if err = publishManifest(x.set.o.FS, dir, m); err == nil {
		x.set.o.Step("front: made")
	}
	return db, dir, m, err
}

// fanOut is how many segments of one size class, each fanOut times the one
// before, the writable database has before they are merged: so a document is
// rewritten once for each class that it passes, and there are less than fanOut
// segments in each.
const fanOut = 8

// largest is the size, in documents, from which segments are left alone: they
// wait for a compaction.
const largest = 1 << 15

// pile returns the segments that are due to be merged: those of the smallest
// class that is full, and what is smaller.
func pile(segments []segmentInfo) []segmentInfo {
	for low, high := uint32(0), uint32(fanOut); high <= largest; low, high = high, high*fanOut {
		var class, upTo []segmentInfo
		for _, s := range segments {
			if s.Docs < high {
				upTo = append(upTo, s)
			}
			if s.Docs >= low && s.Docs < high {
				class = append(class, s)
			}
		}
		if len(class) >= fanOut {
			return upTo
		}
	}
	return nil
}

// mergeSmall merges small segments of the writable database as they pile up.
// index.write is held; searching goes on. Losing the database to a compaction
// meanwhile is no error, and neither is a tier without room for both.
func (x *Index) mergeSmall(ctx context.Context) error {
	active, err := x.file.Peek() // replace looks again
	if err != nil {
		return err
	}
	db, dir, m, ok, err := x.usable(active, 0)
	if !ok || err != nil {
		return err
	}
	small := pile(m.Segments)
	if small == nil {
		return nil
	}
	// Newest first, as everywhere: of two documents with one GUID, the newer.
	slices.SortFunc(small, func(a, b segmentInfo) int { return cmp.Compare(b.Number, a.Number) })
	job := newMerge(x.set, dir, m.Next)
	for _, info := range small {
		job.add(dir, m.ID, info)
	}
	defer job.close()
	info, err := job.run(ctx)
	if err != nil {
		x.discard(dir, m, 1)
	}
	if noRoom(err) {
		return nil // what was committed is there
	}
	if errors.Is(err, errFault) || errors.Is(err, errChecksum) {
		x.set.report(&Damage{db.String(), dir, err})
		return nil // what was committed is safe; snapshots see the damage, too
	}
	if err != nil {
		return err
	}
	x.set.o.Step("commit: merged")
	next := m
	next.Next++
	next.Segments = slices.DeleteFunc(slices.Clone(m.Segments), func(s segmentInfo) bool {
		return slices.ContainsFunc(small, func(o segmentInfo) bool { return o.Number == s.Number })
	})
	next.Segments = append(next.Segments, info)
	gone := small
	if ok, err := x.replace(ctx, db, dir, next); err != nil {
		return err
	} else if !ok {
		gone = []segmentInfo{info}
	}
	return x.removeSegments(dir, gone)
}

// removeSegments deletes segments that no manifest names. Who has them open is
// not disturbed; who was about to open them reads the manifest again.
func (x *Index) removeSegments(dir string, gone []segmentInfo) error {
	for _, info := range gone {
		for _, ext := range []string{listsExt, termsExt, textExt} {
			if err := removeIfThere(x.set.o.FS, segmentFile(dir, info.Number, ext)); err != nil {
				return err
			}
		}
	}
	x.set.dropStaleIn(dir)
	return nil
}
