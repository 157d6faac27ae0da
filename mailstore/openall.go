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

// OpenAll opens the messages of records of one mailbox, each checked as Open
// checks it, at a fraction of the cost: their places are looked up together, and
// messages that lie side by side are read together. Those of up to 1 MiB are read
// into memory, so the sum of sizes is the caller's to bound.
func (m *Mail) OpenAll(ctx context.Context, id mailbox.ID, recs []mailbox.Record) []Opened {
	out := make([]Opened, len(recs))
	if len(recs) > 1 {
		// What goes wrong here goes wrong, or well, for each message below.
		if places, err := m.places(ctx, recs); err == nil {
			m.readTogether(places, out)
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
	content
	at int // the record's position
}

func (p *placed) end() int64 { return p.start + frameHeaderSize + p.size }

// places looks up the places of small messages, sorted by pack and position.
func (m *Mail) places(ctx context.Context, recs []mailbox.Record) ([]placed, error) {
	var out []placed
	at := byNum(recs)
	err := m.read(ctx, func(c *conn) error {
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
					if r := &recs[run[0]]; r.GUID == found.guid && r.Size == found.size && r.Size <= inMemory {
						out = append(out, placed{found, run[0]})
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
	slices.SortFunc(out, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.where, b.where), cmp.Compare(a.pack, b.pack), cmp.Compare(a.start, b.start))
	})
	return out, err
}

// readTogether fills in what can be read and is whole.
func (m *Mail) readTogether(all []placed, out []Opened) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].pack == all[0].pack && all[n].where == all[0].where {
			n++
		}
		f, err := m.packs.fs.OpenFile(m.packs.path(all[0].where, all[0].pack), os.O_RDONLY, 0)
		if err == nil {
			readStretches(f, all[:n], out)
			if f.Close() != nil {
				return
			}
		}
		all = all[n:]
	}
}

// readStretches reads messages of one pack, those that lie side by side at once.
func readStretches(f disk.File, all []placed, out []Opened) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && (all[n].start == all[n-1].end() || all[n].start == all[n-1].start) {
			n++
		}
		b := make([]byte, all[n-1].end()-all[0].start)
		got, _ := f.ReadAt(b, all[0].start) // what is short fails its CRC
		for i := range all[:n] {
			p := &all[i]
			if from, to := p.start-all[0].start, p.end()-all[0].start; to <= int64(got) {
				if c, err := wholeContent(&p.content, b[from:to:to]); err == nil {
					out[p.at].Content = c
				}
			}
		}
		all = all[n:]
	}
}

// wholeContent is the content of a frame with its bytes, if it is whole.
func wholeContent(c *content, b []byte) (*Content, error) {
	f, err := parseFrame(b)
	if err != nil {
		return nil, err
	}
	bytes := b[frameHeaderSize:]
	if f.GUID != c.guid || f.Length != c.size || int64(len(bytes)) != c.size {
		return nil, errFrame
	}
	if crc32.Checksum(bytes, castagnoli) != f.CRC {
		return nil, errContent
	}
	return &Content{GUID: c.guid, Size: c.size, memory: bytes, start: c.start + frameHeaderSize}, nil
}
