package tiers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"teraslot/activefile"
	"teraslot/text"

	"github.com/RoaringBitmap/roaring/v2"
	zap "github.com/blevesearch/zapx/v17"
)

// Verify reads everything that the activefile names and compares it with itself:
// every file with its checksum, term lists with dictionaries, and each complete
// document's kept text, turned into terms again, with the index. What is wrong is
// reported; a missing database is not wrong. It takes time and no lock, so it
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
		if s.missing {
			return nil
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
		}{{zapExt, info.Zap}, {termsExt, info.Terms}, {textExt, info.Text}} {
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
	return guard(func() error {
		list, err := listTerms(h.seg)
		if err != nil {
			return err
		}
		if !bytes.Equal(list, h.mapped) {
			return errors.New("the term list is not that of the dictionary")
		}
		return h.verifyDocs(ctx)
	})
}

// verifyDocs compares kept text with the index: each term of a text leads to its
// document, and as many postings as that are all there are.
func (h *handle) verifyDocs(ctx context.Context) error {
	v := verification{h: h, unkept: roaring.New(), cache: map[text.Lookup]*roaring.Bitmap{}}
	for doc := range h.info.Docs {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := v.doc(ctx, doc); err != nil {
			return err
		}
	}
	n, err := v.postings(ctx)
	if err == nil && n != v.terms {
		err = fmt.Errorf("the index has %d postings, the kept text %d terms", n, v.terms)
	}
	return err
}

// verification is of one segment.
type verification struct {
	h      *handle
	unkept *roaring.Bitmap // documents whose text is not kept
	terms  uint64          // different terms of each document, added up
	cache  map[text.Lookup]*roaring.Bitmap
}

// doc looks each term of a document up.
func (v *verification) doc(ctx context.Context, doc uint32) error {
	units, ok, err := v.h.units(doc)
	if err != nil {
		return err
	}
	if !ok {
		v.unkept.Add(doc)
		return nil
	}
	if !v.h.complete.Contains(doc) {
		return fmt.Errorf("document %d is incomplete but has text", doc)
	}
	seen := map[text.Lookup]bool{}
	for _, u := range units {
		for field, term := range text.Terms(u) {
			l := text.Lookup{Field: field, Op: text.Exact, Text: term}
			if seen[l] {
				continue
			}
			seen[l] = true
			found, err := v.lookup(ctx, l)
			if err != nil {
				return err
			}
			if !found.Contains(doc) {
				return fmt.Errorf("document %d has a term of %s that does not lead to it", doc, field)
			}
		}
	}
	v.terms += uint64(len(seen))
	return nil
}

// lookup remembers the postings of some terms.
func (v *verification) lookup(ctx context.Context, l text.Lookup) (*roaring.Bitmap, error) {
	if found := v.cache[l]; found != nil {
		return found, nil
	}
	const most = 1 << 14
	if len(v.cache) >= most {
		clear(v.cache)
	}
	found, err := v.h.postings(ctx, l)
	v.cache[l] = found
	return found, err
}

// postings counts those of all terms, for documents whose text is kept.
func (v *verification) postings(ctx context.Context) (n uint64, err error) {
	for _, name := range append(listedFields(), text.FieldName) {
		dict, err := v.h.seg.Dictionary(name)
		if err != nil {
			return n, err
		}
		d, ok := dict.(*zap.Dictionary)
		if !ok {
			continue
		}
		it := d.AutomatonIteratorOmitCount(nil, nil, nil)
		for entry, err := it.Next(); entry != nil || err != nil; entry, err = it.Next() {
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				return n, err
			}
			found, err := v.h.postings(ctx, text.Lookup{Field: name, Op: text.Exact, Text: entry.Term})
			if err != nil {
				return n, err
			}
			found.AndNot(v.unkept)
			n += found.GetCardinality()
		}
	}
	return n, nil
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
	Bytes    int64 // of its segments' files
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
			st.Bytes += info.Zap.Size + info.Terms.Size + info.Text.Size
			st.Terms += info.Terms.Size
			st.Text += info.Text.Size
		}
		out = append(out, st)
	}
	return out, nil
}

// madeAt is when a database's manifest was written; zero if that cannot be told.
func (x *Index) madeAt(dir string) time.Time {
	info, err := x.set.o.FS.Stat(filepath.Join(dir, manifestName))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
