package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"teraslot/mailbox"
)

// Append is one message to be added to a mailbox.
type Append struct {
	Mailbox mailbox.ID
	Message *Message
	Flags   mailbox.Flags
	// InternalDate is kept with its zone. The zero value, which is also the
	// first second of 1970 in UTC, stands for now.
	InternalDate mailbox.Date
	// UID is the UID that the message is to have, not below UIDNEXT: else the call
	// fails with ErrUID. 0 gives it the next. See Adopt.
	UID mailbox.UID
}

// delivery is one call of Append that waits for its commit.
type delivery struct {
	session string
	items   []Append
	records []mailbox.Record
	events  []mailbox.Event
	err     error
	done    chan struct{} // closed when the fields above are final
}

// Append adds messages to mailboxes, all or none, and returns their records in
// the same order. When it returns without an error, the messages are on disk.
//
// Calls for the same user share their syncs: the first that finds no writer at
// work becomes the writer for all that wait by then. Once a writer has taken a
// call, the end of ctx no longer stops it.
func (m *Mail) Append(ctx context.Context, session string, items ...Append) ([]mailbox.Record, error) {
	if m.s.o.ReadOnly {
		return nil, ErrReadOnly
	}
	if len(items) == 0 {
		return nil, nil
	}
	d := &delivery{session: session, items: items, done: make(chan struct{})}
	m.queueMu.Lock()
	m.queue = append(m.queue, d)
	m.queueMu.Unlock()
	select {
	case <-d.done:
	case m.turn <- struct{}{}:
		m.deliver(context.WithoutCancel(ctx))
	case <-ctx.Done():
		if m.withdraw(d) {
			return nil, ctx.Err()
		}
	}
	<-d.done
	if d.err != nil {
		return nil, m.wrap(d.err)
	}
	m.notify(d.events)
	return d.records, nil
}

// withdraw takes back a delivery, unless a writer has it.
func (m *Mail) withdraw(d *delivery) bool {
	m.queueMu.Lock()
	defer m.queueMu.Unlock()
	i := slices.Index(m.queue, d)
	if i < 0 {
		return false
	}
	m.queue = slices.Delete(m.queue, i, i+1)
	return true
}

// deliver commits all that wait. It has the writer's turn, and gives it back. A
// fault in it fails those who wait, and is then the caller's alone.
func (m *Mail) deliver(ctx context.Context) {
	m.queueMu.Lock()
	batch := m.queue
	m.queue = nil
	m.queueMu.Unlock()
	err := errFault
	defer func() {
		for _, d := range batch {
			if d.err == nil {
				d.err = err
			}
		}
		m.unlockWriter()
		for _, d := range batch {
			close(d.done)
		}
	}()
	if len(batch) > 0 {
		err = m.anywhere(func() error { return m.commitBatch(ctx, batch) })
	}
}

// commitBatch is the path of every delivery: append all to the packs, sync them,
// ask the fence, commit. A delivery that cannot be (over quota, no mailbox) gets
// its own error and is left out; any other error is everyone's.
func (m *Mail) commitBatch(ctx context.Context, batch []*delivery) error {
	if err := m.connectWriter(); err != nil {
		return err
	}
	for p := range m.placesOf(batch) {
		if err := m.openPack(ctx, p); err != nil {
			return err
		}
	}
	err := errFault
	defer func() { m.settlePacks(err) }()
	_, err = m.commit(ctx, "", func(t *txn) error {
		t.recallBoxes()
		for _, d := range batch {
			if d.err = t.admit(d); d.err != nil {
				continue
			}
			if err := t.deliver(d); err != nil {
				return err
			}
		}
		return t.syncPacks()
	})
	return err
}

// settlePacks ends a batch in the packs: its bytes are acknowledged, or are
// overwritten by the next batch. They are left alone, and the pack with them, if
// it is not known whether mail.db refers to them.
func (m *Mail) settlePacks(err error) {
	for _, w := range m.current {
		switch {
		case w == nil:
		case err == nil:
			w.commit()
		default:
			unknown := errors.Is(err, errCommit) || errors.Is(err, errFault)
			w.broken = w.broken || w.held > 0 && unknown
			w.rollback()
		}
	}
}

func (m *Mail) placesOf(batch []*delivery) map[place]bool {
	need := map[place]bool{}
	for _, d := range batch {
		for _, a := range d.items {
			need[m.placeOf(a.Message.Size)] = true
		}
	}
	return need
}

// placeOf tells where new mail of that size goes. Equal roots are one place.
func (m *Mail) placeOf(size int64) place {
	if size > m.s.o.ArchiveSize && m.packs.archives() && !m.spoolOnly {
		return archivePlace
	}
	return spoolPlace
}

// admit checks all that may refuse a delivery, before anything is done for it.
func (t *txn) admit(d *delivery) error {
	sum := Usage{Messages: int64(len(d.items))}
	for _, a := range d.items {
		b, err := t.box(a.Mailbox)
		if err != nil {
			return err
		}
		if err := t.vet(b); err != nil {
			return err
		}
		if uint64(b.UIDNext)+uint64(len(d.items)) > 1<<32-1 {
			return fmt.Errorf("mailbox %s: %w", b.ID, ErrNoUIDs)
		}
		sum.Bytes += a.Message.Size
	}
	if err := t.succeed(); err != nil {
		return err
	}
	if err := t.admitUIDs(d); err != nil {
		return err
	}
	return t.admitUsage(sum)
}

// admitUsage refuses what would break the quota.
func (t *txn) admitUsage(more Usage) error {
	q, u := t.account.quota, t.account.usage
	if q.Bytes > 0 && u.Bytes+more.Bytes > q.Bytes {
		return fmt.Errorf("%w: %d of %d bytes used, %d more", ErrOverQuota, u.Bytes, q.Bytes, more.Bytes)
	}
	if q.Messages > 0 && u.Messages+more.Messages > q.Messages {
		return fmt.Errorf("%w: %d of %d messages used, %d more", ErrOverQuota, u.Messages, q.Messages, more.Messages)
	}
	return nil
}

// deliver adds the messages of one call. Its error is the whole batch's.
func (t *txn) deliver(d *delivery) error {
	modseq := t.nextModSeq()
	added := map[*box]*mailbox.UIDSet{}
	var order []*box
	d.records, d.events = nil, nil
	for _, a := range d.items {
		b := t.boxes[a.Mailbox]
		r, err := t.add(b, a, modseq)
		if err != nil {
			return err
		}
		d.records = append(d.records, r)
		if added[b] == nil {
			added[b] = new(mailbox.UIDSet)
			order = append(order, b)
		}
		added[b].Add(r.UID)
	}
	for _, b := range order {
		d.events = append(d.events, mailbox.Event{User: t.m.user, Mailbox: b.ID, Kind: mailbox.Appended,
			UIDs: *added[b], ModSeq: modseq, Session: d.session})
	}
	return nil
}

// add adds one message to a mailbox.
func (t *txn) add(b *box, a Append, modseq mailbox.ModSeq) (mailbox.Record, error) {
	b.pass(modseq)
	uid, err := b.giveUID(a.UID)
	if err != nil {
		return mailbox.Record{}, err
	}
	r := mailbox.Record{
		UID: uid, GUID: a.Message.GUID, Size: a.Message.Size, ModSeq: modseq, CreatedModSeq: modseq,
		Flags: a.Flags, InternalDate: a.InternalDate, SaveDate: t.now,
	}
	if r.InternalDate == (mailbox.Date{}) {
		r.InternalDate.Unix = t.now
	}
	r.SentDate = sentDate(a.Message.structure, r.InternalDate)
	f := frame{Mailbox: b.ID, UID: uid, UIDValidity: b.UIDValidity, Internal: r.InternalDate}
	if r.Num, err = t.hold(a.Message, f); err != nil {
		return mailbox.Record{}, err
	}
	return r, t.insert(b, &r)
}

// hold makes one more record hold a message's bytes, and adds them if no record
// holds the same already.
func (t *txn) hold(msg *Message, f frame) (num uint32, err error) {
	old, found, err := t.m.contentOf(t.c, msg.GUID)
	if errors.Is(err, errContentRow) && old.guid == msg.GUID {
		return old.num, t.mend(msg, f, old.num)
	}
	if err != nil {
		return 0, err
	}
	if !found {
		return t.addContent(msg, f)
	}
	if t.fresh(old) || t.m.genuine(old) {
		return old.num, t.c.exec(`UPDATE content SET refs = refs + 1 WHERE num = ?`, int64(old.num))
	}
	// The bytes that are there are damaged, or another message's; these are whole.
	err = t.c.exec(`UPDATE pack SET held = held - ? WHERE sound AND n = ?`, old.size+frameHeaderSize, int64(old.pack))
	if err != nil {
		return 0, err
	}
	if err := t.place(msg, f, &old); err != nil {
		return 0, err
	}
	return old.num, t.c.exec(`UPDATE content SET refs = refs + 1, pack = ?, start = ?, crc = ? WHERE num = ?`,
		int64(old.pack), old.start, old.crc(), int64(old.num))
}

// mend writes a damaged content row anew, with the bytes of the same message that
// came again, and makes one more record hold it. Nothing that the row says is
// believed but its number and its GUID, which records repeat and Open compares.
func (t *txn) mend(msg *Message, f frame, num uint32) error {
	t.m.s.o.Logger.Warn("a damaged content row is mended by the message's delivery", "user", t.m.user, "content", num, "guid", msg.GUID)
	c := content{num: num, guid: msg.GUID, size: msg.Size}
	// Which pack counted its bytes as held is not known. What this transaction
	// added lies beyond the ends, and is counted when it is synced.
	err := t.c.exec(`UPDATE pack SET held = (SELECT coalesce(sum(size + ?), 0) FROM content
		WHERE content.pack = pack.n AND num <> ? AND start < pack."end") WHERE sound`, int64(frameHeaderSize), int64(num))
	if err != nil {
		return err
	}
	if c.thread, err = t.threadOf(msg); err != nil {
		return err
	}
	if err := t.place(msg, f, &c); err != nil {
		return err
	}
	return t.c.exec(`UPDATE content SET size = ?, thread = ?, refs = refs + 1, pack = ?, start = ?, crc = ? WHERE num = ?`,
		c.size, c.thread[:], int64(c.pack), c.start, c.crc(), int64(num))
}

// fresh reports whether the content was added by this very transaction.
func (t *txn) fresh(c content) bool {
	for _, w := range t.m.current {
		if w != nil && w.n == c.pack && c.start >= w.end {
			return true
		}
	}
	return false
}

func (t *txn) addContent(msg *Message, f frame) (uint32, error) {
	if t.account.num == 1<<32-1 {
		return 0, errors.New("user has no content numbers left")
	}
	t.account.num++
	c := content{num: uint32(t.account.num), guid: msg.GUID, size: msg.Size}
	var err error
	if c.thread, err = t.threadOf(msg); err != nil {
		return 0, err
	}
	if err := t.place(msg, f, &c); err != nil {
		return 0, err
	}
	err = t.c.exec(`INSERT INTO content VALUES (?, ?, ?, ?, 1, ?, ?, ?)`, int64(c.num), c.guid[:], c.size, c.thread[:],
		int64(c.pack), c.start, c.crc())
	if err != nil {
		return 0, err
	}
	return c.num, t.c.exec(`INSERT INTO structure VALUES (?, ?, ?)`, int64(c.num), msg.binary, structureCRC(c.num, msg.binary))
}

// place appends the bytes to the pack where they belong.
func (t *txn) place(msg *Message, f frame, c *content) error {
	w := t.m.current[t.m.placeOf(msg.Size)]
	f.Length, f.GUID, f.CRC = msg.Size, msg.GUID, msg.crc
	from := source{memory: msg.memory}
	if msg.file != nil {
		from.reader = msg
	}
	start, err := w.append(f, from)
	c.pack, c.start = w.n, start
	return w.place.at(err)
}

// syncPacks makes durable what was appended, and notes it in mail.db.
func (t *txn) syncPacks() error {
	for _, w := range t.m.current {
		if w == nil || w.held == 0 {
			continue
		}
		if err := w.sync(t.m.s.o.Step); err != nil {
			return w.place.at(err)
		}
		if err := t.c.exec(`UPDATE pack SET "end" = ?, held = held + ? WHERE sound AND n = ?`, w.at, w.held, int64(w.n)); err != nil {
			return err
		}
	}
	return nil
}

// openPack makes current[p] a pack that can be appended to. It has the writer's
// turn, and is outside of a transaction.
func (m *Mail) openPack(ctx context.Context, p place) error {
	w := m.current[p]
	if w == nil {
		var err error
		if w, err = m.resumePack(ctx, p); err != nil {
			return err
		}
		m.current[p] = w
	}
	if w == nil || w.broken || w.end >= m.s.o.PackSize {
		if err := m.nextPack(ctx, p); err != nil {
			return err
		}
	}
	m.current[p].ahead = true
	return nil
}

// resumePack opens the current pack of mail.db; nil if there is none that can
// be used. A damaged one, and one with messages beyond its end, is reported and
// stays as it is, for reading.
func (m *Mail) resumePack(ctx context.Context, p place) (*packWriter, error) {
	var n uint64
	var end int64
	found, err := m.writer.one(`SELECT n, "end" FROM {pack} WHERE place = ? AND state = 0 ORDER BY n DESC`, func(row []driver.Value) error {
		n, end = uint64(integer(row[0])), integer(row[1])
		return nil
	}, int64(p))
	if err != nil || !found {
		return nil, err
	}
	if reach, err := m.reachOf(n); err != nil {
		return nil, err
	} else if reach > end {
		// What lies behind the end would be cut.
		m.s.o.Logger.Error("a pack holds messages behind its end: it is kept, and another is begun; run slotctl verify --repair",
			"user", m.user, "pack", n, "end", end, "messages until", reach)
		return nil, nil
	}
	if kept, err := m.keepUnknown(ctx, p, n, end); err != nil || kept {
		return nil, err
	}
	if end == 0 {
		w, err := m.packs.create(p, n)
		return w, p.at(err)
	}
	w, cut, err := m.packs.resume(p, n, end)
	if err != nil {
		m.s.o.Logger.Error("pack cannot be continued", "user", m.user, "pack", n, "err", err)
		return nil, nil
	}
	if cut > 0 {
		m.s.o.Logger.Info("cut the tail of a pack", "user", m.user, "pack", n, "bytes", cut)
	}
	return w, nil
}

// reachOf is where the last message ends that mail.db knows to be in a pack. It has the
// writer's turn.
func (m *Mail) reachOf(n uint64) (reach int64, err error) {
	_, err = m.writer.one(`SELECT start, size FROM content WHERE pack = ? ORDER BY start DESC LIMIT 1`, func(row []driver.Value) error {
		reach = integer(row[0]) + frameHeaderSize + integer(row[1])
		return nil
	}, int64(n))
	return reach, err
}

// nextPack registers a new pack, so that its number is never given again, and
// makes its file.
func (m *Mail) nextPack(ctx context.Context, p place) error {
	n, err := m.registerPack(ctx, p, packCurrent)
	if err != nil {
		return err
	}
	if old := m.current[p]; old != nil {
		m.current[p] = nil
		if err := old.close(); err != nil {
			return err
		}
	}
	m.current[p], err = m.packs.create(p, n)
	return p.at(err)
}

// The states of a pack. Their values are stored.
const (
	packCurrent  int64 = 0
	packSealed   int64 = 1
	packDropped  int64 = 2 // nothing refers to it: its file goes, then its row
	packRepacked int64 = 3 // being written by a repack
)

func (m *Mail) registerPack(ctx context.Context, p place, state int64) (n uint64, err error) {
	_, err = m.commit(ctx, "", func(t *txn) error {
		if err := t.passOverPacks(); err != nil {
			return err
		}
		t.account.pack++
		n = uint64(t.account.pack)
		if state == packCurrent {
			err := t.c.exec(`UPDATE pack SET state = ? WHERE sound AND place = ? AND state = ?`, packSealed, int64(p), packCurrent)
			if err != nil {
				return err
			}
		}
		return t.c.exec(`INSERT INTO pack VALUES (?, ?, ?, 0, 0)`, int64(n), int64(p), state)
	})
	if err == nil {
		m.s.o.Step(StepPackMade)
	}
	return n, err
}
