package tiers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strconv"

	"teraslot/activefile"
	"teraslot/mailbox"
)

// Snapshot is a user's index at one moment: what happens to the databases later
// does not change it. Documents are numbered from 0 over all segments, the newest
// database first; a message may have several. It may be used from any goroutine
// until Close.
type Snapshot struct {
	set      *Set
	active   activefile.Active
	segments []*Segment
	docs     uint32
	damaged  []*Damage
	outdated []activefile.Database
}

// Segment is a part of a snapshot whose documents never change.
type Segment struct {
	h        *handle
	base     uint32
	database activefile.Database
}

// ID is unique and the same in every snapshot and process, for caches.
func (s *Segment) ID() string { return s.h.key.String() }

// Len is how many documents it has.
func (s *Segment) Len() uint32 { return s.h.info.Docs }

// Base is the snapshot's number of the segment's first document.
func (s *Segment) Base() uint32 { return s.base }

// GUID is that of the segment's nth document, counted from 0.
func (s *Segment) GUID(doc uint32) mailbox.GUID { return s.h.guids[doc] }

// Complete reports whether the segment's nth document holds all of its message.
func (s *Segment) Complete(doc uint32) bool { return s.h.complete.has(doc) }

// errGone says that a segment's file was deleted before it could be opened.
var errGone = errors.New("deleted meanwhile")

// Snapshot opens the user's index as it is now. index.lock is held while the
// activefile and the manifests are read; if what they name is gone before it is
// opened, they are read again. A missing database is empty, an unreadable one is
// reported, one of other versions makes no claims.
func (x *Index) Snapshot(ctx context.Context) (*Snapshot, error) {
	const tries = 3
	for try := 1; ; try++ {
		s, err := x.snapshot(ctx, try == tries)
		if !errors.Is(err, errGone) {
			return s, err
		}
	}
}

// snapshot tries once. With hold, index.lock is held until all is open: then
// nothing can be gone that is not lost.
func (x *Index) snapshot(ctx context.Context, hold bool) (_ *Snapshot, err error) {
	s := &Snapshot{set: x.set}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if _, err := x.set.o.FS.Stat(x.dir); errors.Is(err, fs.ErrNotExist) {
		return s, nil // a user without any files has no locks either
	}
	lock, err := x.file.Shared(ctx)
	if err != nil {
		return nil, fmt.Errorf("index of %s: %w", x.user, err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	listed, err := x.take(s, lock)
	if err != nil {
		return nil, err
	}
	if !hold {
		if err := lock.Unlock(); err != nil {
			return nil, err
		}
	}
	for i, l := range listed {
		if err := x.openListed(s, l, hold); err != nil {
			for _, rest := range listed[i+1:] {
				for _, h := range rest.handles {
					x.set.release(h)
				}
			}
			return nil, err
		}
	}
	return s, context.Cause(ctx)
}

// listedDatabase is a database with handles taken, not opened yet.
type listedDatabase struct {
	name    activefile.Database
	dir     string
	id      stamp
	handles []*handle
	m       manifest
}

// take reads the activefile and the manifests, and takes handles.
func (x *Index) take(s *Snapshot, lock *activefile.Lock) (out []listedDatabase, err error) {
	s.active, err = lock.Active()
	if errors.Is(err, activefile.ErrDamaged) {
		s.damaged = append(s.damaged, x.set.report(&Damage{"index.active", x.dir, err}))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("index of %s: %w", x.user, x.advised(err))
	}
	for _, db := range s.active.Databases {
		dir, err := x.databaseDir(db)
		if err != nil {
			s.damaged = append(s.damaged, x.set.report(&Damage{db.String(), "", err}))
			continue
		}
		m, err := readManifest(x.set.o.FS, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a tier in memory was emptied: nothing is claimed
		}
		if err == nil {
			err = x.set.known(m.ID)
		}
		if err != nil {
			s.damaged = append(s.damaged, x.set.report(&Damage{db.String(), dir, err}))
			continue
		}
		if m.Versions != currentVersions(x.set.o.ExtractVersion) {
			s.outdated = append(s.outdated, db)
			continue
		}
		l := listedDatabase{name: db, dir: dir, id: m.ID, m: m}
		for _, info := range m.Segments {
			l.handles = append(l.handles, x.set.acquire(dir, m.ID, info))
		}
		out = append(out, l)
	}
	return out, nil
}

// Claims lists the stamps of the databases that claim documents, which the IDs of
// their segments begin with: those that a snapshot would have, but for damage that
// nobody has met yet. It reads their manifests alone, and takes no lock. A damaged
// activefile claims nothing: the next commit replaces it.
func (x *Index) Claims() ([]string, error) {
	active, err := x.file.Peek()
	if err != nil && !errors.Is(err, activefile.ErrDamaged) {
		return nil, fmt.Errorf("index of %s: %w", x.user, x.advised(err))
	}
	var out []string
	for _, db := range active.Databases {
		if s := x.source(db); s.live() && len(s.m.Segments) > 0 && x.set.known(s.m.ID) == nil {
			out = append(out, s.m.ID.String())
		}
	}
	return out, nil
}

// openListed opens a database's segments. All of them or none are in the
// snapshot: if one cannot be read the database is damaged.
func (x *Index) openListed(s *Snapshot, l listedDatabase, hold bool) error {
	var err error
	for _, h := range l.handles {
		if err = x.set.open(h); err != nil {
			x.set.forget(h)
			break
		}
	}
	if err != nil {
		for _, h := range l.handles {
			x.set.release(h)
		}
		if errors.Is(err, fs.ErrNotExist) && !hold {
			return errGone
		}
		s.damaged = append(s.damaged, x.set.report(&Damage{l.name.String(), l.dir, err}))
		now := x.source(l.name)
		if passing(err) == nil && now.damage == nil && reflect.DeepEqual(now.m.Segments, l.m.Segments) {
			x.set.mu.Lock()
			x.set.bad[l.id] = err
			x.set.mu.Unlock()
		}
		return nil
	}
	for _, h := range l.handles {
		s.segments = append(s.segments, &Segment{h: h, base: s.docs, database: l.name})
		s.docs += h.info.Docs
	}
	return nil
}

// report logs damage, once at each place where it is met.
func (s *Set) report(d *Damage) *Damage {
	s.o.Logger.Error("index damaged: read as absent", "database", d.Database, "path", d.Path, "error", d.Err)
	return d
}

// reportBug logs a bug that was met in a database.
func (s *Set) reportBug(d *Damage, bug *Bug) {
	s.o.Logger.Error("a bug met while reading the index: messages are read instead", "kind", "bug", "database", d.Database,
		"path", d.Path, "error", bug, "stack", string(bug.Stack))
}

// known returns an error for a database that failed while it was used, though
// its checksums were right: it is not tried again.
func (s *Set) known(id stamp) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bad[id]
}

// fault notes that a segment could not be read to the end. For a bug the database is
// not to blame: other keys are still asked of it.
func (s *Set) fault(seg *Segment, err error) {
	if bug := asBug(seg.h, err); bug != nil {
		s.reportBug(&Damage{seg.database.String(), seg.h.dir, bug}, bug)
		return
	}
	s.forget(seg.h)
	s.mu.Lock()
	const most = 1 << 10
	if len(s.bad) >= most {
		clear(s.bad)
	}
	s.bad[seg.h.key.database] = err
	s.mu.Unlock()
	s.report(&Damage{seg.database.String(), seg.h.dir, err})
}

// Close gives back what the snapshot holds.
func (s *Snapshot) Close() error {
	for _, seg := range s.segments {
		s.set.release(seg.h)
	}
	s.segments = nil
	return nil
}

// Active is the activefile as it was.
func (s *Snapshot) Active() activefile.Active { return s.active }

// Segments are the parts of the snapshot, in the order of their documents.
func (s *Snapshot) Segments() []*Segment { return slices.Clone(s.segments) }

// Damaged are the databases that could not be read.
func (s *Snapshot) Damaged() []*Damage { return slices.Clone(s.damaged) }

// Outdated are the databases made by other versions of the code: their messages
// are to be indexed again.
func (s *Snapshot) Outdated() []activefile.Database { return slices.Clone(s.outdated) }

// Docs is the number of documents.
func (s *Snapshot) Docs() uint32 { return s.docs }

// at returns the segment of a document, and its number there.
func (s *Snapshot) at(doc uint32) (*Segment, uint32) {
	i := sort.Search(len(s.segments), func(i int) bool { return s.segments[i].base+s.segments[i].Len() > doc })
	return s.segments[i], doc - s.segments[i].base
}

// GUID is that of a document, whose number is below Docs.
func (s *Snapshot) GUID(doc uint32) mailbox.GUID {
	seg, n := s.at(doc)
	return seg.GUID(n)
}

// Complete reports whether a document holds all of its message.
func (s *Snapshot) Complete(doc uint32) bool {
	seg, n := s.at(doc)
	return seg.Complete(n)
}

// Lookup finds a message's document: a complete one, if there is one.
func (s *Snapshot) Lookup(g mailbox.GUID) (doc uint32, ok bool) {
	for _, seg := range s.segments {
		n, found := s.lookup(seg, g)
		if !found {
			continue
		}
		if seg.Complete(n) {
			return seg.base + n, true
		}
		if !ok {
			doc, ok = seg.base+n, true
		}
	}
	return doc, ok
}

// lookup asks a segment's order of ids, or looks through its copy of them if that
// cannot be read.
func (s *Snapshot) lookup(seg *Segment, g mailbox.GUID) (n uint32, found bool) {
	err := guard(func() (err error) {
		n, found, err = seg.h.index.find(seg.h.guids, g)
		if err == nil && !found && !seg.h.index.whole() {
			err = seg.h.cutShort()
		}
		return err
	})
	if err != nil {
		s.set.fault(seg, err)
		i := slices.Index(seg.h.guids, g)
		return uint32(max(i, 0)), i >= 0
	}
	return n, found
}

// databaseDir is a database's directory.
func (x *Index) databaseDir(db activefile.Database) (string, error) {
	roots, err := x.roots()
	if err != nil {
		return "", err
	}
	root, ok := roots[db.Tier]
	if !ok {
		return "", fmt.Errorf("tier %q has no root", db.Tier)
	}
	return x.below(root, db.Generation), nil
}

// foundBelow lists the generations that have a directory below a root.
func (x *Index) foundBelow(root string) ([]uint64, error) {
	entries, err := x.set.o.FS.ReadDir(filepath.Join(root, x.user.Dir()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []uint64
	for _, e := range entries {
		if n, ok := generationName(e.Name()); ok {
			out = append(out, n)
		}
	}
	return out, err
}

// generationName reads the name of a database's directory, if it is one.
func generationName(name string) (uint64, bool) {
	n, err := strconv.ParseUint(name, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == name
}
