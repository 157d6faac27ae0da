package main

import (
	"context"
	"fmt"
	"time"

	"teraslot/mailbox"
	"teraslot/squatter"
)

const statsLine = "%-24s %-10s %9v %8v %9v %12v %12v %12v %12v %12v %6v %6v  %-16v %s\n"

func (j *job) statsHead() {
	fmt.Fprintf(j.stdout, statsLine, "USER", "TIER", "DATABASES", "SEGMENTS", "MESSAGES", "BYTES", "TERMS", "LISTS", "TEXT", "ROOM",
		"MAIL%", "DEAD%", "OLDEST", "STATE")
}

// stats prints what a user has in each tier, and what could not be indexed.
func (j *job) stats(ctx context.Context, u mailbox.User) error {
	st, err := j.squatter.Stats(ctx, u)
	if err != nil {
		return err
	}
	for _, t := range st.Tiers {
		fmt.Fprintf(j.stdout, statsLine, "user."+j.name(u), t.Tier, t.Databases, t.Segments, t.Documents, t.Bytes, t.Terms, t.Lists, t.Text, t.Room,
			percent(t.Bytes, st.Mail), percent(int64(t.Dead), int64(t.Documents)), when(t.Oldest), t.State)
	}
	if len(st.Tiers) == 0 {
		fmt.Fprintf(j.stdout, statsLine, "user."+j.name(u), "-", 0, 0, 0, 0, 0, 0, 0, 0, "-", "-", "-", "")
	}
	for _, f := range st.Failures {
		fmt.Fprintf(j.stdout, "user.%s: message %s %s after %d tries: %v\n", j.name(u), f.GUID, fate(f), f.Tries, f.Err)
	}
	return nil
}

func fate(f squatter.Failure) string {
	if f.Quarantined() {
		return "is quarantined"
	}
	return "is tried again at " + f.Next.Format("2006-01-02 15:04:05")
}

// percent is part of whole; a dash where there is no whole.
func percent(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", 100*float64(part)/float64(whole))
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04")
}
