package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"teraslot/mailbox"
)

// audit prints what of a user's mail the index misses, and what the index has
// that it should not. Messages that are missing, and damage, make it fail.
func (j *job) audit(ctx context.Context, t target) error {
	a, err := j.squatter.Audit(ctx, t.user)
	if err != nil {
		return err
	}
	bad := len(a.Damage)
	for _, d := range a.Damage {
		fmt.Fprintf(j.stdout, "Damaged database %s of user.%s: %v\n", d.Database, j.name(t.user), d.Err)
	}
	for _, m := range a.Missing {
		if t.mailboxes != nil && !slices.ContainsFunc(t.mailboxes, func(b mailbox.State) bool { return b.ID == m.Mailbox.ID }) {
			continue
		}
		bad += len(m.UIDs)
		fmt.Fprintf(j.stdout, "Unindexed message(s) in %s: ", j.mailboxLabel(t.user, m.Mailbox))
		for _, uid := range m.UIDs {
			fmt.Fprintf(j.stdout, "%d ", uid)
		}
		fmt.Fprintln(j.stdout)
	}
	j.sayf("user.%s: %d messages held, %d indexed, %d incompletely; %d expunged ones not indexed; "+
		"of the documents %d are dead and %d double", j.name(t.user), a.Held, a.Indexed, a.Incomplete, a.Expunged, a.Dead, a.Double)
	switch {
	case len(a.Damage) > 0:
		return fmt.Errorf("the index is not whole (run squatter -A --repair -u %s)", j.name(t.user))
	case bad > 0:
		return fmt.Errorf("the index is not whole (run squatter -i -u %s)", j.name(t.user))
	}
	return nil
}

// repair audits, mends, and audits again.
func (j *job) repair(ctx context.Context, t target) error {
	r, err := j.squatter.Repair(ctx, t.user, func(line string) { j.sayf("%s", line) })
	if r != nil && (r.Indexed > 0 || len(r.Rewritten) > 0) {
		fmt.Fprintf(j.stdout, "Repaired the index of user.%s: %d messages indexed, rewritten: %s\n", j.name(t.user), r.Indexed,
			cmp.Or(strings.Join(r.Rewritten, ","), "none"))
	}
	if err != nil {
		return err
	}
	return j.audit(ctx, t)
}
