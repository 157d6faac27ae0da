package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"teraslot/mailbox"
)

// Forget drops the records of messages that were expunged before a moment, the
// mailboxes that were deleted before it, and the contents that nothing holds then.
// Their bytes go with the next Repack. It returns the number of expunged records.
func (m *Mail) Forget(ctx context.Context, before time.Time) (int, error) {
	n := 0
	err := m.write(ctx, "", func(t *txn) error {
		count, err := t.c.integer(`SELECT count(*) FROM {expunged} WHERE gone < ?`, before.Unix())
		if err != nil {
			return err
		}
		graves, err := t.forgetGraves(before)
		if err != nil || count+graves == 0 {
			return err
		}
		n = int(count)
		const horizon = ` SET horizon = max(horizon, d.m) FROM (
				SELECT id >> 32 AS box, max(modseq) AS m FROM {expunged} WHERE gone < ?1 GROUP BY 1) AS d WHERE sound AND d.box = `
		for _, sql := range []string{
			`UPDATE mailbox` + horizon + `mailbox.box`,
			`UPDATE grave` + horizon + `grave.box`, // it may be brought back
			`UPDATE content SET refs = refs - d.n FROM (
				SELECT num, count(*) AS n FROM {expunged} WHERE gone < ?1 GROUP BY num) AS d WHERE content.num = d.num`,
			`DELETE FROM expunged WHERE gone < ?1`,
		} {
			if err := t.c.exec(sql, before.Unix()); err != nil {
				return err
			}
		}
		if err := t.forgetUnheld(); err != nil {
			return err
		}
		if err := t.forgetProvenance(); err != nil {
			return err
		}
		return t.c.exec(`DELETE FROM thread WHERE thread NOT IN (SELECT thread FROM content)`)
	})
	return n, err
}

// RepackOptions say which packs Repack rewrites.
type RepackOptions struct {
	// Dead is the share of a pack's bytes, 0 to 1, above which it is rewritten;
	// by default 0.2.
	Dead float64
	// All rewrites every pack that has any dead byte.
	All bool
	// Archive, if set, moves messages that came before it to the archive
	// partition, pack by pack: those packs all of whose messages did.
	Archive time.Time
}

// Repacked is what Repack did.
type Repacked struct {
	Packs int   // that were rewritten or removed
	Bytes int64 // that became free
}

// packRow is a row of that table.
type packRow struct {
	n     uint64
	place place
	state int64
	end   int64
	held  int64
}

// dead is the number of bytes of frames that nothing holds.
func (p *packRow) dead() int64 { return p.end - packHeaderSize - p.held }

func loadPacks(c *conn) ([]packRow, error) {
	var all []packRow
	err := c.each(`SELECT n, place, state, "end", held FROM {pack} ORDER BY n`, func(row []driver.Value) error {
		all = append(all, packRow{uint64(integer(row[0])), place(integer(row[1])), integer(row[2]), integer(row[3]), integer(row[4])})
		return nil
	})
	return all, err
}

// Repack frees the bytes of messages that no record holds: what is held of a
// pack is copied to a new one, which is synced and then committed, and only then
// the old one is removed. Readers go on all the while; who holds a message open
// keeps it. Appends wait only for the commit of each pack, not for the copying.
// A pack with damage, or with messages that mail.db does not know, stays as it is
// and does not keep the others from being rewritten; the error tells of the damage.
func (m *Mail) Repack(ctx context.Context, o RepackOptions) (Repacked, error) {
	var out Repacked
	if m.s.o.ReadOnly {
		return out, ErrReadOnly
	}
	m.repack.Lock()
	defer m.repack.Unlock()
	if o.Dead == 0 {
		o.Dead = 0.2
	}
	if err := m.sealForRepack(ctx, o); err != nil {
		return out, m.wrap(err)
	}
	var packs []packRow
	err := m.read(ctx, func(c *conn) (err error) {
		packs, err = loadPacks(c)
		return err
	})
	errs := []error{err}
	for _, p := range packs {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		to, wanted, err := m.wanted(ctx, p, o)
		if err == nil && wanted {
			var freed int64
			if freed, err = m.repackOne(ctx, p, to); err == nil {
				out.Packs++
				out.Bytes += freed
			}
		}
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// wanted tells whether a pack is to be rewritten, and to which place.
func (m *Mail) wanted(ctx context.Context, p packRow, o RepackOptions) (place, bool, error) {
	if p.state != packSealed || m.holdsUnknown(p) {
		return p.place, false, nil
	}
	if !o.Archive.IsZero() && p.place == spoolPlace && m.packs.archives() {
		old, err := m.allBefore(ctx, p.n, o.Archive.Unix())
		if err != nil || old {
			return archivePlace, old, err
		}
	}
	return p.place, p.worth(o), nil
}

// worth reports whether so much of a pack is dead that it is rewritten.
func (p *packRow) worth(o RepackOptions) bool {
	return p.dead() > 0 && (o.All || float64(p.dead()) > o.Dead*float64(p.end))
}

// holdsUnknown reports whether a whole message lies beyond the end of a pack: see
// unknown.go. Such a pack is never dropped.
func (m *Mail) holdsUnknown(p packRow) bool {
	start := max(p.end, packHeaderSize)
	f, err := m.packs.frameAt(p.place, p.n, start)
	if err != nil {
		return false
	}
	return m.readable(content{guid: f.GUID, size: f.Length, pack: p.n, start: start, where: p.place})
}

// allBefore reports whether all live records that hold something of a pack came
// before a moment.
func (m *Mail) allBefore(ctx context.Context, n uint64, moment int64) (bool, error) {
	old := true
	err := m.read(ctx, func(c *conn) error {
		return c.each(`SELECT message.fixed FROM content JOIN message ON message.num = content.num WHERE content.pack = ?`,
			func(row []driver.Value) error {
				var r mailbox.Record
				old = old && parseFixed(blob(row[0]), &r) && r.SaveDate < moment
				return nil
			}, int64(n))
	})
	return old, err
}

// sealForRepack ends the current packs that may be rewritten.
func (m *Mail) sealForRepack(ctx context.Context, o RepackOptions) error {
	if err := m.lockWriter(ctx); err != nil {
		return err
	}
	defer m.unlockWriter()
	ctx = context.WithoutCancel(ctx)
	packs, err := loadPacks(m.writer)
	if err != nil {
		return err
	}
	for _, p := range packs {
		old := !o.Archive.IsZero() && p.place == spoolPlace && p.end > 0
		if p.state != packCurrent || !old && !p.worth(o) {
			continue
		}
		if _, err := m.commit(ctx, "", func(t *txn) error {
			return t.c.exec(`UPDATE pack SET state = ? WHERE sound AND n = ?`, packSealed, int64(p.n))
		}); err != nil {
			return err
		}
		if w := m.current[p.place]; w != nil {
			m.current[p.place] = nil
			if err := w.close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// moved is a content's new place.
type moved struct {
	content
	start int64
}

// repackOne rewrites one sealed pack. Nothing is ever added to a sealed pack, so
// what it holds can only become less while this runs.
func (m *Mail) repackOne(ctx context.Context, p packRow, to place) (int64, error) {
	held, err := m.heldIn(ctx, p.n)
	if err != nil {
		return 0, err
	}
	var list []moved
	var w *packWriter
	if len(held) > 0 {
		if w, list, err = m.rewrite(ctx, held, to); err != nil {
			return 0, m.wrap(err)
		}
		defer w.close()
	}
	m.s.o.Step(StepRepackWritten)
	if err := m.write(ctx, "", func(t *txn) error { return t.replacePack(p, w, list) }); err != nil {
		if w == nil || errors.Is(err, errCommit) { // mail.db may refer to the new pack by now
			return 0, err
		}
		return 0, errors.Join(err, m.discard(ctx, w.n))
	}
	m.s.o.Step(StepRepackCommitted)
	if err := m.lockWriter(ctx); err != nil {
		return 0, err
	}
	defer m.unlockWriter()
	if err := m.removeDropped(packDropped); err != nil {
		return 0, m.wrap(err)
	}
	freed := p.end
	if w != nil {
		freed -= w.at
	}
	return freed, nil
}

// heldIn lists what is held of a pack. It must add up to what the pack's row says: what a
// damaged page left out would be removed with the pack.
func (m *Mail) heldIn(ctx context.Context, n uint64) ([]content, error) {
	var held []content
	err := m.read(ctx, func(c *conn) error {
		sum, err := c.integer(`SELECT held FROM {pack} WHERE n = ?`, int64(n))
		if err != nil {
			return err
		}
		err = c.each(contentQuery+`content.pack = ? ORDER BY start`, func(row []driver.Value) error {
			var one content
			if err := m.scanContent(row, &one); err != nil {
				return err
			}
			held = append(held, one)
			sum -= one.size + frameHeaderSize
			return nil
		}, int64(n))
		if err == nil && sum != 0 {
			err = &Damage{User: m.user, Pack: n, Err: errHeld}
		}
		return err
	})
	return held, err
}

// rewrite copies contents, checking each, into a new pack and syncs it. Damage
// stops it: the old pack stays as it is, for whoever can mend it.
func (m *Mail) rewrite(ctx context.Context, held []content, to place) (*packWriter, []moved, error) {
	n, err := m.registerRepack(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	w, list, err := m.copyHeld(ctx, held, to, n)
	if err != nil {
		return nil, nil, errors.Join(err, m.discard(ctx, n))
	}
	return w, list, nil
}

// copyHeld writes and syncs pack n.
func (m *Mail) copyHeld(ctx context.Context, held []content, to place, n uint64) (*packWriter, []moved, error) {
	w, err := m.packs.create(to, n)
	if err != nil {
		return nil, nil, err
	}
	var list []moved
	for _, c := range held {
		if err := ctx.Err(); err != nil {
			return nil, nil, errors.Join(err, w.close())
		}
		start, err := m.copyFrame(w, c)
		if err != nil {
			return nil, nil, errors.Join(err, w.close())
		}
		list = append(list, moved{c, start})
	}
	if err := w.sync(m.s.o.Step); err != nil {
		return nil, nil, errors.Join(err, w.close())
	}
	return w, list, nil
}

// discard removes a pack to which nothing refers yet.
func (m *Mail) discard(ctx context.Context, n uint64) error {
	ctx = context.WithoutCancel(ctx)
	if err := m.lockWriter(ctx); err != nil {
		return err
	}
	defer m.unlockWriter()
	_, err := m.commit(ctx, "", func(t *txn) error {
		return t.c.exec(`UPDATE pack SET state = ? WHERE sound AND n = ?`, packDropped, int64(n))
	})
	if err != nil {
		return err
	}
	return m.removeDropped(packDropped)
}

func (m *Mail) registerRepack(ctx context.Context, to place) (uint64, error) {
	if err := m.lockWriter(ctx); err != nil {
		return 0, err
	}
	defer m.unlockWriter()
	return m.registerPack(context.WithoutCancel(ctx), to, packRepacked)
}

// copyFrame copies one frame, with where its message first came to.
func (m *Mail) copyFrame(w *packWriter, c content) (int64, error) {
	f, err := m.packs.frameAt(c.where, c.pack, c.start)
	if err != nil {
		return 0, m.readFailure(c, err)
	}
	r, err := m.packs.read(c.where, c.pack, c.start, c.guid, c.size)
	if err != nil {
		return 0, m.readFailure(c, err)
	}
	from := source{memory: r.memory}
	if r.file != nil {
		from.reader = r
	}
	start, err := w.append(f, from)
	return start, errors.Join(err, r.Close())
}

// replacePack commits the new places of what is still held, and drops the old pack.
func (t *txn) replacePack(p packRow, w *packWriter, list []moved) error {
	for _, c := range list {
		next := c.content
		next.pack, next.start = w.n, c.start
		err := t.c.exec(`UPDATE content SET pack = ?, start = ?, crc = ? WHERE num = ? AND pack = ?`,
			int64(next.pack), next.start, next.crc(), int64(next.num), int64(p.n))
		if err != nil {
			return err
		}
	}
	left, err := t.c.integer(`SELECT count(*) FROM content WHERE pack = ?`, int64(p.n))
	if err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("pack %d still holds %d messages", p.n, left)
	}
	if w != nil {
		err := t.c.exec(`UPDATE pack SET state = ?, "end" = ?, held = (
			SELECT coalesce(sum(size + 84), 0) FROM content WHERE pack = ?3) WHERE sound AND n = ?3`, packSealed, w.at, int64(w.n))
		if err != nil {
			return err
		}
	}
	return t.c.exec(`UPDATE pack SET state = ?, held = 0 WHERE sound AND n = ?`, packDropped, int64(p.n))
}

// removeDropped removes the packs of the given states, to which nothing refers:
// dropped ones, and at start those of a repack that did not come to its commit. One
// that holds messages all the same has a damaged row, and stays.
// It has the writer's turn, or is alone.
func (m *Mail) removeDropped(states ...int64) error {
	packs, err := loadPacks(m.writer)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range packs {
		if !slices.Contains(states, p.state) {
			continue
		}
		held, err := m.writer.integer(`SELECT count(*) FROM content WHERE pack = ?`, int64(p.n))
		switch {
		case err != nil:
			errs = append(errs, err)
		case held > 0:
			m.s.o.Logger.Error("a pack is marked as dropped and holds messages: it is kept; run slotctl verify --repair", "user", m.user, "pack", p.n, "messages", held)
		default:
			errs = append(errs, m.removePack(p))
		}
	}
	return errors.Join(errs...)
}

// removePack removes a pack's file and then its row: what cannot be removed now is
// found by the row the next time.
func (m *Mail) removePack(p packRow) error {
	if err := m.packs.remove(p.place, p.n); err != nil {
		return err
	}
	m.s.o.Step(StepRepackRemoved)
	// The name may come back after a power cut; then it is an orphan that
	// Verify reports, and holds nothing.
	if err := m.packs.syncDir(p.place); err != nil {
		return err
	}
	_, err := m.commit(context.Background(), "", func(t *txn) error {
		return t.c.exec(`DELETE FROM pack WHERE n = ?`, int64(p.n))
	})
	return err
}
