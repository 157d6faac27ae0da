package tiers

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"teraslot/mailbox"

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
	listsExt = ".lists"
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
	terms  []byte // the mapped files
	lists  []byte
	index  *segmentIndex // of terms and lists
	text   *os.File
	kept   *keptText
	// guids and complete are copies in memory: what a snapshot says about its
	// documents cannot fail.
	guids    []mailbox.GUID
	complete docSet

	// Guarded by Set.mu.
	refs   int
	used   uint64
	cached bool

	dec     *zstd.Decoder // the Set's
	texts   *blockCache   // the Set's
	helpers processors    // the Set's
}

// acquire returns a segment's handle with a reference for the caller. It is to be
// opened by open.
func (s *Set) acquire(dir string, id stamp, info segmentInfo) *handle {
	key := segmentKey{id, info.Number}
	s.mu.Lock()
	h := s.handles[key]
	if h == nil {
		h = &handle{key: key, dir: dir, info: info, cached: true, dec: s.dec, texts: s.texts, helpers: s.helpers}
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
func (s *Set) dropStale() { s.dropStaleIn("") }

// dropStaleIn is dropStale for the segments in a database's directory; with "" it is
// for all.
func (s *Set) dropStaleIn(dir string) {
	s.mu.Lock()
	all := make([]*handle, 0, len(s.handles))
	for _, h := range s.handles {
		if dir == "" || h.dir == dir {
			all = append(all, h)
		}
	}
	s.mu.Unlock()
	var closing []*handle
	for _, h := range all {
		if _, err := os.Stat(segmentFile(h.dir, h.info.Number, listsExt)); !errors.Is(err, fs.ErrNotExist) {
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

// open opens the segment, once, and checks it against its manifest. Files of one that
// is open already are checked again if somebody has written to them, which nobody may:
// they are mapped, so what is read of them is what stands there now. Files that are gone
// stay as they were for those who have them open.
func (s *Set) open(h *handle) error {
	first := false
	h.opened.Do(func() {
		first = true
		h.err = guard(func() error { return s.openFiles(h) })
		if h.err != nil {
			h.close()
		}
	})
	if h.err != nil || first {
		return h.err
	}
	if err := guard(func() error { return s.checkSegment(h) }); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s *Set) openFiles(h *handle) error {
	if err := s.checkSegment(h); err != nil {
		return err
	}
	var err error
	if h.terms, err = mapFile(segmentFile(h.dir, h.info.Number, termsExt)); err != nil {
		return err
	}
	if h.lists, err = mapFile(segmentFile(h.dir, h.info.Number, listsExt)); err != nil {
		return err
	}
	if h.index, err = openSegmentIndex(h.terms, h.lists); err != nil {
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
func (h *handle) load() (err error) {
	if h.index.total != h.info.Docs || h.kept.docs != h.info.Docs {
		return fmt.Errorf("%d documents and %d texts where the manifest has %d", h.index.total, h.kept.docs, h.info.Docs)
	}
	guids, complete, err := h.index.documents()
	if err != nil {
		return err
	}
	if n := complete.count(); n != h.info.Complete {
		return fmt.Errorf("%d complete documents where the manifest has %d", n, h.info.Complete)
	}
	h.guids, h.complete = guids, complete
	return nil
}

// close unmaps and closes. Nobody has a reference any more.
func (h *handle) close() {
	for _, mapped := range []*[]byte{&h.terms, &h.lists} {
		if *mapped != nil {
			unix.Munmap(*mapped)
			*mapped = nil
		}
	}
	h.index = nil
	h.texts.forget(h.key)
	if h.text != nil {
		h.text.Close()
		h.text = nil
	}
}

// cutShort is the error for a file that lost its end while it was mapped.
func (h *handle) cutShort() error {
	return fmt.Errorf("%s: a file was cut short: %w", h.dir, errFault)
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
	}{{listsExt, h.info.Lists}, {termsExt, h.info.Terms}}
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
