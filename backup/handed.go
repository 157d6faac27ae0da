package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Users are copied one after the other. A mailbox that changes its owner meanwhile may be in neither copy, or in both: so
// whoever gave or got one while the run was at it is copied once more.

// maxSettling bounds how often that is done.
const maxSettling = 100

// errUnsettled is told where mailboxes change their owners faster than they can be copied.
var errUnsettled = errors.New("mailboxes that change their owners all the time may be in no copy of this generation, or in two")

// copied notes what a copy says.
func (r *run) copied(u User, s mailstore.Snapshot, unchanged bool) {
	if _, again := r.said[u.ID]; again {
		unchanged = unchanged && r.same[u.ID]
	}
	r.said[u.ID] = mailstore.Snapshot{Came: s.Came, Went: s.Went}
	if r.same[u.ID] = unchanged; !unchanged {
		delete(r.same, u.ID)
	}
	r.result.Unchanged = len(r.same)
	r.before[u.ID] = u
}

// settleHanded copies users once more until each mailbox that changed its owner is with one of those who had it. Where
// a copy that is made anew is the same, it says what is: two users who both have it, or one who was put back from before he got it.
func (r *run) settleHanded(ctx context.Context, g *Generation) error {
	for range maxSettling {
		again := r.unsettled()
		changed := false
		for _, u := range again {
			i := slices.IndexFunc(g.Users, func(e User) bool { return e.ID == u })
			if i < 0 { // removed, or never read
				continue
			}
			entry, ok, err := r.user(ctx, u)
			if err != nil {
				return fmt.Errorf("user %s, once more: %w", u, err)
			}
			if ok && entry.Fingerprint != g.Users[i].Fingerprint {
				g.Users[i], changed = entry, true
			}
		}
		if !changed {
			return nil
		}
	}
	r.o.Report("mailboxes", errUnsettled)
	return nil
}

// unsettled returns those whose copies do not agree on who has a mailbox, sorted.
func (r *run) unsettled() []mailbox.User {
	found := map[mailbox.User]bool{}
	for u, s := range r.said {
		for id, from := range s.Came {
			if gave, copied := r.said[from]; copied && gave.Went[id] == "" {
				found[u], found[from] = true, true
			}
		}
		for id := range s.Went {
			for _, one := range lostTrack(r.said, u, id) {
				found[one] = true
			}
		}
	}
	out := make([]mailbox.User, 0, len(found))
	for u := range found {
		out = append(out, u)
	}
	slices.Sort(out)
	return out
}

// lostTrack follows a mailbox from one who gave it to those who got it, and returns all of them if the last does not know
// of it: his copy is older than the hand-over.
func lostTrack(said map[mailbox.User]mailstore.Snapshot, u mailbox.User, id mailbox.ID) []mailbox.User {
	var met []mailbox.User
	for !slices.Contains(met, u) {
		met = append(met, u)
		s, copied := said[u]
		if !copied || s.Came[id] != "" { // nobody to ask, or it came there
			return nil
		}
		next := s.Went[id]
		if next == "" {
			return met
		}
		u = next
	}
	return met
}

// Stray is a mailbox that changed its owner after the copy of the mail of one of the two was made that was put back.
type Stray struct {
	Mailbox mailbox.ID
	Other   mailbox.User // who gave it, or who has it now
}

// settleDoubles leaves each mailbox that the copies of two users have alike with the one who got it.
func (p *putter) settleDoubles(ctx context.Context, store *mailstore.Store, users []User) error {
	said := map[mailbox.User]mailstore.Snapshot{}
	for _, u := range users {
		s, err := say(ctx, store, u.ID)
		if err != nil {
			return err
		}
		said[u.ID] = s
	}
	for to, s := range said {
		for id, from := range s.Came {
			if gave, copied := said[from]; !copied || gave.Went[id] != "" {
				continue
			}
			if _, err := settleDouble(ctx, store, id, from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// say returns what a user's mail says of mailboxes that changed their owners.
func say(ctx context.Context, store *mailstore.Store, u mailbox.User) (mailstore.Snapshot, error) {
	m, err := store.Acquire(ctx, u)
	if err != nil {
		return mailstore.Snapshot{}, err
	}
	defer m.Release()
	return m.Look(ctx)
}

// settleDouble leaves a mailbox that two users have alike with the one who got it. double says that both still have it,
// because it is not the same.
func settleDouble(ctx context.Context, store *mailstore.Store, id mailbox.ID, from, to mailbox.User) (double bool, err error) {
	theirs, err := store.Acquire(ctx, to)
	if err != nil {
		return false, err
	}
	defer theirs.Release()
	ours, err := store.Acquire(ctx, from)
	if err != nil {
		return false, err
	}
	defer ours.Release()
	same, err := ours.YieldDouble(ctx, id, theirs)
	if errors.Is(err, mailstore.ErrNoMailbox) { // one of them deleted it
		return false, nil
	}
	return err == nil && !same, err
}

// strays settles what became of mailboxes that a user gave or got after the copy that was put back, and tells of those that
// are two users' now, or nobody's.
func (p *putter) strays(ctx context.Context, store *mailstore.Store, u mailbox.User) error {
	users, err := store.Users(ctx)
	if err != nil {
		return err
	}
	said := map[mailbox.User]mailstore.Snapshot{}
	for _, one := range users {
		if said[one], err = say(ctx, store, one); err != nil { // damaged, perhaps: not what is mended here
			p.o.Report("user "+string(one), fmt.Errorf("whether a mailbox was given to him is not known: %w", err))
			delete(said, one)
		}
	}
	for one, s := range said {
		for id, from := range s.Came {
			if from != u || said[u].Went[id] != "" {
				continue
			}
			double, err := settleDouble(ctx, store, id, u, one)
			if err != nil {
				return err
			}
			if double {
				p.out.Twice = append(p.out.Twice, Stray{id, one})
			}
		}
		for id, to := range s.Went {
			if to == u && lostTrack(said, one, id) != nil {
				p.out.Nowhere = append(p.out.Nowhere, Stray{id, one})
			}
		}
	}
	return nil
}

// NameOf returns the name that a mailbox of a user has in a generation.
func (r *Repository) NameOf(ctx context.Context, g *Generation, u mailbox.User, id mailbox.ID) (name string, err error) {
	lock, err := r.lock(disk.Shared)
	if err != nil {
		return "", err
	}
	entry, err := g.User(string(u))
	if err == nil {
		err = r.inLook(ctx, entry, func(l *Look) error {
			st, err := l.Mailbox(ctx, id)
			name = st.Name
			return err
		})
	}
	return name, errors.Join(err, lock.Close())
}
