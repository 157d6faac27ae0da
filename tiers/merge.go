package tiers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"teraslot/disk"
	"teraslot/mailbox"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// merge makes one segment of several, without analysing any text again. What it
// keeps in memory is some octets for each document and block: terms, lists and
// text go from the sources' mapped files to the new one's.
type merge struct {
	set    *Set
	dir    string // of the database that gets the segment
	number uint64
	keep   func(mailbox.GUID) bool                    // nil: all
	pace   func(ctx context.Context, bytes int) error // as in CompactOptions; nil: at once
	pacing sync.Mutex                                 // held while pace is asked, and waits
	yield  bool                                       // as in CompactOptions

	handles []*handle
	drops   []docSet // of each source; nil: none
	docs    uint32   // kept
	dropped uint32
}

func newMerge(s *Set, dir string, number uint64) *merge {
	return &merge{set: s, dir: dir, number: number}
}

// add adds a source. Of two documents with one GUID that are equally complete,
// the one added first is kept.
func (m *merge) add(dir string, id stamp, info segmentInfo) {
	m.handles = append(m.handles, m.set.acquire(dir, id, info))
}

// close gives the sources back.
func (m *merge) close() {
	for _, h := range m.handles {
		m.set.release(h)
	}
}

// open opens and checks all sources.
func (m *merge) open() error { return m.openFrom(0) }

// openFrom opens the sources added from the nth on.
func (m *merge) openFrom(n int) error {
	for _, h := range m.handles[n:] {
		if err := m.set.open(h); err != nil {
			m.set.forget(h)
			return err
		}
	}
	return nil
}

// cut gives back the sources added from the nth on.
func (m *merge) cut(n int) {
	for _, h := range m.handles[n:] {
		m.set.release(h)
	}
	m.handles = m.handles[:n]
}

// drop drops a document of a source.
func (m *merge) drop(source int, doc uint32) {
	if m.drops[source] == nil {
		m.drops[source] = newDocSet(m.handles[source].info.Docs)
	}
	m.drops[source].addRange(doc, doc+1)
	m.dropped++
}

// choose decides which documents are dropped: those that are not to be kept, and
// all but one for each GUID, complete before incomplete. It goes through the
// documents of all sources in the order of their ids.
func (m *merge) choose() {
	m.drops = make([]docSet, len(m.handles))
	m.docs, m.dropped = 0, 0
	orders := make([][]uint32, len(m.handles))
	for i, h := range m.handles {
		orders[i] = byGUID(h.guids)
	}
	for {
		least := -1
		for i, o := range orders {
			if len(o) > 0 && (least < 0 || bytes.Compare(m.handles[i].guids[o[0]][:], m.handles[least].guids[orders[least][0]][:]) < 0) {
				least = i
			}
		}
		if least < 0 {
			return
		}
		m.chooseOne(orders, m.handles[least].guids[orders[least][0]])
	}
}

// chooseOne keeps one of the documents of a GUID, which is the next in orders.
func (m *merge) chooseOne(orders [][]uint32, g mailbox.GUID) {
	source, doc := -1, uint32(0)
	keep := m.keep == nil || m.keep(g)
	for i, h := range m.handles {
		for ; len(orders[i]) > 0 && h.guids[orders[i][0]] == g; orders[i] = orders[i][1:] {
			d := orders[i][0]
			switch {
			case !keep:
				m.drop(i, d)
			case source < 0:
				source, doc = i, d
			case h.complete.has(d) && !m.handles[source].complete.has(doc):
				m.drop(source, doc)
				source, doc = i, d
			default:
				m.drop(i, d)
			}
		}
	}
	if keep {
		m.docs++
	}
}

// run opens the sources, chooses and writes the new segment, synced with its
// directory. If nothing is kept, nothing is written, and m.docs is 0.
func (m *merge) run(ctx context.Context) (info segmentInfo, err error) {
	if err := m.open(); err != nil {
		return info, err
	}
	m.choose()
	if m.docs == 0 {
		return info, nil
	}
	info = segmentInfo{Number: m.number, Docs: m.docs}
	err = m.writeFiles(ctx, &info)
	for _, h := range m.handles {
		if err == nil && !h.index.whole() {
			err = h.cutShort()
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return info, cause
	}
	if err != nil {
		return info, err
	}
	return info, m.set.o.FS.SyncDir(filepath.Join(m.dir, storeDir))
}

// writeFiles writes the terms and lists on one processor while the text, and the merging
// of the terms, have the other.
func (m *merge) writeFiles(ctx context.Context, info *segmentInfo) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(m.yielding(func() error { return m.writeIndex(ctx, info) }))
	group.Go(func() error { return guard(m.yielding(func() error { return m.writeText(ctx, info) })) })
	return group.Wait()
}

// niceness is how far the threads of a merge step back: they get a tenth of a processor
// that others want, and all of one that nobody does.
const (
	niceness = 10
	mostNice = 20 // getpriority(2), the call itself, returns this less the niceness
)

// yielding is fn in a thread of its own that yields, if that is asked for. A goroutine calls
// it at its beginning, and ends with it: its thread, which cannot be raised again, does too.
func (m *merge) yielding(fn func() error) func() error {
	if !m.yield {
		return fn
	}
	return func() error {
		runtime.LockOSThread()
		// Of this thread: setpriority(2). A process that was begun with less stays there, and
		// where it is refused the merge runs like others: it is no reason not to.
		if left, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && left > mostNice-niceness {
			_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness)
		}
		return fn()
	}
}

// write writes a file of the new segment, synced, and describes it.
func (m *merge) write(ctx context.Context, ext string, info *fileInfo, fill func(io.Writer) error) error {
	name := segmentFile(m.dir, m.number, ext)
	// What an attempt before left under the name may still be mapped.
	if err := removeIfThere(m.set.o.FS, name); err != nil {
		return err
	}
	return disk.WriteSteadily(m.set.o.FS, name, 0o600, func(w io.Writer) error {
		s := summed{w: m.paced(ctx, w), sum: crc32.New(castagnoli)}
		b := bufio.NewWriterSize(&s, 1<<18)
		if err := errors.Join(fill(b), b.Flush()); err != nil {
			return err
		}
		*info = fileInfo{s.n, s.sum.Sum32()}
		return nil
	})
}

// paced is w, at the pace that is asked for.
func (m *merge) paced(ctx context.Context, w io.Writer) io.Writer {
	if m.pace == nil {
		return w
	}
	return writerFunc(func(b []byte) (int, error) {
		m.pacing.Lock()
		err := m.pace(ctx, len(b))
		m.pacing.Unlock()
		if err != nil {
			return 0, err
		}
		return w.Write(b)
	})
}

// writerFunc writes.
type writerFunc func([]byte) (int, error)

// Write calls it.
func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// summed counts and sums up what is written.
type summed struct {
	w   io.Writer
	sum hash.Hash32
	n   int64
}

// Write writes.
func (s *summed) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum.Write(p[:n])
	s.n += int64(n)
	return n, err
}

// writeIndex merges the terms of the sources and joins their lists.
func (m *merge) writeIndex(ctx context.Context, info *segmentInfo) error {
	guids, complete := m.kept()
	info.Complete = complete.count()
	return m.write(ctx, listsExt, &info.Lists, func(lists io.Writer) error {
		return m.write(ctx, termsExt, &info.Terms, func(terms io.Writer) error {
			w := newIndexWriter(terms, lists, guids, complete)
			if err := w.takeMerged(ctx, m); err != nil {
				return err
			}
			return w.close()
		})
	})
}

// kept are the ids of the kept documents, in their new order: source by source.
func (m *merge) kept() (guids []mailbox.GUID, complete docSet) {
	guids, complete = make([]mailbox.GUID, 0, m.docs), newDocSet(m.docs)
	for i, h := range m.handles {
		for doc, g := range h.guids {
			if m.dropsDoc(i, uint32(doc)) {
				continue
			}
			if h.complete.has(uint32(doc)) {
				n := uint32(len(guids))
				complete.addRange(n, n+1)
			}
			guids = append(guids, g)
		}
	}
	return guids, complete
}

func (m *merge) dropsDoc(source int, doc uint32) bool {
	return m.drops[source] != nil && m.drops[source].has(doc)
}

// mergeFields goes through the fields of all sources in order.
func (m *merge) mergeFields(ctx context.Context, out *mergedTerms) error {
	sources := m.sources()
	var names []string
	for _, h := range m.handles {
		for i := range h.index.len() {
			names = append(names, h.index.name(i))
		}
	}
	slices.SortFunc(names, compareFields)
	for _, name := range slices.Compact(names) {
		var heap termHeap
		for _, s := range sources {
			if f, ok := s.h.index.lookupField(name); ok {
				heap = append(heap, newTermSource(s, f))
			}
		}
		if err := heap.mergeInto(ctx, out, name); err != nil {
			return fmt.Errorf("merge the terms of %s: %w", name, err)
		}
	}
	return nil
}

// mergeSource is a source with the new numbers of its documents.
type mergeSource struct {
	h     *handle
	base  uint32   // of the first one kept
	remap []uint32 // new numbers, noNumber for those dropped; nil: none is
	nth   int
}

const noNumber = ^uint32(0)

func (m *merge) sources() []*mergeSource {
	var out []*mergeSource
	next := uint32(0)
	for i, h := range m.handles {
		s := &mergeSource{h: h, base: next, nth: i}
		if m.drops[i] == nil {
			next += h.info.Docs
		} else {
			s.remap = make([]uint32, h.info.Docs)
			for doc := range s.remap {
				s.remap[doc] = noNumber
				if !m.drops[i].has(uint32(doc)) {
					s.remap[doc] = next
					next++
				}
			}
		}
		out = append(out, s)
	}
	return out
}

// number gives documents of the source their new numbers, and leaves out those
// that are dropped, with their counts.
func (s *mergeSource) number(docs []uint32, counts []uint8) ([]uint32, []uint8) {
	if s.remap == nil {
		for i := range docs {
			docs[i] += s.base
		}
		return docs, counts
	}
	n := 0
	for i, doc := range docs {
		if to := s.remap[doc]; to != noNumber {
			docs[n], counts[n] = to, counts[i]
			n++
		}
	}
	return docs[:n], counts[:n]
}

// writeText copies the kept text of the documents that are kept.
func (m *merge) writeText(ctx context.Context, info *segmentInfo) error {
	return m.write(ctx, textExt, &info.Text, func(w io.Writer) error {
		k, err := newKeptWriter(w, m.set.encs)
		if err != nil {
			return err
		}
		for stream := range k.streams {
			for i, h := range m.handles {
				if err := m.copyText(ctx, k, stream, h, m.drops[i]); err != nil {
					return err
				}
			}
		}
		return k.close()
	})
}

// copyText copies one source's text: blocks of good size as they are if all their
// documents are kept, the others document by document. Text that is damaged is
// left out: its documents will be verified by the messages themselves.
func (m *merge) copyText(ctx context.Context, k *keptWriter, stream int, h *handle, drop docSet) error {
	t := &h.kept.streams[stream]
	for block := range t.blocks {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		whole, err := copyBlock(k, stream, h, uint32(block), drop)
		if err == nil && !whole {
			err = copyDocs(k, stream, h, uint32(block), drop)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wholeRun is how many blocks of a source have to follow for the block at hand to be
// closed before it is full, so that they are copied as they are: one short block in so
// many costs little room, and packing all of them anew much time.
const wholeRun = 8

// copyBlock copies a block as it is; false if it must not be, or cannot be read.
func copyBlock(k *keptWriter, stream int, h *handle, block uint32, drop docSet) (bool, error) {
	t := &h.kept.streams[stream]
	info, end := t.blocks[block], t.after(block)
	if int(info.rawSize) < wholeBlock(stream) {
		return false, nil
	}
	if len(k.streams[stream].raw) >= keptBlock[stream]/4 && len(t.blocks)-int(block) < wholeRun {
		return false, nil
	}
	for doc := info.first; doc < end; doc++ {
		if drop != nil && drop.has(doc) {
			return false, nil
		}
	}
	packed, err := h.kept.packed(stream, block, nil)
	if err != nil {
		return false, nil
	}
	return true, k.addBlock(stream, packed, info, t.offsets[info.first:end])
}

// copyDocs copies the kept documents of a block one by one.
func copyDocs(k *keptWriter, stream int, h *handle, block uint32, drop docSet) error {
	raw, err := h.kept.unpack(h.dec, stream, block)
	for doc := h.kept.streams[stream].blocks[block].first; doc < h.kept.streams[stream].after(block); doc++ {
		if drop != nil && drop.has(doc) {
			continue
		}
		var text string
		mark := uint32(0)
		if err != nil || !h.kept.has(doc) {
			mark = notKept
		} else {
			_, from, to := h.kept.streams[stream].place(doc)
			text = raw[from:to]
		}
		if err := k.addRaw(stream, []byte(text), mark); err != nil {
			return err
		}
	}
	return nil
}
