package tiers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"

	"teraslot/disk"
	"teraslot/mailbox"

	"github.com/RoaringBitmap/roaring/v2"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	zap "github.com/blevesearch/zapx/v17"
	"golang.org/x/sys/unix"
)

// merge makes one segment of several, without analysing any text again.
type merge struct {
	set    *Set
	dir    string // of the database that gets the segment
	number uint64
	keep   func(mailbox.GUID) bool // nil: all

	handles []*handle
	drops   []*roaring.Bitmap
	docs    uint32 // kept
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

// choose decides which documents are dropped: those that are not to be kept, and
// all but one for each GUID, complete before incomplete.
func (m *merge) choose() {
	type place struct{ source, doc uint32 }
	best := map[mailbox.GUID]place{}
	m.drops = make([]*roaring.Bitmap, len(m.handles))
	for i, h := range m.handles {
		m.drops[i] = roaring.New()
		for n, g := range h.guids {
			doc := uint32(n)
			old, seen := best[g]
			switch {
			case m.keep != nil && !m.keep(g):
				m.drops[i].Add(doc)
			case !seen:
				best[g] = place{uint32(i), doc}
			case h.complete.Contains(doc) && !m.handles[old.source].complete.Contains(old.doc):
				m.drops[old.source].Add(old.doc)
				best[g] = place{uint32(i), doc}
			default:
				m.drops[i].Add(doc)
			}
		}
	}
	m.docs, m.dropped = uint32(len(best)), 0
	for _, d := range m.drops {
		m.dropped += uint32(d.GetCardinality())
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
	for i, h := range m.handles {
		info.Complete += uint32(roaring.AndNot(h.complete, m.drops[i]).GetCardinality())
	}
	for _, ext := range []string{zapExt, termsExt, textExt} {
		if err := removeIfThere(m.set.o.FS, segmentFile(m.dir, m.number, ext)); err != nil {
			return info, err
		}
	}
	if err := guard(func() error { return m.writeZap(ctx, &info) }); err != nil {
		return info, err
	}
	if err := guard(func() error { return m.writeTerms(&info) }); err != nil {
		return info, err
	}
	if err := guard(func() error { return m.writeText(ctx, &info) }); err != nil {
		return info, err
	}
	return info, m.set.o.FS.SyncDir(filepath.Join(m.dir, storeDir))
}

// writeZap merges the segments. The merger syncs the file; we read it back, for
// its checksum and against its own.
func (m *merge) writeZap(ctx context.Context, info *segmentInfo) error {
	name := segmentFile(m.dir, m.number, zapExt)
	var sources []segment.Segment
	var drops []*roaring.Bitmap
	for i, h := range m.handles {
		if m.drops[i].GetCardinality() == uint64(h.info.Docs) {
			continue
		}
		sources = append(sources, h.seg)
		drops = append(drops, m.drops[i])
	}
	// The merger wants a channel of another type than ctx's.
	stop := make(chan struct{})
	defer context.AfterFunc(ctx, func() { close(stop) })()
	_, _, err := new(zap.ZapPlugin).Merge(sources, drops, name, stop, nil)
	if err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("merge segments: %w", err))
	}
	b, err := mapFile(name)
	if err != nil {
		return err
	}
	defer unix.Munmap(b)
	if !zapWhole(b) {
		return fmt.Errorf("%s: %w", name, errChecksum)
	}
	info.Zap = fileInfo{int64(len(b)), crc32.Checksum(b, castagnoli)}
	return nil
}

// zapWhole checks a segment's own checksum: CRC-32 of all before it, at its end.
func zapWhole(b []byte) bool {
	n := len(b) - 4
	if n < 0 {
		return false
	}
	sum := crc32.ChecksumIEEE(b[:n])
	return b[n] == byte(sum>>24) && b[n+1] == byte(sum>>16) && b[n+2] == byte(sum>>8) && b[n+3] == byte(sum)
}

// writeTerms lists the terms of the segment just written.
func (m *merge) writeTerms(info *segmentInfo) error {
	seg, err := new(zap.ZapPlugin).Open(segmentFile(m.dir, m.number, zapExt))
	if err != nil {
		return err
	}
	defer seg.Close()
	list, err := listTerms(seg)
	if err != nil {
		return err
	}
	info.Terms = fileInfo{int64(len(list)), crc32.Checksum(list, castagnoli)}
	return disk.WriteSynced(m.set.o.FS, segmentFile(m.dir, m.number, termsExt), 0o600, func(w io.Writer) error {
		_, err := w.Write(list)
		return err
	})
}

// writeText copies the kept text of the documents that are kept, in the order in
// which the merger numbers them: source by source.
func (m *merge) writeText(ctx context.Context, info *segmentInfo) error {
	name := segmentFile(m.dir, m.number, textExt)
	sum := crc32.New(castagnoli)
	return disk.WriteSynced(m.set.o.FS, name, 0o600, func(w io.Writer) error {
		buffered := newBuffered(io.MultiWriter(w, sum))
		k, err := newKeptWriter(buffered, m.set.enc)
		if err != nil {
			return err
		}
		for i, h := range m.handles {
			if err := m.copyText(ctx, k, h, m.drops[i]); err != nil {
				return err
			}
		}
		if err := errors.Join(k.close(), buffered.Flush()); err != nil {
			return err
		}
		info.Text = fileInfo{buffered.total, sum.Sum32()}
		return nil
	})
}

// copyText copies one source's text: blocks of good size as they are if all their
// documents are kept, the others document by document. Text that is damaged is
// left out: its documents will be verified by the messages themselves.
func (m *merge) copyText(ctx context.Context, k *keptWriter, h *handle, drop *roaring.Bitmap) error {
	for doc := uint32(0); doc < h.info.Docs; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		end := h.kept.blockEnd(doc)
		whole, err := m.copyBlock(k, h, drop, doc, end)
		if err == nil && !whole {
			err = m.copyDocs(k, h, drop, doc, end)
		}
		if err != nil {
			return err
		}
		doc = end
	}
	return nil
}

// copyBlock copies the block of documents doc to end as it is; false if it must
// not be, or cannot be read.
func (m *merge) copyBlock(k *keptWriter, h *handle, drop *roaring.Bitmap, doc, end uint32) (bool, error) {
	block := h.kept.docs[doc].block
	if block >= emptyBlock || h.kept.blocks[block].rawSize < keptBlock/2 {
		return false, nil
	}
	r := roaring.New()
	r.AddRange(uint64(doc), uint64(end))
	if r.Intersects(drop) {
		return false, nil
	}
	packed, err := h.kept.packed(block)
	if err != nil {
		return false, nil
	}
	return true, k.addBlock(packed, h.kept.blocks[block], h.kept.docs[doc:end])
}

// copyDocs copies documents of one block one by one.
func (m *merge) copyDocs(k *keptWriter, h *handle, drop *roaring.Bitmap, doc, end uint32) error {
	var raw []byte
	var err error
	if block := h.kept.docs[doc].block; block < emptyBlock {
		raw, err = h.unpack(block)
	}
	for ; doc < end; doc++ {
		if drop.Contains(doc) {
			continue
		}
		d := h.kept.docs[doc]
		var failed error
		switch {
		case d.block == emptyBlock:
			failed = k.addRaw(nil)
		case d.block == noBlock || err != nil:
			k.none()
		default:
			failed = k.addRaw(raw[d.offset : d.offset+d.size])
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}

// blockEnd is the end of the run of documents from doc on that are in its block
// or, between those, in none.
func (k *keptText) blockEnd(doc uint32) uint32 {
	block := k.docs[doc].block
	end := doc + 1
	for int(end) < len(k.docs) && (k.docs[end].block == block || k.docs[end].block >= emptyBlock) {
		end++
	}
	return end
}

// buffered is a bufio.Writer that counts.
type buffered struct {
	*bufio.Writer
	total int64
}

func newBuffered(w io.Writer) *buffered {
	return &buffered{Writer: bufio.NewWriterSize(w, 1<<18)}
}

// Write writes and counts.
func (b *buffered) Write(p []byte) (int, error) {
	n, err := b.Writer.Write(p)
	b.total += int64(n)
	return n, err
}
