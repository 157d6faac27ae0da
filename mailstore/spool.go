package mailstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/message"
)

// Message is a message that has been received whole and is not stored yet. It
// may be appended any number of times, by several goroutines at once, until it
// is closed.
type Message struct {
	GUID mailbox.GUID
	Size int64 // bytes

	fs        disk.FS
	crc       uint32
	memory    []byte
	file      disk.File // nil if in memory
	structure *message.Structure
	binary    []byte // the structure as it is stored
	// references are the keys of message-ids, see the function of that name.
	references [][]byte
	// thread is given for a message that another slot has put into one.
	thread *thread
}

// incoming is the directory below the spool root where large messages wait.
const incoming = "incoming"

// Spool reads a message to its end and takes it apart. A message within
// Options.MemoryMessage is kept in memory, a larger one in a file that Close
// removes. ErrTooBig ends the reading as soon as Options.MaxMessage is passed.
func (s *Store) Spool(ctx context.Context, r io.Reader) (*Message, error) {
	if s.o.ReadOnly {
		return nil, ErrReadOnly
	}
	m := &Message{fs: s.o.FS}
	if err := m.receive(s, &contextReader{ctx, r}); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if err := m.parse(); err != nil {
		return nil, errors.Join(fmt.Errorf("spool: %w", err), m.Close())
	}
	return m, nil
}

// SpoolBytes is Spool of a message that is in memory, and is the store's from now on.
func (s *Store) SpoolBytes(ctx context.Context, b []byte) (*Message, error) {
	if s.o.ReadOnly || int64(len(b)) > min(s.o.MemoryMessage, s.o.MaxMessage) {
		return s.Spool(ctx, bytes.NewReader(b))
	}
	m := &Message{fs: s.o.FS, Size: int64(len(b)), memory: b, GUID: mailbox.GUIDOf(b), crc: crc32.Checksum(b, castagnoli)}
	if err := m.parse(); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return m, nil
}

// Octets are the message's, if it is in memory; else nil. They are shared: do not change them.
func (m *Message) Octets() []byte { return m.memory }

// parse takes the message apart here, in its receiver, and not in the committer
// that others wait for.
func (m *Message) parse() (err error) {
	if m.structure, err = message.Parse(m, m.Size); err != nil {
		return err
	}
	if m.binary, err = m.structure.AppendBinary(nil); err != nil {
		return err
	}
	m.references = references(m)
	return nil
}

func (m *Message) receive(s *Store, r io.Reader) error {
	head, err := readHead(r, s.o.MemoryMessage)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	sum := sums{mailbox.NewGUIDHash(), crc32.New(castagnoli)}
	sum.Write(head)
	m.Size = int64(len(head))
	if m.Size <= s.o.MemoryMessage {
		m.memory = head
		return m.finish(sum, s.o.MaxMessage)
	}
	if err := m.createFile(s); err != nil {
		return classify(err)
	}
	rest := io.TeeReader(io.LimitReader(r, s.o.MaxMessage-m.Size+1), sum)
	m.Size, err = io.Copy(m.file, io.MultiReader(bytes.NewReader(head), rest))
	if err != nil {
		return classify(fmt.Errorf("spool: %w", err))
	}
	return m.finish(sum, s.o.MaxMessage)
}

// firstRead is what memory a message is given at first: half of all mail fits.
const firstRead = 4 << 10

// readHead reads a message to its end, or the first octet more than most.
func readHead(r io.Reader, most int64) ([]byte, error) {
	b := make([]byte, 0, min(firstRead, most+1))
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil || int64(len(b)) > most {
			return b, err
		}
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(2*int64(cap(b)), most+1)), b...)
		}
	}
}

func (m *Message) finish(sum sums, limit int64) error {
	if m.Size > limit {
		return fmt.Errorf("more than %d bytes: %w", limit, ErrTooBig)
	}
	copy(m.GUID[:], sum.guid.Sum(nil))
	m.crc = sum.crc.Sum32()
	return nil
}

// createFile makes the file of a large message. It is never synced: until it is
// in a pack, nobody was told that the message is safe.
func (m *Message) createFile(s *Store) error {
	var name [16]byte
	if _, err := io.ReadFull(s.o.Rand, name[:]); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	path := filepath.Join(s.o.Spool, incoming, hex.EncodeToString(name[:]))
	f, err := s.o.FS.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	m.file = f
	return nil
}

// Structure is the message's MIME tree and envelope. It is shared: do not change it.
func (m *Message) Structure() *message.Structure { return m.structure }

// ReadAt reads the message's bytes.
func (m *Message) ReadAt(p []byte, off int64) (int, error) {
	if m.file != nil {
		return m.file.ReadAt(p, off)
	}
	if off < 0 || off > int64(len(m.memory)) {
		return 0, io.EOF
	}
	n := copy(p, m.memory[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close gives up the message. What has been appended stays.
func (m *Message) Close() error {
	if m.file == nil {
		return nil
	}
	f := m.file
	m.file = nil
	return errors.Join(f.Close(), m.fs.Remove(f.Name()))
}

// sums takes both digests of a message in one pass.
type sums struct {
	guid hash.Hash
	crc  hash.Hash32
}

func (s sums) Write(p []byte) (int, error) {
	s.guid.Write(p)
	return s.crc.Write(p)
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
