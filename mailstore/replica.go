package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"

	"teraslot/mailbox"
)

// What replication needs of a user's mail: the difference to another slot's (Differ),
// messages that are stored before a record says where they belong (Stage), and a
// change that makes this mail the other's (Apply). docs/decisions/0005-replication.md
// says what holds.

// ThreadKey is a thread's id: the octets behind the T of a THREADID (RFC 8474 §5.2).
type ThreadKey = thread

// Entry is a record, live or expunged, with the thread of its message.
type Entry struct {
	mailbox.Record
	Thread     ThreadKey
	Provenance Provenance
}

// same reports whether both say the same: Num is each slot's own.
func (e Entry) same(o Entry) bool {
	e.Num, o.Num = 0, 0
	return e == o
}

// alike reports whether both say the same to clients, but for the mod-sequences' provenance.
func (e *Entry) alike(o *Entry) bool {
	x, y := *e, *o
	x.Provenance, y.Provenance = Provenance{}, Provenance{}
	return x.same(y)
}

// BoxChange are the records in which a mailbox of two slots differs.
type BoxChange struct {
	ID      mailbox.ID
	Entries []Entry        // as they are to be, sorted by UID
	Drop    mailbox.UIDSet // UIDs of which there is to be nothing, not even an expunged record
	// Whole says that all records were compared: their mod-sequences need not be new.
	Whole bool
}

// Change makes a user's mail what Image says.
type Change struct {
	Image Image
	Boxes []BoxChange // those whose records differ
}

// Differ returns what makes mail of the image theirs this mail, all of one moment.
// known are all records of some of their mailboxes, by id. Without them, records are
// told from each other by mod-sequences; incomplete names the mailboxes where that
// does not suffice: expunged records are missing, or their mail is no earlier state of this, so
// that one mod-sequence may be of two writes. A damaged record is a *Damage: it is not sent to anyone.
func (m *Mail) Differ(ctx context.Context, theirs *Image, known map[mailbox.ID][]Entry) (out Change, incomplete []mailbox.ID, err error) {
	return m.differ(ctx, theirs, known, math.MaxInt)
}

// ErrMany: more records differ than DifferWithin was to return.
var ErrMany = errors.New("too many records differ")

// DifferWithin is Differ without known records that returns at most so many, or ErrMany: then it has not read many more.
func (m *Mail) DifferWithin(ctx context.Context, most int, theirs *Image) (out Change, incomplete []mailbox.ID, err error) {
	return m.differ(ctx, theirs, nil, most)
}

func (m *Mail) differ(ctx context.Context, theirs *Image, known map[mailbox.ID][]Entry, most int) (out Change, incomplete []mailbox.ID, err error) {
	err = m.read(ctx, func(c *conn) (err error) {
		if out.Image, err = m.loadImage(c); err != nil {
			return err
		}
		boxes, err := loadBoxes(c)
		if err != nil {
			return err
		}
		base := out.Image.Lineage.Base(theirs.Lineage)
		parted := base < theirs.Lineage.End()
		for _, b := range boxes {
			here, there := out.Image.Box(b.ID), theirs.Box(b.ID)
			entries, asked := known[b.ID]
			var one BoxChange
			switch {
			case asked:
				one, err = m.differFrom(c, b, entries)
			case there == nil:
				one, err = m.since(c, b, 0, most)
			case parted && max(here.HighestModSeq, there.HighestModSeq) > base:
				incomplete = append(incomplete, b.ID)
			case here.sameRecords(there):
				continue
			case !here.continues(there):
				incomplete = append(incomplete, b.ID)
			default:
				one, err = m.since(c, b, there.HighestModSeq, most)
			}
			if err != nil {
				return err
			}
			if len(one.Entries) > 0 || !one.Drop.IsEmpty() {
				out.Boxes = append(out.Boxes, one)
				most -= len(one.Entries)
			}
		}
		return nil
	})
	return out, incomplete, err
}

// continues reports whether the records changed after there's HIGHESTMODSEQ are all in
// which both differ, if there is an earlier state of b.
func (b *BoxImage) continues(there *BoxImage) bool {
	return b.UIDValidity == there.UIDValidity && b.HighestModSeq > there.HighestModSeq && b.Horizon <= there.HighestModSeq
}

// since returns the records of b that changed after a mod-sequence, ErrMany if they are more than most.
func (m *Mail) since(c *conn, b *box, modseq mailbox.ModSeq, most int) (BoxChange, error) {
	if modseq == 0 && int64(b.Counts.Exists) > int64(most) {
		return BoxChange{}, ErrMany
	}
	all, err := m.entriesBut(c, b, modseq, most, func(err error) error { return err })
	return BoxChange{ID: b.ID, Entries: all}, err
}

// differFrom returns how the records of b differ from all that another slot has.
func (m *Mail) differFrom(c *conn, b *box, theirs []Entry) (BoxChange, error) {
	out := BoxChange{ID: b.ID, Whole: true}
	all, err := m.entries(c, b, 0)
	if err != nil {
		return out, err
	}
	there := make(map[mailbox.UID]Entry, len(theirs))
	for _, e := range theirs {
		there[e.UID] = e
	}
	for _, e := range all {
		if old, found := there[e.UID]; !found || !old.same(e) {
			out.Entries = append(out.Entries, e)
		}
		delete(there, e.UID)
	}
	for uid, e := range there {
		// What the other slot keeps longer of expunged messages is its own matter; but a mailbox that got another UIDVALIDITY
		// may have given fewer UIDs under it.
		if !e.Expunged || e.ModSeq > b.horizon || e.UID >= b.UIDNext {
			out.Drop.Add(uid)
		}
	}
	return out, nil
}

// Entries returns all records of a mailbox, live and expunged, sorted by UID.
func (m *Mail) Entries(ctx context.Context, id mailbox.ID) ([]Entry, error) {
	var out []Entry
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err == nil {
			out, err = m.entries(c, b, 0)
		}
		return err
	})
	return out, err
}

// SoundEntries is Entries that passes over damaged records.
func (m *Mail) SoundEntries(ctx context.Context, id mailbox.ID) ([]Entry, error) {
	var out []Entry
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err == nil {
			out, err = m.entriesBut(c, b, 0, math.MaxInt, func(error) error { return nil })
		}
		return err
	})
	return out, err
}

// entries reads the records of b that changed after a mod-sequence, live and
// expunged, by UID.
func (m *Mail) entries(c *conn, b *box, after mailbox.ModSeq) ([]Entry, error) {
	return m.entriesBut(c, b, after, math.MaxInt, func(err error) error { return err })
}

// entriesBut is entries that asks of damaged ones whether to end, and ends with ErrMany if there are more than most.
func (m *Mail) entriesBut(c *conn, b *box, after mailbox.ModSeq, most int, damaged func(error) error) ([]Entry, error) {
	from, join := "", ""
	if there, err := hasTable(c, "provenance"); err != nil {
		return nil, err
	} else if there {
		from, join = provenanceList, ` LEFT JOIN provenance ON record = r.id`
	}
	var out []Entry
	if after == 0 {
		out = make([]Entry, 0, min(b.Counts.Exists, 1<<20)) // what is counted may be damaged
	}
	err := c.each("SELECT "+recordList+`, gone, (SELECT thread FROM content WHERE content.num = r.num)`+from+` FROM (
		SELECT `+recordList+`, num, 0 AS gone FROM message WHERE id BETWEEN ?1 AND ?2 AND modseq > ?3 UNION ALL
		SELECT `+recordList+`, num, 1 AS gone FROM expunged WHERE id BETWEEN ?1 AND ?2 AND modseq > ?3) AS r`+join+` ORDER BY id`,
		func(row []driver.Value) error {
			var e Entry
			if err := m.scanRecord(b, row, integer(row[6]) != 0, &e.Record); err != nil {
				return damaged(err)
			}
			if copy(e.Thread[:], blob(row[7])) != len(e.Thread) {
				return m.damage(b.ID, e.UID, errNoContent)
			}
			if from != "" {
				e.Provenance = provenanceOf(integer(row[0]), e.ModSeq, row[8:])
			}
			if len(out) >= most {
				return ErrMany
			}
			out = append(out, e)
			return nil
		}, rowID(b.row, 0), rowID(b.row, math.MaxUint32), int64(after))
	return out, err
}

// Lacks returns those of the GUIDs whose messages this mail does not have.
func (m *Mail) Lacks(ctx context.Context, guids []mailbox.GUID) ([]mailbox.GUID, error) {
	var out []mailbox.GUID
	err := m.read(ctx, func(c *conn) error {
		for _, g := range guids {
			_, found, err := m.contentOf(c, g)
			if err != nil && !errors.Is(err, errContentRow) {
				return err
			}
			if !found || err != nil { // a damaged row is mended when the message comes
				out = append(out, g)
			}
		}
		return nil
	})
	return out, err
}

// CreateReplica makes a user's mail without any mailbox, for Apply. ErrExists if there
// is one.
func (s *Store) CreateReplica(ctx context.Context, u mailbox.User) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	if _, err := mailbox.ParseUser(string(u)); err != nil {
		return err
	}
	// Mail that has given a mailbox number is not new, and gets no default mailboxes.
	return s.create(ctx, u, UserOptions{}, `UPDATE account SET box = 1 WHERE sound`)
}

// Staged is a message that is stored before any record names it.
type Staged struct {
	Message *Message
	Thread  ThreadKey
	// The record that will name it, for whoever has nothing but the packs.
	Mailbox      mailbox.ID
	UID          mailbox.UID
	UIDValidity  mailbox.UIDValidity
	InternalDate mailbox.Date
}

// stagingID is the id of the deleted mailbox that holds staged messages. No other
// mailbox has it: ids are random, and this one is not among those drawn.
const stagingID mailbox.ID = "000000000000000000000000"

// Stage stores messages durably, whoever will name them: the next Apply, or if none
// does, they go as the messages of deleted mailboxes do. Their threads are given.
func (m *Mail) Stage(ctx context.Context, items ...Staged) error {
	if m.s.o.ReadOnly {
		return ErrReadOnly
	}
	if len(items) == 0 {
		return nil
	}
	if err := m.lockWriter(ctx); err != nil {
		return m.wrap(err)
	}
	defer m.unlockWriter()
	return m.wrap(m.anywhere(func() error { return m.stage(context.WithoutCancel(ctx), items) }))
}

func (m *Mail) stage(ctx context.Context, items []Staged) error {
	need := map[place]bool{}
	for i := range items {
		items[i].Message.thread = &items[i].Thread
		need[m.placeOf(items[i].Message.Size)] = true
	}
	for p := range need {
		if err := m.openPack(ctx, p); err != nil {
			return err
		}
	}
	err := errFault
	defer func() { m.settlePacks(err) }()
	_, err = m.commit(ctx, "", func(t *txn) error {
		b, err := t.staging()
		if err != nil {
			return err
		}
		for i := range items {
			if err := t.stage(b, &items[i]); err != nil {
				return err
			}
		}
		if err := t.c.exec(`UPDATE grave SET uidnext = ?, gone = ? WHERE box = ?`, int64(b.UIDNext), t.now, b.row); err != nil {
			return err
		}
		return t.syncPacks()
	})
	return err
}

// staging returns the mailbox that holds what is staged.
func (t *txn) staging() (*box, error) {
	g, err := t.grave(stagingID)
	if err == nil {
		return &g.box, nil
	}
	if !errors.Is(err, ErrNoMailbox) {
		return nil, err
	}
	if t.account.box == math.MaxInt32 {
		return nil, errors.New("user has no mailbox numbers left")
	}
	t.account.box++
	b := &box{row: t.account.box, State: mailbox.State{ID: stagingID, UIDNext: 1}}
	return b, t.c.exec(`INSERT INTO grave VALUES (?, ?, 'staging', 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0, 0, ?)`, b.row, string(b.ID), t.now)
}

func (t *txn) stage(b *box, one *Staged) error {
	uid, err := b.nextUID()
	if err != nil {
		return err
	}
	r := mailbox.Record{UID: uid, GUID: one.Message.GUID, Size: one.Message.Size, InternalDate: one.InternalDate,
		SentDate: one.InternalDate, SaveDate: t.now, Expunged: true}
	f := frame{Mailbox: one.Mailbox, UID: one.UID, UIDValidity: one.UIDValidity, Internal: one.InternalDate}
	if r.Num, err = t.hold(one.Message, f); err != nil {
		return err
	}
	return t.c.exec(`INSERT INTO expunged VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, append(recordArgs(b.row, &r), t.now)...)
}

// unstage gives up what is staged and no record names, nor any longer.
func (t *txn) unstage() error {
	g, err := t.grave(stagingID)
	if errors.Is(err, ErrNoMailbox) {
		return t.forgetUnheld()
	}
	if err == nil {
		err = t.dropRecords(g.row)
	}
	if err == nil {
		err = t.c.exec(`DELETE FROM grave WHERE box = ?`, g.row)
	}
	if err != nil {
		return fmt.Errorf("staged messages: %w", err)
	}
	return t.forgetUnheld()
}
