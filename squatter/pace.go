package squatter

import (
	"context"
	"time"

	"teraslot/mailbox"
)

// pace keeps one compaction within the bandwidth, and waits while searches are slow:
// within it, between pieces of what it writes, and after it, for the sources that it
// has read. It saves nothing up: after a pause it goes on as slowly as before.
type pace struct {
	s        *Schedule
	d        *Decision
	due      time.Time     // when what was written so far is within the bandwidth
	written  int64         // bytes
	patience time.Duration // how much longer slow searches are waited for; negative: as long as they are
	paused   bool          // at least once
}

// shortest is the shortest time that a pace waits: many short ones cost more than
// they are worth.
const shortest = 50 * time.Millisecond

// slowPoll is how often searches are looked at while a compaction waits for them.
const slowPoll = 5 * time.Second

func (s *Schedule) newPace(d *Decision) *pace {
	p := &pace{s: s, d: d, due: s.o.Now(), patience: -1}
	if d.Rule == RuleFull {
		p.patience = s.o.PatienceSlow
	}
	return p
}

// write waits until so many bytes more may be written (tiers.CompactOptions.Pace).
func (p *pace) write(ctx context.Context, bytes int) error {
	if err := p.calm(ctx); err != nil {
		return err
	}
	p.written += int64(bytes)
	return p.spend(ctx, int64(bytes), shortest)
}

// rest waits, after a compaction, for those bytes of its sources that were not
// written again.
func (p *pace) rest(ctx context.Context) error {
	return p.spend(ctx, max(0, p.d.Bytes-p.written), 0)
}

// spend waits until so many bytes are within the bandwidth, if that takes long enough.
func (p *pace) spend(ctx context.Context, bytes int64, least time.Duration) error {
	if p.s.o.Bandwidth <= 0 {
		return ctx.Err()
	}
	now := p.s.o.Now()
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(time.Duration(float64(bytes) / float64(p.s.o.Bandwidth) * float64(time.Second)))
	if wait := p.due.Sub(now); wait > least {
		return p.s.wait(ctx, wait)
	}
	return ctx.Err()
}

// calm waits while searches are slow, with a full temp no longer than its patience.
func (p *pace) calm(ctx context.Context) error {
	for p.s.o.Slow != nil && p.s.o.Slow() && p.patience != 0 {
		if !p.paused {
			p.paused = true
			p.s.did(ctx, deed{What: deedPause})
			p.s.q.o.Logger.Info("searches are slow; compacting waits", "user", p.s.o.Name(p.d.User))
		}
		if err := p.s.wait(ctx, slowPoll); err != nil {
			return err
		}
		if p.patience > 0 {
			p.patience = max(0, p.patience-slowPoll)
		}
	}
	return ctx.Err()
}

// underWay is the compaction that a Schedule does at the moment.
type underWay struct {
	user   mailbox.User
	cancel context.CancelFunc
}

// begin notes what is done, so that Leave can end it; the caller calls what it
// returns at the end.
func (s *Schedule) begin(ctx context.Context, u mailbox.User) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.current = underWay{u, cancel}
	s.mu.Unlock()
	return ctx, func() {
		cancel()
		s.mu.Lock()
		s.current = underWay{}
		s.mu.Unlock()
	}
}

// Leave ends a compaction of a user that is under way, without a trace of it: for
// who removes or moves the user, and would have to wait for a long one. It does not
// wait for the end.
func (s *Schedule) Leave(u mailbox.User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.user == u && s.current.cancel != nil {
		s.current.cancel()
	}
}
