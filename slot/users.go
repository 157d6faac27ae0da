package slot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/synclog"
	"teraslot/tiers"
)

// A user is an account and a mail.db. The account is made first and removed
// last, so that a crash in between leaves an account without mail: at the start
// it is given some, if it never had any, or its removal is finished, if it was
// begun. Who had mail and has none has lost it: nothing is made in its place.

// addUser makes an account and its mail. Without a quota, the configured one
// applies.
func (s *Slot) addUser(ctx context.Context, r AddUser) error {
	q := account.Quota{Bytes: int64(s.c.Quota.Bytes), Messages: s.c.Quota.Messages}
	if r.Quota != nil {
		q = *r.Quota
	}
	a, err := s.accounts.Add(ctx, r.Name, r.Password, q)
	if err != nil {
		return err
	}
	s.step(stepAccountMade)
	if err := s.createMail(ctx, a); err != nil {
		return errors.Join(err, s.accounts.Remove(ctx, a.Name))
	}
	s.step(stepMailMade)
	s.logUser("user added", a, "quota_bytes", q.Bytes, "quota_messages", q.Messages)
	return nil
}

// logUser logs what was done to a user, in one line: who he is, and nothing that is secret.
func (s *Slot) logUser(what string, a account.Account, more ...any) {
	s.o.Logger.Info(what, append([]any{"user", a.Name, "id", a.ID}, more...)...)
}

func (s *Slot) createMail(ctx context.Context, a account.Account) error {
	if err := s.store.CreateUser(ctx, a.ID, mailstore.UserOptions{Quota: mailstore.Quota(a.Quota)}); err != nil {
		return err
	}
	return s.accounts.MadeMail(ctx, a.Name)
}

// heal finishes what a crash interrupted.
func (s *Slot) heal(ctx context.Context) error {
	users, err := s.store.Users(ctx)
	if err != nil {
		return err
	}
	has := make(map[mailbox.User]bool, len(users))
	for _, u := range users {
		has[u] = true
	}
	s.healHandover(ctx)
	accounts, err := s.knownUsers(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if err := s.healUser(ctx, a, has[a.ID]); err != nil {
			return fmt.Errorf("user %s: %w", a.Name, err)
		}
	}
	return nil
}

// healUser finishes what was begun for a user, who has a mail.db or has none.
func (s *Slot) healUser(ctx context.Context, a account.Account, has bool) error {
	if !a.Removing {
		s.settleUser(ctx, a)
	}
	switch {
	case a.Removing:
		s.o.Logger.Warn("the removal of a user goes on", "user", a.Name, "id", a.ID)
		if err := s.finishRemoval(ctx, a, s.heirs(ctx, a.ID)); err != nil {
			// Nobody reads that mail any longer: no reason to keep all others from theirs.
			s.o.Logger.Error("a user is not removed wholly: the next start, or slotctl user del, does it", "user", a.Name, "err", err)
		}
		return ctx.Err()
	case has && !a.HasMail:
		return s.accounts.MadeMail(ctx, a.Name)
	case has:
		return nil
	}
	packs := s.packs(a.ID)
	if s.c.replica() {
		s.o.Logger.Warn("a user has no mail: it comes from the master", "user", a.Name, "id", a.ID)
		return nil
	}
	if !a.HasMail && len(packs) == 0 {
		s.o.Logger.Warn("a user had no mail: made anew", "user", a.Name, "id", a.ID)
		return s.createMail(ctx, a)
	}
	// Deliveries wait with their senders, also where no pack is left: an empty mailbox
	// would tell clients that all their mail is deleted.
	s.o.Logger.Error("the mail.db of a user is lost: put it back from a backup, or run slotctl reconstruct, which makes what can be made of its copy and the packs",
		"user", a.Name, "id", a.ID, "packs", packs)
	return nil
}

// changePassword gives a user another password and ends all sessions: who knew the
// old one is not to read on.
func (s *Slot) changePassword(ctx context.Context, name, password string) error {
	a, err := s.accounts.Lookup(ctx, name)
	if err != nil {
		return err
	}
	if err := s.accounts.Passwd(ctx, name, password); err != nil {
		return err
	}
	s.disconnect(a.ID)
	s.logUser("user has another password", a)
	return nil
}

// disconnect ends a user's sessions, if the slot serves any.
func (s *Slot) disconnect(u mailbox.User) {
	if s.imap != nil {
		s.imap.Disconnect(u)
	}
}

// packs are the files of a user's messages.
func (s *Slot) packs(u mailbox.User) (found []string) {
	for _, root := range s.c.mailRootPaths() {
		entries, err := os.ReadDir(filepath.Join(root, u.Dir()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			found = append(found, err.Error()) // not known to be none
		}
		for _, e := range entries {
			if filepath.Ext(e.Name()) == ".pack" {
				found = append(found, filepath.Join(root, u.Dir(), e.Name()))
			}
		}
	}
	return found
}

// removalWait is how long a removal waits for others to let go of the mail.
const removalWait = 15 * time.Second

// removeUser removes a user with mail and index, for good.
func (s *Slot) removeUser(ctx context.Context, name string) error {
	a, err := s.accounts.Lookup(ctx, name)
	if err != nil {
		return err
	}
	// From here on nobody can log in, and a crash ends in a removal.
	s.parting.Lock() // no mailbox is on its way to or from him
	err = s.accounts.BeginRemoval(ctx, name)
	s.parting.Unlock()
	if err != nil {
		return err
	}
	s.step(stepAccountDisabled)
	s.disconnect(a.ID)
	if s.schedule != nil {
		s.schedule.Leave(a.ID)
	}
	heirs := s.heirs(ctx, a.ID)
	if err := s.removeMail(ctx, a.ID); err != nil {
		return fmt.Errorf("remove %s (the account is disabled; try again, or the next start goes on): %w", name, err)
	}
	return s.finishRemoval(ctx, a, heirs)
}

// heirs returns who got mailboxes of a user. Where that cannot be read, replicas may be without such a mailbox from when they remove him until
// they hear of its new owner.
func (s *Slot) heirs(ctx context.Context, u mailbox.User) (out []account.Heir) {
	m, err := s.store.Acquire(ctx, u)
	if errors.Is(err, mailstore.ErrNoUser) {
		return nil
	}
	var went map[mailbox.ID]mailbox.User
	if err == nil {
		went, err = m.Handed(ctx, true)
		m.Release()
	}
	if err != nil {
		s.o.Logger.Warn("a user is removed, and who got mailboxes of his cannot be read", "user", u, "err", err)
	}
	for id, to := range went {
		out = append(out, account.Heir{Mailbox: id, User: to})
	}
	slices.SortFunc(out, func(a, b account.Heir) int { return cmp.Compare(a.Mailbox, b.Mailbox) })
	return out
}

// removeMail waits for deliveries, searches and the indexer to let go.
func (s *Slot) removeMail(ctx context.Context, u mailbox.User) error {
	deadline := time.NewTimer(removalWait)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := s.store.RemoveUser(ctx, u)
		if !errors.Is(err, mailstore.ErrBusy) {
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

func (s *Slot) finishRemoval(ctx context.Context, a account.Account, heirs []account.Heir) error {
	s.step(stepMailRemoved)
	if err := s.tiers.User(a.ID).Remove(ctx); err != nil {
		return fmt.Errorf("index of %s: %w", a.Name, err)
	}
	s.step(stepIndexRemoved)
	if err := s.removeIndexFiles(a.ID); err != nil {
		return fmt.Errorf("index of %s: %w", a.Name, err)
	}
	// What is left of the mail: packs that were in the way, an empty directory.
	if err := s.store.RemoveUser(ctx, a.ID); err != nil {
		return err
	}
	s.step(stepRestRemoved)
	err := s.accounts.Remove(ctx, a.Name, heirs...)
	s.step(stepAccountRemoved)
	if err == nil {
		s.logUser("user removed", a)
	}
	return err
}

// removeIndexFiles removes the activefile, the lock files and what says on which partition
// the user is, all of which stay while the user exists. The id is never given again, so nothing else will need them;
// not synced, because what a power cut brings back does no harm.
func (s *Slot) removeIndexFiles(u mailbox.User) error {
	dir := filepath.Join(s.c.Conf, u.Dir())
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.Type().IsRegular() && (strings.HasPrefix(e.Name(), "index.") || strings.HasPrefix(e.Name(), mailPlacement)) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// setQuota changes both copies of a quota: the account's, from which the mail's
// could be made again, first.
func (s *Slot) setQuota(ctx context.Context, name string, q account.Quota) error {
	if err := s.accounts.SetQuota(ctx, name, q); err != nil {
		return err
	}
	err := s.withMail(ctx, name, func(m *mailstore.Mail) error { return m.SetQuota(ctx, mailstore.Quota(q)) })
	if err != nil {
		return err
	}
	a, err := s.accounts.Lookup(ctx, name)
	if err == nil {
		s.logUser("user has another quota", a, "quota_bytes", q.Bytes, "quota_messages", q.Messages)
	}
	return err
}

// withMail runs fn on a user's mail, which may change it.
func (s *Slot) withMail(ctx context.Context, name string, fn func(*mailstore.Mail) error) error {
	a, err := s.accounts.Lookup(ctx, name)
	if err != nil {
		return err
	}
	m, err := s.store.Acquire(ctx, a.ID)
	if err != nil {
		return err
	}
	defer m.Release()
	defer s.note(synclog.Note{User: a.ID}) // not all of its changes are events
	return fn(m)
}

// knownUsers returns all users but those whose row of slot.db is damaged, of which the log tells: they keep nobody else
// from his mail. Who is not among them may be there: nothing is done to him for that.
func (s *Slot) knownUsers(ctx context.Context) ([]account.Account, error) {
	users, err := s.accounts.List(ctx)
	if errors.Is(err, account.ErrDamaged) {
		s.o.Logger.Error("a user is passed over", "err", err)
		err = nil
	}
	return users, err
}

// listUsers returns all users with what they use.
func (s *Slot) listUsers(ctx context.Context) ([]User, error) {
	accounts, err := s.accounts.List(ctx)
	if err != nil {
		return nil, err
	}
	users := make([]User, 0, len(accounts))
	for _, a := range accounts {
		u := User{Name: a.Name, ID: a.ID, Created: a.Created, Disabled: a.Disabled, Quota: a.Quota}
		m, err := s.store.Acquire(ctx, a.ID)
		if err == nil {
			_, u.Usage, err = m.Quota(ctx)
			m.Release()
		}
		if err == nil {
			u.Partition, err = s.partitionsOf(a.ID)
		}
		if err != nil {
			u.Trouble = err.Error()
		}
		users = append(users, u)
	}
	return users, nil
}

// verify checks a user's mail and index, and reports what is wrong.
func (s *Slot) verify(ctx context.Context, name string, report func(Finding)) error {
	a, err := s.accounts.Lookup(ctx, name)
	if err != nil {
		return err
	}
	return s.verifyUser(ctx, a.ID, a.Name, report)
}

// verifyUser is verify by id.
func (s *Slot) verifyUser(ctx context.Context, u mailbox.User, name string, report func(Finding)) error {
	for _, kind := range []string{mailPlacement, indexPlacement} {
		if _, err := s.c.placement(u, kind); errors.Is(err, errPlacement) || errors.Is(err, errPlaceLost) {
			report(Finding{name, kind, err.Error()})
			return nil // nothing can be read before
		}
	}
	err := s.store.Verify(ctx, u, func(f mailstore.Finding) { report(Finding{name, "mail", f.String()}) })
	var damage *mailstore.Damage
	switch {
	case errors.Is(err, mailstore.ErrNoUser):
		if a, err := s.accounts.ByID(ctx, u); err != nil || a.Removing {
			return err
		}
		report(Finding{name, "mail", "mail.db is lost"})
	case errors.As(err, &damage):
		report(Finding{name, "mail", err.Error()})
	case err != nil:
		return err
	}
	return s.tiers.User(u).Verify(ctx, func(d *tiers.Damage) { report(Finding{name, "index", d.Error()}) })
}
