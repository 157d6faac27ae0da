package mailstore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"teraslot/disk"
	"teraslot/mailbox"
)

// place is the root that a pack lies under. Its values are stored.
type place int64

const (
	spoolPlace   place = 0
	archivePlace place = 1
	places             = 2
)

// packDir is one user's packs, in the user's directory below each root.
type packDir struct {
	fs   disk.FS
	user mailbox.User
	ask  func(mailbox.User) (Roots, error)
	make func(place) error // the user's directory
	at   atomic.Pointer[home]
}

const packSuffix = ".pack"

func (d *packDir) path(p place, n uint64) string {
	return filepath.Join(d.dir(p), strconv.FormatUint(n, 10)+packSuffix)
}

// packWriter appends messages to one pack. What it wrote since the last commit
// call may be lost, and is overwritten after rollback. One goroutine uses it at
// a time.
type packWriter struct {
	dir   *packDir
	n     uint64
	place place
	file  disk.File
	end   int64 // committed
	at    int64 // end, plus what was appended since
	held  int64 // bytes of frames appended since the last commit
	buf   []byte
	fresh bool  // the name is not durable yet
	ahead bool  // zeros are written ahead: see reserve
	began int64 // at, when the pack was opened
	room  int64 // size of the file, if ahead
	// broken is set when a sync failed: what the kernel did with the pages is
	// unknown, so nothing is ever appended to that file again.
	broken bool
}

// flushAt is the size of the buffer beyond which appended frames are written.
const flushAt = 256 << 10

// create makes pack n, in place of what a crash may have left under that name.
func (d *packDir) create(p place, n uint64) (*packWriter, error) {
	if err := d.make(p); err != nil {
		return nil, fmt.Errorf("pack %d: %w", n, classify(err))
	}
	f, err := d.fs.OpenFile(d.path(p, n), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("pack %d: %w", n, classify(err))
	}
	w := &packWriter{dir: d, n: n, place: p, file: f, end: packHeaderSize, at: packHeaderSize, fresh: true, began: packHeaderSize, room: packHeaderSize}
	if _, err := f.WriteAt(appendPackHeader(nil, n, d.user), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("pack %d: %w", n, classify(err)), f.Close())
	}
	return w, nil
}

// resume opens pack n, which was committed up to end, and cuts what lies
// beyond: bytes of deliveries that were never acknowledged. Zeros that were
// written ahead stay. The caller holds slot.lock. cut is the number of bytes that went. A pack that is shorter, or
// not a pack, is an error: it is left as it is.
func (d *packDir) resume(p place, n uint64, end int64) (w *packWriter, cut int64, err error) {
	f, err := d.open(p, n, os.O_RDWR)
	if err != nil {
		return nil, 0, fmt.Errorf("pack %d: %w", n, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	var head [packHeaderSize]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil, 0, fmt.Errorf("pack %d: header: %w", n, err)
	}
	if err := checkPackHeader(head[:], n, d.user); err != nil {
		return nil, 0, fmt.Errorf("pack %d: %w", n, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("pack %d: %w", n, err)
	}
	cut = info.Size() - end
	if cut < 0 {
		return nil, 0, fmt.Errorf("pack %d has %d bytes of %d: %w", n, info.Size(), end, errPack)
	}
	w = &packWriter{dir: d, n: n, place: p, file: f, end: end, at: end, began: end, room: info.Size()}
	ahead, err := onlyZeros(f, end, info.Size())
	if err != nil {
		return nil, 0, fmt.Errorf("pack %d: %w", n, err)
	}
	if ahead {
		return w, 0, nil
	}
	// Not synced: a tail that comes back after a power cut is cut again.
	if err := f.Truncate(end); err != nil {
		return nil, 0, fmt.Errorf("pack %d: %w", n, err)
	}
	w.room = end
	return w, cut, nil
}

// source is a message's bytes: in memory, or else behind a reader.
type source struct {
	memory []byte
	reader io.ReaderAt // nil if in memory
}

// append adds a message and returns where its frame begins.
func (w *packWriter) append(f frame, from source) (start int64, err error) {
	start = w.at + int64(len(w.buf))
	w.buf = f.append(w.buf)
	w.held += frameHeaderSize + f.Length
	if from.reader == nil {
		w.buf = append(w.buf, from.memory...)
		if len(w.buf) < flushAt {
			return start, nil
		}
		return start, w.flush()
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	return start, w.copyFrom(&f, from.reader)
}

func (w *packWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.file.WriteAt(w.buf, w.at); err != nil {
		return fmt.Errorf("pack %d: %w", w.n, classify(err))
	}
	w.at += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// copyFrom writes a message that lies in a file, and checks on the way that
// the file still holds what was received.
func (w *packWriter) copyFrom(f *frame, r io.ReaderAt) error {
	crc := crc32.New(castagnoli)
	n, err := io.Copy(io.MultiWriter(io.NewOffsetWriter(w.file, w.at), crc), io.NewSectionReader(r, 0, f.Length))
	if err != nil {
		return fmt.Errorf("pack %d: %w", w.n, classify(err))
	}
	if n != f.Length || crc.Sum32() != f.CRC {
		return fmt.Errorf("pack %d: message %s: %w", w.n, f.GUID, errContent)
	}
	w.at += n
	return nil
}

// sync writes out what was appended and makes it durable, the name of a new
// pack too.
func (w *packWriter) sync(step func(string)) error {
	if w.held == 0 {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.reserve()
	step(StepPackWritten)
	if err := w.file.Sync(); err != nil {
		w.broken = true
		return fmt.Errorf("pack %d: sync: %w", w.n, classify(err))
	}
	if w.fresh {
		if err := w.dir.fs.SyncDir(w.dir.dir(w.place)); err != nil {
			w.broken = true
			return fmt.Errorf("pack %d: sync directory: %w", w.n, classify(err))
		}
		w.fresh = false
	}
	step(StepPackSynced)
	return nil
}

// commit takes what was appended as acknowledged.
func (w *packWriter) commit() {
	w.end, w.held = w.at, 0
	w.shrink()
}

// rollback forgets what was appended since commit; the next append overwrites it.
func (w *packWriter) rollback() {
	w.at, w.held, w.buf = w.end, 0, w.buf[:0]
	w.shrink()
}

// idleBuffer is the size in bytes of the buffer that a writer keeps between
// batches: most messages fit, and hundreds of idle users keep no more.
const idleBuffer = 64 << 10

func (w *packWriter) shrink() {
	if cap(w.buf) > idleBuffer {
		w.buf = nil
	}
}

func (w *packWriter) close() error { return errors.Join(w.giveBack(), w.file.Close()) }

// read opens the message whose frame begins at start of pack n and checks it
// whole: frame, GUID, length and bytes. Any other outcome is an error.
func (d *packDir) read(p place, n uint64, start int64, guid mailbox.GUID, size int64) (*Content, error) {
	f, err := d.open(p, n, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	c := &Content{GUID: guid, Size: size, file: f, start: start + frameHeaderSize}
	if err := c.load(start); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if c.memory != nil {
		err := f.Close()
		c.file = nil
		return c, err
	}
	return c, nil
}

// frameAt reads the header of a frame.
func (d *packDir) frameAt(p place, n uint64, start int64) (frame, error) {
	f, err := d.open(p, n, os.O_RDONLY)
	if err != nil {
		return frame{}, err
	}
	var b [frameHeaderSize]byte
	_, err = f.ReadAt(b[:], start)
	if err = errors.Join(err, f.Close()); err != nil {
		return frame{}, err
	}
	return parseFrame(b[:])
}

// syncDir makes removals durable.
func (d *packDir) syncDir(p place) error {
	err := d.fs.SyncDir(d.dir(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// remove removes pack n; one that is gone already is no error.
func (d *packDir) remove(p place, n uint64) error {
	err := d.fs.Remove(d.path(p, n))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("pack %d: %w", n, err)
	}
	return nil
}

// Content is a stored message's bytes. It may be read by several goroutines; it
// stays readable when the message is expunged or its pack is rewritten.
type Content struct {
	GUID mailbox.GUID
	Size int64 // bytes

	memory []byte    // all of it, if it is small
	file   disk.File // otherwise
	start  int64
}

// inMemory is the size in bytes up to which a message is read at once.
const inMemory = 1 << 20

// load reads the frame at start and checks it, and the message, against it.
func (c *Content) load(start int64) error {
	first := int64(frameHeaderSize)
	if c.Size <= inMemory {
		first += c.Size
	}
	b := make([]byte, first)
	if n, err := c.file.ReadAt(b, start); err != nil && int64(n) < first {
		if n < frameHeaderSize {
			return fmt.Errorf("frame: %w", err)
		}
		b = b[:n]
	}
	f, err := parseFrame(b)
	if err != nil {
		return err
	}
	if f.GUID != c.GUID || f.Length != c.Size {
		return fmt.Errorf("frame holds %s of %d bytes instead of %s of %d: %w", f.GUID, f.Length, c.GUID, c.Size, errFrame)
	}
	if c.Size <= inMemory {
		c.memory = b[frameHeaderSize:len(b):len(b)]
		if int64(len(c.memory)) != c.Size || crc32.Checksum(c.memory, castagnoli) != f.CRC {
			return errContent
		}
		return nil
	}
	crc := crc32.New(castagnoli)
	n, err := io.Copy(crc, io.NewSectionReader(c.file, c.start, c.Size))
	if err != nil {
		return err
	}
	if n != c.Size || crc.Sum32() != f.CRC {
		return errContent
	}
	return nil
}

// ReadAt reads the message's bytes.
func (c *Content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= c.Size {
		return 0, io.EOF
	}
	short := int64(len(p)) > c.Size-off
	if short {
		p = p[:c.Size-off]
	}
	n := 0
	if c.file == nil {
		n = copy(p, c.memory[off:])
	} else if m, err := c.file.ReadAt(p, c.start+off); err != nil {
		return m, err
	} else {
		n = m
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// WriteTo writes all of the message.
func (c *Content) WriteTo(w io.Writer) (int64, error) {
	if c.file == nil {
		n, err := w.Write(c.memory)
		return int64(n), err
	}
	return io.Copy(w, io.NewSectionReader(c, 0, c.Size))
}

// Close gives up the content.
func (c *Content) Close() error {
	if c.file == nil {
		return nil
	}
	f := c.file
	c.file = nil
	return f.Close()
}
