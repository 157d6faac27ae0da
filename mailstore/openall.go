package mailstore

import (
	"cmp"
	"context"
	"database/sql/driver"
	"hash/crc32"
	"os"
	"slices"

	"teraslot/disk"
	"teraslot/mailbox"
)

// Opened is a message that OpenAll opened, or why it could not.
type Opened struct {
	Content *Content // nil if Err is set; to be closed
	Err     error    // as Open gives it
}

// Buffer is memory for the bytes of messages that are opened together, again and
// again. Its zero value is ready. It belongs to one goroutine.
type Buffer struct{ b []byte }

// take returns n bytes, in which anything may stand.
func (b *Buffer) take(n int64) []byte {
	if b == nil {
		return make([]byte, n)
	}
	from, to := int64(len(b.b)), int64(len(b.b))+n
	if to > int64(cap(b.b)) {
		// What was taken of the old memory stays what it is.
		from, to = 0, n
		b.b = make([]byte, 0, max(n, bufferSize))
	}
	b.b = b.b[:to]
	return b.b[from:to:to]
}

// bufferSize is the least that a Buffer has, in bytes.
const bufferSize = 64 << 10

// OpenAll opens the messages of records of one mailbox, each checked as Open
// checks it, at a fraction of the cost: their places are looked up together, and
// messages that lie side by side are read together. Those of up to 1 MiB are read
// into memory, so the sum of sizes is the caller's to bound.
func (m *Mail) OpenAll(ctx context.Context, id mailbox.ID, recs []mailbox.Record) []Opened {
	return m.OpenInto(ctx, id, recs, nil)
}

// OpenInto is OpenAll into a buffer: the contents are good until its next use.
func (m *Mail) OpenInto(ctx context.Context, id mailbox.ID, recs []mailbox.Record, into *Buffer) []Opened {
	out := make([]Opened, len(recs))
	if into != nil {
		into.b = into.b[:0]
	}
	if len(recs) > 1 {
		// What goes wrong here goes wrong, or well, for each message below.
		if places, err := m.places(ctx, recs); err == nil {
			m.readTogether(recs, places, out, into)
		}
	}
	for i := range recs {
		if out[i].Content == nil {
			out[i].Content, out[i].Err = m.Open(ctx, id, recs[i])
		}
	}
	return out
}

// placed is where the bytes of a record lie.
type placed struct {
	spot
	at  int   // the record's position
	end int64 // of the frame
}

// OpenItems opens contents, given in rising order of Num, each as OpenGUID does, at
// a fraction of the cost, as OpenInto. Where they lie is not remembered: whoever
// indexes a mailbox reads it once.
func (m *Mail) OpenItems(ctx context.Context, items []Item, into *Buffer) []Opened {
	out, recs, all := make([]Opened, len(items)), make([]mailbox.Record, len(items)), make([]int, len(items))
	for i, it := range items {
		recs[i], all[i] = mailbox.Record{Num: it.Num, GUID: it.GUID, Size: it.Size}, i
	}
	if into != nil {
		into.b = into.b[:0]
	}
	if len(items) > 1 {
		// What goes wrong here goes wrong, or well, for each message below.
		spots := make([]spot, len(items))
		if err := m.spotRows(ctx, recs, all, spots); err == nil {
			m.readTogether(recs, inPacks(recs, spots), out, into)
		}
	}
	for i := range items {
		if out[i].Content == nil {
			out[i].Content, out[i].Err = m.OpenGUID(ctx, items[i].GUID)
		}
	}
	return out
}

// places looks up the places of small messages, sorted by pack and position.
func (m *Mail) places(ctx context.Context, recs []mailbox.Record) ([]placed, error) {
	spots := make([]spot, len(recs))
	if missing := m.s.contents.spots(m.user, recs, spots); len(missing) > 0 {
		if err := m.spotRows(ctx, recs, missing, spots); err != nil {
			return nil, err
		}
		m.s.contents.keepSpots(m.user, recs, missing, spots)
	}
	return inPacks(recs, spots), nil
}

// inPacks are the places of small messages, sorted by pack and position.
func inPacks(recs []mailbox.Record, spots []spot) []placed {
	out := make([]placed, 0, len(recs))
	for i, s := range spots {
		if r := &recs[i]; s.pack != 0 && r.Size <= inMemory {
			out = append(out, placed{s, i, s.start + frameHeaderSize + r.Size})
		}
	}
	slices.SortFunc(out, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.where, b.where), cmp.Compare(a.pack, b.pack), cmp.Compare(a.start, b.start))
	})
	return out
}

// spotRows reads the places of the records at some positions, which are sorted by
// their contents.
func (m *Mail) spotRows(ctx context.Context, recs []mailbox.Record, at []int, spots []spot) error {
	return m.read(ctx, func(c *conn) error {
		for rest := at; len(rest) > 0; {
			n := numRun(recs, rest)
			run := rest[:n]
			err := c.each(contentQuery+`num BETWEEN ? AND ? ORDER BY num`, func(row []driver.Value) error {
				var found content
				if err := m.scanContent(row, &found); err != nil {
					return nil // Open says which message it is of
				}
				for len(run) > 0 && recs[run[0]].Num < found.num {
					run = run[1:]
				}
				for ; len(run) > 0 && recs[run[0]].Num == found.num; run = run[1:] {
					if r := &recs[run[0]]; r.GUID == found.guid && r.Size == found.size {
						spots[run[0]] = spot{found.where, found.pack, found.start}
					}
				}
				return nil
			}, int64(recs[rest[0]].Num), int64(recs[rest[n-1]].Num))
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
}

// readTogether fills in what can be read and is whole. Where something else lies
// by now, its place is forgotten.
func (m *Mail) readTogether(recs []mailbox.Record, all []placed, out []Opened, into *Buffer) {
	var moved []int
	for _, p := range all {
		moved = append(moved, p.at)
	}
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].pack == all[0].pack && all[n].where == all[0].where {
			n++
		}
		f, err := m.packs.open(all[0].where, all[0].pack, os.O_RDONLY)
		if err == nil {
			readStretches(f, recs, all[:n], out, into)
			if f.Close() != nil {
				break
			}
		}
		all = all[n:]
	}
	moved = slices.DeleteFunc(moved, func(i int) bool { return out[i].Content != nil })
	if len(moved) > 0 {
		m.s.contents.keepSpots(m.user, recs, moved, make([]spot, len(recs)))
	}
}

// readStretches reads messages of one pack, those that lie side by side at once.
func readStretches(f disk.File, recs []mailbox.Record, all []placed, out []Opened, into *Buffer) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && (all[n].start == all[n-1].end || all[n].start == all[n-1].start) {
			n++
		}
		b := into.take(all[n-1].end - all[0].start)
		got, _ := f.ReadAt(b, all[0].start) // what is short fails its CRC
		for i := range all[:n] {
			p := &all[i]
			if from, to := p.start-all[0].start, p.end-all[0].start; to <= int64(got) {
				if c, err := wholeContent(&recs[p.at], p.start, b[from:to:to]); err == nil {
					out[p.at].Content = c
				}
			}
		}
		all = all[n:]
	}
}

// wholeContent is the content of a frame with its bytes, if it is whole and the
// record's.
func wholeContent(r *mailbox.Record, start int64, b []byte) (*Content, error) {
	f, err := parseFrame(b)
	if err != nil {
		return nil, err
	}
	bytes := b[frameHeaderSize:]
	if f.GUID != r.GUID || f.Length != r.Size || int64(len(bytes)) != r.Size {
		return nil, errFrame
	}
	if crc32.Checksum(bytes, castagnoli) != f.CRC {
		return nil, errContent
	}
	return &Content{GUID: r.GUID, Size: r.Size, memory: bytes, start: start + frameHeaderSize}, nil
}
