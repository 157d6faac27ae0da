package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// A mailbox that changes its owner is two users' mail. The new owner's is brought to a replica first, and says whose
// the mailbox was: there the old owner loses it in the same moment.

// maxOwners bounds how often a mailbox may have gone on before a replica hears of it.
const maxOwners = 8

// came returns the mailboxes that the replica does not have with this user, and whose they were. What a crash
// has left with both stays with both.
func (s *sync1) came(ctx context.Context, image *mailstore.Image) (handed, error) {
	all, err := s.mail.Handed(ctx, false)
	if err != nil {
		return nil, err
	}
	out := handed{}
	for id, from := range all {
		if image.Box(id) == nil || s.theirs.Box(id) != nil || from == s.user {
			continue
		}
		both, err := s.has(ctx, from, id)
		if err != nil {
			return nil, err
		}
		if !both {
			out[id] = from
		}
	}
	return out, nil
}

// has reports whether a user has a mailbox here.
func (s *sync1) has(ctx context.Context, u mailbox.User, id mailbox.ID) (bool, error) {
	m, err := s.c.o.Store.Acquire(ctx, u)
	if err == nil {
		_, err = m.Mailbox(ctx, id)
		m.Release()
	}
	if errors.Is(err, mailstore.ErrNoUser) || errors.Is(err, mailstore.ErrNoMailbox) {
		return false, nil
	}
	return err == nil, err
}

// follow brings those users to the replica first who have got mailboxes of this one's that the replica still has
// here, and before them those who have got theirs. It reports whether there were any: then what the replica has is asked for again.
// Users who gave to each other in a ring cannot all be the last: what the inmost gave to one above stays with him until that one's turn.
func (s *sync1) follow(ctx context.Context, image *mailstore.Image) (waited bool, err error) {
	s.stay = nil
	gone := map[mailbox.ID]bool{}
	for i := range s.theirs.Mailboxes {
		if id := s.theirs.Mailboxes[i].ID; image.Box(id) == nil {
			gone[id] = true
		}
	}
	if len(gone) == 0 {
		return false, nil
	}
	given, err := s.mail.Handed(ctx, true)
	if err != nil {
		return false, err
	}
	for id, to := range given {
		if !gone[id] {
			continue
		}
		holder, err := s.holder(ctx, id, to)
		if err != nil {
			return waited, err
		}
		if slices.Contains(s.above, holder) {
			s.stay = append(s.stay, id)
			continue
		}
		if holder == "" || s.followed[id] || holder == s.user {
			continue
		}
		if s.followed == nil {
			s.followed = map[mailbox.ID]bool{}
		}
		s.followed[id] = true
		next := &sync1{c: s.c, user: holder, small: s.small, above: append(slices.Clip(s.above), s.user)}
		if err := next.run(ctx); err != nil {
			s.c.forget(holder)
			return waited, err
		}
		s.stats.Messages += next.stats.Messages
		s.stats.Bytes += next.stats.Bytes
		s.stats.Records += next.stats.Records
		if s.again = append(s.again, next.again...); len(next.stay) > 0 {
			s.again = append(s.again, holder)
		}
		waited = true
	}
	if !waited {
		return false, nil
	}
	return true, s.ask(ctx)
}

// keep leaves those mailboxes with the replica's user that go to one who is brought there later, and takes them from him in the moment
// in which he gets them. A name that is another mailbox's by now they have no longer.
func (s *sync1) keep(image *mailstore.Image) {
	for _, id := range s.stay {
		b := *s.theirs.Box(id)
		b.SpecialUse = "" // that may be another's, too
		if slices.ContainsFunc(image.Mailboxes, func(o mailstore.BoxImage) bool { return o.Name == b.Name }) {
			b.Name = strings.ToValidUTF8(b.Name[:min(len(b.Name), maxStaying)], "") + " (" + string(id) + ")"
		}
		image.Mailboxes = append(slices.Clone(image.Mailboxes), b)
		slices.SortFunc(image.Mailboxes, func(a, b mailstore.BoxImage) int { return cmp.Compare(a.ID, b.ID) })
	}
}

// maxStaying is how many octets of its name a mailbox keeps in front of its id.
const maxStaying = 512

// closeRing brings those to the replica once more who were left with mailboxes that have gone from them by now.
func (s *sync1) closeRing(ctx context.Context) error {
	if len(s.above) > 0 {
		return nil
	}
	for _, u := range s.again {
		next := &sync1{c: s.c, user: u}
		if err := next.run(ctx); err != nil {
			s.c.forget(u)
			return fmt.Errorf("user %s: %w", u, err)
		}
	}
	return nil
}

// bequeath brings those to the replica who got mailboxes that it still has with a user who was removed since.
func (s *sync1) bequeath(ctx context.Context) error {
	heirs, err := s.account.Heirs()
	if err != nil {
		return err
	}
	waited := false
	for _, h := range heirs {
		if !s.exists || s.theirs.Box(h.Mailbox) == nil {
			continue
		}
		holder, err := s.holder(ctx, h.Mailbox, h.User)
		if err != nil {
			return err
		}
		if holder == "" || slices.Contains(s.above, holder) {
			continue
		}
		next := &sync1{c: s.c, user: holder}
		if err := next.run(ctx); err != nil {
			s.c.forget(holder)
			return fmt.Errorf("user %s, who got a mailbox of his: %w", holder, err)
		}
		waited = true
	}
	if !waited {
		return nil
	}
	return s.ask(ctx)
}

// holder returns who has a mailbox that was given away, "" if nobody has it any longer.
func (s *sync1) holder(ctx context.Context, id mailbox.ID, to mailbox.User) (mailbox.User, error) {
	for range maxOwners {
		next := mailbox.User("")
		m, err := s.c.o.Store.Acquire(ctx, to)
		if errors.Is(err, mailstore.ErrNoUser) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		_, err = m.Mailbox(ctx, id)
		if errors.Is(err, mailstore.ErrNoMailbox) {
			var given map[mailbox.ID]mailbox.User
			given, err = m.Handed(ctx, true)
			next = given[id]
		} else if err == nil {
			next = to
		}
		m.Release()
		if err != nil || next == to || next == "" {
			return next, err
		}
		to = next
	}
	return "", nil
}

// owners opens the mail of the users here who had mailboxes that come to another. Who is not here, or is the same, has none.
func (t *takeover) owners(ctx context.Context, came handed) (out []mailstore.Owner, release func(), err error) {
	release = func() {
		for _, o := range out {
			o.Mail.Release()
		}
	}
	by := map[mailbox.User][]mailbox.ID{}
	for id, u := range came {
		if u != t.begin.account.ID && t.change.Image.Box(id) != nil {
			by[u] = append(by[u], id)
		}
	}
	for u, ids := range by {
		m, err := t.s.o.Store.Acquire(ctx, u)
		if errors.Is(err, mailstore.ErrNoUser) {
			continue
		}
		if err != nil {
			release()
			return nil, nil, err
		}
		out = append(out, mailstore.Owner{Mail: m, Mailboxes: ids})
	}
	slices.SortFunc(out, func(a, b mailstore.Owner) int { return cmp.Compare(a.Mailboxes[0], b.Mailboxes[0]) })
	return out, release, nil
}
