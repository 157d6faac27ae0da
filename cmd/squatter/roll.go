package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"teraslot/disk"
	"teraslot/slot"
	"teraslot/synclog"
)

// roll indexes mail as it comes until it is told to stop. Nobody notifies this
// process: it watches the users' files.
func (j *job) roll(ctx context.Context) (err error) {
	if !synclog.ValidChannel(j.f.channel) || j.f.channel == slot.SquatterChannel {
		return fmt.Errorf("%w: -n %s: not a channel for -R", errUsage, j.f.channel)
	}
	if err := j.alone(); err != nil {
		return err
	}
	mine, err := synclog.Open(synclog.Options{Dir: j.config.SyncDir(j.f.channel), Logger: j.log,
		FS: j.config.Hooks.FS, Step: j.config.Hooks.Of("synclog")})
	if errors.Is(err, synclog.ErrHeld) {
		return fmt.Errorf("another squatter -R is running: %w", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mine.Close()) }()
	j.sayf("rolling; stop with an interrupt")
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return j.squatter.Run(ctx) })
	group.Go(func() error { return j.tiers.Run(ctx) })
	group.Go(func() error {
		return j.squatter.Poll(ctx, j.config.Conf, max(time.Duration(j.config.Squatter.Delay), time.Second))
	})
	return group.Wait()
}

// alone refuses to roll beside a daemon that does so itself: its channel is in
// use, and its configuration leaves the work to it.
func (j *job) alone() error {
	if j.config.Squatter.Off {
		return nil
	}
	lock, err := disk.OS().TryLock(filepath.Join(j.config.SyncDir(slot.SquatterChannel), "lock"), disk.Exclusive)
	if errors.Is(err, disk.ErrLocked) {
		return fmt.Errorf("the daemon indexes already: set squatter.off to leave it to squatter -R")
	}
	if err != nil {
		return nil // no channel yet: no daemon has ever run
	}
	return lock.Close()
}
