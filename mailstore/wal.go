package mailstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"teraslot/disk"
)

// After a crash SQLite takes from a WAL what is whole, up to the first frame that is
// not, and says nothing of the rest: a bit that is wrong in the middle takes all that was
// committed behind it, and acknowledged. What a crash leaves at the end of a WAL looks
// alike, but for one thing: a commit is synced before the next begins. So where a whole
// commit and a frame after it lie behind the first bad frame, that one was damaged
// (https://www.sqlite.org/fileformat2.html#walformat).

// errWAL: mail.db would lose commits with which it was closed.
var errWAL = errors.New("its WAL is damaged, and what was committed behind that place would be lost: run slotctl verify --repair")

const (
	walHeaderSize      = 32
	walFrameHeaderSize = 24
)

// checkWAL reads the WAL beside a database that nobody has open, and returns an error
// that wraps errWAL if it is damaged.
func checkWAL(fsys disk.FS, path string) error {
	f, err := fsys.OpenFile(path+"-wal", os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	frame, damaged, err := damagedFrame(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if damaged {
		return fmt.Errorf("frame %d: %w", frame, errWAL)
	}
	return nil
}

// damagedFrame returns the first frame of a WAL that is not whole, counted from 0, and
// whether something else than a crash must have made it so.
func damagedFrame(r io.Reader) (first int, damaged bool, err error) {
	b, err := io.ReadAll(r) // checkpointPages pages, after a long reader some times that
	if err != nil || len(b) < walHeaderSize {
		return 0, false, err
	}
	w := wal{header: b[:walHeaderSize], frames: b[walHeaderSize:]}
	w.begin()
	for first < w.len() && w.whole && w.follows(first) {
		first++
	}
	committed := false
	for n := first; n < w.len(); n++ {
		switch f := w.frame(n); {
		case !bytes.Equal(f[8:16], w.salts): // of an earlier time
		case committed:
			return first, true, nil
		default:
			committed = binary.BigEndian.Uint32(f[4:]) > 0
		}
	}
	return first, false, nil
}

// wal is a WAL in memory.
type wal struct {
	header, frames []byte
	page           int
	order          binary.ByteOrder // of the words that checksums are made of
	salts          []byte           // of the frames since it was begun anew
	sum            [2]uint32        // of all so far
	whole          bool             // the header is
}

// begin reads the header. One that is damaged is guessed at: all mail.db have the same pages,
// and the salts are in each frame.
func (w *wal) begin() {
	magic := binary.BigEndian.Uint32(w.header)
	w.order = binary.ByteOrder(binary.LittleEndian)
	if magic&1 == 1 {
		w.order = binary.BigEndian
	}
	w.page, w.salts = int(binary.BigEndian.Uint32(w.header[8:])), w.header[16:24]
	w.add(w.header[:24])
	w.whole = magic&^1 == 0x377f0682 && w.page >= 512 && w.page <= 1<<16 && w.sumIs(w.header[24:])
	if !w.whole {
		w.page = 4096
		if w.len() > 0 {
			w.salts = w.frame(0)[8:16]
		}
	}
}

// len is the number of frames that are there to their ends.
func (w *wal) len() int { return len(w.frames) / (walFrameHeaderSize + w.page) }

func (w *wal) frame(n int) []byte {
	size := walFrameHeaderSize + w.page
	return w.frames[n*size:][:size]
}

// follows reports whether a frame is whole and belongs behind those before it.
func (w *wal) follows(n int) bool {
	f := w.frame(n)
	w.add(f[:8])
	w.add(f[walFrameHeaderSize:])
	return bytes.Equal(f[8:16], w.salts) && w.sumIs(f[16:24])
}

func (w *wal) sumIs(b []byte) bool {
	return binary.BigEndian.Uint32(b) == w.sum[0] && binary.BigEndian.Uint32(b[4:]) == w.sum[1]
}

// add continues the checksum with octets, a multiple of 8 of them.
func (w *wal) add(b []byte) {
	s0, s1 := w.sum[0], w.sum[1]
	for ; len(b) >= 8; b = b[8:] {
		s0 += w.order.Uint32(b) + s1
		s1 += w.order.Uint32(b[4:]) + s0
	}
	w.sum = [2]uint32{s0, s1}
}
