package main

import (
	"context"
	"errors"
	"fmt"

	"teraslot/mailbox"
	"teraslot/squatter"
)

// checkTiers refuses tiers that the slot does not have, before anything is done.
func (j *job) checkTiers() error {
	if j.f.dest == "" {
		return nil
	}
	err := errors.Join(j.tiers.CheckTier(j.f.dest), j.tiers.CheckSources(j.f.sources...), j.tiers.CheckSources(j.f.again...))
	if err != nil {
		return fmt.Errorf("%w: INVALID: %w", errUsage, err)
	}
	return nil
}

// compact merges databases of a user's index, at the pace that the slot's configuration
// sets or at full speed.
func (j *job) compact(ctx context.Context, u mailbox.User) error {
	again := j.f.again
	if j.f.reindex {
		again = j.f.sources
	}
	return j.byHand.ByHand(ctx, u, squatter.CompactOptions{
		Sources: j.f.sources, Dest: j.f.dest, Force: j.f.filter, Reindex: again, KeepGone: j.f.copying, Yield: true,
	})
}
