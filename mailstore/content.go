package mailstore

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"

	"teraslot/mailbox"
	"teraslot/message"
)

// thread is a thread's id: the beginning of the GUID of its first message.
type thread [12]byte

// content is a row of that table.
type content struct {
	num    uint32
	guid   mailbox.GUID
	size   int64
	thread thread
	refs   int64
	pack   uint64
	start  int64
	where  place
}

var (
	errContentRow   = errors.New("content row does not match its CRC")
	errNoContent    = errors.New("record's content is missing")
	errStructureRow = errors.New("cached structure does not match its CRC")
	errOtherContent = errors.New("record and content disagree on GUID or size")
)

// crc is drawn in docs/formats.md, "Mail database".
func (c *content) crc() int64 {
	b := make([]byte, 0, 96)
	b = append(b, crcVersion)
	b = binary.BigEndian.AppendUint32(b, c.num)
	b = append(b, c.guid[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.size))
	b = append(b, c.thread[:]...)
	b = binary.BigEndian.AppendUint64(b, c.pack)
	b = binary.BigEndian.AppendUint64(b, uint64(c.start))
	return int64(crc32.Checksum(b, castagnoli))
}

func structureCRC(num uint32, data []byte) int64 {
	var buf [8]byte
	b := binary.BigEndian.AppendUint64(buf[:0], uint64(num))
	return int64(crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, data))
}

const contentQuery = `SELECT num, guid, size, thread, refs, content.pack, start, crc, pack.place
	FROM content LEFT JOIN pack ON pack.n = content.pack WHERE `

// findContent reads the content that a condition with one argument names.
func (m *Mail) findContent(c *conn, where string, arg any) (content, bool, error) {
	var out content
	found, err := c.one(contentQuery+where, func(row []driver.Value) error {
		return m.scanContent(row, &out)
	}, arg)
	return out, found, err
}

func (m *Mail) scanContent(row []driver.Value, c *content) error {
	*c = content{
		num: uint32(integer(row[0])), size: integer(row[2]), refs: integer(row[4]),
		pack: uint64(integer(row[5])), start: integer(row[6]), where: place(integer(row[8])),
	}
	copy(c.guid[:], blob(row[1]))
	copy(c.thread[:], blob(row[3]))
	if c.crc() != integer(row[7]) || c.where < 0 || c.where >= places {
		return m.damage("", 0, fmt.Errorf("content %d: %w", c.num, errContentRow))
	}
	return nil
}

func (m *Mail) contentOf(c *conn, g mailbox.GUID) (content, bool, error) {
	return m.findContent(c, "guid = ?", g[:])
}

// readable reports whether a content's bytes are on disk and whole.
func (m *Mail) readable(c content) bool {
	r, err := m.packs.read(c.where, c.pack, c.start, c.guid, c.size)
	if err != nil {
		return false
	}
	return r.Close() == nil
}

// Open opens the message of a record, checked whole against its frame's CRC and
// GUID. Damage is a *Damage that names the place; then no bytes are returned.
func (m *Mail) Open(ctx context.Context, id mailbox.ID, rec mailbox.Record) (*Content, error) {
	c, err := m.openContent(ctx, func(c *conn) (content, error) {
		found, ok, err := m.findContent(c, "num = ?", int64(rec.Num))
		if err == nil && !ok {
			err = errNoContent
		} else if err == nil && (found.guid != rec.GUID || found.size != rec.Size) {
			err = errOtherContent
		}
		return found, err
	})
	var d *Damage
	switch {
	case errors.Is(err, errNoContent):
		return nil, m.missing(ctx, id, rec, err)
	case errors.Is(err, errOtherContent):
		return nil, m.damage(id, rec.UID, err)
	case errors.As(err, &d):
		d.Mailbox, d.UID = id, rec.UID
	}
	return c, err
}

// missing tells a record whose content has rightly gone, because the record was
// expunged and forgotten in the meantime, from one that is damaged.
func (m *Mail) missing(ctx context.Context, id mailbox.ID, rec mailbox.Record, cause error) error {
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if errors.Is(err, ErrNoMailbox) {
			return ErrNoMessage
		}
		if err != nil {
			return err
		}
		n, err := c.integer(`SELECT (SELECT count(*) FROM message WHERE id = ?1) + (SELECT count(*) FROM expunged WHERE id = ?1)`,
			rowID(b.row, rec.UID))
		if err == nil && n == 0 {
			err = ErrNoMessage
		}
		return err
	})
	if err != nil {
		return err
	}
	return m.damage(id, rec.UID, cause)
}

// OpenGUID opens a message by its GUID, in whatever mailbox it is. ErrNoMessage
// if none of the user's mailboxes holds it.
func (m *Mail) OpenGUID(ctx context.Context, g mailbox.GUID) (*Content, error) {
	return m.openContent(ctx, func(c *conn) (content, error) {
		found, ok, err := m.contentOf(c, g)
		if err == nil && !ok {
			err = fmt.Errorf("%s: %w", g, ErrNoMessage)
		}
		return found, err
	})
}

// openContent finds a content and opens its bytes. A repack may move them
// between the two steps: what is not there is looked up once more.
func (m *Mail) openContent(ctx context.Context, find func(c *conn) (content, error)) (*Content, error) {
	var last content
	var failure error
	for range 2 {
		var at content
		err := m.read(ctx, func(c *conn) (err error) {
			at, err = find(c)
			return err
		})
		if err != nil {
			return nil, err
		}
		if failure != nil && at.pack == last.pack && at.start == last.start {
			break
		}
		r, err := m.packs.read(at.where, at.pack, at.start, at.guid, at.size)
		if err == nil {
			return r, nil
		}
		last, failure = at, err
	}
	return nil, m.readFailure(last, failure)
}

// readFailure tells damage from what may work later, such as too many open files.
func (m *Mail) readFailure(at content, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Op == "open" && !errors.Is(err, fs.ErrNotExist) {
		return m.wrap(err)
	}
	return &Damage{User: m.user, Pack: at.pack, Offset: at.start, Err: err}
}

// structuresAtOnce bounds how many cached structures one read transaction yields.
const structuresAtOnce = 512

// Structures calls fn with the MIME structure and envelope of each record, in
// their order; i is the record's position. They come from the cache that was
// filled when the message came; where that is damaged or missing, from the message.
func (m *Mail) Structures(ctx context.Context, recs []mailbox.Record, fn func(i int, s *message.Structure) error) error {
	for at := 0; at < len(recs); at += structuresAtOnce {
		part := recs[at:min(at+structuresAtOnce, len(recs))]
		data, err := m.structureRows(ctx, part)
		if err != nil {
			return err
		}
		for i := range part {
			s, err := m.structure(ctx, part[i], data[i])
			if err != nil {
				return err
			}
			if err := fn(at+i, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// structureRows reads cached structures; nil stands for one that is not whole.
func (m *Mail) structureRows(ctx context.Context, recs []mailbox.Record) ([][]byte, error) {
	out := make([][]byte, len(recs))
	at := byNum(recs)
	err := m.read(ctx, func(c *conn) error {
		for rest := at; len(rest) > 0; {
			n := numRun(recs, rest)
			run := rest[:n]
			err := c.each(`SELECT num, data, crc FROM structure WHERE num BETWEEN ? AND ? ORDER BY num`, func(row []driver.Value) error {
				num, data := uint32(integer(row[0])), blob(row[1])
				for len(run) > 0 && recs[run[0]].Num < num {
					run = run[1:]
				}
				if len(run) == 0 || recs[run[0]].Num != num || structureCRC(num, data) != integer(row[2]) {
					return nil
				}
				for ; len(run) > 0 && recs[run[0]].Num == num; run = run[1:] {
					out[run[0]] = data
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
	return out, err
}

// byNum returns the positions of records in rising order of their contents.
func byNum(recs []mailbox.Record) []int {
	at := make([]int, len(recs))
	for i := range at {
		at[i] = i
	}
	rising := func(a, b int) int { return int(int64(recs[a].Num) - int64(recs[b].Num)) }
	if !slices.IsSortedFunc(at, rising) {
		slices.SortStableFunc(at, rising)
	}
	return at
}

// numGap is how many contents that nobody asked for a scan may step over: so
// many rows cost less than a query of their own.
const numGap = 3

// numRun returns how many of the first positions lie so close together that one
// scan reads their contents best.
func numRun(recs []mailbox.Record, at []int) int {
	n := 1
	for n < len(at) && recs[at[n]].Num-recs[at[n-1]].Num <= numGap+1 {
		n++
	}
	return n
}

// structure decodes a cached structure, or parses the message anew.
func (m *Mail) structure(ctx context.Context, rec mailbox.Record, data []byte) (*message.Structure, error) {
	if data != nil {
		if s, err := message.UnmarshalStructure(data); err == nil {
			return s, nil
		}
	}
	c, err := m.OpenGUID(ctx, rec.GUID)
	if err != nil {
		return nil, err
	}
	s, err := message.Parse(c, c.Size)
	return s, errors.Join(err, c.Close())
}

// Item is one content of a user, as the indexer sees it.
type Item struct {
	Num  uint32
	GUID mailbox.GUID
	Size int64
}

// Contents calls fn with every content that some record of the user holds,
// expunged and retained ones included, in rising order of Num and only those
// above after. It reads in parts: no transaction is open while fn runs.
func (m *Mail) Contents(ctx context.Context, after uint32, fn func(Item) error) error {
	const part = 4096
	for {
		items := make([]Item, 0, part)
		err := m.read(ctx, func(c *conn) error {
			return c.each(`SELECT num, guid, size FROM content WHERE num > ? ORDER BY num LIMIT ?`, func(row []driver.Value) error {
				it := Item{Num: uint32(integer(row[0])), Size: integer(row[2])}
				copy(it.GUID[:], blob(row[1]))
				items = append(items, it)
				return nil
			}, int64(after), int64(part))
		})
		if err != nil {
			return err
		}
		for _, it := range items {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(it); err != nil {
				return err
			}
		}
		if len(items) < part {
			return nil
		}
		after = items[len(items)-1].Num
	}
}

// Held returns a test for the GUIDs that some record of the user holds, expunged
// and retained ones included, as of now. It takes some 50 bytes of
// memory for each.
func (m *Mail) Held(ctx context.Context) (func(mailbox.GUID) bool, error) {
	held := map[mailbox.GUID]struct{}{}
	err := m.Contents(ctx, 0, func(it Item) error {
		held[it.GUID] = struct{}{}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(g mailbox.GUID) bool {
		_, ok := held[g]
		return ok
	}, nil
}

// EmailID is the EMAILID of RFC 8474 §5.1 for a message of that GUID.
func EmailID(g mailbox.GUID) string { return "E" + g.String()[:24] }

// ThreadIDs returns the THREADID (RFC 8474 §5.2) of each record.
func (m *Mail) ThreadIDs(ctx context.Context, recs []mailbox.Record) ([]string, error) {
	out := make([]string, len(recs))
	err := m.read(ctx, func(c *conn) error {
		for i := range recs {
			_, err := c.one(`SELECT thread FROM content WHERE num = ?`, func(row []driver.Value) error {
				out[i] = fmt.Sprintf("T%x", blob(row[0]))
				return nil
			}, int64(recs[i].Num))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}
