package mailstore

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"teraslot/mailbox"
)

// recountRefs counts anew how many records hold each content.
func (r *repair) recountRefs() error {
	return r.t.c.exec(`UPDATE content SET refs = d.n FROM (
		SELECT c.num, count(h.num) AS n FROM content AS c LEFT JOIN (SELECT num FROM message UNION ALL SELECT num FROM expunged) AS h
		ON h.num = c.num GROUP BY c.num) AS d WHERE content.num = d.num AND refs <> d.n`)
}

// recount makes all sums anew from the records.
func (r *repair) recount() error {
	if err := r.t.flush(); err != nil { // what was added so far is in the mailboxes' rows
		return err
	}
	clear(r.t.boxes)
	if err := r.recountRefs(); err != nil {
		return err
	}
	boxes, err := loadBoxes(r.t.c)
	if err != nil {
		return err
	}
	var usage Usage
	err = r.eachBox(boxes, func(b *box) error {
		live := slices.Contains(boxes, b)
		n, err := r.recountBox(b, live)
		if live {
			usage.Bytes += n.Bytes
			usage.Messages += n.Messages
		}
		return err
	})
	if err != nil {
		return err
	}
	if usage != r.t.account.usage {
		r.sayf("usage was %+v and is %+v", r.t.account.usage, usage)
		r.t.account.usage = usage
	}
	if err := r.t.forgetUnheld(); err != nil {
		return err
	}
	return r.t.c.exec(`UPDATE pack SET held = (SELECT coalesce(sum(size + 84), 0) FROM content WHERE content.pack = pack.n) WHERE sound`)
}

// tally is what a mailbox's records add up to.
type tally struct {
	counts  mailbox.Counts
	sum     mailbox.Checksum
	first   mailbox.UID
	last    mailbox.UID
	highest mailbox.ModSeq
	words   map[string]int64
}

func (t *tally) add(rec *mailbox.Record) {
	t.sum.Add(rec)
	t.counts.Exists++
	t.counts.Size += rec.Size
	if !rec.Flags.Has(mailbox.Seen) {
		t.counts.Unseen++
		if t.first == 0 {
			t.first = rec.UID
		}
	}
	if rec.Flags.Has(mailbox.Deleted) {
		t.counts.Deleted++
	}
	for _, word := range rec.Flags.KeywordList() {
		t.words[word]++
	}
	t.last, t.highest = rec.UID, max(t.highest, rec.ModSeq)
}

// recountBox makes the sums of one mailbox anew, of a deleted one if not live.
func (r *repair) recountBox(b *box, live bool) (Usage, error) {
	got := tally{words: map[string]int64{}}
	_, err := r.m.sound(r.t.c, b, 0, math.MaxUint32, func(rec *mailbox.Record) error {
		got.add(rec)
		return nil
	})
	if err != nil {
		return Usage{}, err
	}
	gone, err := r.t.c.integer(`SELECT coalesce(max(id & 4294967295), 0) FROM expunged WHERE id BETWEEN ? AND ?`, rowID(b.row, 0), rowID(b.row, math.MaxUint32))
	if err != nil {
		return Usage{}, err
	}
	highest, err := r.t.c.integer(`SELECT coalesce(max(modseq), 0) FROM expunged WHERE id BETWEEN ? AND ?`, rowID(b.row, 0), rowID(b.row, math.MaxUint32))
	if err != nil {
		return Usage{}, err
	}
	next := max(b.UIDNext, mailbox.UID(gone)+1, got.last+1)
	modseq := max(b.HighestModSeq, got.highest, mailbox.ModSeq(highest))
	if got.counts != b.Counts || got.sum != b.Checksum || next != b.UIDNext || modseq != b.HighestModSeq || got.first != b.firstUnseen {
		r.sayf("mailbox %s: counters were %+v and are %+v", b.Name, b.Counts, got.counts)
		modseq = max(modseq, r.change())
		next = leap(next, b.HighestModSeq, modseq)
	}
	r.t.account.modseq = max(r.t.account.modseq, modseq)
	table := "mailbox"
	if !live {
		table = "grave"
	}
	err = r.t.c.exec(fmt.Sprintf(`UPDATE %s SET uidnext = ?, modseq = ?, live = ?, unseen = ?, deleted = ?, bytes = ?, sum_a = ?, sum_b = ?,
		first_unseen = ?, recent = min(recent, ?) WHERE box = ?`, table), int64(next), int64(modseq), int64(got.counts.Exists), int64(got.counts.Unseen),
		int64(got.counts.Deleted), got.counts.Size, int64(got.sum.A), int64(got.sum.B), int64(got.first), int64(next-1), b.row)
	if err != nil {
		return Usage{}, err
	}
	return Usage{Bytes: got.counts.Size, Messages: int64(got.counts.Exists)}, r.recountWords(b, got.words)
}

// recountWords replaces a mailbox's table of keywords.
func (r *repair) recountWords(b *box, words map[string]int64) error {
	if err := r.t.c.exec(`DELETE FROM keyword WHERE box = ?`, b.row); err != nil {
		return err
	}
	for _, word := range slices.Sorted(maps.Keys(words)) {
		err := r.t.c.exec(`INSERT INTO keyword VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n`, b.row, word, words[word])
		if err != nil {
			return err
		}
	}
	return nil
}
