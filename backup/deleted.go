package backup

import (
	"context"
	"errors"
	"slices"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Deleted calls fn with the messages that a user had at a moment or since, and has
// nowhere any more: first those that the slot still keeps, of deleted mailboxes too, then
// those of the generations, the newest first, back to the last one before the
// moment. Each comes once for each mailbox where it was, with the flags that it
// had last. now is the user's mail of today; nil if there is none.
func (r *Repository) Deleted(ctx context.Context, now *mailstore.Mail, u mailbox.User, since time.Time, fn func(Message) error) error {
	d := deleted{Repository: r, fn: fn, seen: map[lost]struct{}{}, live: map[mailbox.GUID]struct{}{}}
	if now != nil {
		if err := d.today(ctx, now, since); err != nil {
			return err
		}
	}
	lock, err := r.lock(disk.Shared)
	if err != nil {
		return err
	}
	return errors.Join(d.generations(ctx, u, since), lock.Close())
}

// deleted is one search for deleted messages.
type deleted struct {
	*Repository
	fn   func(Message) error
	seen map[lost]struct{}
	live map[mailbox.GUID]struct{}
}

// lost is a message that was in a mailbox.
type lost struct {
	mailbox string
	guid    mailbox.GUID
}

// today takes note of what is there, and yields what the slot still keeps.
func (d *deleted) today(ctx context.Context, m *mailstore.Mail, since time.Time) error {
	boxes, err := m.Mailboxes(ctx)
	if err != nil {
		return err
	}
	for _, b := range boxes {
		v, err := m.View(ctx, b.ID)
		if err != nil {
			return err
		}
		for _, rec := range v.Records {
			d.live[rec.GUID] = struct{}{}
		}
	}
	graves, err := m.DeletedMailboxes(ctx)
	if err != nil {
		return err
	}
	for _, g := range graves {
		boxes = append(boxes, g.State)
	}
	for _, b := range boxes {
		if err := d.kept(ctx, m, b, since); err != nil {
			return err
		}
	}
	return nil
}

// kept yields what the slot still keeps of a mailbox, which may itself be deleted.
func (d *deleted) kept(ctx context.Context, m *mailstore.Mail, b mailbox.State, since time.Time) error {
	gone, err := m.ExpungedSince(ctx, b.ID, since)
	if errors.Is(err, mailstore.ErrNoMailbox) {
		return nil // deleted and forgotten in the meantime
	}
	if err != nil {
		return err
	}
	slices.Reverse(gone) // the latest of several that are the same
	missing := d.unseen(b.Name, gone)
	slices.Reverse(missing)
	return yield(ctx, m, "the slot", b, missing, d.fn)
}

// unseen returns the records whose messages are nowhere and were not yielded.
func (d *deleted) unseen(name string, recs []mailbox.Record) []mailbox.Record {
	var out []mailbox.Record
	for _, rec := range recs {
		key := lost{name, rec.GUID}
		_, live := d.live[rec.GUID]
		if _, seen := d.seen[key]; live || seen {
			continue
		}
		d.seen[key] = struct{}{}
		out = append(out, rec)
	}
	return out
}

func (d *deleted) generations(ctx context.Context, id mailbox.User, since time.Time) error {
	all, err := d.Generations()
	if err != nil {
		return err
	}
	last := ""
	for _, g := range slices.Backward(all) {
		u, err := g.User(string(id))
		if err == nil && u.Fingerprint != last {
			last = u.Fingerprint
			err = d.inLook(ctx, u, func(l *Look) error { return d.generation(ctx, g, l) })
		}
		if err != nil && !errors.Is(err, mailstore.ErrNoUser) {
			return err
		}
		if !g.Time.After(since) {
			return nil
		}
	}
	return nil
}

func (d *deleted) generation(ctx context.Context, g *Generation, l *Look) error {
	boxes, err := l.Mailboxes(ctx)
	if err != nil {
		return err
	}
	for _, b := range boxes {
		v, err := l.View(ctx, b.ID)
		if err != nil {
			return err
		}
		if err := yield(ctx, l.Mail, g.Name, b, d.unseen(b.Name, v.Records), d.fn); err != nil {
			return err
		}
	}
	return nil
}
