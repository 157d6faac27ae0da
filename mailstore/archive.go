package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"math"
	"slices"
	"time"

	"teraslot/mailbox"
)

// ArchiveOptions say which messages Archive moves to the archive partition.
type ArchiveOptions struct {
	// After is the age at which a message goes; 0 means 7 days. A mailbox's
	// SettingArchive goes before it. A message is as old as its internal date says,
	// but not older than it would be if that lay in the future.
	After time.Duration
	// Larger is the size in bytes above which it goes at any age; 0 means the store's
	// ArchiveSize. Flagged, if set, keeps flagged messages.
	Larger  int64
	Flagged bool
	// All moves everything, whatever else is said.
	All bool
}

// Archived is what Archive did.
type Archived struct {
	Messages int
	Bytes    int64
}

// Archive moves messages to the archive partition: their bytes are appended to a pack
// there and synced, then their place is changed, and the old bytes are freed by the
// next Repack. A message that several mailboxes hold goes if all of them let it.
// Readers go on; appends wait for some megabytes at a time. A message that is
// damaged stays where it is and stops no other; the error tells of it.
func (m *Mail) Archive(ctx context.Context, o ArchiveOptions) (Archived, error) {
	var out Archived
	if m.s.o.ReadOnly {
		return out, ErrReadOnly
	}
	if !m.packs.archives() {
		return out, nil
	}
	setDefault(&o.After, 7*24*time.Hour)
	setDefault(&o.Larger, m.s.o.ArchiveSize)
	m.repack.Lock()
	defer m.repack.Unlock()
	list, err := m.archivable(ctx, o)
	if err != nil {
		return out, err
	}
	var errs []error
	for len(list) > 0 {
		if err := ctx.Err(); err != nil {
			return out, errors.Join(append(errs, err)...)
		}
		n := archivePart(list)
		moved, err := m.archiveSome(ctx, list[:n])
		out.Messages += moved.Messages
		out.Bytes += moved.Bytes
		errs = append(errs, err)
		if d, damage := errors.AsType[*Damage](err); err != nil && (!damage || d.Pack == 0) {
			break // not of single messages
		}
		list = list[n:]
	}
	return out, errors.Join(errs...)
}

// Bounds of what one commit of Archive moves.
const (
	archiveBytes    = 4 << 20
	archiveMessages = 256
)

func archivePart(list []content) int {
	var bytes int64
	for n := range list {
		if bytes += list[n].size; n > 0 && (bytes > archiveBytes || n == archiveMessages) {
			return n
		}
	}
	return len(list)
}

// archivable lists the contents on the spool that all who hold them let go, in the
// order of the packs.
func (m *Mail) archivable(ctx context.Context, o ArchiveOptions) ([]content, error) {
	there := map[uint32]content{}
	var boxes []*box
	var settings map[int64]map[string]Age
	err := m.read(ctx, func(c *conn) (err error) {
		err = c.each(contentQuery+`pack.place = ?`, func(row []driver.Value) error {
			var one content
			if m.scanContent(row, &one) == nil { // Verify tells of others
				there[one.num] = one
			}
			return nil
		}, int64(spoolPlace))
		if err != nil {
			return err
		}
		if settings, err = loadSettings(c); err == nil {
			boxes, err = loadBoxes(c)
		}
		return err
	})
	if err != nil || len(there) == 0 {
		return nil, err
	}
	verdict := map[uint32]bool{} // of contents that some live record holds
	for _, b := range boxes {
		if err := m.judge(ctx, b, o, settings[b.row], there, verdict); err != nil {
			return nil, err
		}
	}
	var list []content
	for num, goes := range verdict {
		if goes {
			list = append(list, there[num])
		}
	}
	slices.SortFunc(list, func(a, b content) int {
		if a.pack != b.pack {
			return int(int64(a.pack) - int64(b.pack))
		}
		return int(a.start - b.start)
	})
	return list, nil
}

// judge says for the messages of one mailbox whether they may go.
func (m *Mail) judge(ctx context.Context, b *box, o ArchiveOptions, set map[string]Age, there map[uint32]content, verdict map[uint32]bool) error {
	age, own := set[SettingArchive]
	if !own {
		age = Age{After: o.After}
	}
	now := m.s.o.Now()
	return m.read(ctx, func(c *conn) error {
		var r mailbox.Record
		return c.each("SELECT "+recordList+" FROM message WHERE id BETWEEN ? AND ?", func(row []driver.Value) error {
			if m.scanRecord(b, row, false, &r) != nil {
				return nil // its place is for whoever repairs it
			}
			if _, ok := there[r.Num]; !ok {
				return nil
			}
			came := time.Unix(min(r.InternalDate.Unix, r.SaveDate), 0)
			goes := age.reached(came, now) || !own && r.Size > o.Larger
			goes = o.All || goes && !(o.Flagged && r.Flags.Has(mailbox.Flagged))
			before, known := verdict[r.Num]
			verdict[r.Num] = goes && (before || !known)
			return nil
		}, rowID(b.row, 0), rowID(b.row, math.MaxUint32))
	})
}

// taken is a message that was read to be moved.
type taken struct {
	content
	frame frame
	bytes *Content
}

// archiveSome moves some contents by one commit.
func (m *Mail) archiveSome(ctx context.Context, list []content) (Archived, error) {
	var out Archived
	all, damage := m.takeFrames(list)
	defer func() {
		for _, one := range all {
			one.bytes.Close() // read only: nothing can be lost by it
		}
	}()
	if len(all) == 0 {
		return out, damage
	}
	if err := m.lockWriter(ctx); err != nil {
		return out, m.wrap(errors.Join(damage, err))
	}
	err := m.commitArchive(context.WithoutCancel(ctx), all, &out)
	if err != nil {
		out = Archived{}
	}
	return out, errors.Join(damage, m.wrap(err))
}

// takeFrames reads and checks messages; those that are not whole are left out.
func (m *Mail) takeFrames(list []content) (all []taken, damage error) {
	for _, c := range list {
		f, err := m.packs.frameAt(c.where, c.pack, c.start)
		if err == nil {
			var r *Content
			if r, err = m.packs.read(c.where, c.pack, c.start, c.guid, c.size); err == nil {
				all = append(all, taken{c, f, r})
			}
		}
		if err != nil {
			damage = errors.Join(damage, m.readFailure(c, err))
		}
	}
	return all, damage
}

// commitArchive appends messages to the archive's current pack, as a delivery does,
// and commits their new places. It has the writer's turn, and gives it back.
func (m *Mail) commitArchive(ctx context.Context, all []taken, out *Archived) (err error) {
	defer m.unlockWriter()
	if err := m.openPack(ctx, archivePlace); err != nil {
		return err
	}
	err = errFault
	defer func() { m.settlePacks(err) }()
	_, err = m.commit(ctx, "", func(t *txn) error {
		for i := range all {
			moved, err := t.moveContent(&all[i])
			if err != nil {
				return err
			}
			if moved {
				out.Messages++
				out.Bytes += all[i].size
			}
		}
		return t.syncPacks()
	})
	return err
}

// moveContent appends one message to the archive's pack, unless it was forgotten or
// moved since it was read.
func (t *txn) moveContent(one *taken) (bool, error) {
	now, found, err := t.m.findContent(t.c, "num = ?", int64(one.num))
	if err != nil || !found || now.pack != one.pack || now.start != one.start {
		return false, err
	}
	w := t.m.current[archivePlace]
	from := source{memory: one.bytes.memory}
	if one.bytes.file != nil {
		from.reader = one.bytes
	}
	start, err := w.append(one.frame, from)
	if err != nil {
		return false, err
	}
	if err := t.c.exec(`UPDATE pack SET held = held - ? WHERE sound AND n = ?`, now.size+frameHeaderSize, int64(now.pack)); err != nil {
		return false, err
	}
	now.pack, now.start = w.n, start
	return true, t.c.exec(`UPDATE content SET pack = ?, start = ?, crc = ? WHERE num = ?`, int64(now.pack), now.start, now.crc(), int64(now.num))
}
