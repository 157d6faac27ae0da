package slot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/tiers"
)

// A user's mail and index move to another partition each for itself: copied first, then, in
// the moment in which a placement file is published, there and no longer here, then
// removed here. The file names both partitions from before anything is copied until all is
// removed, so that a start finds what a crash has left on the other one.

// MoveUser is what POST /user/move takes.
type MoveUser struct {
	Name string
	To   string // a partition of the configuration, or "default"
	// MailOnly and IndexOnly leave the other where it is.
	MailOnly, IndexOnly bool
}

// moveUser moves a user to another partition. On a replica too: where things lie is each
// slot's own matter.
func (s *Slot) moveUser(ctx context.Context, r MoveUser) error {
	a, err := s.accounts.Lookup(ctx, r.Name)
	if err != nil {
		return err
	}
	if _, err := s.c.partition(r.To); err != nil {
		return err
	}
	if a.Removing {
		return fmt.Errorf("user %s is being removed", a.Name)
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	if !r.IndexOnly {
		if err := s.move(ctx, a, r.To, mailPlacement, s.moveMail); err != nil {
			return fmt.Errorf("move the mail of %s: %w", a.Name, err)
		}
	}
	if r.MailOnly {
		s.logUser("user moved", a, "partition", r.To, "what", "mail")
		return nil
	}
	was, err := s.c.placement(a.ID, indexPlacement)
	if err == nil {
		err = s.move(ctx, a, r.To, indexPlacement, s.moveIndex)
	}
	if err != nil {
		return fmt.Errorf("move the index of %s: %w", a.Name, err)
	}
	if was.at != r.To {
		s.toArchive(a)
	}
	s.logUser("user moved", a, "partition", r.To, "what", map[bool]string{false: "mail and index", true: "index"}[r.IndexOnly])
	return nil
}

// move moves a user's mail or index, whichever kind is, unless it is there.
func (s *Slot) move(ctx context.Context, a account.Account, to, kind string, by func(context.Context, mailbox.User, Partition, func() error) error) error {
	if err := s.settle(ctx, a, kind); err != nil {
		return err
	}
	from, err := s.c.placement(a.ID, kind)
	if err != nil || from.at == to {
		return err
	}
	dest, err := s.c.partition(to)
	if err != nil {
		return err
	}
	if kind == mailPlacement { // an index can be made again
		if err := s.store.Vacant(a.ID, dest.mail()); err != nil {
			return err
		}
	}
	if err := s.c.place(a.ID, kind, placement{at: from.at, other: to}); err != nil {
		return err
	}
	s.step(stepMoveBegun)
	err = by(ctx, a.ID, dest, func() error { return s.c.place(a.ID, kind, placement{at: to, other: from.at}) })
	s.step(stepMoved)
	// Finished or undone: that is for what the file says now to tell.
	return errors.Join(err, s.settle(context.WithoutCancel(ctx), a, kind))
}

// moveMail moves a user's mail. Sessions end: clients connect again, and wait for the end.
func (s *Slot) moveMail(ctx context.Context, u mailbox.User, to Partition, commit func() error) error {
	r := s.store.Relocate(u, to.mail())
	if err := r.Copy(ctx); err != nil {
		return err
	}
	return s.untilFree(ctx, mailstore.ErrBusy, func() error {
		s.disconnect(u)
		return r.Switch(ctx, commit)
	})
}

// moveIndex moves a user's index. A compaction that is under way is given up.
func (s *Slot) moveIndex(ctx context.Context, u mailbox.User, to Partition, commit func() error) error {
	if s.schedule != nil {
		s.schedule.Leave(u)
	}
	return s.untilFree(ctx, tiers.ErrHeld, func() error { return s.tiers.User(u).Move(ctx, to.tiers(), commit) })
}

// untilFree tries something again, for a while, as long as it fails because others are at it.
func (s *Slot) untilFree(ctx context.Context, busy error, try func() error) error {
	deadline := time.NewTimer(removalWait)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if !errors.Is(err, busy) {
			return err
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// settle ends a move that is under way, or was when something ended it: what lies on the
// partition that is not the user's is removed, once the file that says so is durable.
func (s *Slot) settle(ctx context.Context, a account.Account, kind string) error {
	p, err := s.c.placement(a.ID, kind)
	if err != nil || p.other == "" {
		return err
	}
	if kind == mailPlacement {
		if p, err = s.whole(a, p); err != nil {
			return err
		}
	}
	other, err := s.c.partition(p.other)
	if err != nil {
		return err
	}
	// Anew: where the last sync of its publication failed, another one says nothing.
	if err := s.c.place(a.ID, kind, p); err != nil {
		return err
	}
	if kind == mailPlacement {
		err = s.store.Vacate(a.ID, other.mail())
	} else {
		err = s.untilFree(ctx, tiers.ErrHeld, func() error { return s.tiers.User(a.ID).Clean(ctx) })
	}
	if err != nil {
		return err
	}
	s.step(stepMoveSettled)
	return s.c.place(a.ID, kind, placement{at: p.at})
}

// whole is where a user's mail is, of the two partitions that a move is between: all that mail.db refers to is there. The
// file says it, but where the sync of its last change failed, mail came since, and a power cut brought back what it said before.
func (s *Slot) whole(a account.Account, p placement) (placement, error) {
	at, err := s.c.partition(p.at)
	if err != nil {
		return p, err
	}
	other, err := s.c.partition(p.other)
	if err != nil {
		return p, err
	}
	lacks := s.store.Holds(a.ID, at.mail())
	if lacks == nil {
		return p, nil
	}
	for _, root := range []string{at.mail().Spool, at.mail().Archive, other.mail().Spool, other.mail().Archive} {
		if err := s.c.present(root); err != nil {
			return p, err
		}
	}
	if err := s.store.Holds(a.ID, other.mail()); err != nil {
		return p, fmt.Errorf("neither partition %s nor %s has all of the mail, and nothing is removed; run slotctl verify: %w", p.at, p.other, errors.Join(lacks, err))
	}
	s.o.Logger.Warn("the mail of a user is on the other partition than "+mailPlacement+" says, as a failing disk has left it", "user", a.Name, "on", p.other)
	return placement{at: p.other, other: p.at}, nil
}

// settleUser ends the moves of a user that a crash has interrupted. What cannot be ended
// now, because a partition is not there, is some other time.
func (s *Slot) settleUser(ctx context.Context, a account.Account) {
	for _, kind := range []string{mailPlacement, indexPlacement} {
		if err := s.settle(ctx, a, kind); err != nil {
			s.o.Logger.Error("a move of a user to another partition is not ended: the next start, or slotctl user move, does it", "user", a.Name, "err", err)
		}
	}
}

// partitionsOf says where a user's mail and index lie, as User.Partition does.
func (s *Slot) partitionsOf(u mailbox.User) (string, error) {
	mail, err := s.c.placement(u, mailPlacement)
	if err != nil {
		return "", err
	}
	index, err := s.c.placement(u, indexPlacement)
	switch {
	case err != nil || mail.at != index.at:
		return mail.at + "/" + index.at, err
	case mail.at == DefaultPartition:
		return "", nil
	}
	return mail.at, nil
}
