package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"teraslot/mailbox"
	"teraslot/message"
	"teraslot/sealed"
)

// Finding is something that Verify found wrong.
type Finding struct {
	Mailbox mailbox.ID  // "" if it is none's
	UID     mailbox.UID // 0 if it is none's
	Pack    uint64      // 0 if it is none's
	Problem string
	// Harmless says that no mail is concerned: bytes or rows that nothing refers to.
	Harmless bool
}

// String is the finding in one line.
func (f Finding) String() string {
	var b strings.Builder
	if f.Mailbox != "" {
		fmt.Fprintf(&b, "mailbox %s: ", f.Mailbox)
	}
	if f.UID != 0 {
		fmt.Fprintf(&b, "UID %d: ", f.UID)
	}
	if f.Pack != 0 {
		fmt.Fprintf(&b, "pack %d: ", f.Pack)
	}
	b.WriteString(f.Problem)
	return b.String()
}

// Verify checks all of a user's mail against itself: SQLite's own check, every
// row against its CRC, and where none is damaged every record against its CRC and its mailbox's counters and checksum, contents
// against the records that hold them, every message's bytes, packs and their headers, cached
// structures, and the copy of mail.db. report is told of each thing that is wrong. The error is only for
// a check that could not be finished.
//
// All records are read in one transaction, which lasts longer than others.
func (s *Store) Verify(ctx context.Context, u mailbox.User, report func(Finding)) error {
	m, err := s.Acquire(ctx, u)
	if errors.Is(err, sealed.ErrRow) {
		return s.verifyClosed(u, report)
	}
	if err != nil {
		return err
	}
	defer m.Release()
	v := &verification{m: m, report: report, refs: map[uint32]int64{}, holder: map[uint32]Finding{}}
	err = m.read(ctx, func(c *conn) error { return v.database(ctx, c) })
	if err != nil {
		return err
	}
	return v.bytes(ctx)
}

// verification is one run of Verify.
type verification struct {
	m        *Mail
	report   func(Finding)
	refs     map[uint32]int64   // records of each content
	holder   map[uint32]Finding // one of those records, to name in a finding
	contents []content
	packs    []packRow
	highest  mailbox.ModSeq
	usage    Usage
}

func (v *verification) problem(format string, args ...any) {
	v.report(Finding{Problem: fmt.Sprintf(format, args...)})
}

func (v *verification) database(ctx context.Context, c *conn) error {
	// Before SQLite's check, which ends at the first damaged row, and says why rows cannot be read.
	if damaged, err := v.rows(c); damaged || err != nil && !databaseDamaged(err) {
		return err
	}
	if err := c.each("PRAGMA integrity_check", func(row []driver.Value) error {
		if s := text(row[0]); s != "ok" {
			v.problem("mail.db: %s", s)
			v.m.distrust(&Damage{User: v.m.user, Err: errors.New(s)})
		}
		return nil
	}); err != nil {
		return err
	}
	boxes, err := loadBoxes(c)
	if err != nil {
		return err
	}
	for _, b := range boxes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.box(c, b); err != nil {
			return err
		}
	}
	if err := v.graves(c); err != nil {
		return err
	}
	if err := v.strays(c, boxes); err != nil {
		return err
	}
	if err := v.account(c); err != nil {
		return err
	}
	if err := v.provenance(c); err != nil {
		return err
	}
	return v.contentRows(c)
}

// box checks the records of one mailbox.
func (v *verification) box(c *conn, b *box) error {
	var counts mailbox.Counts
	var sum mailbox.Checksum
	var first mailbox.UID
	words := map[string]int64{}
	if err := v.numbers(c, b); err != nil {
		return err
	}
	err := v.records(c, b, "message", false, func(r *mailbox.Record) {
		sum.Add(r)
		counts.Exists++
		counts.Size += r.Size
		if !r.Flags.Has(mailbox.Seen) {
			counts.Unseen++
			if first == 0 {
				first = r.UID
			}
		}
		for _, word := range r.Flags.KeywordList() {
			words[word]++
		}
		if r.Flags.Has(mailbox.Deleted) {
			counts.Deleted++
		}
	})
	if err != nil {
		return err
	}
	if err := v.records(c, b, "expunged", true, func(*mailbox.Record) {}); err != nil {
		return err
	}
	if counts != b.Counts {
		v.m.distrust(&Damage{User: v.m.user, Mailbox: b.ID, Err: errCount})
		v.report(Finding{Mailbox: b.ID, Problem: fmt.Sprintf("counters are %+v, records give %+v", b.Counts, counts)})
	}
	if sum != b.Checksum {
		v.report(Finding{Mailbox: b.ID, Problem: "checksum does not match the records"})
	}
	if first != b.firstUnseen {
		v.report(Finding{Mailbox: b.ID, UID: first, Problem: fmt.Sprintf("is the first unseen, the mailbox says UID %d", b.firstUnseen)})
	}
	if b.recent >= b.UIDNext {
		v.report(Finding{Mailbox: b.ID, Problem: fmt.Sprintf("messages to UID %d were announced, the next is %d", b.recent, b.UIDNext)})
	}
	if err := v.keywords(c, b, words); err != nil {
		return err
	}
	v.highest = max(v.highest, b.HighestModSeq)
	v.usage.Bytes += counts.Size
	v.usage.Messages += int64(counts.Exists)
	return nil
}

func (v *verification) records(c *conn, b *box, table string, expunged bool, fn func(r *mailbox.Record)) error {
	var r mailbox.Record
	return c.each("SELECT "+recordList+" FROM "+table+" WHERE id BETWEEN ? AND ? ORDER BY id", func(row []driver.Value) error {
		at := Finding{Mailbox: b.ID, UID: mailbox.UID(integer(row[0]))}
		if err := v.m.scanRecord(b, row, expunged, &r); err != nil {
			at.Problem = errRecord.Error()
			v.report(at)
		}
		if r.UID >= b.UIDNext || r.ModSeq > b.HighestModSeq || r.CreatedModSeq > r.ModSeq {
			at.Problem = fmt.Sprintf("UID, MODSEQ %d or creation %d beyond the mailbox's %d, %d", r.ModSeq, r.CreatedModSeq, b.UIDNext, b.HighestModSeq)
			v.report(at)
		}
		v.refs[r.Num]++
		v.holder[r.Num] = at
		fn(&r)
		return nil
	}, rowID(b.row, 0), rowID(b.row, math.MaxUint32))
}

// numbers finds records whose column num is not what they say themselves: no CRC is of it.
func (v *verification) numbers(c *conn, b *box) error {
	return misnumbered(c, b, func(table string, id int64) error {
		v.report(Finding{Mailbox: b.ID, UID: mailbox.UID(uint32(id)), Problem: "table " + table + " names another content than the record"})
		return nil
	})
}

// misnumbered calls fn with such records.
func misnumbered(c *conn, b *box, fn func(table string, id int64) error) error {
	for _, table := range []string{"message", "expunged"} {
		err := c.each(`SELECT id FROM `+table+` WHERE id BETWEEN ? AND ? AND hex(substr(fixed, 33, 4)) <> printf('%08X', num)`, func(row []driver.Value) error {
			return fn(table, integer(row[0]))
		}, rowID(b.row, 0), rowID(b.row, math.MaxUint32))
		if err != nil {
			return err
		}
	}
	return nil
}

// keywords compares the table of keywords with those of the records.
func (v *verification) keywords(c *conn, b *box, words map[string]int64) error {
	counted := map[string]int64{}
	for word, n := range words {
		counted[foldASCII(word)] += n
	}
	err := c.each(`SELECT word, n FROM {keyword} WHERE box = ?`, func(row []driver.Value) error {
		word, n := text(row[0]), integer(row[1])
		if counted[foldASCII(word)] != n || n == 0 {
			v.report(Finding{Mailbox: b.ID, Problem: fmt.Sprintf("keyword %q counts %d messages, has %d", word, n, counted[foldASCII(word)])})
		}
		delete(counted, foldASCII(word))
		return nil
	}, b.row)
	for word, n := range counted {
		v.report(Finding{Mailbox: b.ID, Problem: fmt.Sprintf("keyword %q of %d messages is not in the table", word, n)})
	}
	return err
}

// foldASCII is how keywords compare, here as in SQLite's NOCASE.
func foldASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// strays finds records of mailboxes that are not there.
func (v *verification) strays(c *conn, boxes []*box) error {
	known := map[int64]bool{}
	for _, b := range boxes {
		known[b.row] = true
	}
	graves, err := loadGraves(c)
	if err != nil {
		return err
	}
	for _, g := range graves {
		known[g.row] = true
	}
	for table, column := range map[string]string{"message": "id >> 32", "expunged": "id >> 32", "keyword": "box", "setting": "box"} {
		err := c.each("SELECT DISTINCT "+column+" FROM "+table, func(row []driver.Value) error {
			if n := integer(row[0]); !known[n] {
				v.problem("table %s has records of mailbox number %d, which is not there", table, n)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) account(c *conn) error {
	t := &txn{m: v.m, c: c}
	if err := t.loadAccount(); err != nil {
		return err
	}
	if t.account.usage != v.usage {
		v.problem("usage is %+v, records give %+v", t.account.usage, v.usage)
	}
	if t.account.modseq < v.highest {
		v.problem("mod-sequence %d is below a mailbox's %d", t.account.modseq, v.highest)
	}
	for _, sql := range []string{
		`SELECT count(*) FROM {mailbox}, {account} WHERE mailbox.box > account.box`,
		`SELECT count(*) FROM content, {account} WHERE content.num > account.num`,
		`SELECT count(*) FROM {pack}, {account} WHERE pack.n > account.pack`,
		`SELECT count(*) FROM {grave}, {account} WHERE grave.box > account.box`,
	} {
		n, err := c.integer(sql)
		if err != nil {
			return err
		}
		if n > 0 {
			v.problem("%d rows beyond the account's counters: %s", n, sql)
		}
	}
	return nil
}

// contentRows checks contents against records, packs and structures.
func (v *verification) contentRows(c *conn) error {
	var err error
	if v.packs, err = loadPacks(c); err != nil {
		return err
	}
	held, reach := map[uint64]int64{}, map[uint64]int64{}
	err = c.each(contentQuery+`true ORDER BY pack, start`, func(row []driver.Value) error {
		var one content
		if err := v.m.scanContent(row, &one); err != nil {
			v.report(v.at(one.num, 0, errContentRow.Error()))
			return nil
		}
		if one.refs != v.refs[one.num] || one.refs == 0 {
			v.report(v.at(one.num, 0, fmt.Sprintf("content %d counts %d records, has %d", one.num, one.refs, v.refs[one.num])))
		}
		delete(v.refs, one.num)
		held[one.pack] += one.size + frameHeaderSize
		reach[one.pack] = max(reach[one.pack], one.start+frameHeaderSize+one.size)
		v.contents = append(v.contents, one)
		return nil
	})
	if err != nil {
		return err
	}
	for num := range v.refs {
		v.report(v.at(num, 0, errNoContent.Error()))
	}
	for _, p := range v.packs {
		if held[p.n] != p.held {
			v.report(Finding{Pack: p.n, Problem: fmt.Sprintf("counts %d bytes held, contents give %d", p.held, held[p.n])})
		}
		if held[p.n] > 0 && (p.state == packDropped || p.state == packRepacked) {
			v.report(Finding{Pack: p.n, Problem: "is marked as dropped and holds messages"})
		}
		if reach[p.n] > p.end {
			v.report(Finding{Pack: p.n, Problem: fmt.Sprintf("ends at %d, messages reach to %d", p.end, reach[p.n])})
		}
	}
	return v.structures(c)
}

func (v *verification) at(num uint32, pack uint64, problem string) Finding {
	f := v.holder[num]
	f.Pack, f.Problem = pack, problem
	return f
}

func (v *verification) structures(c *conn) error {
	n := 0
	err := c.each(`SELECT num, data, crc FROM structure`, func(row []driver.Value) error {
		n++
		num, data := uint32(integer(row[0])), blob(row[1])
		_, err := message.UnmarshalStructure(data)
		if structureCRC(num, data) != integer(row[2]) || err != nil {
			v.report(v.at(num, 0, errStructureRow.Error()))
		}
		return nil
	})
	if err == nil && n != len(v.contents) {
		v.problem("%d contents, %d cached structures", len(v.contents), n)
	}
	return err
}

// bytes reads every message, and looks at the packs themselves.
func (v *verification) bytes(ctx context.Context) error {
	for _, c := range v.contents {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := v.m.OpenGUID(ctx, c.guid)
		if err == nil {
			err = checkGUID(c.guid, r)
		}
		if errors.Is(err, ErrNoMessage) {
			continue // forgotten since
		}
		if err != nil {
			v.report(v.at(c.num, c.pack, err.Error()))
		}
	}
	return v.files()
}

// files compares the packs on disk with those of mail.db.
func (v *verification) files() error {
	for _, p := range v.packs {
		if p.end == 0 || p.state == packDropped {
			continue
		}
		info, err := v.m.s.o.FS.Stat(v.m.packs.path(p.place, p.n))
		if errors.Is(err, fs.ErrNotExist) && v.repacked(p.n) {
			continue
		}
		if err != nil {
			v.report(Finding{Pack: p.n, Problem: err.Error()})
		} else if info.Size() < p.end {
			v.report(Finding{Pack: p.n, Problem: fmt.Sprintf("has %d bytes of %d", info.Size(), p.end)})
		} else if err := v.header(p); err != nil && !v.repacked(p.n) {
			v.report(Finding{Pack: p.n, Harmless: true, Problem: err.Error()})
		}
	}
	if err := v.m.checkCopy(); err != nil {
		v.report(Finding{Harmless: true, Problem: fmt.Sprintf("%s, the copy of mail.db: %v", savedName, err)})
	}
	for _, dir := range v.m.packs.dirs() {
		if err := v.orphans(dir); err != nil {
			return err
		}
	}
	return nil
}

// header checks that of a pack; one that was cut within it has no messages.
func (v *verification) header(p packRow) error {
	if p.end < packHeaderSize {
		return nil
	}
	return v.m.packs.checkHeader(p.place, p.n)
}

// repacked reports whether a pack has left mail.db since its rows were read.
func (v *verification) repacked(n uint64) bool {
	count := int64(1)
	err := v.m.read(context.Background(), func(c *conn) (err error) {
		count, err = c.integer(`SELECT count(*) FROM {pack} WHERE n = ? AND state <> ?`, int64(n), packDropped)
		return err
	})
	return err == nil && count == 0
}

// orphans reports packs on disk that mail.db does not know.
func (v *verification) orphans(dir string) error {
	entries, err := v.m.s.o.FS.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name, isPack := strings.CutSuffix(e.Name(), packSuffix)
		n, err := strconv.ParseUint(name, 10, 64)
		if !isPack || err != nil {
			continue
		}
		known := slices.ContainsFunc(v.packs, func(p packRow) bool { return p.n == n })
		if !known && v.repacked(n) {
			v.report(Finding{Pack: n, Harmless: true, Problem: filepath.Join(dir, e.Name()) + " is not in mail.db"})
		}
	}
	return nil
}
