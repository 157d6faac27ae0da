package main

import (
	"context"
	"errors"

	"teraslot/mailbox"
	"teraslot/squatter"
	"teraslot/tiers"
)

// tries is how often a compaction is begun that loses the race.
const tries = 3

// compact merges databases of a user's index.
func (j *job) compact(ctx context.Context, u mailbox.User) error {
	again := j.f.again
	if j.f.reindex {
		again = j.f.sources
	}
	var err error
	for range tries {
		_, err = j.squatter.Compact(ctx, u, squatter.CompactOptions{
			Sources: j.f.sources, Dest: j.f.dest, Force: j.f.filter, Reindex: again,
			Name: j.name(u), Log: func(line string) { j.sayf("%s", line) },
		})
		if !errors.Is(err, tiers.ErrLostRace) {
			return err
		}
	}
	return err
}
