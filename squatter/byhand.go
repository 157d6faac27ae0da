package squatter

import (
	"context"
	"errors"
	"fmt"

	"teraslot/mailbox"
	"teraslot/tiers"
)

// tries is how often a compaction by hand is begun that loses the race.
const tries = 3

// ByHand compacts what somebody asks for, beside the schedule or without one, but as
// that does it: within the bandwidth, which it keeps to before it returns, waiting for
// as long as searches are slow, and with the same line in the log. What stands in o for
// Pace, Name and Log is left out of account. It returns tiers.ErrHeld if another
// compacts the user.
func (s *Schedule) ByHand(ctx context.Context, u mailbox.User, o CompactOptions) error {
	for try := 1; ; try++ {
		err := s.byHand(ctx, u, o)
		if try == tries || !errors.Is(err, tiers.ErrLostRace) {
			return err
		}
	}
}

func (s *Schedule) byHand(ctx context.Context, u mailbox.User, o CompactOptions) error {
	meant, err := s.q.meant(ctx, u, o.Sources)
	if err != nil {
		return fmt.Errorf("looking at the databases of user %s: %w", u, err)
	}
	d := &Decision{User: u, Sources: o.Sources, Dest: o.Dest, Force: o.Force, Rule: RuleHand, Reason: "by hand"}
	for _, st := range meant {
		d.Bytes += st.Bytes
	}
	pace := s.newPace(d)
	if err := pace.calm(ctx); err != nil {
		return err
	}
	o.Pace = pace.write
	outcome, err := s.compact(ctx, d, o)
	if outcome != outcomeDone {
		return err
	}
	return pace.rest(ctx)
}
