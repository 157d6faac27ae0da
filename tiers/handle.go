package tiers

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"teraslot/mailbox"
	"teraslot/text"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	zap "github.com/blevesearch/zapx/v17"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// segmentKey names a segment for good: numbers are not used twice in a database.
type segmentKey struct {
	database stamp
	number   uint64
}

func (k segmentKey) String() string { return fmt.Sprintf("%s/%d", k.database, k.number) }

// The files of a segment, below its database's directory.
const (
	storeDir = "store"
	zapExt   = ".zap"
	termsExt = ".terms"
	textExt  = ".text"
)

func segmentFile(dir string, number uint64, ext string) string {
	return filepath.Join(dir, storeDir, fmt.Sprintf("%012x%s", number, ext))
}

// handle is an open segment. What is in its mapped files is read under guard
// only. The Set and the snapshots that use it count their references.
type handle struct {
	key  segmentKey
	dir  string // of the database
	info segmentInfo

	opened sync.Once // guards the opening, which fills what follows
	err    error
	seg    segment.Segment
	terms  *termList
	mapped []byte // the term list's file
	text   *os.File
	kept   *keptText
	// guids and complete are copies in memory: what a snapshot says about its
	// documents cannot fail.
	guids    []mailbox.GUID
	complete *roaring.Bitmap

	// Guarded by Set.mu.
	refs   int
	used   uint64
	cached bool

	dec  *zstd.Decoder // the Set's
	last atomic.Pointer[unpacked]
}

// acquire returns a segment's handle with a reference for the caller. It is to be
// opened by open.
func (s *Set) acquire(dir string, id stamp, info segmentInfo) *handle {
	key := segmentKey{id, info.Number}
	s.mu.Lock()
	h := s.handles[key]
	if h == nil {
		h = &handle{key: key, dir: dir, info: info, cached: true, dec: s.dec}
		s.handles[key] = h
	}
	h.refs++
	s.clock++
	h.used = s.clock
	evicted := s.evict()
	s.mu.Unlock()
	closeAll(evicted)
	return h
}

// evict takes unused handles beyond the limit out of the cache, the longest
// unused first. The caller holds mu, and closes them without it.
func (s *Set) evict() (out []*handle) {
	for len(s.handles) > s.o.MaxHandles {
		var oldest *handle
		for _, h := range s.handles {
			if h.refs == 0 && (oldest == nil || h.used < oldest.used) {
				oldest = h
			}
		}
		if oldest == nil {
			break
		}
		s.uncache(oldest)
		out = append(out, oldest)
	}
	return out
}

// uncache makes a handle one that is closed with its last reference. The caller
// holds mu.
func (s *Set) uncache(h *handle) {
	if h.cached {
		h.cached = false
		delete(s.handles, h.key)
	}
}

// release gives back a reference.
func (s *Set) release(h *handle) {
	s.mu.Lock()
	h.refs--
	last := h.refs == 0 && !h.cached
	s.mu.Unlock()
	if last {
		h.close()
	}
}

// forget takes a handle out of the cache, so that the next one is opened anew.
func (s *Set) forget(h *handle) {
	s.mu.Lock()
	s.uncache(h)
	delete(s.checked, h.key)
	s.mu.Unlock()
}

// dropStale takes handles out of the cache whose file is no longer there.
func (s *Set) dropStale() {
	s.mu.Lock()
	all := make([]*handle, 0, len(s.handles))
	for _, h := range s.handles {
		all = append(all, h)
	}
	s.mu.Unlock()
	var closing []*handle
	for _, h := range all {
		if _, err := os.Stat(segmentFile(h.dir, h.info.Number, zapExt)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		s.mu.Lock()
		if h.cached { // else whoever took it out closes it
			s.uncache(h)
			delete(s.checked, h.key)
			if h.refs == 0 {
				closing = append(closing, h)
			}
		}
		s.mu.Unlock()
	}
	closeAll(closing)
}

// Close drops all handles that no snapshot holds; the others are closed with
// their snapshots.
func (s *Set) Close() error {
	s.mu.Lock()
	var closing []*handle
	for _, h := range s.handles {
		s.uncache(h)
		if h.refs == 0 {
			closing = append(closing, h)
		}
	}
	s.mu.Unlock()
	closeAll(closing)
	return nil
}

func closeAll(handles []*handle) {
	for _, h := range handles {
		h.close()
	}
}

// open opens the segment, once, and checks it against its manifest.
func (s *Set) open(h *handle) error {
	h.opened.Do(func() {
		h.err = guard(func() error { return s.openFiles(h) })
		if h.err != nil {
			h.close()
		}
	})
	return h.err
}

func (s *Set) openFiles(h *handle) error {
	if err := s.checkSegment(h); err != nil {
		return err
	}
	var err error
	if h.seg, err = new(zap.ZapPlugin).Open(segmentFile(h.dir, h.info.Number, zapExt)); err != nil {
		return err
	}
	if h.mapped, err = mapFile(segmentFile(h.dir, h.info.Number, termsExt)); err != nil {
		return err
	}
	if h.terms, err = parseTermList(h.mapped); err != nil {
		return err
	}
	if h.text, err = os.Open(segmentFile(h.dir, h.info.Number, textExt)); err != nil {
		return err
	}
	if h.kept, err = openKept(h.text, h.info.Text.Size); err != nil {
		return err
	}
	return h.load()
}

// load copies what has to be known of each document.
func (h *handle) load() error {
	if h.seg.Count() != uint64(h.info.Docs) || len(h.kept.docs) != int(h.info.Docs) {
		return fmt.Errorf("%d documents and %d texts where the manifest has %d", h.seg.Count(), len(h.kept.docs), h.info.Docs)
	}
	h.guids = make([]mailbox.GUID, h.info.Docs)
	for i := range h.guids {
		id, err := h.seg.DocID(uint64(i))
		if err != nil {
			return err
		}
		if len(id) != len(h.guids[i]) {
			return fmt.Errorf("document %d has an id of %d octets", i, len(id))
		}
		h.guids[i] = mailbox.GUID(id)
	}
	complete, err := h.postings(context.Background(), text.Lookup{Field: statusField, Op: text.Exact, Text: completeTerm})
	if err != nil {
		return err
	}
	if n := complete.GetCardinality(); n != uint64(h.info.Complete) {
		return fmt.Errorf("%d complete documents where the manifest has %d", n, h.info.Complete)
	}
	h.complete = complete
	return nil
}

// close unmaps and closes. Nobody has a reference any more.
func (h *handle) close() {
	if h.seg != nil {
		h.seg.Close()
		h.seg = nil
	}
	if h.mapped != nil {
		unix.Munmap(h.mapped)
		h.mapped, h.terms = nil, nil
	}
	if h.text != nil {
		h.text.Close()
		h.text = nil
	}
}

// mapFile maps a file for reading. Its octets are read under guard.
func mapFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 || info.Size() != int64(int(info.Size())) {
		return nil, fmt.Errorf("%s: %d octets cannot be mapped", name, info.Size())
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "mmap", Path: name, Err: err}
	}
	return b, nil
}

// fileIdent tells whether the files of a segment are those that were checked.
type fileIdent [2]struct {
	inode uint64
	mtime syscall.Timespec
	size  int64
}

// checkSegment compares the files that are read unchecked later with their
// checksums, once in the life of the process: a handle that the cache dropped is
// opened again without reading all of them. Kept text has a checksum for each
// block instead.
func (s *Set) checkSegment(h *handle) error {
	var ident fileIdent
	files := []struct {
		ext  string
		want fileInfo
	}{{zapExt, h.info.Zap}, {termsExt, h.info.Terms}}
	for i, f := range files {
		var st syscall.Stat_t
		name := segmentFile(h.dir, h.info.Number, f.ext)
		if err := syscall.Stat(name, &st); err != nil {
			return &fs.PathError{Op: "stat", Path: name, Err: err}
		}
		ident[i].inode, ident[i].mtime, ident[i].size = st.Ino, st.Mtim, st.Size
	}
	s.mu.Lock()
	known, ok := s.checked[h.key]
	s.mu.Unlock()
	if ok && known == ident {
		return nil
	}
	for _, f := range files {
		if err := checkFile(segmentFile(h.dir, h.info.Number, f.ext), f.want); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	const most = 1 << 16
	if len(s.checked) >= most {
		clear(s.checked)
	}
	s.checked[h.key] = ident
	return nil
}

// errChecksum is returned for a file that is not what its manifest says.
var errChecksum = errors.New("the file is not what its manifest says")

// checkFile compares a file with its size and checksum.
func checkFile(name string, want fileInfo) error {
	b, err := mapFile(name)
	if err != nil {
		return err
	}
	defer unix.Munmap(b)
	if int64(len(b)) != want.Size || crc32.Checksum(b, castagnoli) != want.CRC {
		return fmt.Errorf("%s: %w", name, errChecksum)
	}
	return nil
}

// units returns a document's kept text; false if it is not kept.
func (h *handle) units(doc uint32) ([]text.Unit, bool, error) {
	d := h.kept.docs[doc]
	switch d.block {
	case noBlock:
		return nil, false, nil
	case emptyBlock:
		return nil, true, nil
	}
	raw, err := h.unpack(d.block)
	if err != nil {
		return nil, false, err
	}
	units, err := parseUnits(raw[d.offset : d.offset+d.size])
	return units, err == nil, err
}

// unpacked is a block of kept text, ready to be read.
type unpacked struct {
	block uint32
	raw   []byte
}

// unpack reads a block of kept text. The last one is remembered, if it is of a
// usual size: candidates are mostly verified in the order of their documents.
func (h *handle) unpack(block uint32) ([]byte, error) {
	if last := h.last.Load(); last != nil && last.block == block {
		return last.raw, nil
	}
	raw, err := h.kept.unpack(h.dec, block)
	if err != nil {
		return nil, err
	}
	if len(raw) <= 4*keptBlock {
		h.last.Store(&unpacked{block, raw})
	}
	return raw, nil
}
