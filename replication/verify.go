package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Verify compares all records of a user on both sides, tells what differs and makes it
// equal. With messages, both sides read all their messages as well, and tell which are
// damaged. Changes that are on their way are no difference: the user is synced first.
func (c *Client) Verify(ctx context.Context, u mailbox.User, messages bool, report func(string)) error {
	removed, err := c.compare(ctx, u, "", report)
	if err != nil || !messages || removed {
		return err
	}
	err = c.o.Store.Verify(ctx, u, func(f mailstore.Finding) { report("master: " + f.String()) })
	return errors.Join(err, c.check(ctx, u, func(f string) { report("replica: " + f) }))
}

// SyncMailbox is Sync that compares all records of one mailbox besides, whatever its checksum says, tells
// what differs and makes it equal. ErrNoMailbox if the user has none of that name.
func (c *Client) SyncMailbox(ctx context.Context, u mailbox.User, name string, report func(string)) error {
	m, err := c.o.Store.Acquire(ctx, u)
	if err != nil {
		return err
	}
	st, err := m.MailboxNamed(ctx, name)
	m.Release()
	if err != nil {
		return fmt.Errorf("user %s: %w", u, err)
	}
	_, err = c.compare(ctx, u, st.ID, report)
	return err
}

// compare syncs a user, and then compares all records of one mailbox, or with "" of all.
func (c *Client) compare(ctx context.Context, u mailbox.User, only mailbox.ID, report func(string)) (removed bool, err error) {
	if _, err := c.Sync(ctx, u); err != nil {
		return false, err
	}
	s := &sync1{c: c, user: u, deep: report, only: only}
	if known := c.recall(u); known != nil {
		s.equalAt = known.image.Digest()
	}
	c.forget(u)
	if err := s.run(ctx); err != nil {
		return false, fmt.Errorf("user %s: %w", u, err)
	}
	return s.account.Removed, nil
}

// dig asks for the records of all mailboxes that were not asked for, and reports whether
// there were any. When all are there it tells what differs.
func (s *sync1) dig(ctx context.Context, change *mailstore.Change) (asked bool, err error) {
	var ids []mailbox.ID
	for i := range change.Image.Mailboxes {
		id := change.Image.Mailboxes[i].ID
		if _, had := s.known[id]; !had && (s.only == "" || s.only == id) {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		return true, s.compare(ctx, ids)
	}
	for _, b := range change.Boxes {
		s.deep(fmt.Sprintf("mailbox %s: %d records differ, %d are too many", change.Image.Box(b.ID).Name, len(b.Entries), b.Drop.Len()))
	}
	if s.only == "" && change.Image.Digest() == s.equalAt { // else it may be on its way
		for _, what := range unlike(&change.Image, &s.theirs) {
			s.deep(what + " differs")
		}
	}
	return false, nil
}

// unlike names what two images have otherwise, but for their records' sums.
func unlike(here, there *mailstore.Image) (out []string) {
	note := func(is bool, format string, args ...any) {
		if is {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	note(here.ModSeq != there.ModSeq, "the last mod-sequence")
	note(here.UIDValidity != there.UIDValidity, "the last UIDVALIDITY")
	note(here.Quota != there.Quota, "the quota")
	note(!slices.Equal(here.Subscriptions, there.Subscriptions), "what is subscribed to")
	note(!slices.Equal(here.Retired, there.Retired), "what names have given up")
	for i := range there.Mailboxes {
		b := &there.Mailboxes[i]
		note(here.Box(b.ID) == nil, "mailbox %s, which the master does not have,", b.Name)
	}
	for i := range here.Mailboxes {
		x := &here.Mailboxes[i]
		y := there.Box(x.ID)
		if y == nil {
			note(true, "mailbox %s, which the replica does not have,", x.Name)
			continue
		}
		note(x.Name != y.Name, "the name of mailbox %s", x.Name)
		note(x.SpecialUse != y.SpecialUse, "the special use of mailbox %s", x.Name)
		note(x.UIDValidity != y.UIDValidity, "UIDVALIDITY of mailbox %s", x.Name)
		note(x.UIDNext != y.UIDNext, "UIDNEXT of mailbox %s", x.Name)
		note(x.HighestModSeq != y.HighestModSeq, "HIGHESTMODSEQ of mailbox %s", x.Name)
		note(x.CreatedModSeq != y.CreatedModSeq, "the mod-sequence by which mailbox %s was made", x.Name)
		note(!slices.Equal(x.Settings, y.Settings), "the settings of mailbox %s", x.Name)
	}
	return out
}

// verifyAll compares all records of all users now and again.
func (c *Channel) verifyAll(ctx context.Context) error {
	for {
		select {
		case <-c.o.After(c.o.VerifyEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		users, err := c.o.Client.o.Store.Users(ctx)
		if err != nil {
			c.o.Logger.Error("replication: users cannot be verified", "replica", c.Name(), "err", err)
		}
		for _, u := range users {
			if err := c.Verify(ctx, u, false, func(string) {}); err != nil && ctx.Err() == nil {
				c.o.Logger.Error("replication: a user cannot be verified", "replica", c.Name(), "user", u, "err", err)
			}
			select { // the others' mail goes first
			case <-c.o.After(verifyRest):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// verifyRest is the pause between two users of verifyAll.
const verifyRest = 100 * time.Millisecond

// Verify is Client.Verify for a user on whom nobody else works meanwhile.
func (c *Channel) Verify(ctx context.Context, u mailbox.User, messages bool, report func(string)) error {
	return c.comparing(ctx, u, report, func(told func(string)) error { return c.o.Client.Verify(ctx, u, messages, told) })
}

// SyncMailbox is Client.SyncMailbox for a user on whom nobody else works meanwhile.
func (c *Channel) SyncMailbox(ctx context.Context, u mailbox.User, name string, report func(string)) error {
	return c.comparing(ctx, u, report, func(told func(string)) error { return c.o.Client.SyncMailbox(ctx, u, name, told) })
}

// comparing compares, and where damage keeps it from that and Heal is on, heals and compares again.
func (c *Channel) comparing(ctx context.Context, u mailbox.User, report func(string), compare func(told func(string)) error) error {
	release, err := c.seize(ctx, u)
	if err != nil {
		return err
	}
	defer release()
	told := func(what string) {
		c.o.Logger.Error("replication: a difference", "replica", c.Name(), "user", u, "what", what)
		c.count(&c.differences)
		report(what)
	}
	err = compare(told)
	if c.o.Heal && damaged(err) {
		report(err.Error())
		if _, err = c.healed(ctx, u, err); err == nil {
			err = compare(told)
		}
	}
	return err
}

// seize makes the caller the only one who works on a user.
func (c *Channel) seize(ctx context.Context, u mailbox.User) (release func(), err error) {
	for {
		c.mu.Lock()
		j := c.users[u]
		if j == nil || !j.running {
			if j == nil {
				j = &job{since: c.o.Now()}
				c.users[u] = j
			}
			c.unqueue(u, j)
			j.running, j.again = true, j.notes > 0
			c.mu.Unlock()
			return func() { c.free(u, j) }, nil
		}
		done := make(chan error, 1)
		j.waiters = append(j.waiters, done)
		c.mu.Unlock()
		if err := wait(ctx, done); err != nil && ctx.Err() != nil {
			return nil, err
		}
	}
}

// free ends seize.
func (c *Channel) free(u mailbox.User, j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j.running = false
	j.answer(nil)
	switch {
	case j.again && !c.skips[u]:
		c.enqueue(u, j)
	case !j.again && j.tries == 0:
		delete(c.users, u)
	}
}

// unqueue takes a user out of the queue. c.mu is held.
func (c *Channel) unqueue(u mailbox.User, j *job) {
	if !j.queued {
		return
	}
	j.queued = false
	q := c.queueOf(j)
	q.users = slices.DeleteFunc(q.users, func(one mailbox.User) bool { return one == u })
}

// Heal is Client.Heal for a user on whom nobody else works meanwhile; then he is synced.
func (c *Channel) Heal(ctx context.Context, u mailbox.User, report func(string)) error {
	return c.heal(ctx, u, report, func(told func(string)) error {
		err := c.o.Client.Heal(ctx, u, told)
		if err == nil {
			_, err = c.o.Client.Sync(ctx, u)
		}
		return err
	})
}

// HealHere is Client.HealHere for a user on whom nobody else works meanwhile.
func (c *Channel) HealHere(ctx context.Context, u mailbox.User, report func(string)) error {
	return c.heal(ctx, u, report, func(told func(string)) error { return c.o.Client.HealHere(ctx, u, told) })
}

func (c *Channel) heal(ctx context.Context, u mailbox.User, report func(string), do func(told func(string)) error) error {
	release, err := c.seize(ctx, u)
	if err != nil {
		return err
	}
	defer release()
	return do(func(what string) {
		c.tellHealed(u, what)
		report(what)
	})
}

// tellHealed logs and counts what was healed.
func (c *Channel) tellHealed(u mailbox.User, what string) {
	c.o.Logger.Warn("replication: healed", "replica", c.Name(), "user", u, "what", what)
	c.count(&c.healings)
}

// count adds one to a counter that c.mu guards.
func (c *Channel) count(n *int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}
