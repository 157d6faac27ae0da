package mailstore

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"

	"teraslot/mailbox"
)

// A mailbox that gets another owner is two users': it is made whole in the new owner's mail, in one transaction,
// and then removed from the old one's, in another. While both happen nobody reads the old owner's
// mail, so that no client finds it twice, and never is it nowhere. After a crash in between it is in both:
// whoever called has to remember that it was on its way, and calls Yielded.

// StepTaken: a mailbox that changes its owner is the new one's, and the old one's still.
const StepTaken = "mailbox taken"

// Handover is a mailbox with all that belongs to it, of one moment.
type Handover struct {
	Box        BoxImage
	Entries    []Entry // live and expunged, by UID
	Subscribed bool
}

// ErrMovedOn: the mailbox is no longer what was read of it.
var ErrMovedOn = errors.New("the mailbox has changed meanwhile")

// handoverTries bounds how often a mailbox is read again because it changed meanwhile.
const handoverTries = 8

// Handover returns a mailbox as it is.
func (m *Mail) Handover(ctx context.Context, id mailbox.ID) (h Handover, err error) {
	err = m.read(ctx, func(c *conn) error {
		image, err := m.loadImage(c)
		if err != nil {
			return err
		}
		found := image.Box(id)
		b, err := loadBox(c, "id", string(id))
		if err != nil {
			return err
		}
		h.Box, h.Subscribed = *found, b.Subscribed
		h.Entries, err = m.entries(c, b, 0)
		return err
	})
	return h, err
}

// HandOver gives a mailbox to another user of the store, under a name: with its id, UIDs, flags and dates, the
// expunged messages that are retained, its settings, and UIDVALIDITY unless that name stood for another mailbox with
// it. ErrExists if there is one of that name; ErrOverQuota if it does not fit; ErrInbox for the
// INBOX; ErrBusy if it changes faster than it can be read. begin is called when all is ready, with what is going to move,
// before anything is seen of it.
func (m *Mail) HandOver(ctx context.Context, id mailbox.ID, to *Mail, name string, begin func(*Handover) error) error {
	if m == to {
		return fmt.Errorf("mailbox %s: it is that user's", id)
	}
	name, err := CleanName(name)
	if err != nil {
		return err
	}
	for range handoverTries {
		h, err := m.Handover(ctx, id)
		if err != nil {
			return err
		}
		if h.Box.Name == Inbox || name == Inbox {
			return ErrInbox
		}
		if err := to.fetch(ctx, m, &h); err != nil {
			return err
		}
		if err = m.handOver(ctx, to, name, &h, begin); !errors.Is(err, ErrMovedOn) {
			return err
		}
	}
	return m.wrap(fmt.Errorf("mailbox %s: %w", id, ErrBusy))
}

// handOver gives away what was read, if it is as it was.
func (m *Mail) handOver(ctx context.Context, to *Mail, name string, h *Handover, begin func(*Handover) error) error {
	m.s.handing.Lock()
	defer m.s.handing.Unlock()
	// Who has it already, as a crash may leave it, does not get it: nobody could tell that from what was begun here.
	if _, err := to.Mailbox(ctx, h.Box.ID); err == nil {
		return to.wrap(fmt.Errorf("mailbox %s: %w", h.Box.ID, ErrExists))
	} else if !errors.Is(err, ErrNoMailbox) {
		return err
	}
	return m.yield(ctx, []mailbox.ID{h.Box.ID}, to.user, func(t *txn) error {
		b, err := t.box(h.Box.ID)
		if err != nil {
			return err
		}
		if s := b.State; s.HighestModSeq != h.Box.HighestModSeq || s.UIDNext != h.Box.UIDNext || s.Name != h.Box.Name ||
			s.UIDValidity != h.Box.UIDValidity || s.Checksum != h.Box.Checksum || s.SpecialUse != h.Box.SpecialUse || b.horizon != h.Box.Horizon {
			return ErrMovedOn
		}
		if err := begin(h); err != nil {
			return err
		}
		if err := to.take(ctx, m.user, name, h); err != nil {
			return err
		}
		m.s.o.Step(StepTaken)
		return nil
	}, false)
}

// Yielded removes a mailbox that is another user's now, if it is still here and as it was when it was given
// away: else it is ErrMovedOn, and what was changed in it since is kept, with the mailbox.
func (m *Mail) Yielded(ctx context.Context, to mailbox.User, was *BoxImage) error {
	err := m.yield(ctx, []mailbox.ID{was.ID}, to, func(t *txn) error {
		b, err := t.box(was.ID)
		if err == nil && (b.HighestModSeq != was.HighestModSeq || b.UIDNext != was.UIDNext || b.Checksum != was.Checksum) {
			err = ErrMovedOn
		}
		return err
	}, false)
	if errors.Is(err, ErrNoMailbox) {
		return nil
	}
	return err
}

// YieldDouble removes a mailbox that the user who got it from this one has, if both have the same of it: so it is in
// copies of mail that were made between the two transactions, or of which the old owner's is older. It reports whether
// they had.
func (m *Mail) YieldDouble(ctx context.Context, id mailbox.ID, to *Mail) (bool, error) {
	ours, err := m.Handover(ctx, id)
	if err != nil {
		return false, err
	}
	theirs, err := to.Handover(ctx, id)
	if err != nil {
		return false, err
	}
	alike := func(a, b Entry) bool {
		a.ModSeq, a.CreatedModSeq, a.Provenance, a.Thread = b.ModSeq, b.CreatedModSeq, b.Provenance, b.Thread
		return a.same(b)
	}
	if !slices.EqualFunc(ours.Entries, theirs.Entries, alike) {
		return false, nil
	}
	return true, m.Yielded(ctx, to.user, &ours.Box)
}

// Owner is a user who had mailboxes that are given to another.
type Owner struct {
	Mail      *Mail
	Mailboxes []mailbox.ID
}

// ApplyHanded is Apply of mail that gets mailboxes of other users, each named once, who lose them in the same
// moment for whoever reads here, if they have them. Their mail is then as their next Apply makes it.
func (m *Mail) ApplyHanded(ctx context.Context, from []Owner, expect Digest, change *Change) error {
	if len(from) == 0 {
		return m.Apply(ctx, expect, change)
	}
	m.s.handing.Lock()
	defer m.s.handing.Unlock()
	return m.applyHanded(ctx, from, expect, change)
}

func (m *Mail) applyHanded(ctx context.Context, from []Owner, expect Digest, change *Change) error {
	if len(from) == 0 {
		return m.Apply(ctx, expect, change)
	}
	one := from[0]
	return one.Mail.yield(ctx, one.Mailboxes, m.user, func(*txn) error { return m.applyHanded(ctx, from[1:], expect, change) }, true)
}

// yield removes mailboxes when take has given them to another. Nobody reads or changes this user's mail from
// before take until then. Store.handing is held by whoever takes another's turn in take. A replica
// is silent: it gives no mod-sequence, for it writes nothing of its own, and it may not have the mailboxes. Where the
// last writes are its own after all, of which nobody else may know, they stay with all mailboxes, to be merged.
func (m *Mail) yield(ctx context.Context, ids []mailbox.ID, to mailbox.User, take func(*txn) error, silent bool) error {
	release, err := m.holdReaders(ctx)
	if err != nil {
		return m.wrap(err)
	}
	defer release()
	err = m.write(ctx, "", func(t *txn) error {
		if err := take(t); err != nil {
			return err
		}
		if silent {
			if own, err := t.ownLast(); own || err != nil {
				return err
			}
			t.own = t.account.modseq
		}
		for _, id := range ids {
			if err := t.yield(id, to); err != nil && !(silent && errors.Is(err, ErrNoMailbox)) {
				return err
			}
		}
		if silent {
			t.account.modseq = t.before.modseq
		}
		return nil
	})
	m.s.views.forget(m.user)
	return err
}

// ownLast reports whether this slot wrote what the mail has last.
func (t *txn) ownLast() (bool, error) {
	l, name, err := t.m.wholeLineage(t.c, t.account.modseq)
	return len(l) > 0 && l[len(l)-1].Slot == name, err
}

func (t *txn) yield(id mailbox.ID, to mailbox.User) error {
	b, err := t.box(id)
	if err != nil {
		return err
	}
	if err := t.c.exec(`DELETE FROM subscription WHERE name = ?`, b.Name); err != nil {
		return err
	}
	if err := t.deleteBox(b); err != nil {
		return err
	}
	return t.noteHanded(id, to, true)
}

// fetch stages what this mail lacks of a mailbox of another's.
func (m *Mail) fetch(ctx context.Context, from *Mail, h *Handover) error {
	guids := map[mailbox.GUID]*Entry{}
	for i := range h.Entries {
		guids[h.Entries[i].GUID] = &h.Entries[i]
	}
	all := make([]mailbox.GUID, 0, len(guids))
	for g := range guids {
		all = append(all, g)
	}
	lacks, err := m.Lacks(ctx, all)
	if err != nil {
		return err
	}
	slices.SortFunc(lacks, func(a, b mailbox.GUID) int { return cmp.Compare(guids[a].Num, guids[b].Num) })
	for part := range slices.Chunk(lacks, stagedAtOnce) {
		var batch []Staged
		for _, g := range part {
			one, err2 := m.spoolFrom(ctx, from, h, guids[g])
			if err = err2; err != nil {
				break
			}
			batch = append(batch, one)
		}
		if err == nil {
			err = m.Stage(ctx, batch...)
		}
		for _, one := range batch {
			err = errors.Join(err, one.Message.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stagedAtOnce is how many messages are staged by one sync.
const stagedAtOnce = 256

// spoolFrom reads a message of another user, checked whole.
func (m *Mail) spoolFrom(ctx context.Context, from *Mail, h *Handover, e *Entry) (Staged, error) {
	out := Staged{Thread: e.Thread, Mailbox: h.Box.ID, UID: e.UID, UIDValidity: h.Box.UIDValidity, InternalDate: e.InternalDate}
	c, err := from.OpenGUID(ctx, e.GUID)
	if err != nil {
		return out, err
	}
	out.Message, err = m.s.Spool(ctx, io.NewSectionReader(c, 0, c.Size))
	if err = errors.Join(err, c.Close()); err == nil && out.Message.GUID != e.GUID {
		err = &Damage{User: from.user, Mailbox: h.Box.ID, UID: e.UID, Err: errOtherContent}
	}
	return out, err
}

// take makes a mailbox that was another user's. All of it gets one mod-sequence, above both owners'.
func (m *Mail) take(ctx context.Context, from mailbox.User, name string, h *Handover) error {
	return m.write(ctx, "", func(t *txn) error {
		if _, err := t.named(name); err == nil {
			return fmt.Errorf("%q: %w", name, ErrExists)
		} else if !errors.Is(err, ErrNoMailbox) {
			return err
		}
		if err := t.admitUsage(Usage{Bytes: h.Box.Counts.Size, Messages: int64(h.Box.Counts.Exists)}); err != nil {
			return err
		}
		if err := t.createParents(name); err != nil {
			return err
		}
		t.account.modseq = max(t.account.modseq, h.Box.HighestModSeq)
		modseq := t.nextModSeq()
		if err := t.flush(); err != nil { // the image is read from the tables
			return err
		}
		t.before = t.account
		image, err := m.loadImage(t.c)
		if err != nil {
			return err
		}
		change, err := t.taken(&image, name, h, modseq)
		if err != nil {
			return err
		}
		a := &application{txn: t, change: change, before: image, ownThreads: true}
		if err := a.steps(); err != nil {
			return err
		}
		return t.noteHanded(h.Box.ID, from, false)
	})
}

// taken is what the mail becomes by a mailbox that another user had, with a mod-sequence that was given for that.
func (t *txn) taken(before *Image, name string, h *Handover, modseq mailbox.ModSeq) (*Change, error) {
	if before.Box(h.Box.ID) != nil {
		return nil, fmt.Errorf("mailbox %s: %w", h.Box.ID, ErrExists)
	}
	out := &Change{Image: *before, Boxes: []BoxChange{{ID: h.Box.ID, Whole: true}}}
	b := h.Box
	b.UIDNext = leap(b.UIDNext, b.HighestModSeq, modseq)
	b.Name, b.HighestModSeq, b.CreatedModSeq, b.Made, b.Named = name, modseq, modseq, Dot{}, Dot{}
	entered := &box{State: b.State}
	if err := t.enter(entered, name); err != nil {
		return nil, err
	}
	b.UIDValidity, out.Image.UIDValidity = entered.UIDValidity, max(before.UIDValidity, t.account.uidvalidity)
	b.Counts, b.Checksum = mailbox.Counts{}, mailbox.Checksum{}
	if slices.ContainsFunc(before.Mailboxes, func(o BoxImage) bool { return o.SpecialUse == b.SpecialUse }) {
		b.SpecialUse = ""
	}
	for _, e := range h.Entries {
		e.ModSeq, e.CreatedModSeq, e.Provenance = modseq, modseq, Provenance{}
		if !e.Expunged {
			b.count(&e.Record)
		}
		out.Boxes[0].Entries = append(out.Boxes[0].Entries, e)
	}
	out.Image.Mailboxes = append(slices.Clone(before.Mailboxes), b)
	slices.SortFunc(out.Image.Mailboxes, func(a, b BoxImage) int { return cmp.Compare(a.ID, b.ID) })
	if h.Subscribed {
		out.Image.Subscriptions = union(before.Subscriptions, []string{name}, cmp.Compare)
	}
	return out, nil
}

// noteHanded remembers from whom a mailbox came, or to whom it went: replicas are to see it as one
// step. The table is made when it is first needed.
func (t *txn) noteHanded(id mailbox.ID, other mailbox.User, gone bool) error {
	if err := t.c.makeTable(handedTable); err != nil {
		return err
	}
	n := 0
	if gone {
		n = 1
	}
	return t.c.exec(`REPLACE INTO handed VALUES (?, ?, ?)`, string(id), string(other), int64(n))
}

// Handed tells of mailboxes that changed their owners: whose those were that came here, or whose those are
// now that went.
func (m *Mail) Handed(ctx context.Context, gone bool) (out map[mailbox.ID]mailbox.User, err error) {
	err = m.read(ctx, func(c *conn) error {
		out, err = loadHanded(c, gone)
		return err
	})
	return out, err
}

func loadHanded(c *conn, gone bool) (map[mailbox.ID]mailbox.User, error) {
	there, err := hasTable(c, "handed")
	if err != nil || !there {
		return nil, err
	}
	out := map[mailbox.ID]mailbox.User{}
	err = c.each(`SELECT id, other, gone FROM {handed}`, func(row []driver.Value) error {
		if (integer(row[2]) != 0) == gone {
			out[mailbox.ID(text(row[0]))] = mailbox.User(text(row[1]))
		}
		return nil
	})
	return out, err
}
