package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"teraslot/mailbox"
	"teraslot/message"
	"teraslot/sealed"
)

// Recovered is the mailbox for messages of which it is not known where they belong.
const Recovered = "Recovered"

// Repair mends of a user's mail what can be mended from what is there: rows of
// mail.db that do not match their CRC, from the copy of mail.db and from the packs;
// places of messages of which another whole copy lies in a pack; counters,
// checksums, sums and cached structures, from the records. Messages that no record
// holds any longer go to Recovered, and so do those that lie whole behind the end of their
// pack: deliveries that were interrupted, or mail of a newer mail.db. report is told of each
// thing, mended or lost. What cannot be read as a database at all is for Reconstruct, and the error
// wraps ErrBeyondRepair; where the WAL is damaged, or commits were lost, Repair is Reconstruct, for which nobody may use the mail (ErrBusy).
func (s *Store) Repair(ctx context.Context, u mailbox.User, report func(string)) error {
	err := s.repairInPlace(ctx, u, report)
	if errors.Is(err, ErrNoUser) || notDatabase(err) && !errors.Is(err, sealed.ErrRow) {
		return fmt.Errorf("%w (%w)", ErrBeyondRepair, err)
	}
	return err
}

// repairInPlace is Repair of a mail.db that can be opened.
func (s *Store) repairInPlace(ctx context.Context, u mailbox.User, report func(string)) error {
	if err := s.present(u); err != nil {
		return err
	}
	m, err := s.Acquire(ctx, u)
	if errors.Is(err, sealed.ErrRow) {
		if err = s.mendClosed(ctx, u, report); err == nil {
			m, err = s.Acquire(ctx, u)
		}
	}
	if err == nil {
		if err = m.read(ctx, func(*conn) error { return nil }); err != nil {
			m.Release()
		}
	}
	if errors.Is(err, errWAL) || errors.Is(err, errLost) {
		report(err.Error())
		return s.Reconstruct(ctx, u, ReconstructOptions{}, report)
	}
	if err != nil {
		return err
	}
	defer m.Release()
	if err := m.mendInTurn(ctx, report); err != nil {
		return m.wrap(err)
	}
	r := &repair{m: m, report: report}
	if r.saved, err = openSaved(filepath.Join(m.packs.dir(archivePlace), savedName)); err == nil {
		defer r.saved.close()
	}
	if err := r.run(ctx, r.repair); err != nil {
		return err
	}
	m.mendCopy(ctx, report)
	return nil
}

// run runs one transaction of a repair, which distrusts nothing: what it meets is what
// it is for. From before it reads the packs until its commit no repack moves messages
// and no delivery adds any: what was read would not be so any longer, and records
// would be led to packs that are gone.
func (r *repair) run(ctx context.Context, fn func(context.Context) error) error {
	m := r.m
	m.repack.Lock()
	defer m.repack.Unlock()
	m.broken.Store(nil)
	events, err := r.commit(ctx, fn)
	m.known.Store(nil)
	m.s.views.forget(m.user)
	m.s.contents.forget(m.user)
	m.s.vetted.forget(m.user)
	if err == nil {
		m.notify(events)
	}
	return m.wrap(err)
}

// commit reads the packs and runs fn in one turn of the writer.
func (r *repair) commit(ctx context.Context, fn func(context.Context) error) ([]mailbox.Event, error) {
	m := r.m
	if err := m.lockWriter(ctx); err != nil {
		return nil, err
	}
	if err := m.closePacks(); err != nil {
		m.unlockWriter()
		return nil, err
	}
	return m.commitTurn(context.WithoutCancel(ctx), "", func(t *txn) error {
		r.t = t
		if err := r.read(ctx); err != nil {
			return err
		}
		return fn(context.WithoutCancel(ctx))
	})
}

// read finds the messages in the packs.
func (r *repair) read(ctx context.Context) (err error) {
	if r.packs, err = r.m.scanPacks(ctx, r.report); err != nil {
		return err
	}
	r.byGUID = map[mailbox.GUID][]*located{}
	for i := range r.packs {
		for j := range r.packs[i].frames {
			l := &r.packs[i].frames[j]
			r.byGUID[l.GUID] = append(r.byGUID[l.GUID], l)
		}
	}
	return nil
}

// closePacks ends the writing to the current packs: what a repair finds behind their
// ends may come to be referred to. The writer's turn is held.
func (m *Mail) closePacks() error {
	var errs []error
	for p, w := range m.current {
		if w != nil {
			errs = append(errs, w.close())
			m.current[p] = nil
		}
	}
	return errors.Join(errs...)
}

// openSaved opens the copy of mail.db.
func openSaved(path string) (*conn, error) {
	if _, err := lookAt(path); err != nil && !errors.Is(err, sealed.ErrRow) { // rows are passed over one by one
		return nil, err
	}
	return openCopy(path)
}

// repair is one run of Repair or Reconstruct.
type repair struct {
	m      *Mail
	t      *txn
	saved  *conn // nil if there is none
	packs  []packFile
	byGUID map[mailbox.GUID][]*located
	report func(string)
	modseq mailbox.ModSeq // of all that is changed; 0 until something is
}

func (r *repair) sayf(format string, args ...any) { r.report(fmt.Sprintf(format, args...)) }

// change is the mod-sequence for what is changed.
func (r *repair) change() mailbox.ModSeq {
	if r.modseq == 0 {
		r.modseq = r.t.nextModSeq()
	}
	return r.modseq
}

func (r *repair) repair(ctx context.Context) error {
	boxes, err := loadBoxes(r.t.c)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		r.reindex,
		r.impossible,
		r.account,
		r.ends,
		r.headers,
		r.contents,
		func() error { return r.eachBox(boxes, r.records) },
		func() error { return r.eachBox(boxes, func(b *box) error { return r.contentless(ctx, b) }) },
		func() error { return r.behindEnds(ctx) },
		r.strays,
		r.provenance,
		r.recountRefs,
		func() error { return r.unheld(ctx, Recovered) },
		func() error { return r.structures(ctx) },
		r.recount,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// impossible drops contents with a number that none has; records that lose theirs are led to a new one.
func (r *repair) impossible() error {
	const where = ` WHERE num NOT BETWEEN 1 AND 4294967295`
	n, err := r.t.c.integer(`SELECT count(*) FROM content` + where)
	if err != nil || n == 0 {
		return err
	}
	r.sayf("%d contents with numbers that cannot be are dropped", n)
	return r.t.c.exec(`DELETE FROM content` + where)
}

// strays drops rows of mailboxes that are not there; messages that nothing else holds go to Recovered.
func (r *repair) strays() error {
	for _, one := range []struct{ table, box string }{{"message", "id >> 32"}, {"expunged", "id >> 32"}, {"keyword", "box"}, {"setting", "box"}} {
		where := " WHERE " + one.box + " NOT IN (SELECT box FROM {mailbox} UNION ALL SELECT box FROM {grave})"
		n, err := r.t.c.integer("SELECT count(*) FROM " + one.table + where)
		if err == nil && n > 0 {
			r.sayf("%d rows of table %s of mailboxes that are not there are dropped", n, one.table)
			err = r.t.c.exec("DELETE FROM " + one.table + where)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reindex makes the indexes anew: SQLite's check does not find all that may be wrong with
// those of which a row is in only by its value. Where rows are there twice, the others
// stay as they are.
func (r *repair) reindex() error {
	for _, sql := range []string{"REINDEX content_unheld", "REINDEX content_pack", "REINDEX expunged_modseq"} {
		if err := r.t.c.exec(sql); err != nil {
			return err
		}
	}
	if err := r.t.c.exec("REINDEX"); err != nil {
		if databaseDamaged(err) {
			return err
		}
		r.sayf("an index is not made anew: %v", err)
	}
	return nil
}

// eachBox calls fn with each mailbox, and each deleted one.
func (r *repair) eachBox(boxes []*box, fn func(b *box) error) error {
	graves, err := loadGraves(r.t.c)
	if err != nil {
		return err
	}
	for _, g := range graves {
		boxes = append(boxes[:len(boxes):len(boxes)], &g.box)
	}
	for _, b := range boxes {
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// account raises counters that lie below what was given.
func (r *repair) account() error {
	a := &r.t.account
	for _, x := range []struct {
		counter *int64
		sql     string
	}{
		{&a.box, `SELECT max(coalesce((SELECT max(box) FROM {mailbox}), 0), coalesce((SELECT max(box) FROM {grave}), 0))`},
		{&a.num, `SELECT coalesce(max(num), 0) FROM content`},
		{&a.pack, `SELECT coalesce(max(n), 0) FROM {pack}`},
	} {
		n, err := r.t.c.integer(x.sql)
		if err != nil {
			return err
		}
		*x.counter = max(*x.counter, n)
	}
	for i := range r.packs {
		a.pack = max(a.pack, int64(r.packs[i].n))
	}
	n, err := r.t.c.integer(`SELECT coalesce(max(modseq), 0) FROM (SELECT modseq FROM {mailbox} UNION ALL SELECT modseq FROM message UNION ALL SELECT modseq FROM expunged)`)
	if err == nil && mailbox.ModSeq(n) > a.modseq && n < math.MaxInt64/2 {
		a.modseq = mailbox.ModSeq(n)
	}
	return err
}

// ends seals packs that are shorter than mail.db says: what is missing of them is lost,
// message by message, and nothing is appended where it was. Packs that hold messages
// behind their ends, or are marked as dropped all the same, are given their ends back.
func (r *repair) ends() error {
	rows, err := loadPacks(r.t.c)
	if err != nil {
		return err
	}
	if err := r.reaches(rows); err != nil {
		return err
	}
	for i := range r.packs {
		f := &r.packs[i]
		for _, p := range rows {
			if p.n != f.n || p.end <= f.size {
				continue
			}
			r.sayf("pack %d: has %d bytes of %d; what was behind them is lost", p.n, f.size, p.end)
			if err := r.t.c.exec(`UPDATE pack SET "end" = ?, state = ? WHERE sound AND n = ?`, f.end(), packSealed, int64(p.n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// reaches mends rows of packs that say less than their contents do.
func (r *repair) reaches(rows []packRow) error {
	reach := map[uint64]int64{}
	err := r.t.c.each(contentQuery+`true`, func(row []driver.Value) error {
		var one content
		if r.m.scanContent(row, &one) == nil && r.whole(&one) {
			reach[one.pack] = max(reach[one.pack], one.start+frameHeaderSize+one.size)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range rows {
		p := &rows[i]
		dropped := reach[p.n] > 0 && (p.state == packDropped || p.state == packRepacked)
		if reach[p.n] <= p.end && !dropped {
			continue
		}
		r.sayf("pack %d: its row said that it ends at %d and its state is %d; messages reach to %d", p.n, p.end, p.state, reach[p.n])
		p.end, p.state = max(p.end, reach[p.n]), packSealed
		if err := r.t.c.exec(`UPDATE pack SET "end" = ?, state = ? WHERE sound AND n = ?`, p.end, p.state, int64(p.n)); err != nil {
			return err
		}
	}
	return nil
}

// behindEnds takes in the messages that lie whole behind the ends of packs: as what they
// were to be, if their UIDs were not given since, or else to Recovered.
func (r *repair) behindEnds(ctx context.Context) error {
	rows, err := loadPacks(r.t.c)
	if err != nil {
		return err
	}
	ends := map[uint64]int64{}
	for _, p := range rows {
		ends[p.n] = p.end
	}
	for i := range r.packs {
		end, known := ends[r.packs[i].n]
		for j := range r.packs[i].frames {
			if l := &r.packs[i].frames[j]; known && l.start >= end {
				if err := r.adopt(ctx, l, nil); err != nil {
					return err
				}
			}
		}
	}
	return r.t.flush()
}

// contents mends rows of contents, and leads those whose bytes are damaged to
// another copy of the same message.
func (r *repair) contents() error {
	var bad []content
	err := r.t.c.each(contentQuery+`true`, func(row []driver.Value) error {
		var one content
		if err := r.m.scanContent(row, &one); err != nil || !r.whole(&one) {
			bad = append(bad, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range bad {
		if err := r.content(&bad[i]); err != nil {
			return err
		}
	}
	return nil
}

// whole reports whether a content's message was found where its row says.
func (r *repair) whole(c *content) bool {
	for _, l := range r.byGUID[c.guid] {
		if l.n == c.pack && l.start == c.start && l.Length == c.size {
			return true
		}
	}
	return false
}

func (r *repair) content(c *content) error {
	found := r.byGUID[c.guid]
	if len(found) == 0 {
		g, ok, err := r.claimed(c.num)
		if err != nil {
			return err
		}
		if found = r.byGUID[g]; !ok || len(found) == 0 {
			r.sayf("content %d, message %s: lost, no whole copy of its bytes is in any pack", c.num, c.guid)
			return nil
		}
		c.guid = g
	}
	l := found[len(found)-1] // in the newest pack
	if err := r.registerFile(l.place, l.n); err != nil {
		return err
	}
	c.size, c.pack, c.start, c.where = l.Length, l.n, l.start, l.place
	r.sayf("content %d, message %s: mended from pack %d", c.num, c.guid, l.n)
	return r.t.c.exec(`UPDATE content SET guid = ?, size = ?, thread = ?, pack = ?, start = ?, crc = ? WHERE num = ?`,
		c.guid[:], c.size, c.thread[:], int64(c.pack), c.start, c.crc(), int64(c.num))
}

// claimed is the GUID that a sound record gives for a content.
func (r *repair) claimed(num uint32) (g mailbox.GUID, ok bool, err error) {
	err = r.t.c.each(`SELECT fixed FROM message WHERE num = ? UNION ALL SELECT fixed FROM expunged WHERE num = ?`, func(row []driver.Value) error {
		var rec mailbox.Record
		if parseFixed(blob(row[0]), &rec) && rec.Num == num && r.byGUID[rec.GUID] != nil {
			g, ok = rec.GUID, true
		}
		return nil
	}, int64(num), int64(num))
	return g, ok, err
}

// registerFile makes sure that mail.db knows a pack.
func (r *repair) registerFile(p place, n uint64) error {
	for i := range r.packs {
		f := &r.packs[i]
		if f.n != n || f.place != p {
			continue
		}
		// A pack that is written to goes on to be; what is raised here lies beyond its end.
		err := r.t.c.exec(`INSERT INTO pack VALUES (?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET place = excluded.place,
			state = CASE WHEN state = 0 AND "end" >= excluded."end" THEN 0 ELSE excluded.state END, "end" = max("end", excluded."end") WHERE sound`,
			int64(n), int64(p), packSealed, f.end())
		if err != nil {
			return err
		}
	}
	r.t.account.pack = max(r.t.account.pack, int64(n))
	return nil
}

// numbers makes the column num of sound records what they say themselves.
func (r *repair) numbers(b *box) error {
	wrong := map[string][]int64{}
	err := misnumbered(r.t.c, b, func(table string, id int64) error {
		wrong[table] = append(wrong[table], id)
		return nil
	})
	for table, ids := range wrong {
		for _, id := range ids {
			var rec mailbox.Record
			sound := false
			if err == nil {
				_, err = r.t.c.one("SELECT "+recordList+" FROM "+table+" WHERE id = ?", func(row []driver.Value) error {
					sound = r.m.scanRecord(b, row, table == "expunged", &rec) == nil
					return nil
				}, id)
			}
			if err != nil {
				return err
			}
			if !sound {
				continue // the column may be what is right
			}
			r.sayf("mailbox %s UID %d: table %s names the content that the record says", b.Name, uint32(id), table)
			err = r.t.c.exec("UPDATE "+table+" SET num = ? WHERE id = ?", int64(rec.Num), id)
		}
	}
	return err
}

// records mends the damaged records of a mailbox.
func (r *repair) records(b *box) error {
	if err := r.numbers(b); err != nil {
		return err
	}
	damaged, err := r.m.sound(r.t.c, b, 0, math.MaxUint32, func(*mailbox.Record) error { return nil })
	if err != nil {
		return err
	}
	for _, uid := range damaged {
		if err := r.record(b, uid); err != nil {
			return err
		}
	}
	var gone []int64
	err = r.t.c.each("SELECT "+recordList+" FROM expunged WHERE id BETWEEN ? AND ?", func(row []driver.Value) error {
		var rec mailbox.Record
		if r.m.scanRecord(b, row, true, &rec) != nil {
			gone = append(gone, integer(row[0]))
		}
		return nil
	}, rowID(b.row, 0), rowID(b.row, math.MaxUint32))
	if err != nil {
		return err
	}
	for _, id := range gone {
		r.sayf("mailbox %s UID %d: the damaged record of an expunged message is dropped", b.Name, uint32(id))
		if err := r.t.c.exec(`DELETE FROM expunged WHERE id = ?`, id); err != nil {
			return err
		}
		b.horizon, b.dirty = r.change(), true
	}
	if b.dirty {
		return r.t.c.exec(`UPDATE mailbox SET horizon = ? WHERE sound AND box = ?`, int64(b.horizon), b.row)
	}
	return nil
}

// record mends one damaged record: by what never changes in it, if that is whole; by
// the copy of mail.db; by the pack, where the message came to that mailbox.
func (r *repair) record(b *box, uid mailbox.UID) error {
	rec, from, err := r.rescue(b, uid)
	if err != nil {
		return err
	}
	if from == "" {
		r.sayf("mailbox %s UID %d: the record cannot be mended and is dropped; its message, if it is whole, goes to %s", b.Name, uid, Recovered)
		return r.t.c.exec(`DELETE FROM message WHERE id = ?`, rowID(b.row, uid))
	}
	rec.UID, rec.Expunged, rec.ModSeq = uid, false, r.change()
	if rec.CreatedModSeq == 0 || rec.CreatedModSeq > rec.ModSeq {
		rec.CreatedModSeq = rec.ModSeq
	}
	r.sayf("mailbox %s UID %d: the record is mended from %s; flags %q", b.Name, uid, from, rec.Flags)
	return r.t.c.exec(`REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?)`, recordArgs(b.row, &rec)...)
}

// rescue finds what a damaged record was, and says where; "" if nothing tells.
func (r *repair) rescue(b *box, uid mailbox.UID) (rec mailbox.Record, from string, err error) {
	old, known := r.savedRecord(b, uid)
	_, err = r.t.c.one(`SELECT num, fixed FROM message WHERE id = ?`, func(row []driver.Value) error {
		if !parseFixed(blob(row[1]), &rec) || int64(rec.Num) != integer(row[0]) {
			return nil // damaged, or another record's
		}
		found, ok, err := r.m.findContent(r.t.c, "num = ?", int64(rec.Num))
		if err == nil && ok && found.guid == rec.GUID && found.size == rec.Size {
			from = "itself" // no damage leaves a GUID and a size that belong together
		}
		return nil
	}, rowID(b.row, uid))
	if err != nil {
		return rec, "", err
	}
	switch {
	case from != "" && known && old.GUID == rec.GUID:
		rec.Flags, from = old.Flags, "itself and the copy of mail.db"
		return rec, from, nil
	case from != "":
		return rec, from, nil
	case known:
		if ok, err := r.attach(&old); ok || err != nil {
			return old, "the copy of mail.db", err
		}
	}
	for i := range r.packs {
		for j := range r.packs[i].frames {
			l := &r.packs[i].frames[j]
			if l.Mailbox == b.ID && l.UID == uid && l.UIDValidity == b.UIDValidity {
				rec = r.recordOf(l)
				ok, err := r.attach(&rec)
				if ok || err != nil {
					return rec, fmt.Sprintf("pack %d", l.n), err
				}
			}
		}
	}
	return rec, "", nil
}

// recordOf is what a frame says of a message.
func (r *repair) recordOf(l *located) mailbox.Record {
	return mailbox.Record{UID: l.UID, GUID: l.GUID, Size: l.Length, InternalDate: l.Internal, SentDate: l.Internal, SaveDate: r.t.now}
}

// attach leads a record to the content of its message, by its GUID.
func (r *repair) attach(rec *mailbox.Record) (bool, error) {
	found, ok, err := r.m.contentOf(r.t.c, rec.GUID)
	if err != nil || !ok || found.size != rec.Size {
		return false, nil // a damaged row is no content yet
	}
	rec.Num = found.num
	return true, nil
}

// savedRecord is a record of the copy of mail.db.
func (r *repair) savedRecord(b *box, uid mailbox.UID) (rec mailbox.Record, ok bool) {
	if r.saved == nil {
		return rec, false
	}
	_, err := r.saved.one("SELECT "+recordList+" FROM message WHERE id = ?", func(row []driver.Value) error {
		ok = r.m.scanRecord(b, row, false, &rec) == nil
		return nil
	}, rowID(b.row, uid))
	return rec, ok && err == nil
}

// addContent makes a content of a message in a pack that mail.db does not know.
func (r *repair) addContent(ctx context.Context, l *located) (content, error) {
	out := content{guid: l.GUID, size: l.Length, pack: l.n, start: l.start, where: l.place}
	if err := r.registerFile(l.place, l.n); err != nil {
		return out, err
	}
	bytes, err := r.m.packs.read(l.place, l.n, l.start, l.GUID, l.Length)
	if err != nil {
		return out, err
	}
	defer bytes.Close()
	msg, err := r.m.s.Spool(ctx, io.NewSectionReader(bytes, 0, bytes.Size))
	if err != nil {
		return out, err
	}
	defer msg.Close()
	if out.thread, err = r.t.threadOf(msg); err != nil {
		return out, err
	}
	if r.t.account.num == math.MaxUint32 {
		return out, errors.New("user has no content numbers left")
	}
	r.t.account.num++
	out.num = uint32(r.t.account.num)
	err = r.t.c.exec(`INSERT INTO content VALUES (?, ?, ?, ?, 0, ?, ?, ?)`, int64(out.num), out.guid[:], out.size, out.thread[:],
		int64(out.pack), out.start, out.crc())
	if err != nil {
		return out, err
	}
	return out, r.t.c.exec(`REPLACE INTO structure VALUES (?, ?, ?)`, int64(out.num), msg.binary, structureCRC(out.num, msg.binary))
}

// structures makes cached structures anew that are missing or damaged.
func (r *repair) structures(ctx context.Context) error {
	good := map[uint32]bool{}
	err := r.t.c.each(`SELECT num, data, crc FROM structure`, func(row []driver.Value) error {
		num, data := uint32(integer(row[0])), blob(row[1])
		_, err := message.UnmarshalStructure(data)
		good[num] = structureCRC(num, data) == integer(row[2]) && err == nil
		return nil
	})
	if err != nil {
		return err
	}
	var missing []content
	err = r.t.c.each(contentQuery+`true`, func(row []driver.Value) error {
		var one content
		if r.m.scanContent(row, &one) == nil && !good[one.num] && r.whole(&one) {
			missing = append(missing, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range missing {
		if err := r.structure(ctx, c); err != nil {
			return err
		}
		r.sayf("content %d: its cached structure is made anew", c.num)
	}
	return r.t.c.exec(`DELETE FROM structure WHERE num NOT IN (SELECT num FROM content)`)
}

func (r *repair) structure(ctx context.Context, c content) error {
	bytes, err := r.m.packs.read(c.where, c.pack, c.start, c.guid, c.size)
	if err != nil {
		return err
	}
	defer bytes.Close()
	s, err := message.Parse(bytes, bytes.Size)
	if err != nil {
		return err
	}
	b, err := s.AppendBinary(nil)
	if err != nil {
		return err
	}
	return r.t.c.exec(`REPLACE INTO structure VALUES (?, ?, ?)`, int64(c.num), b, structureCRC(c.num, b))
}

// unheld puts contents that no record holds into a mailbox, which is made.
func (r *repair) unheld(ctx context.Context, name string) error {
	var all []content
	err := r.t.c.each(contentQuery+`refs = 0 ORDER BY num`, func(row []driver.Value) error {
		var one content
		if r.m.scanContent(row, &one) == nil && r.whole(&one) {
			all = append(all, one)
		}
		return nil
	})
	if err != nil || len(all) == 0 {
		return err
	}
	for i := range all {
		l := r.byGUID[all[i].guid][0]
		if err := r.recover(name, l, all[i]); err != nil {
			return err
		}
	}
	r.sayf("%d messages that no mailbox held are in %s", len(all), name)
	return nil
}

// recover adds a message to a mailbox for doubtful mail, which is made.
func (r *repair) recover(name string, l *located, c content) error {
	b, err := r.t.named(name)
	if errors.Is(err, ErrNoMailbox) {
		if b, err = r.t.createWithParents(name, ""); err == nil {
			err = r.t.c.exec(`INSERT OR IGNORE INTO subscription VALUES (?)`, name)
		}
	}
	if err != nil {
		return err
	}
	b.pass(r.change())
	rec := r.recordOf(l)
	if rec.UID, err = b.nextUID(); err != nil {
		return err
	}
	rec.Num = c.num
	return r.hold(b, rec)
}

// hold adds a record to a mailbox, which so holds its content once more.
func (r *repair) hold(b *box, rec mailbox.Record) error {
	rec.ModSeq = r.change()
	rec.CreatedModSeq = rec.ModSeq
	if err := r.t.c.exec(`UPDATE content SET refs = refs + 1 WHERE num = ?`, int64(rec.Num)); err != nil {
		return err
	}
	if err := r.t.noteRecovered(b, &rec); err != nil {
		return err
	}
	return r.t.insert(b, &rec)
}
