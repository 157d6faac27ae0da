package mailstore

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"math"

	"teraslot/mailbox"
)

// Mail that was put back from a backup is older than what clients know: since then
// UIDs, mod-sequences, packs and numbers were given of which nothing is left here.
// None of them may be given again to something else. How many there were cannot be
// told, so all counters are raised by more than can have been given.
const (
	renewUIDs    = 1 << 20
	renewModSeqs = 1 << (spanBits + 6)
	renewPacks   = 1 << 20
	renewNums    = 1 << 20
	renewBoxes   = 1 << 10
)

// Renew makes mail that was put back from an older copy fit to be served: all
// counters rise by a margin, so that nothing is given twice. A mailbox that has no
// UIDs left for that gets a new UIDVALIDITY. Every record gets a mod-sequence above
// all that was given, because a client may know flags from after the copy, and so is
// told of those of the copy; what clients know and is not there, they are told by
// comparing all UIDs. Nobody may use the mail meanwhile.
func (m *Mail) Renew(ctx context.Context) error {
	err := m.write(ctx, "", func(t *txn) error {
		if err := t.endTenure(); err != nil {
			return err
		}
		if err := noteRenewal(t.c, t.m.s.o.Rand); err != nil {
			return err
		}
		if t.account.modseq > math.MaxInt64-2*renewModSeqs {
			return fmt.Errorf("mod-sequence %d leaves no room", t.account.modseq)
		}
		t.account.modseq += renewModSeqs
		t.account.pack += renewPacks
		if t.account.num+renewNums < math.MaxUint32 {
			t.account.num += renewNums
		}
		if t.account.box+renewBoxes < math.MaxInt32 {
			t.account.box += renewBoxes
		}
		// Many mailboxes made at once have values before the clock.
		if next := max(int64(t.account.uidvalidity), t.now) + renewBoxes; next < math.MaxUint32 {
			t.account.uidvalidity = mailbox.UIDValidity(next)
		}
		boxes, err := loadBoxes(t.c)
		if err != nil {
			return err
		}
		modseq := t.nextModSeq()
		if err := t.c.exec(`UPDATE grave SET uidnext = min(uidnext + ?, ?), horizon = ?`, int64(renewUIDs), int64(math.MaxUint32), int64(modseq)); err != nil {
			return err
		}
		for _, b := range boxes {
			t.boxes[b.ID] = b
			if err := t.renewBox(b, modseq); err != nil {
				return err
			}
		}
		return nil
	})
	m.s.views.forget(m.user)
	return err
}

func (t *txn) renewBox(b *box, modseq mailbox.ModSeq) error {
	if b.pass(modseq); uint64(b.UIDNext)+renewUIDs < math.MaxUint32 {
		b.UIDNext += renewUIDs
	} else {
		if err := t.retire(b); err != nil {
			return err
		}
		var err error
		if b.UIDValidity, err = t.nextUIDValidity(b.Name); err != nil {
			return err
		}
	}
	b.horizon = modseq
	b.changed(modseq)
	uids, err := appendUIDs(t.c, b, 0, nil)
	if err != nil {
		return err
	}
	const part = 8192
	for len(uids) > 0 {
		n := min(part, len(uids))
		if err := t.noteUnchanged(b, uids[:n], modseq); err != nil {
			return err
		}
		// Damaged records stay what they are, for Repair.
		old, _, err := t.m.soundOf(t.c, b, mailbox.UIDRange(uids[0], uids[n-1]))
		if err != nil {
			return err
		}
		next := make([]mailbox.Record, len(old))
		for i, r := range old {
			r.ModSeq = modseq
			next[i] = r
		}
		if err := t.update(b, old, next); err != nil {
			return err
		}
		b.delta = delta{from: b.HighestModSeq} // nothing is cached that it could lead on from
		uids = uids[n:]
	}
	return nil
}

// noteUnchanged keeps of records that get the mod-sequence of a renewal when they were changed last: what a
// copy says of a message is no news to other slots, and what they did since that change is later.
func (t *txn) noteUnchanged(b *box, uids []mailbox.UID, modseq mailbox.ModSeq) error {
	err := t.c.exec(provenanceTable)
	if err != nil {
		return err
	}
	var all []Entry
	err = t.c.each(`SELECT id, modseq`+provenanceList+` FROM message LEFT JOIN provenance ON record = id WHERE id BETWEEN ? AND ?`,
		func(row []driver.Value) error {
			was := mailbox.ModSeq(integer(row[1]))
			e := Entry{Record: mailbox.Record{UID: mailbox.UID(integer(row[0])), ModSeq: modseq}, Provenance: provenanceOf(integer(row[0]), was, row[2:])}
			if e.Provenance.Changed == (Dot{}) {
				e.Provenance.Changed.ModSeq = was // whose that is the lineage says, now as before
			}
			all = append(all, e)
			return nil
		}, rowID(b.row, uids[0]), rowID(b.row, uids[len(uids)-1]))
	for i := range all {
		if err == nil {
			err = t.putProvenance(b, &all[i])
		}
	}
	return err
}

// noteRenewal remembers that mail was put back, by a number that nothing else has: two
// states that follow one copy are told apart (Snapshot.Fingerprint), whatever the
// clock said both times, nothing is adopted any more (adoptable), and this mail takes no
// other slot's place because its mod-sequences are higher (tenant).
func noteRenewal(c *conn, rand io.Reader) error {
	var id [16]byte
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return err
	}
	if err := c.makeTable(renewalTable); err != nil {
		return err
	}
	return c.exec(`REPLACE INTO renewal VALUES (1, ?)`, id[:])
}

// wasRenewed reports whether mail was ever put back.
func wasRenewed(c *conn) (bool, error) { return hasTable(c, "renewal") }
