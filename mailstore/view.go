package mailstore

import (
	"context"
	"database/sql/driver"
	"math"
	"slices"

	"teraslot/mailbox"
)

// View is a mailbox at one moment: its state, and its live records sorted by
// UID. It is shared and never changes: do not change it either.
type View struct {
	State   mailbox.State
	Records []mailbox.Record
	// Damaged are the UIDs of live messages whose records do not match their CRC: they
	// are counted in State and are not among Records, until somebody repairs them.
	Damaged []mailbox.UID
	// Array is that under Records. Views of one mailbox whose Array is the same share their
	// records: what both have is equal, and the longer one has more behind it. nil in a View
	// that no store gave.
	Array *Array
}

// Whole returns nil, or the damage of the first of Damaged, for whoever must not do
// without any message.
func (v *View) Whole() error {
	if len(v.Damaged) == 0 {
		return nil
	}
	return &Damage{Mailbox: v.State.ID, UID: v.Damaged[0], Err: errRecord}
}

// UIDs returns the state of a mailbox and the UIDs of its messages in rising
// order: what SELECT needs, at a fraction of the cost of View. The slice is
// shared: do not change it.
func (m *Mail) UIDs(ctx context.Context, id mailbox.ID) (mailbox.State, []mailbox.UID, error) {
	state, now, err := m.refresh(ctx, id, func(c *conn, b *box, old cached) (cached, error) {
		return m.refreshUIDsOrRecords(ctx, c, b, old)
	})
	return state, now.uids, err
}

// refreshUIDsOrRecords brings a cached mailbox up to date, with its UIDs, and
// without reading records if none are cached.
func (m *Mail) refreshUIDsOrRecords(ctx context.Context, c *conn, b *box, old cached) (cached, error) {
	if old.records == nil {
		return m.refreshUIDs(c, b, old)
	}
	now, err := m.refreshRecords(ctx, c, b, old)
	if now.uids == nil {
		now.uids = now.allUIDs()
	}
	return now, err
}

// View returns a mailbox with all its live records.
func (m *Mail) View(ctx context.Context, id mailbox.ID) (*View, error) {
	state, now, err := m.refresh(ctx, id, func(c *conn, b *box, old cached) (cached, error) {
		return m.refreshRecords(ctx, c, b, old)
	})
	if err != nil {
		return nil, err
	}
	return now.view(state), nil
}

func (c *cached) view(state mailbox.State) *View {
	return &View{State: state, Records: c.records, Damaged: c.damaged, Array: c.array}
}

// fewRecords is how many times fewer than all those must be that Records reads one by one.
const fewRecords = 16

// Records returns those of a mailbox's live records that a set names, sorted by
// UID; UIDs that are not there are passed over, and so are damaged records: see
// Damaged. A few of many are read by
// themselves, each checked against its CRC, so that one message of a large mailbox
// costs no View. The slice may be shared: do not change it.
func (m *Mail) Records(ctx context.Context, id mailbox.ID, uids mailbox.UIDSet) ([]mailbox.Record, error) {
	var out []mailbox.Record
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err == nil {
			out, err = m.named(ctx, c, b, uids)
		}
		return err
	})
	return out, err
}

// named is Records within a transaction that has not changed the mailbox.
func (m *Mail) named(ctx context.Context, c *conn, b *box, uids mailbox.UIDSet) ([]mailbox.Record, error) {
	known := m.s.views.get(viewKey{m.user, b.ID})
	few := uids.Len()*fewRecords < uint64(b.Counts.Exists)
	if few && (known.records == nil || known.modseq != b.HighestModSeq) {
		out, _, err := m.soundOf(c, b, uids)
		return out, err
	}
	now, err := m.refreshCached(c, b, func(old cached) (cached, error) { return m.refreshRecords(ctx, c, b, old) })
	return within(now.records, uids), err
}

// Damaged returns which of the live messages that a set names have records that do not
// match their CRC.
func (m *Mail) Damaged(ctx context.Context, id mailbox.ID, uids mailbox.UIDSet) (mailbox.UIDSet, error) {
	var out mailbox.UIDSet
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err != nil {
			return err
		}
		_, damaged, err := m.soundOf(c, b, uids)
		out = mailbox.UIDs(damaged...)
		return err
	})
	return out, err
}

// within returns the records that a set names. One range costs nothing: the
// records are shared.
func within(all []mailbox.Record, uids mailbox.UIDSet) []mailbox.Record {
	var out []mailbox.Record
	at := func(uid mailbox.UID) (int, bool) {
		return slices.BinarySearchFunc(all, uid, func(r mailbox.Record, uid mailbox.UID) int {
			return int(int64(r.UID) - int64(uid))
		})
	}
	ranges := uids.Ranges()
	for _, r := range ranges {
		from, _ := at(r.Lo)
		to, found := at(r.Hi)
		if found {
			to++
		}
		if len(ranges) == 1 {
			return all[from:to:to]
		}
		out = append(out, all[from:to]...)
	}
	return out
}

// refresh brings what is cached of a mailbox up to date by fn, in one read
// transaction with the mailbox's state.
func (m *Mail) refresh(ctx context.Context, id mailbox.ID, fn func(*conn, *box, cached) (cached, error)) (mailbox.State, cached, error) {
	var state mailbox.State
	var now cached
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err != nil {
			return err
		}
		state = b.State
		now, err = m.refreshCached(c, b, func(old cached) (cached, error) { return fn(c, b, old) })
		return err
	})
	return state, now, err
}

// refreshCached brings what is cached of a mailbox up to date by fn.
func (m *Mail) refreshCached(c *conn, b *box, fn func(old cached) (cached, error)) (cached, error) {
	k := viewKey{m.user, b.ID}
	old := m.s.views.get(k)
	if old.modseq > b.HighestModSeq || old.modseq < b.horizon {
		// Another reader was ahead of this transaction; or expunged records
		// that old does not know of were forgotten.
		old = cached{}
	}
	now, err := fn(old)
	if err != nil {
		return cached{}, err
	}
	if now.modseq != old.modseq || (old.uids == nil) != (now.uids == nil) || (old.records == nil) != (now.records == nil) {
		m.s.views.put(k, now)
	}
	return now, nil
}

// refreshUIDs brings the UIDs of a cached mailbox up to date.
func (m *Mail) refreshUIDs(c *conn, b *box, old cached) (cached, error) {
	now := cached{modseq: b.HighestModSeq, uids: old.uids}
	if !old.known() {
		now.uids = make([]mailbox.UID, 0, b.Counts.Exists)
	} else if old.modseq == b.HighestModSeq {
		return old, nil
	} else if err := m.dropExpunged(c, b, old.modseq, &now); err != nil {
		return now, err
	}
	after := mailbox.UID(0)
	if n := len(now.uids); n > 0 {
		after = now.uids[n-1]
	}
	if old.known() {
		now.uids = slices.Clip(now.uids)
	}
	var err error
	if now.uids, err = appendUIDs(c, b, after, now.uids); err != nil {
		return now, err
	}
	if len(now.uids) != int(b.Counts.Exists) {
		return now, m.damage(b.ID, 0, errCount)
	}
	return now, nil
}

// appendUIDs appends the UIDs of b above after. SQLite joins them into one
// text: a row for each would cost more than twice as much.
func appendUIDs(c *conn, b *box, after mailbox.UID, uids []mailbox.UID) ([]mailbox.UID, error) {
	known := len(uids)
	_, err := c.one(`SELECT group_concat(id) FROM message WHERE id > ? AND id <= ?`, func(row []driver.Value) error {
		list := text(row[0])
		id := int64(0)
		for i := range len(list) {
			if list[i] != ',' {
				id = id*10 + int64(list[i]-'0')
				continue
			}
			uids = append(uids, mailbox.UID(id))
			id = 0
		}
		if list != "" {
			uids = append(uids, mailbox.UID(id))
		}
		return nil
	}, rowID(b.row, after), rowID(b.row, math.MaxUint32))
	// SQLite scans in the order of the key, but does not promise it.
	if !slices.IsSorted(uids[known:]) {
		slices.Sort(uids[known:])
	}
	return uids, err
}

// dropExpunged takes out the UIDs that were expunged after since.
func (m *Mail) dropExpunged(c *conn, b *box, since mailbox.ModSeq, now *cached) error {
	gone, err := expungedUIDs(c, b, since)
	if err != nil || len(gone) == 0 {
		return err
	}
	kept := make([]mailbox.UID, 0, len(now.uids))
	for _, u := range now.uids {
		if _, found := slices.BinarySearch(gone, u); !found {
			kept = append(kept, u)
		}
	}
	now.uids = kept
	return nil
}

func expungedUIDs(c *conn, b *box, since mailbox.ModSeq) ([]mailbox.UID, error) {
	var gone []mailbox.UID
	err := c.each(`SELECT id FROM expunged WHERE id >> 32 = ? AND modseq > ?`, func(row []driver.Value) error {
		gone = append(gone, mailbox.UID(integer(row[0])))
		return nil
	}, b.row, int64(since))
	slices.Sort(gone)
	return gone, err
}

// refreshRecords brings the records of a cached mailbox up to date: from what
// this process committed, or else from mail.db; or it reads them all.
func (m *Mail) refreshRecords(ctx context.Context, c *conn, b *box, old cached) (cached, error) {
	if old.records == nil {
		return m.loadRecords(ctx, c, b)
	}
	if old.modseq == b.HighestModSeq {
		return old, nil
	}
	changed, gone, ok := fold(old, b.HighestModSeq)
	if !ok {
		var err error
		var damaged []mailbox.UID
		if changed, damaged, err = m.changed(c, b, old.modseq); err != nil {
			return cached{}, err
		}
		if len(damaged) > 0 { // which of those that are known it replaces is not known
			return m.loadRecords(ctx, c, b)
		}
		if gone, err = expungedUIDs(c, b, old.modseq); err != nil {
			return cached{}, err
		}
	}
	now := merge(old, changed, gone)
	now.modseq, now.damaged = b.HighestModSeq, old.damaged
	if len(changed) <= maxNews {
		now.news = delta{from: old.modseq, to: now.modseq, changed: changed}
	}
	if len(now.records)+len(now.damaged) != int(b.Counts.Exists) {
		return cached{}, m.damage(b.ID, 0, errCount)
	}
	return now, nil
}

// fold puts together the deltas of old up to a mod-sequence: the records that
// changed and the UIDs that went, both sorted. ok is false if they do not lead
// there.
func fold(old cached, to mailbox.ModSeq) (changed []mailbox.Record, gone []mailbox.UID, ok bool) {
	at := old.modseq
	if d := old.deltas; len(d) == 1 && d[0].from == at && d[0].to == to && len(d[0].gone) == 0 && rising(d[0].changed) {
		return d[0].changed, nil, true // nothing to put together
	}
	last := map[mailbox.UID]mailbox.Record{}
	for _, d := range old.deltas {
		if at == to {
			break
		}
		if d.from != at {
			return nil, nil, false
		}
		for _, r := range d.changed {
			last[r.UID] = r
		}
		for _, u := range d.gone {
			delete(last, u)
		}
		gone = append(gone, d.gone...)
		at = d.to
	}
	for _, r := range last {
		changed = append(changed, r)
	}
	slices.SortFunc(changed, byUID)
	slices.Sort(gone)
	return changed, gone, at == to
}

// loadRecords reads all live records and checks them against counters and
// checksum: one that vanished, or is older than it should be, is damage. One that
// does not match its CRC is damage of that message alone: it is named, and the others
// are served, without the checksum.
func (m *Mail) loadRecords(ctx context.Context, c *conn, b *box) (cached, error) {
	now := cached{modseq: b.HighestModSeq, records: make([]mailbox.Record, 0, b.Counts.Exists), array: new(Array)}
	var sum mailbox.Checksum
	var err error
	now.damaged, err = m.sound(c, b, 0, math.MaxUint32, func(r *mailbox.Record) error {
		if len(now.records)%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		now.records = append(now.records, *r)
		sum.Add(r)
		return nil
	})
	switch {
	case err != nil:
	case len(now.records)+len(now.damaged) != int(b.Counts.Exists):
		err = m.damage(b.ID, 0, errCount)
	case len(now.damaged) > 0:
		m.tellDamage(b.ID, "records are damaged: the mailbox's others are served, and searches in it are refused, until slotctl verify --repair mends them",
			"mailbox", b.ID, "uids", now.damaged)
	case sum != b.Checksum:
		err = m.damage(b.ID, 0, errSum)
	}
	now.array.used.Store(int64(len(now.records)))
	now.keywords = keywordsOf(now.records)
	return now, err
}

// allUIDs are those of the records, and of those that are damaged.
func (c *cached) allUIDs() []mailbox.UID {
	uids := make([]mailbox.UID, len(c.records), len(c.records)+len(c.damaged))
	for i := range c.records {
		uids[i] = c.records[i].UID
	}
	if len(c.damaged) > 0 {
		uids = append(uids, c.damaged...)
		slices.Sort(uids)
	}
	return uids
}

// changed reads the live records changed after since, by UID. It steps
// over all of the mailbox: an index would cost each delivery and each change of
// flags more than this costs the few who ask.
// Damaged records are left out, and named.
func (m *Mail) changed(c *conn, b *box, since mailbox.ModSeq) (out []mailbox.Record, damaged []mailbox.UID, err error) {
	err = c.each("SELECT "+recordList+" FROM message WHERE id BETWEEN ? AND ? AND modseq > ? ORDER BY id", func(row []driver.Value) error {
		var r mailbox.Record
		if m.scanRecord(b, row, false, &r) != nil {
			damaged = append(damaged, r.UID)
			return nil
		}
		out = append(out, r)
		return nil
	}, rowID(b.row, 0), rowID(b.row, math.MaxUint32), int64(since))
	return out, damaged, err
}

// rising reports whether records are sorted by UID, each once.
func rising(records []mailbox.Record) bool {
	for i := 1; i < len(records); i++ {
		if records[i].UID <= records[i-1].UID {
			return false
		}
	}
	return true
}

func byUID(a, b mailbox.Record) int { return int(int64(a.UID) - int64(b.UID)) }

// merge returns old with the changed records replaced or added and the gone ones
// left out; all sorted by UID. Where all that came is new mail, spare room behind
// old's records is used: what old shows to others does not change.
func merge(old cached, changed []mailbox.Record, gone []mailbox.UID) cached {
	have := old.records
	if len(gone) == 0 && (len(changed) == 0 || len(have) == 0 || changed[0].UID > have[len(have)-1].UID) {
		return extend(old, changed)
	}
	out := make([]mailbox.Record, 0, len(have)+len(changed))
	keep := func(r mailbox.Record) {
		if _, found := slices.BinarySearch(gone, r.UID); !found {
			out = append(out, r)
		}
	}
	i := 0
	for _, c := range changed {
		for ; i < len(have) && have[i].UID < c.UID; i++ {
			keep(have[i])
		}
		if i < len(have) && have[i].UID == c.UID {
			i++
		}
		out = append(out, c)
	}
	for ; i < len(have); i++ {
		keep(have[i])
	}
	now := cached{records: out, array: new(Array), keywords: keywordsOf(out)}
	now.array.used.Store(int64(len(out)))
	return now
}

// extend adds records behind those of old.
func extend(old cached, more []mailbox.Record) cached {
	n, keywords := len(old.records)+len(more), old.keywords+keywordsOf(more)
	if n <= cap(old.records) && old.array.used.CompareAndSwap(int64(len(old.records)), int64(n)) {
		return cached{records: append(old.records, more...), array: old.array, keywords: keywords}
	}
	now := cached{records: make([]mailbox.Record, len(old.records), n+n/8+16), array: new(Array), keywords: keywords}
	copy(now.records, old.records)
	now.records = append(now.records, more...)
	now.array.used.Store(int64(n))
	return now
}
