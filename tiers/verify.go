package tiers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"time"

	"teraslot/activefile"
	"teraslot/mailbox"
)

// Verify reads everything that the activefile names and compares it with itself:
// every file with its checksum, term lists with dictionaries, and each complete
// document's kept text, turned into terms again, with the index. What is wrong is
// reported: also a database that is gone, but for one of the tier volatile, and an activefile
// that is, though there are documents. It takes time and no lock, so it
// reports what a compaction deletes under it only if it stays listed.
func (x *Index) Verify(ctx context.Context, report func(*Damage)) error {
	active, err := x.read(ctx)
	if errors.Is(err, activefile.ErrDamaged) {
		report(&Damage{"index.active", x.dir, err})
		return nil
	}
	if err != nil {
		return fmt.Errorf("verify the index of %s: %w", x.user, x.advised(err))
	}
	if len(active.Databases) == 0 {
		lost, err := x.activeLost(ctx)
		if err != nil {
			return fmt.Errorf("verify the index of %s: %w", x.user, err)
		}
		if lost {
			report(&Damage{"index.active", x.dir, errActiveGone})
		}
	}
	for _, db := range active.Databases {
		err := x.verifyDatabase(ctx, db)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err == nil {
			continue
		}
		now, again := x.read(ctx)
		if again != nil {
			return again
		}
		if now.Contains(db) {
			dir, _ := x.databaseDir(db)
			report(&Damage{db.String(), dir, err})
		}
	}
	return nil
}

// volatile is the tier that is best in memory: what it had may be gone at any start.
const volatile = "temp"

// What is gone of an index. Searches read the mail that it stood for.
var (
	errDatabaseGone = errors.New("the database is gone; what was in it is indexed again by the next run of the indexer, and all is mended by squatter -A --repair")
	errActiveGone   = errors.New("the activefile is gone, and there are databases; the next run of the indexer, or squatter -A --repair, makes the index anew")
)

// activeLost reports whether there is no activefile although a database has documents, which it
// gets only when it has been named.
func (x *Index) activeLost(ctx context.Context) (lost bool, err error) {
	if _, err := x.set.o.FS.Stat(x.dir); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	lock, err := x.file.Shared(ctx) // nobody makes the first database and its activefile meanwhile
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if there, err := lock.Exists(); there || err != nil {
		return false, err
	}
	directories, err := x.directories()
	return slices.ContainsFunc(directories, func(db activefile.Database) bool { return len(x.source(db).m.Segments) > 0 }), err
}

// read is the activefile; empty for a user without a directory.
func (x *Index) read(ctx context.Context) (activefile.Active, error) {
	if _, err := x.set.o.FS.Stat(x.dir); errors.Is(err, fs.ErrNotExist) {
		return activefile.Active{}, nil
	}
	return x.file.Read(ctx)
}

// verifyDatabase tries again while segments are merged away under it.
func (x *Index) verifyDatabase(ctx context.Context, db activefile.Database) error {
	for {
		s := x.source(db)
		switch {
		case s.missing && db.Tier == volatile:
			return nil
		case s.missing:
			return errDatabaseGone
		}
		if s.damage != nil {
			return s.damage
		}
		err := x.verifySource(ctx, s)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if now := x.source(db); bytes.Equal(now.m.encode(), s.m.encode()) {
			return err
		}
	}
}

func (x *Index) verifySource(ctx context.Context, s source) error {
	for _, info := range s.m.Segments {
		for _, f := range []struct {
			ext  string
			want fileInfo
		}{{listsExt, info.Lists}, {termsExt, info.Terms}, {textExt, info.Text}} {
			err := guard(func() error { return checkFile(segmentFile(s.dir, info.Number, f.ext), f.want) })
			if err != nil {
				return err
			}
		}
		if s.outdated {
			continue
		}
		if err := x.verifySegment(ctx, s, info); err != nil {
			return fmt.Errorf("segment %d: %w", info.Number, err)
		}
	}
	return nil
}

func (x *Index) verifySegment(ctx context.Context, s source, info segmentInfo) error {
	h := x.set.acquire(s.dir, s.m.ID, info)
	defer x.set.release(h)
	if err := x.set.open(h); err != nil {
		x.set.forget(h)
		return err
	}
	return guard(func() error { return h.verify(ctx) })
}

// verifyAtOnce is how many documents are analysed again at once.
const verifyAtOnce = 512

// verify compares kept text with the index: the lists of each term of a text hold
// its documents and no others of those, and there are no more postings than that.
func (h *handle) verify(ctx context.Context) error {
	if err := h.index.verify(h.guids); err != nil {
		return err
	}
	t := &Texts{}
	unkept := newDocSet(h.info.Docs)
	var wanted uint64
	for from := uint32(0); from < h.info.Docs; from += verifyAtOnce {
		n, err := h.verifyDocs(ctx, t, from, min(from+verifyAtOnce, h.info.Docs), unkept)
		if err != nil {
			return err
		}
		wanted += n
	}
	var n uint64
	err := h.index.eachList(func(_ string, _ []byte, l docList) error {
		set := newDocSet(h.info.Docs)
		err := l.orInto(set)
		set.andNot(unkept)
		n += uint64(set.count())
		return errors.Join(err, context.Cause(ctx))
	})
	if err == nil && n != wanted {
		err = fmt.Errorf("the index has %d postings, the kept text %d terms", n, wanted)
	}
	return err
}

// verifyDocs compares the documents from from to below end, and returns how many
// postings they have. Those whose text is not kept are added to unkept.
func (h *handle) verifyDocs(ctx context.Context, t *Texts, from, end uint32, unkept docSet) (wanted uint64, err error) {
	a := newAnalysis(verifyAtOnce)
	for doc := from; doc < end; doc++ {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		t.units = t.units[:0]
		switch {
		case !h.kept.has(doc):
			unkept.addRange(doc, doc+1)
		case !h.complete.has(doc):
			return 0, fmt.Errorf("document %d is incomplete but has text", doc)
		default:
			if err := t.read(h, doc, AllParts); err != nil {
				return 0, err
			}
		}
		a.add(t.units, math.MaxInt32)
	}
	a.each(func(field string, term []byte, docs []uint32, counts []uint8) {
		wanted += uint64(len(docs))
		if err == nil {
			err = h.verifyTerm(field, string(term), from, end, docs, counts, unkept)
		}
	})
	return wanted, err
}

// verifyTerm compares a term's list with the documents, counted from from, that
// have it by their text.
func (h *handle) verifyTerm(field, term string, from, end uint32, docs []uint32, counts []uint8, unkept docSet) error {
	l, ok, err := h.index.list(field, term)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("a term of %s is not in the index", field))
	}
	var haveDocs []uint32
	haveCounts := []uint8{}
	if haveDocs, haveCounts, err = l.appendTo(haveDocs, haveCounts); err != nil {
		return err
	}
	for i, doc := range haveDocs {
		if doc < from || doc >= end || unkept.has(doc) {
			continue
		}
		if len(docs) == 0 || doc != from+docs[0] || len(counts) > 0 && haveCounts[i] != rounded(counts[0]) {
			return fmt.Errorf("a term of %s leads to document %d, which has it otherwise", field, doc)
		}
		docs = docs[1:]
		counts = counts[min(1, len(counts)):]
	}
	if len(docs) > 0 {
		return fmt.Errorf("document %d has a term of %s that does not lead to it", from+docs[0], field)
	}
	return nil
}

// verify checks what opening does not: that terms and ids are in order, and that
// blocks hold as many terms as they should.
func (x *segmentIndex) verify(guids []mailbox.GUID) error {
	for i := range guids {
		if i > 0 && bytes.Compare(guids[x.inOrder(i-1)][:], guids[x.inOrder(i)][:]) >= 0 {
			return fmt.Errorf("%w: the order of documents", errIndex)
		}
	}
	var field string
	var last []byte
	return x.eachList(func(name string, term []byte, l docList) error {
		if name == field && bytes.Compare(last, term) >= 0 || len(term) == 0 {
			return fmt.Errorf("%w: the order of terms of %s", errIndex, name)
		}
		field, last = name, append(last[:0], term...)
		return nil
	})
}

// eachList calls fn with all terms and their lists.
func (x *segmentIndex) eachList(fn func(field string, term []byte, l docList) error) error {
	for i := range x.len() {
		f, _ := x.field(i)
		name, lists, terms := x.name(i), x.blockLists(f), uint32(0)
		for w := x.walkAll(f); w.forth(); terms++ {
			l, err := lists.of(w.at)
			if err != nil {
				return err
			}
			if err := fn(name, w.term, l); err != nil {
				return err
			}
		}
		if terms != f.terms {
			return fmt.Errorf("%w: %d terms of %s where %d are said to be", errIndex, terms, name, f.terms)
		}
	}
	return nil
}

// list finds the list of a term.
func (x *segmentIndex) list(field, term string) (l docList, ok bool, err error) {
	f, ok := x.lookupField(field)
	if !ok {
		return l, false, nil
	}
	for at := range x.exact(f, term) {
		l, err = x.blockLists(f).of(at)
		return l, err == nil, err
	}
	return l, false, nil
}

// DatabaseStats is what a database has and takes.
type DatabaseStats struct {
	Database activefile.Database
	ID       string    // unique and never used twice; its segments' IDs begin with it and "/"
	Made     time.Time // when its manifest was last written: a database of a compaction never changes
	State    string    // "": in use; "missing", "outdated", or what is wrong
	Segments int
	Docs     int
	Complete int   // of Docs
	Bytes    int64 // of its segments' files; what is neither Terms nor Text are lists of documents
	Room     int64 // that its files take in a file system with pages of 4 KiB, as a tmpfs
	Terms    int64 // of Bytes, term lists
	Text     int64 // of Bytes, kept text
}

// Stats describes the databases in search order.
func (x *Index) Stats(ctx context.Context) ([]DatabaseStats, error) {
	active, err := x.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("index of %s: %w", x.user, x.advised(err))
	}
	var out []DatabaseStats
	for _, db := range active.Databases {
		s := x.source(db)
		st := DatabaseStats{Database: db, Segments: len(s.m.Segments)}
		if s.damage == nil && !s.missing {
			st.ID = s.m.ID.String()
			st.Made = x.madeAt(s.dir)
		}
		switch {
		case s.missing:
			st.State = "missing"
		case s.damage != nil:
			st.State = s.damage.Error()
		case s.outdated:
			st.State = "outdated"
		}
		for _, info := range s.m.Segments {
			st.Docs += int(info.Docs)
			st.Complete += int(info.Complete)
			st.Bytes += info.Lists.Size + info.Terms.Size + info.Text.Size
			st.Terms += info.Terms.Size
			st.Text += info.Text.Size
		}
		if st.ID != "" {
			st.Room = room(s.m)
		}
		out = append(out, st)
	}
	return out, nil
}

// pageSize is what files are rounded up to where they lie in memory.
const pageSize = 4 << 10

// room is what a database's files take in memory.
func room(m manifest) int64 {
	sum := int64(pageSize) // of the manifest
	for _, s := range m.Segments {
		for _, f := range []fileInfo{s.Lists, s.Terms, s.Text} {
			sum += (f.Size + pageSize - 1) / pageSize * pageSize
		}
	}
	return sum
}

// madeAt is when a database's manifest was written; zero if that cannot be told.
func (x *Index) madeAt(dir string) time.Time {
	info, err := x.set.o.FS.Stat(filepath.Join(dir, manifestName))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
