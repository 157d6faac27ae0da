package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"teraslot/squatter"
)

// schedule prints what the schedule would compact now, or does it.
func (j *job) schedule(ctx context.Context) error {
	s := j.newSchedule(ctx)
	if !j.f.apply {
		plan, err := s.Plan(ctx)
		return errors.Join(j.printPlan(plan), err)
	}
	if j.config.Compact.By == "daemon" {
		return fmt.Errorf("the daemon compacts this slot itself: set compact.by to \"timer\" to leave it to squatter --apply")
	}
	lock, err := j.config.LockSchedule()
	if err != nil {
		return err
	}
	done, err := s.Round(ctx)
	j.sayf("%d of %d compactions done, %d bytes", done.Compacted, done.Planned, done.Bytes)
	return errors.Join(err, lock.Close())
}

// newSchedule makes what compacts as the slot's configuration says, the daemon being
// asked whether searches are slow.
func (j *job) newSchedule(ctx context.Context) *squatter.Schedule {
	o := j.config.ScheduleOptions()
	o.Name, o.Leave = j.name, true
	o.Lines = func(line string) { j.sayf("%s", line) }
	if o.Slow = j.config.SearchesSlow(ctx); j.f.fullSpeed {
		o.Slow, o.Bandwidth = nil, 0
	}
	return j.squatter.NewSchedule(o)
}

func (j *job) printPlan(plan []squatter.Decision) error {
	if len(plan) == 0 {
		_, err := fmt.Fprintln(j.stdout, "nothing to do")
		return err
	}
	w := tabwriter.NewWriter(j.stdout, 0, 8, 2, ' ', 0)
	for _, d := range plan {
		fmt.Fprintf(w, "user.%s\t%s to %s\t%d bytes\t%s: %s\n", j.name(d.User), strings.Join(d.Sources, ","), d.Dest, d.Bytes, d.Rule, d.Reason)
	}
	return w.Flush()
}
