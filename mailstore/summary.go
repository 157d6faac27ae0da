package mailstore

import (
	"context"
	"database/sql/driver"
	"maps"
	"math"
	"slices"

	"teraslot/mailbox"
)

// summary is what is kept of a mailbox's records, beside its counters, so that
// SELECT need not read them.
type summary struct {
	// firstUnseen is the lowest UID without \Seen; 0 if there is none. Within a
	// transaction that sets sought it is a lower bound.
	firstUnseen mailbox.UID
	sought      bool
	// recent is the UID up to which messages were announced to some session.
	recent mailbox.UID
	// words are the messages that each keyword gained or lost in this
	// transaction, by its spelling.
	words map[string]int64
}

// countUnseen adds (by = 1) or takes away (by = -1) an unseen message.
func (s *summary) countUnseen(uid mailbox.UID, by int) {
	switch {
	case by < 0:
		s.sought = s.sought || uid == s.firstUnseen
	case s.firstUnseen == 0 || uid <= s.firstUnseen:
		s.firstUnseen, s.sought = uid, false
	}
}

// countKeywords adds or takes away a message's keywords.
func (s *summary) countKeywords(f mailbox.Flags, by int) {
	if f.Keywords == "" {
		return
	}
	if s.words == nil {
		s.words = map[string]int64{}
	}
	for _, word := range f.KeywordList() {
		s.words[word] += int64(by)
	}
}

// flushSummary brings up to date what the records' changes moved.
func (t *txn) flushSummary(b *box) error {
	if err := t.seekUnseen(b); err != nil {
		return err
	}
	gone := false
	for _, word := range slices.Sorted(maps.Keys(b.words)) {
		n := b.words[word]
		if n == 0 {
			continue
		}
		gone = gone || n < 0
		err := t.c.exec(`INSERT INTO keyword VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n`, b.row, word, n)
		if err != nil {
			return err
		}
	}
	b.words = nil
	if !gone {
		return nil
	}
	return t.c.exec(`DELETE FROM keyword WHERE box = ? AND n = 0`, b.row)
}

// seekUnseen finds the first unseen message after the one that was it. It steps
// over those that are seen, most often few: what is behind is not looked at
// again until the next one is seen.
func (t *txn) seekUnseen(b *box) error {
	if !b.sought {
		return nil
	}
	from := b.firstUnseen
	b.firstUnseen, b.sought = 0, false
	if b.Counts.Unseen == 0 {
		return nil
	}
	_, err := t.c.one(`SELECT id FROM message WHERE id BETWEEN ? AND ? AND NOT system & ? ORDER BY id LIMIT 1`,
		func(row []driver.Value) error {
			b.firstUnseen = mailbox.UID(integer(row[0]))
			return nil
		}, rowID(b.row, from), rowID(b.row, math.MaxUint32), int64(mailbox.Seen))
	return err
}

// Selection is a mailbox as SELECT describes it.
type Selection struct {
	State mailbox.State
	UIDs  []mailbox.UID // rising; shared: do not change them
	// Keywords are those that some message has, sorted, each in the spelling of
	// its first use.
	Keywords []string
	// FirstUnseen is the lowest UID without \Seen; 0 if there is none.
	FirstUnseen mailbox.UID
	// Announced is the UID up to which Announce was called.
	Announced mailbox.UID
}

// Select returns what SELECT needs of a mailbox, all of one moment, at a fraction
// of the cost of View.
func (m *Mail) Select(ctx context.Context, id mailbox.ID) (Selection, error) {
	var out Selection
	state, now, err := m.refresh(ctx, id, func(c *conn, b *box, old cached) (cached, error) {
		out.FirstUnseen, out.Announced = b.firstUnseen, b.recent
		err := c.each(`SELECT word FROM {keyword} WHERE box = ? ORDER BY word`, func(row []driver.Value) error {
			out.Keywords = append(out.Keywords, text(row[0]))
			return nil
		}, b.row)
		if err != nil {
			return old, err
		}
		return m.refreshUIDsOrRecords(ctx, c, b, old)
	})
	out.State, out.UIDs = state, now.uids
	return out, err
}

// Announced returns the UID up to which Announce was called for a mailbox.
func (m *Mail) Announced(ctx context.Context, id mailbox.ID) (mailbox.UID, error) {
	var out mailbox.UID
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err == nil {
			out = b.recent
		}
		return err
	})
	return out, err
}

// Announce notes that a session was told of the messages up to a UID, which are
// then no longer recent for later ones (RFC 3501 §2.3.2). It is a commit: call it
// when Announced is lower. It is no change of the mailbox: nobody is notified.
func (m *Mail) Announce(ctx context.Context, id mailbox.ID, upTo mailbox.UID) error {
	return m.write(ctx, "", func(t *txn) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		if upTo = min(upTo, b.UIDNext-1); upTo > b.recent {
			b.recent, b.dirty = upTo, true
		}
		return nil
	})
}
