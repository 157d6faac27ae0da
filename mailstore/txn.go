package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"

	"teraslot/mailbox"
)

// txn is a write transaction: the user's counters and the mailboxes it has
// touched, which it writes back at its end. The writer's turn is held.
type txn struct {
	m       *Mail
	c       *conn
	session string
	now     int64 // seconds since 1970
	account account
	before  account
	own     mailbox.ModSeq // the last that this slot gave, and may go on from; another: see succeed
	failed  error          // of succeed, told by flush
	boxes   map[mailbox.ID]*box
	events  []mailbox.Event

	version   int64 // PRAGMA data_version
	keepBoxes bool  // boxes may be remembered
}

// account is the row of that table.
type account struct {
	modseq         mailbox.ModSeq
	uidvalidity    mailbox.UIDValidity
	box, num, pack int64
	usage          Usage
	quota          Quota
}

// box is a mailbox within a transaction.
type box struct {
	mailbox.State
	row     int64
	horizon mailbox.ModSeq
	summary
	dirty bool
	delta delta // what this transaction changed of its records
}

// commit runs fn in a transaction and returns the events to tell. The writer's
// turn is held, and given back by the caller before it tells them, also after a
// fault, which leaves no transaction open.
func (m *Mail) commit(ctx context.Context, session string, fn func(t *txn) error) ([]mailbox.Event, error) {
	if d := m.broken.Load(); d != nil {
		return nil, d
	}
	returned := false
	defer func() {
		if !returned {
			m.abandonWriter()
		}
	}()
	events, err := m.transact(ctx, session, fn)
	returned = true
	return events, err
}

func (m *Mail) transact(ctx context.Context, session string, fn func(t *txn) error) ([]mailbox.Event, error) {
	t := &txn{m: m, c: m.writer, session: session, now: m.s.o.Now().Unix(), boxes: map[mailbox.ID]*box{}}
	if err := t.c.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	err := t.recall()
	if err == nil {
		err = fn(t)
	}
	if err == nil {
		err = t.finish(ctx)
	}
	if err != nil {
		m.known.Store(nil)
		return nil, errors.Join(err, t.rollback())
	}
	if m.published {
		m.s.highest.rise(m.user, t.account.modseq)
	}
	m.s.o.Step(StepCommitted)
	t.noteDeltas()
	t.remember()
	return t.events, nil
}

func (t *txn) finish(ctx context.Context) error {
	if err := t.flush(); err != nil {
		return err
	}
	if err := t.m.s.o.Fence(ctx, t.m.user); err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	t.m.s.o.Step(StepFenced)
	if err := t.c.exec("COMMIT"); err != nil {
		return fmt.Errorf("%w: %w", errCommit, err)
	}
	return nil
}

// errCommit: whether the transaction is in the WAL is unknown. After a crash it
// may come back, so the bytes that it refers to must stay what they are.
var errCommit = errors.New("commit")

// rollback undoes everything. SQLite has done so already after some errors, a
// full disk among them, and then has no transaction to end. A connection that
// cannot be brought out of its transaction is given up.
func (t *txn) rollback() error {
	err := t.c.exec("ROLLBACK")
	if err == nil {
		return nil
	}
	if t.c.exec("BEGIN") == nil && t.c.exec("ROLLBACK") == nil {
		return nil
	}
	t.m.writer = nil
	return errors.Join(err, t.c.close())
}

func (t *txn) loadAccount() error {
	a := &t.account
	found, err := t.c.one(`SELECT modseq, uidvalidity, box, num, pack, bytes, messages, quota_bytes, quota_messages
		FROM {account}`, func(row []driver.Value) error {
		a.modseq, a.uidvalidity = mailbox.ModSeq(integer(row[0])), mailbox.UIDValidity(integer(row[1]))
		a.box, a.num, a.pack = integer(row[2]), integer(row[3]), integer(row[4])
		a.usage = Usage{integer(row[5]), integer(row[6])}
		a.quota = Quota{integer(row[7]), integer(row[8])}
		return nil
	})
	if err == nil && !found {
		err = t.m.damage("", 0, errors.New("no account row"))
	}
	t.before = *a
	return err
}

// flush writes back the account and the mailboxes that changed.
func (t *txn) flush() error {
	if t.failed != nil {
		return t.failed
	}
	if a := &t.account; *a != t.before {
		err := t.c.exec(`UPDATE account SET modseq = ?, uidvalidity = ?, box = ?, num = ?, pack = ?, bytes = ?, messages = ?,
			quota_bytes = ?, quota_messages = ? WHERE sound`, int64(a.modseq), int64(a.uidvalidity), a.box, a.num, a.pack,
			a.usage.Bytes, a.usage.Messages, a.quota.Bytes, a.quota.Messages)
		if err != nil {
			return err
		}
	}
	for _, b := range t.boxes {
		if !b.dirty {
			continue
		}
		if err := t.flushSummary(b); err != nil {
			return err
		}
		// Whoever gives it another name has written that: it is indexed, and its index
		// would be written by each delivery.
		err := t.c.exec(`UPDATE mailbox SET uidvalidity = ?, uidnext = ?, modseq = ?, horizon = ?, live = ?, unseen = ?,
			deleted = ?, bytes = ?, sum_a = ?, sum_b = ?, first_unseen = ?, recent = ? WHERE sound AND box = ?`,
			int64(b.UIDValidity), int64(b.UIDNext), int64(b.HighestModSeq), int64(b.horizon), int64(b.Counts.Exists),
			int64(b.Counts.Unseen), int64(b.Counts.Deleted), b.Counts.Size, int64(b.Checksum.A), int64(b.Checksum.B),
			int64(b.firstUnseen), int64(b.recent), b.row)
		if err != nil {
			return err
		}
	}
	return nil
}

// nextModSeq gives out the user's next mod-sequence.
func (t *txn) nextModSeq() mailbox.ModSeq {
	t.failed = errors.Join(t.failed, t.succeed())
	t.account.modseq++
	t.own = t.account.modseq
	return t.account.modseq
}

// nextUIDValidity gives out a value that no mailbox of this user ever had. It
// follows the clock where it can, so that mail restored from an old copy does
// not repeat values given since (RFC 9051 §2.3.1.1).
func (t *txn) nextUIDValidity(name string) (mailbox.UIDValidity, error) {
	if err := t.succeed(); err != nil {
		return 0, err
	}
	next := max(int64(t.account.uidvalidity)+1, t.now)
	if next > math.MaxUint32 {
		next = int64(t.account.uidvalidity) + 1
	}
	next, err := t.freeUIDValidity(name, next)
	if err != nil {
		return 0, err
	}
	if next > math.MaxUint32 {
		return 0, errors.New("no UIDVALIDITY left")
	}
	t.account.uidvalidity = mailbox.UIDValidity(next)
	return t.account.uidvalidity, nil
}

// box returns a mailbox, the same value each time.
func (t *txn) box(id mailbox.ID) (*box, error) {
	if b := t.boxes[id]; b != nil {
		return b, nil
	}
	b, err := loadBox(t.c, "id", string(id))
	if err != nil {
		return nil, err
	}
	t.boxes[id] = b
	return b, nil
}

// named returns the mailbox of that name, the same value each time.
func (t *txn) named(name string) (*box, error) {
	b, err := loadBox(t.c, "name", name)
	if err != nil {
		return nil, err
	}
	if known := t.boxes[b.ID]; known != nil {
		return known, nil
	}
	t.boxes[b.ID] = b
	return b, nil
}

const boxColumns = `box, id, name, uidvalidity, uidnext, modseq, created, horizon, live, unseen, deleted, bytes, sum_a, sum_b, special,
	first_unseen, recent, EXISTS (SELECT 1 FROM {subscription} WHERE subscription.name = mailbox.name)`

func scanBox(row []driver.Value) *box {
	return &box{
		row:     integer(row[0]),
		delta:   delta{from: mailbox.ModSeq(integer(row[5]))},
		horizon: mailbox.ModSeq(integer(row[7])),
		summary: summary{firstUnseen: mailbox.UID(integer(row[15])), recent: mailbox.UID(integer(row[16]))},
		State: mailbox.State{
			ID:            mailbox.ID(text(row[1])),
			Name:          text(row[2]),
			UIDValidity:   mailbox.UIDValidity(integer(row[3])),
			UIDNext:       mailbox.UID(integer(row[4])),
			HighestModSeq: mailbox.ModSeq(integer(row[5])),
			CreatedModSeq: mailbox.ModSeq(integer(row[6])),
			Counts: mailbox.Counts{
				Exists:  uint32(integer(row[8])),
				Unseen:  uint32(integer(row[9])),
				Deleted: uint32(integer(row[10])),
				Size:    integer(row[11]),
			},
			Checksum:   mailbox.Checksum{A: uint64(integer(row[12])), B: uint64(integer(row[13]))},
			SpecialUse: text(row[14]),
			Subscribed: integer(row[17]) != 0,
		},
	}
}

// loadBox reads the mailbox whose column, id or name, has the value key.
func loadBox(c *conn, column, key string) (*box, error) {
	var b *box
	found, err := c.one("SELECT "+boxColumns+" FROM {mailbox} WHERE "+column+" = ?", func(row []driver.Value) error {
		b = scanBox(row)
		return nil
	}, key)
	if err == nil && !found {
		// One whose name or id is damaged is not found under it.
		if err = c.soundOnce(mailboxTable); err == nil {
			err = fmt.Errorf("%q: %w", key, ErrNoMailbox)
		}
	}
	return b, err
}

// loadBoxes reads all mailboxes, by name.
func loadBoxes(c *conn) ([]*box, error) {
	var all []*box
	if err := c.soundRows(subscriptionTable); err != nil { // a damaged name is another's
		return nil, err
	}
	err := c.each("SELECT "+boxColumns+" FROM {mailbox} ORDER BY name", func(row []driver.Value) error {
		all = append(all, scanBox(row))
		return nil
	})
	return all, err
}

// noteDeltas hands what was committed to the cache of views, so that the next
// view need not look for it.
func (t *txn) noteDeltas() {
	for _, b := range t.boxes {
		if len(b.delta.changed)+len(b.delta.gone) > 0 {
			b.delta.to = b.HighestModSeq
			t.m.s.views.note(viewKey{t.m.user, b.ID}, b.delta)
		}
	}
}

// event notes what to tell after the commit.
func (t *txn) event(b *box, k mailbox.Kind, uids mailbox.UIDSet, modseq mailbox.ModSeq, session string) {
	t.events = append(t.events, mailbox.Event{
		User: t.m.user, Mailbox: b.ID, Kind: k, UIDs: uids, ModSeq: modseq, Session: session,
	})
}
