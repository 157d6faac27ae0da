package slot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"teraslot/account"
	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/synclog"
)

// A mailbox that is given to another user is two users' mail, which are two transactions. A file names what is on its
// way from before the first until after the second, so that a start finds what a crash has left twice.

// GiveMailbox is what POST /mailbox/move takes.
type GiveMailbox struct {
	User, Mailbox string
	To            string // the user who gets it
	Name          string // there; "": the same
}

// handover is what the file says: the mailbox as it was when it was given away.
type handover struct {
	From, To mailbox.User
	Box      mailstore.BoxImage
}

// HandoverFile names the mailbox that is on its way from one user to another.
func (c *Config) HandoverFile() string { return filepath.Join(c.Conf, "handover") }

// giveMailbox gives a mailbox to another user.
func (s *Slot) giveMailbox(ctx context.Context, r GiveMailbox) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	from, err := s.accounts.Lookup(ctx, r.User)
	if err != nil {
		return err
	}
	to, err := s.accounts.Lookup(ctx, r.To)
	if err != nil {
		return err
	}
	s.parting.Lock()
	err = s.settleHandover(ctx)
	s.parting.Unlock()
	if err != nil {
		return err
	}
	parting := false
	defer func() {
		if parting {
			s.parting.Unlock()
		}
	}()
	err = s.withMail(ctx, to.Name, func(theirs *mailstore.Mail) error {
		return s.withMail(ctx, from.Name, func(ours *mailstore.Mail) error {
			st, err := ours.MailboxNamed(ctx, r.Mailbox)
			if err != nil {
				return err
			}
			if r.Name == "" {
				r.Name = st.Name
			}
			return ours.HandOver(ctx, st.ID, theirs, r.Name, func(h *mailstore.Handover) error {
				s.parting.Lock()
				parting = true
				if err := s.noneLeaves(ctx, from.ID, to.ID); err != nil {
					return err
				}
				err := s.c.noteHandover(&handover{From: from.ID, To: to.ID, Box: h.Box})
				s.step(stepHandoverBegun)
				return err
			})
		})
	})
	s.step(stepHandedOver)
	// Whether it went wrong, and how far it came, is for the mail to tell.
	return errors.Join(err, s.settleHandover(context.WithoutCancel(ctx)))
}

// errLeaves: a user is being removed.
var errLeaves = errors.New("the user is being removed")

// noneLeaves is an error if one of the users is being removed, or is gone.
func (s *Slot) noneLeaves(ctx context.Context, users ...mailbox.User) error {
	for _, u := range users {
		a, err := s.accounts.ByID(ctx, u)
		if err == nil && a.Removing {
			err = fmt.Errorf("user %s: %w", a.Name, errLeaves)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noteHandover writes the file.
func (c *Config) noteHandover(h *handover) error {
	return disk.Publish(c.hooked(), c.HandoverFile(), 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(h) })
}

// settleHandover ends what a file says: a mailbox that its new owner has is no longer the old one's.
func (s *Slot) settleHandover(ctx context.Context) error {
	path := s.c.HandoverFile()
	b, err := disk.ReadFile(s.c.hooked(), path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var h handover
	if err := json.Unmarshal(b, &h); err != nil {
		return fmt.Errorf("%s: %w: a mailbox may be two users'; remove the file when you have looked", path, err)
	}
	if err := s.endHandover(ctx, &h); err != nil {
		return fmt.Errorf("mailbox %s, which was given by %s to %s, may be both users': %w", h.Box.Name, h.From, h.To, err)
	}
	if err := s.c.hooked().Remove(path); err != nil {
		return err
	}
	return s.c.hooked().SyncDir(filepath.Dir(path))
}

func (s *Slot) endHandover(ctx context.Context, h *handover) error {
	to, err := s.store.Acquire(ctx, h.To)
	if errors.Is(err, mailstore.ErrNoUser) {
		return nil
	}
	if err != nil {
		return err
	}
	defer to.Release()
	err = s.noneLeaves(ctx, h.To)
	if errors.Is(err, errLeaves) || errors.Is(err, account.ErrNoAccount) { // it goes with him: the old owner keeps it, if he has it still
		s.o.Logger.Warn("a mailbox was on its way to a user who is being removed: an old owner who has it keeps it", "mailbox", h.Box.Name, "from", h.From, "to", h.To)
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := to.Mailbox(ctx, h.Box.ID); errors.Is(err, mailstore.ErrNoMailbox) { // it never came there
		return nil
	} else if err != nil {
		return err
	}
	from, err := s.store.Acquire(ctx, h.From)
	if errors.Is(err, mailstore.ErrNoUser) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Release()
	defer s.note(synclog.Note{User: h.From})
	err = from.Yielded(ctx, h.To, &h.Box)
	if errors.Is(err, mailstore.ErrMovedOn) {
		s.o.Logger.Error("a mailbox was given away, and changed before the old owner's was removed: both users have it", "mailbox", h.Box.Name, "from", h.From, "to", h.To)
		return nil
	}
	return err
}

// healHandover ends a handover that a crash has interrupted. What cannot be ended now is at the next start, or
// when another mailbox is given away. A replica has what the master says.
func (s *Slot) healHandover(ctx context.Context) {
	if s.c.replica() {
		return
	}
	if err := s.settleHandover(ctx); err != nil {
		s.o.Logger.Error("a mailbox that was on its way to another user did not come to an end", "err", err)
	}
}
