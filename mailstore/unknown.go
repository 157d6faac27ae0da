package mailstore

import (
	"context"
	"errors"
	"io/fs"
	"math"
)

// Whole messages in a pack that mail.db does not refer to are either deliveries
// that a crash took right before their commit, which nobody was told of, or mail
// that was acknowledged to a mail.db which has since been replaced by an older
// copy. The two look alike, so such bytes are kept for whoever may bring the mail
// back: the pack is appended to no more, and the UIDs in it are not given again.
// Only what is no whole message is cut. Mod-sequences given since that copy cannot be
// told from the packs: a restored mail.db gives them again.

// wholeFrames returns the headers of the messages that lie whole from a position
// of a pack on, up to the first that does not.
func (d *packDir) wholeFrames(p place, n uint64, from int64) []frame {
	var all []frame
	for {
		f, err := d.frameAt(p, n, from)
		if err != nil {
			return all
		}
		c, err := d.read(p, n, from, f.GUID, f.Length)
		if err != nil || c.Close() != nil {
			return all
		}
		all = append(all, f)
		from += frameHeaderSize + f.Length
	}
}

// keepUnknown looks for whole messages beyond the committed end of a pack, and
// reports whether there are any. It has the writer's turn, and is outside of a
// transaction.
func (m *Mail) keepUnknown(ctx context.Context, p place, n uint64, end int64) (bool, error) {
	frames := m.packs.wholeFrames(p, n, max(end, packHeaderSize))
	if len(frames) == 0 {
		return false, nil
	}
	m.s.o.Logger.Warn("pack holds messages that mail.db does not know; they are kept, and another pack is begun; "+
		"if mail.db was restored from a copy, its flags and mod-sequences are the copy's: see docs/operations.md, Backup",
		"user", m.user, "pack", n, "offset", max(end, packHeaderSize), "messages", len(frames))
	_, err := m.commit(ctx, "", func(t *txn) error {
		for i := range frames {
			if err := t.passOver(&frames[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return true, err
}

// passOverPacks leaves out the numbers of packs that are there and that mail.db does
// not know. A number is committed before its file is made, so these are no crash's:
// they are of a newer mail.db, and whoever made a pack under their number would write
// over them.
func (t *txn) passOverPacks() error {
	for {
		n := uint64(t.account.pack) + 1
		p, found, err := t.m.packs.find(n)
		if err != nil || !found {
			return err
		}
		frames := t.m.packs.wholeFrames(p, n, packHeaderSize)
		t.m.s.o.Logger.Warn("pack is there that mail.db does not know; it is kept, and its number passed over: see docs/operations.md, Backup",
			"user", t.m.user, "pack", n, "messages", len(frames))
		for i := range frames {
			if err := t.passOver(&frames[i]); err != nil {
				return err
			}
		}
		if err := t.c.exec(`INSERT INTO pack VALUES (?, ?, ?, 0, 0)`, int64(n), int64(p), packSealed); err != nil {
			return err
		}
		t.account.pack++
	}
}

// find tells under which root a pack of that number lies, if there is one.
func (d *packDir) find(n uint64) (place, bool, error) {
	for p := range d.dirs() {
		_, err := d.fs.Stat(d.path(place(p), n))
		if err == nil {
			return place(p), true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, false, err
		}
	}
	return 0, false, nil
}

// passOver makes sure that a UID which was given once is not given again.
func (t *txn) passOver(f *frame) error {
	b, err := t.box(f.Mailbox)
	if errors.Is(err, ErrNoMailbox) {
		return nil
	}
	if err != nil {
		return err
	}
	if b.UIDValidity == f.UIDValidity && f.UID >= b.UIDNext && f.UID < math.MaxUint32 {
		b.UIDNext, b.dirty = f.UID+1, true
		t.nextModSeq() // as in RaiseUIDNext
	}
	return nil
}
