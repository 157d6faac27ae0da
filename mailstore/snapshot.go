package mailstore

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// A backup copies a user's packs, which only grow, and mail.db as it was at one
// moment. Each record of such a copy has its bytes in the packs up to the ends that
// the copy names: they were synced before the record was committed. A pack may go
// meanwhile, because a repack has put its messages elsewhere; then a later copy of
// mail.db says where.

// Pack is a message pack as mail.db knows it.
type Pack struct {
	N       uint64
	Archive bool  // it lies below Options.Archive, else below Options.Spool
	End     int64 // its committed length in bytes
}

// Snapshot is what a copy of mail.db says of itself.
type Snapshot struct {
	Packs []Pack // all whose messages its records may refer to
	// Fingerprint changes with every change of the user's mail, and with nothing else.
	Fingerprint [sha256.Size]byte
	// Came and Went are mailboxes that changed their owner: whose those were that came here, and who got
	// those that went. See Mail.Handed.
	Came, Went map[mailbox.ID]mailbox.User
}

// Look returns what a copy of mail.db made now would say.
func (m *Mail) Look(ctx context.Context) (Snapshot, error) {
	var out Snapshot
	err := m.read(ctx, func(c *conn) (err error) {
		out, err = look(c)
		return err
	})
	return out, err
}

// Snapshot writes mail.db as it is now to a new file, which can be put in place of a
// lost one. Writers go on meanwhile. The file is not synced; its directory must be on
// the real disk.
func (m *Mail) Snapshot(ctx context.Context, path string) (out Snapshot, err error) {
	if err := m.vacuumInto(ctx, path); err != nil {
		return out, m.wrap(err)
	}
	c, err := openConn(path, false)
	if err != nil {
		return out, m.wrap(err)
	}
	defer func() { err = m.wrap(errors.Join(err, c.close())) }()
	// VACUUM writes a database that is none with a WAL.
	if err := c.exec("PRAGMA journal_mode = WAL"); err != nil {
		return out, err
	}
	return look(c)
}

// vacuumInto copies mail.db over a connection of its own: those of read may not
// write anywhere.
func (m *Mail) vacuumInto(ctx context.Context, path string) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	q := url.Values{"mode": {"ro"}}
	q.Add("_pragma", "busy_timeout(10000)")
	c, err := dial((&url.URL{Scheme: "file", OmitHost: true, Path: m.path, RawQuery: q.Encode()}).String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.exec("VACUUM INTO ?", path); err != nil {
		return err
	}
	return os.Chmod(path, 0o600)
}

// Disown makes a copy of mail.db at path, which nobody has open, know nothing of the
// packs that it meant to remove, or of which a repack was under way when it was made:
// messages have come to them since, perhaps. Whoever puts a copy in place of mail.db
// calls it before the mail is opened.
func Disown(path string) (err error) {
	c, err := openConn(path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return c.exec(`DELETE FROM pack WHERE state IN (?, ?)`, packDropped, packRepacked)
}

// bulk are the tables that the fingerprint need not read: every change in them
// changes a mailbox's row too, or the sums of a pack, or concerns what is derived.
const bulk = `'message', 'expunged', 'content', 'structure', 'thread', 'keyword', 'provenance'`

// look reads a database's packs and makes the fingerprint.
func look(c *conn) (Snapshot, error) {
	var out Snapshot
	var tables []string
	err := c.each(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN (`+bulk+`) ORDER BY name`, func(row []driver.Value) error {
		tables = append(tables, text(row[0]))
		return nil
	})
	if err != nil {
		return out, err
	}
	h := sha256.New()
	for _, table := range tables {
		fmt.Fprintln(h, table)
		from := `"` + table + `"`
		checked, err := isSealed(c, table)
		if err != nil {
			return out, err
		}
		if checked {
			from = "{" + table + "}" // no copy is made of damaged rows
		}
		if err := c.each("SELECT * FROM "+from, func(row []driver.Value) error {
			_, err := fmt.Fprintf(h, "%#v\n", row)
			return err
		}); err != nil {
			return out, err
		}
	}
	h.Sum(out.Fingerprint[:0])
	packs, err := loadPacks(c)
	for _, p := range packs {
		if p.state != packDropped && p.state != packRepacked && p.end > 0 {
			out.Packs = append(out.Packs, Pack{N: p.n, Archive: p.place == archivePlace, End: p.end})
		}
	}
	if err == nil {
		out.Came, err = loadHanded(c, false)
	}
	if err == nil {
		out.Went, err = loadHanded(c, true)
	}
	return out, err
}

// OpenPack opens a pack's file for reading, which stays readable when the pack is
// removed. fs.ErrNotExist: it was removed.
func (m *Mail) OpenPack(p Pack) (disk.File, error) {
	where := spoolPlace
	if p.Archive {
		where = archivePlace
	}
	return m.packs.open(where, p.N, os.O_RDONLY)
}

// PackFile is where a pack lies below the user's roots.
func (o Options) PackFile(u mailbox.User, p Pack) (string, error) {
	r, err := o.withDefaults().rootsOf(u)
	root := r.Spool
	if p.Archive {
		root = r.Archive
	}
	return filepath.Join(root, u.Dir(), fmt.Sprint(p.N)+packSuffix), err
}

// DatabaseFile is where a user's mail.db lies below the roots of o.
func (o Options) DatabaseFile(u mailbox.User) string {
	return filepath.Join(o.Conf, u.Dir(), "mail.db")
}

// Scan is how far a pack was read.
type Scan struct {
	// Whole is the end of the last message up to which nothing was damaged.
	Whole int64
	// Last is where the last whole message begins, and Mark the CRC of its header,
	// which has its GUID, UID and date: another pack of the same number has another
	// one. Both are 0 if there was none.
	Last int64
	Mark uint32
}

// ScanPack reads the octets of a pack from one position to another, both of which
// are 0 or lie between messages, checks every message against its frame and its GUID
// and writes what it read to w. Damage is told to damaged, with the position; if
// that returns false the scan ends there without an error, else it goes on, and all
// octets come to w all the same. Other errors are those of r and w.
func ScanPack(w io.Writer, r io.Reader, from, to int64, damaged func(at int64, err error) bool) (Scan, error) {
	s := scanner{r: bufio.NewReaderSize(r, 64<<10), w: w, at: from, to: to}
	s.Whole = from
	if s.at < packHeaderSize && s.at < to {
		if err := s.copy(packHeaderSize-s.at, io.Discard); err != nil {
			return s.Scan, err
		}
		s.Whole = s.at
	}
	sound := true
	for s.at < to {
		start := s.at
		err := s.message()
		if errors.Is(err, errFrame) || errors.Is(err, errContent) || errors.Is(err, ErrVersion) {
			sound = false
			if !damaged(start, err) {
				return s.Scan, nil
			}
			if !errors.Is(err, errContent) { // where the next message begins is not known
				return s.Scan, s.copy(to-s.at, io.Discard)
			}
			continue
		}
		if err != nil {
			return s.Scan, err
		}
		if sound {
			s.Whole = s.at
		}
	}
	return s.Scan, nil
}

type scanner struct {
	Scan
	r      *bufio.Reader
	w      io.Writer
	at, to int64
}

// copy copies octets to w, and to another.
func (s *scanner) copy(n int64, also io.Writer) error {
	n = min(n, s.to-s.at)
	got, err := io.CopyN(io.MultiWriter(s.w, also), s.r, n)
	s.at += got
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// message copies one message and checks it.
func (s *scanner) message() error {
	start := s.at
	head, err := s.r.Peek(frameHeaderSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if s.to-s.at < int64(len(head)) {
		head = head[:s.to-s.at]
	}
	f, err := parseFrame(head)
	if err != nil {
		return err
	}
	if f.Length > s.to-s.at-frameHeaderSize {
		return fmt.Errorf("%w: it ends beyond the pack's end", errFrame)
	}
	mark := crc32.Checksum(head, castagnoli)
	if err := s.copy(frameHeaderSize, io.Discard); err != nil {
		return err
	}
	guid := mailbox.NewGUIDHash()
	if err := s.copy(f.Length, guid); err != nil {
		return err
	}
	if mailbox.GUID(guid.Sum(nil)) != f.GUID {
		return fmt.Errorf("message %s: %w", f.GUID, errContent)
	}
	s.Last, s.Mark = start, mark
	return nil
}

// MarkAt returns the Mark of the message that begins at a position of a pack.
func MarkAt(r io.ReaderAt, at int64) (uint32, error) {
	var head [frameHeaderSize]byte
	if _, err := r.ReadAt(head[:], at); err != nil {
		return 0, err
	}
	_, err := parseFrame(head[:])
	return crc32.Checksum(head[:], castagnoli), err
}

// ExpungedSince returns the records of messages that were expunged from a mailbox at
// a moment or later and are not forgotten yet, sorted by UID; of a mailbox that was
// deleted since, and is retained, those that it had, too. They can still be opened.
func (m *Mail) ExpungedSince(ctx context.Context, id mailbox.ID, since time.Time) ([]mailbox.Record, error) {
	var out []mailbox.Record
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if errors.Is(err, ErrNoMailbox) {
			out, err = m.buriedSince(c, id, since)
			return err
		}
		if err != nil {
			return err
		}
		out, err = m.expungedRows(c, b, since)
		return err
	})
	return out, err
}

func (m *Mail) expungedRows(c *conn, b *box, since time.Time) ([]mailbox.Record, error) {
	return m.keptRows(c, b, true, "SELECT "+recordList+" FROM {expunged} WHERE id BETWEEN ? AND ? AND gone >= ? ORDER BY id", since.Unix())
}

// buriedSince is ExpungedSince of a mailbox that is a grave.
func (m *Mail) buriedSince(c *conn, id mailbox.ID, since time.Time) ([]mailbox.Record, error) {
	all, err := loadGraves(c)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(g *grave) bool { return g.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("%s: %w", id, ErrNoMailbox)
	}
	g := all[i]
	out, err := m.expungedRows(c, &g.box, since)
	if err != nil || g.gone < since.Unix() {
		return out, err
	}
	had, err := m.keptRows(c, &g.box, false, "SELECT "+recordList+" FROM message WHERE id BETWEEN ? AND ? ORDER BY id")
	out = append(out, had...)
	slices.SortFunc(out, func(a, b mailbox.Record) int { return cmp.Compare(a.UID, b.UID) })
	return out, err
}

// keptRows reads records whose messages nobody sees any more.
func (m *Mail) keptRows(c *conn, b *box, expunged bool, query string, args ...any) ([]mailbox.Record, error) {
	var out []mailbox.Record
	err := c.each(query, func(row []driver.Value) error {
		var r mailbox.Record
		if err := m.scanRecord(b, row, expunged, &r); err != nil {
			return err
		}
		r.Expunged = true
		out = append(out, r)
		return nil
	}, append([]any{rowID(b.row, 0), rowID(b.row, 1<<32-1)}, args...)...)
	return out, err
}
