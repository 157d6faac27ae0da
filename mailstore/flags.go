package mailstore

import (
	"context"
	"fmt"

	"teraslot/mailbox"
)

// FlagOp says what StoreFlags does with flags.
type FlagOp uint8

// The operations of RFC 9051 §6.4.6.
const (
	ReplaceFlags FlagOp = iota
	AddFlags
	RemoveFlags
)

func (op FlagOp) apply(old, f mailbox.Flags) mailbox.Flags {
	switch op {
	case AddFlags:
		return old.Union(f)
	case RemoveFlags:
		return old.Minus(f)
	default:
		return f
	}
}

// StoreResult is what StoreFlags did.
type StoreResult struct {
	// Changed are the records that changed, as they are now. A record whose
	// flags were so already is not among them and keeps its mod-sequence.
	Changed []mailbox.Record
	// Failed are the UIDs left alone because they changed after unchangedSince
	// (RFC 7162 §3.1.3, MODIFIED), or were expunged after it.
	Failed mailbox.UIDSet
	// Before is the mailbox's HIGHESTMODSEQ before the change: who knew the mailbox
	// up to there knows it now up to the mod-sequence of Changed.
	Before mailbox.ModSeq
}

// StoreFlags changes the flags of messages in one transaction. UIDs that are not
// there are passed over. With unchangedSince, messages changed after it are
// left alone and reported.
func (m *Mail) StoreFlags(ctx context.Context, session string, id mailbox.ID, uids mailbox.UIDSet, op FlagOp, f mailbox.Flags,
	unchangedSince *mailbox.ModSeq) (StoreResult, error) {
	var out StoreResult
	err := m.write(ctx, session, func(t *txn) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		records, err := m.named(context.WithoutCancel(ctx), t.c, b, uids)
		if err != nil {
			return err
		}
		out, err = t.storeFlags(b, records, op, f, unchangedSince)
		return err
	})
	if err != nil {
		return StoreResult{}, err
	}
	return out, nil
}

func (t *txn) storeFlags(b *box, records []mailbox.Record, op FlagOp, f mailbox.Flags, unchangedSince *mailbox.ModSeq) (StoreResult, error) {
	out := StoreResult{Before: b.HighestModSeq}
	var changed mailbox.UIDSet
	var before []mailbox.Record
	modseq := mailbox.ModSeq(0)
	for i := range records {
		old := &records[i]
		if unchangedSince != nil && old.ModSeq > *unchangedSince {
			out.Failed.Add(old.UID)
			continue
		}
		next := *old
		if next.Flags = op.apply(old.Flags, f); next.Flags == old.Flags {
			continue
		}
		if modseq == 0 {
			modseq = t.nextModSeq()
			before, out.Changed = make([]mailbox.Record, 0, len(records)-i), make([]mailbox.Record, 0, len(records)-i)
		}
		next.ModSeq = modseq
		changed.Add(next.UID)
		before, out.Changed = append(before, *old), append(out.Changed, next)
	}
	if modseq > 0 {
		if err := t.update(b, before, out.Changed); err != nil {
			return out, err
		}
		t.event(b, mailbox.FlagsStored, changed, modseq, t.session)
	}
	return out, nil
}

// Copied tells the UIDs of messages before and after a copy or move, pairwise
// (RFC 4315 §3, COPYUID).
type Copied struct {
	UIDValidity mailbox.UIDValidity // of the destination
	From, To    []mailbox.UID
}

// Copy adds messages to another mailbox, or to the same, in one transaction.
// Flags and internal date go along (RFC 9051 §6.4.7). No bytes are copied. UIDs
// that are not there are passed over.
func (m *Mail) Copy(ctx context.Context, session string, src mailbox.ID, uids mailbox.UIDSet, dst mailbox.ID) (Copied, error) {
	return m.transfer(ctx, session, src, uids, dst, false)
}

// Move is Copy that expunges the messages from src, whatever their flags, in the
// same transaction (RFC 6851 §3.1).
func (m *Mail) Move(ctx context.Context, session string, src mailbox.ID, uids mailbox.UIDSet, dst mailbox.ID) (Copied, error) {
	return m.transfer(ctx, session, src, uids, dst, true)
}

func (m *Mail) transfer(ctx context.Context, session string, src mailbox.ID, uids mailbox.UIDSet, dst mailbox.ID, move bool) (Copied, error) {
	var out Copied
	err := m.write(ctx, session, func(t *txn) error {
		from, err := t.box(src)
		if err != nil {
			return err
		}
		to, err := t.box(dst)
		if err != nil {
			return err
		}
		records, err := m.selected(t.c, from, uids)
		if err != nil {
			return err
		}
		out, err = t.transfer(from, to, records, move)
		return err
	})
	if err != nil {
		return Copied{}, err
	}
	return out, nil
}

func (t *txn) transfer(from, to *box, records []mailbox.Record, move bool) (Copied, error) {
	out := Copied{UIDValidity: to.UIDValidity}
	if len(records) == 0 {
		return out, nil
	}
	if !move {
		if err := t.admitUsage(usageOf(records)); err != nil {
			return out, err
		}
	}
	modseq := t.nextModSeq()
	var went, came mailbox.UIDSet
	for i := range records {
		old := &records[i]
		uid, err := t.copyRecord(to, old, modseq)
		if err != nil {
			return out, err
		}
		if move {
			if err := t.expunge(from, old, modseq); err != nil {
				return out, err
			}
		}
		out.From, out.To = append(out.From, old.UID), append(out.To, uid)
		went.Add(old.UID)
		came.Add(uid)
	}
	t.event(to, mailbox.Appended, came, modseq, t.session)
	if move {
		t.event(from, mailbox.Expunged, went, modseq, t.session)
	}
	return out, nil
}

func usageOf(records []mailbox.Record) Usage {
	u := Usage{Messages: int64(len(records))}
	for i := range records {
		u.Bytes += records[i].Size
	}
	return u
}

func (t *txn) copyRecord(to *box, old *mailbox.Record, modseq mailbox.ModSeq) (mailbox.UID, error) {
	to.pass(modseq)
	uid, err := to.nextUID()
	if err != nil {
		return 0, err
	}
	next := *old
	next.UID, next.ModSeq, next.CreatedModSeq, next.SaveDate = uid, modseq, modseq, t.now
	if err := t.c.exec(`UPDATE content SET refs = refs + 1 WHERE num = ?`, int64(next.Num)); err != nil {
		return 0, err
	}
	if err := t.insert(to, &next); err != nil {
		return 0, fmt.Errorf("copy UID %d: %w", old.UID, err)
	}
	return uid, nil
}

// Expunge removes the messages that are marked \Deleted, of all or of those that
// uids names, and returns their UIDs and the mod-sequence of the change. Their
// records are kept for resynchronisation until Forget.
func (m *Mail) Expunge(ctx context.Context, session string, id mailbox.ID, uids *mailbox.UIDSet) ([]mailbox.UID, mailbox.ModSeq, error) {
	set := mailbox.UIDRange(1, 1<<32-1)
	if uids != nil {
		set = *uids
	}
	var gone []mailbox.UID
	var modseq mailbox.ModSeq
	err := m.write(ctx, session, func(t *txn) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		modseq = b.HighestModSeq
		if b.Counts.Deleted == 0 {
			return nil
		}
		records, _, err := m.soundOf(t.c, b, set)
		if err != nil {
			return err
		}
		gone, modseq, err = t.expungeDeleted(b, records)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return gone, modseq, nil
}

func (t *txn) expungeDeleted(b *box, records []mailbox.Record) ([]mailbox.UID, mailbox.ModSeq, error) {
	var gone []mailbox.UID
	modseq := mailbox.ModSeq(0)
	for i := range records {
		if !records[i].Flags.Has(mailbox.Deleted) {
			continue
		}
		if modseq == 0 {
			modseq = t.nextModSeq()
		}
		if err := t.expunge(b, &records[i], modseq); err != nil {
			return nil, 0, err
		}
		gone = append(gone, records[i].UID)
	}
	if modseq == 0 {
		return nil, b.HighestModSeq, nil
	}
	t.event(b, mailbox.Expunged, mailbox.UIDs(gone...), modseq, t.session)
	return gone, modseq, nil
}
