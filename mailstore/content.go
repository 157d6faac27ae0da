package mailstore

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"teraslot/mailbox"
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
	errHeld         = errors.New("what is held of the pack does not add up")
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

const contentQuery = `SELECT num, guid, size, thread, refs, content.pack, start, crc, pack.place
	FROM content LEFT JOIN {pack} ON pack.n = content.pack WHERE `

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
	if len(blob(row[1])) != len(c.guid) || len(blob(row[3])) != len(c.thread) || int64(c.num) != integer(row[0]) || c.crc() != integer(row[7]) || c.where < 0 || c.where >= places {
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

// genuine reports whether a content's bytes are on disk and whole, and the message that has its GUID.
func (m *Mail) genuine(c content) bool {
	r, err := m.packs.read(c.where, c.pack, c.start, c.guid, c.size)
	return err == nil && checkGUID(c.guid, r) == nil
}

// checkGUID closes a message that it has read, and returns why it is not the one of a GUID.
func checkGUID(g mailbox.GUID, r *Content) error {
	h := mailbox.NewGUIDHash()
	_, err := r.WriteTo(h)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if mailbox.GUID(h.Sum(nil)) != g {
		return errors.New("bytes have another GUID")
	}
	return nil
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
	var items []Item // mostly a few are asked for, behind all others
	for {
		items = items[:0]
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
