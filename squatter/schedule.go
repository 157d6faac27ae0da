package squatter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/tiers"
)

// ScheduleOptions say how a Schedule works. The zero value works.
type ScheduleOptions struct {
	Policy Policy
	// Every is the time between rounds; by default an hour.
	Every time.Duration
	// Bandwidth is how many bytes a compaction may write in a second, all the time,
	// and how many bytes of sources it may go through in a second together with the rest
	// after it; 0 is without limit.
	Bandwidth int64
	// Slow, unless nil, reports whether searches are slow at the moment: then a
	// compaction waits, before it begins and between pieces of what it writes; for
	// PatienceSlow in all if temp is full, by default 5 minutes, else as long as they are.
	Slow         func() bool
	PatienceSlow time.Duration
	// Now is the clock, in the slot's time zone; by default time.Now. After is its
	// alarm; by default time.After.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
	// Leave has what is done left in the slot for the metrics of its daemon (TakeIn): this
	// is another process.
	Leave bool
	// Look lets Run only look, for the metrics: another process compacts.
	Look bool
	// TempOf names where a user's temp lies: Policy.TempSize holds for each name. By
	// default all users have one.
	TempOf func(mailbox.User) (string, error)
	// Name is what people call a user; by default the id.
	Name func(mailbox.User) string
	// Lines gets the lines that squatter -v prints; may be nil.
	Lines func(string)
	// Registerer gets the metrics; may be nil.
	Registerer prometheus.Registerer
}

// Schedule compacts a slot's indexes by a Policy. One at a time works on a slot;
// whoever makes it sees to that.
type Schedule struct {
	q      *Squatter
	o      ScheduleOptions
	survey *survey // used by one round at a time

	round   sync.Mutex // held by a round, and by Save
	metrics *scheduleMetrics

	mu      sync.Mutex // guards what follows
	current underWay
}

// NewSchedule returns a Schedule. It starts nothing.
func (q *Squatter) NewSchedule(o ScheduleOptions) *Schedule {
	o.Policy = o.Policy.withDefaults()
	setDefault(&o.Every, time.Hour)
	setDefault(&o.PatienceSlow, 5*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Name == nil {
		o.Name = func(u mailbox.User) string { return string(u) }
	}
	if o.TempOf == nil {
		o.TempOf = func(mailbox.User) (string, error) { return o.Policy.Temp, nil }
	}
	return &Schedule{q: q, o: o, survey: newSurvey(q, o), metrics: newScheduleMetrics(o.Registerer, o.Policy)}
}

// Run looks at once, for the metrics, and does a round every so often until ctx is done;
// then it returns nil.
func (s *Schedule) Run(ctx context.Context) error {
	for first := true; ; first = false {
		var err error
		if first || s.o.Look {
			err = s.look(ctx)
		} else {
			_, err = s.Round(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.q.o.Logger.Error("compacting is not complete; the next round goes on", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.o.After(s.o.Every):
		}
	}
}

// look surveys the slot for the metrics, without a count of what is dead.
func (s *Schedule) look(ctx context.Context) error {
	s.round.Lock()
	defer s.round.Unlock()
	_, err := s.see(ctx, false)
	return err
}

// see surveys the slot, for whoever holds round. Users who cannot be looked at make an
// error beside the state of the others.
func (s *Schedule) see(ctx context.Context, count bool) (State, error) {
	users, err := s.q.everyone(ctx)
	if err != nil {
		return State{}, err
	}
	s.survey.forget(users)
	var errs []error
	state, err := s.survey.take(ctx, users, count, func(u mailbox.User, err error) {
		errs = append(errs, fmt.Errorf("looking at the index of %s: %w", s.o.Name(u), err))
	})
	if err != nil {
		return State{}, err
	}
	s.metrics.see(state, s.o.Policy)
	return state, errors.Join(errs...)
}

// Plan surveys the slot and decides what to do now.
func (s *Schedule) Plan(ctx context.Context) ([]Decision, error) {
	s.round.Lock()
	defer s.round.Unlock()
	_, plan, err := s.plan(ctx)
	return plan, err
}

// plan is Plan for whoever holds round, with what it was decided by.
func (s *Schedule) plan(ctx context.Context) (State, []Decision, error) {
	state, err := s.see(ctx, s.o.Policy.Quiet.Contain(s.o.Now()))
	return state, s.o.Policy.Plan(state), err
}

// Done is what a round did.
type Done struct {
	Planned, Compacted int
	Bytes              int64 // of the sources of what was compacted
}

// Round surveys the slot, decides and compacts. A user who fails does not keep the
// others from being compacted; the error names all who did. Decisions for the quiet
// hours are dropped when these end: the next ones go on.
func (s *Schedule) Round(ctx context.Context) (Done, error) {
	s.round.Lock()
	defer s.round.Unlock()
	done, err := s.goRound(ctx)
	if done.Compacted > 0 && ctx.Err() == nil && s.o.Registerer != nil {
		_, seen := s.see(ctx, false) // what there is now; who cannot be looked at was told of
		err = cmp.Or(err, seen)
	}
	outcome := outcomeDone
	switch {
	case ctx.Err() != nil:
		outcome = outcomeStopped
	case err != nil:
		outcome = outcomeFailed
	}
	s.did(ctx, deed{What: deedRound, Outcome: outcome})
	return done, err
}

// goRound is Round for whoever holds round.
func (s *Schedule) goRound(ctx context.Context) (Done, error) {
	state, plan, err := s.plan(ctx)
	done := Done{Planned: len(plan)}
	errs := []error{err, s.forgetIdle(state, plan)}
	for i := range plan {
		d := &plan[i]
		if !d.AtAnyHour() && !s.o.Policy.Quiet.Contain(s.o.Now()) {
			s.q.o.Logger.Info("the quiet hours are over; what is left is done in the next ones", "left", len(plan)-i)
			break
		}
		pace := s.newPace(d)
		if err := pace.calm(ctx); err != nil {
			return done, err
		}
		did, err := s.do(ctx, d, pace.write)
		if ctx.Err() != nil {
			return done, ctx.Err()
		}
		errs = append(errs, err)
		if did {
			done.Compacted++
			done.Bytes += d.Bytes
			if err := pace.rest(ctx); err != nil {
				return done, err
			}
		}
	}
	return done, errors.Join(errs...)
}

// forgetIdle takes the mark off those who were moved and have nothing to go to archive.
func (s *Schedule) forgetIdle(state State, plan []Decision) error {
	var errs []error
	for _, u := range state.Users {
		if u.Moved && !slices.ContainsFunc(plan, func(d Decision) bool { return d.User == u.User && d.Rule == RuleMoved }) {
			errs = append(errs, s.q.forgetMoved(u.User))
		}
	}
	return errors.Join(errs...)
}

func (s *Schedule) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.o.After(d):
		return nil
	}
}

// do does what was decided for one user, at a pace, and reports whether anything
// was. Another who compacts the user at the moment, or removes him, is no failure.
func (s *Schedule) do(ctx context.Context, d *Decision, pace func(context.Context, int) error) (did bool, err error) {
	outcome, err := s.compact(ctx, d, CompactOptions{Pace: pace})
	switch outcome {
	case outcomeDone:
		if d.Rule == RuleMoved {
			err = s.q.forgetMoved(d.User)
		}
		return true, err
	case outcomeRaced, outcomeGone:
		return false, nil
	}
	_, some := errors.AsType[*Skipped](err) // all but single messages
	return some, err
}

// Outcomes of compactions, in the log and in the metrics.
const (
	outcomeDone    = "done"
	outcomeNothing = "nothing" // there was nothing to do
	outcomeRaced   = "raced"   // another compacts the user
	outcomeGone    = "gone"    // the user is removed or moved
	outcomeStopped = "stopped" // by whoever asked for it
	outcomeFailed  = "failed"
)

var outcomes = map[string]bool{outcomeDone: true, outcomeNothing: true, outcomeRaced: true, outcomeGone: true, outcomeStopped: true, outcomeFailed: true}

// compact does what was decided and tells of it, in a line of the log and in the
// metrics. o says what d does not.
func (s *Schedule) compact(ctx context.Context, d *Decision, o CompactOptions) (outcome string, err error) {
	begun := time.Now()
	one, end := s.begin(ctx, d.User)
	defer end()
	o.Sources, o.Dest, o.Force, o.Name, o.Log = d.Sources, d.Dest, d.Force, s.o.Name(d.User), s.o.Lines
	res, err := s.q.Compact(one, d.User, o)
	switch {
	case err == nil && res.Nothing:
		outcome = outcomeNothing
	case err == nil:
		outcome = outcomeDone
	case errors.Is(err, tiers.ErrHeld), errors.Is(err, tiers.ErrLostRace):
		outcome = outcomeRaced
	case ctx.Err() != nil:
		outcome = outcomeStopped
	case errors.Is(err, mailstore.ErrNoUser), one.Err() != nil:
		outcome = outcomeGone
	default:
		outcome = outcomeFailed
	}
	took := time.Since(begun)
	s.did(ctx, deed{What: deedCompaction, Tier: d.Dest, Rule: d.Rule, Outcome: outcome, Seconds: took.Seconds(), Bytes: d.Bytes})
	s.q.o.Logger.Log(ctx, levelOf(outcome), "compaction", "user", s.o.Name(d.User), "outcome", outcome, "from", d.Sources, "to", d.Dest,
		"database", res.Dest.String(), "documents", res.Docs, "dropped", len(res.Gone), "bytes", d.Bytes, "seconds", took.Seconds(),
		"rule", string(d.Rule), "reason", d.Reason)
	return outcome, err
}

// levelOf is that of the line about a compaction; one with nothing to do was none.
func levelOf(outcome string) slog.Level {
	switch outcome {
	case outcomeFailed:
		return slog.LevelError
	case outcomeNothing:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// Save moves what lies in temp to meta, as far as it gets before ctx is done: for
// a stop after which temp may be gone. What is not saved is only slower until
// it is indexed again. It returns how many users were saved.
func (s *Schedule) Save(ctx context.Context) (int, error) {
	s.round.Lock()
	defer s.round.Unlock()
	state, err := s.see(ctx, false)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	errs := []error{err}
	saved := 0
	for _, d := range s.o.Policy.Stop(state) {
		did, err := s.do(ctx, &d, nil) // a stop does not wait
		if ctx.Err() != nil {
			return saved, errors.Join(append(errs, ctx.Err())...)
		}
		if errs = append(errs, err); did {
			saved++
		}
	}
	return saved, errors.Join(errs...)
}
