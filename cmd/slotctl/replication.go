package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"teraslot/replication"
	"teraslot/slot"
)

// replicationCommand is about the other slots of the store. All but identities ask the
// daemon of the master.
func replicationCommand(connect connector) *cobra.Command {
	c := &cobra.Command{Use: "replication", Short: "Look after the replicas of the slot"}
	c.AddCommand(replicationStatusCommand(connect), identitiesCommand(),
		replicateCommand(connect, "sync", "Bring a user, or all, to the replicas at once", false),
		replicateCommand(connect, "verify", "Compare all records of a user, or all, on both sides, and mend what differs", false),
		replicateCommand(connect, "heal", "Repair what is damaged of a user, or of all, on either side from the other", false),
		replicateCommand(connect, "skip", "Leave a user out until retry", true),
		replicateCommand(connect, "retry", "Try a user, or all, again who are held up or left out", false))
	return c
}

func replicationStatusCommand(connect connector) *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Tell how far the replicas are behind, and who is held up", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return connect.do(cmd.Context(), func(s *slot.Client) error {
				status, err := s.ReplicationStatus(cmd.Context())
				if err == nil {
					writeReplication(os.Stdout, &status, time.Now())
				}
				return err
			})
		}}
}

func writeReplication(w io.Writer, s *slot.ReplicationStatus, now time.Time) {
	if s.Store == "" {
		fmt.Fprintln(w, "no replication is configured")
		return
	}
	fmt.Fprintf(w, "store %s, %s, slot %s\n", s.Store, s.Role, s.Slot)
	for _, r := range s.Replicas {
		fmt.Fprintf(w, "%s: lag %.1f s, %d records of %d users; %d syncs, %d messages sent; lag of late syncs %.3f s median, %.3f s 99th percentile\n",
			r.Replica, r.Lag.Seconds(), r.Notes, r.Users, r.Syncs, r.Total.Messages, r.LagMedian.Seconds(), r.LagP99.Seconds())
		last := "none since the start"
		if !r.Last.IsZero() {
			last = now.Sub(r.Last).Round(time.Second).String() + " ago"
		}
		fmt.Fprintf(w, "%s: last sync %s; %d users left out, %d failures; %d differences found, %d things healed, %d users merged\n",
			r.Replica, last, r.LeftOut, r.Failures, r.Differences, r.Healed, r.Total.Merged.Users)
		if r.Uncompared {
			fmt.Fprintf(w, "%s: not all users were compared since the last stop, which was not clean: there may be more changes\n", r.Replica)
		}
		if r.Line != "" {
			fmt.Fprintf(w, "%s: cannot be reached: %s\n", r.Replica, r.Line)
		}
		for _, h := range r.HeldUp {
			name := s.Names[h.User]
			if name == "" {
				name = string(h.User)
			}
			switch {
			case h.Skipped:
				fmt.Fprintf(w, "%s: %s is left out, behind for %s: %s\n", r.Replica, name, now.Sub(h.Since).Round(time.Second), h.Err)
			default:
				fmt.Fprintf(w, "%s: %s is held up for %s, %d tries, the next in %s: %s\n", r.Replica, name, now.Sub(h.Since).Round(time.Second),
					h.Tries, max(h.Next.Sub(now), 0).Round(time.Second), h.Err)
			}
		}
	}
}

func replicateCommand(connect connector, what, short string, one bool) *cobra.Command {
	q := slot.ReplicationRequest{}
	c := &cobra.Command{Use: what + " [USER]", Short: short, Args: cobra.MaximumNArgs(1)}
	if one {
		c.Use, c.Args = what+" USER", cobra.ExactArgs(1)
	}
	if what == "sync" {
		c.Use, c.Args = "sync [USER [MAILBOX]]", cobra.MaximumNArgs(2)
		c.Long = "With a mailbox, all its records are compared as well, what differs is mended, and the status is 1 if anything did."
	}
	c.Flags().StringVar(&q.Replica, "replica", "", "this one `NAME` only")
	if what == "verify" {
		c.Flags().BoolVar(&q.Messages, "messages", false, "read all messages on both sides, too")
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			q.User = args[0]
		}
		if len(args) > 1 {
			q.Mailbox = args[1]
		}
		return connect.do(cmd.Context(), func(s *slot.Client) error {
			failed := false
			err := s.Replicate(cmd.Context(), what, q, func(r slot.ReplicationResult) {
				switch {
				case r.Error != "":
					fmt.Fprintf(os.Stderr, "%s: %s: %s\n", r.Replica, r.User, r.Error)
				case r.Found != "":
					fmt.Printf("%s: %s: %s\n", r.Replica, r.User, r.Found)
				}
				failed = failed || r.Error != "" || r.Found != "" && what != "heal"
			})
			if err == nil && failed {
				err = errReported
			}
			return err
		})
	}
	return c
}

func identitiesCommand() *cobra.Command {
	return &cobra.Command{Use: "identities DIRECTORY SLOT...", Args: cobra.MinimumNArgs(2),
		Short: "Make certificates by which the slots of a store know each other",
		Long: `identities makes an authority and, signed by it, a certificate and a key for each slot
of a store. Each slot needs its own two files and authority.crt. The authority's key is not
kept: for a slot that comes later, make new ones for all.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o700); err != nil {
				return err
			}
			return replication.WriteIdentities(args[0], time.Now(), args[1:]...)
		}}
}
