package squatter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/tiers"
)

// survey gathers what Plan decides by, and remembers what is dear to find out.
type survey struct {
	q      *Squatter
	now    func() time.Time
	tempOf func(mailbox.User) (string, error)
	known  map[mailbox.User]counted
}

// counted is what the last count of a user's dead documents found.
type counted struct {
	at   time.Time
	dead map[string]int       // by database id
	none map[string]time.Time // when a database was last seen without any
}

func newSurvey(q *Squatter, o ScheduleOptions) *survey {
	return &survey{q: q, now: o.Now, tempOf: o.TempOf, known: make(map[mailbox.User]counted)}
}

// recount is how old a count of dead documents may be.
const recount = 20 * time.Hour

// take describes the indexes of some users. With count, dead documents are counted
// of those for whom that was long ago. A user who cannot be looked at is
// reported to failed and left out.
func (s *survey) take(ctx context.Context, users []mailbox.User, count bool, failed func(mailbox.User, error)) (State, error) {
	state := State{Now: s.now()}
	for _, u := range users {
		if err := ctx.Err(); err != nil {
			return state, err
		}
		one, err := s.user(ctx, u, count)
		switch {
		case errors.Is(err, mailstore.ErrNoUser):
		case err != nil && ctx.Err() != nil:
			return state, ctx.Err()
		case err != nil:
			failed(u, err)
		case len(one.Databases) > 0 || one.Moved:
			state.Users = append(state.Users, one)
		}
	}
	return state, nil
}

// everyone lists the slot's users.
func (q *Squatter) everyone(ctx context.Context) ([]mailbox.User, error) {
	users, err := q.o.Store.Users(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the users to look at: %w", err)
	}
	return users, nil
}

func (s *survey) user(ctx context.Context, u mailbox.User, count bool) (UserState, error) {
	out := UserState{User: u}
	s.q.Failures(u) // known from now on, for the metrics
	var err error
	if out.Temp, err = s.tempOf(u); err != nil {
		return out, err
	}
	if out.Moved, err = s.q.isMoved(u); err != nil {
		return out, err
	}
	stats, err := s.q.o.Tiers.User(u).Stats(ctx)
	if err != nil {
		return out, err
	}
	if count && len(stats) > 0 && s.now().Sub(s.known[u].at) >= recount {
		if err := s.count(ctx, u, stats); err != nil {
			return out, err
		}
	}
	known := s.known[u]
	for _, st := range stats {
		d := DatabaseState{Name: st.Database.String(), Tier: st.Database.Tier, State: st.State, Bytes: st.Bytes, Room: st.Room,
			Docs: st.Docs, Made: st.Made, DeadSince: st.Made}
		d.Dead, d.Counted = known.dead[st.ID]
		if none, ok := known.none[st.ID]; ok && none.After(d.DeadSince) {
			d.DeadSince = none
		}
		out.Databases = append(out.Databases, d)
	}
	return out, nil
}

// count counts the dead documents of each of a user's databases.
func (s *survey) count(ctx context.Context, u mailbox.User, stats []tiers.DatabaseStats) error {
	dead, err := s.q.dead(ctx, u)
	if err != nil {
		return err
	}
	c := counted{at: s.now(), dead: make(map[string]int), none: make(map[string]time.Time)}
	for _, st := range stats {
		if st.ID == "" {
			continue
		}
		c.dead[st.ID] = dead[st.ID]
		if dead[st.ID] == 0 {
			c.none[st.ID] = c.at
		} else if before, ok := s.known[u].none[st.ID]; ok {
			c.none[st.ID] = before
		}
	}
	s.known[u] = c
	return nil
}

// dead counts the documents that no mailbox holds, by the id of their database.
func (q *Squatter) dead(ctx context.Context, u mailbox.User) (map[string]int, error) {
	mail, err := q.o.Store.Acquire(ctx, u)
	if err != nil {
		return nil, err
	}
	defer mail.Release()
	// The index first: what is added to it later is held, and not looked at.
	snap, err := q.o.Tiers.User(u).Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	held, err := mail.Held(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]int)
	for _, seg := range snap.Segments() {
		for n := range seg.Len() {
			if !held(seg.GUID(n)) {
				out[databaseOf(seg)]++
			}
		}
	}
	return out, nil
}

// forget drops what is remembered of users who are gone.
func (s *survey) forget(users []mailbox.User) {
	there := make(map[mailbox.User]bool, len(users))
	for _, u := range users {
		there[u] = true
	}
	for u := range s.known {
		if !there[u] {
			delete(s.known, u)
		}
	}
}
