package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"teraslot/slot"
)

// jobCommands are the jobs that the daemon does at night, at once.
func jobCommands(connect connector) []*cobra.Command {
	return []*cobra.Command{
		jobCommand(connect, slot.JobArchive, "Move old and large mail to the archive partition", "move all mail"),
		jobCommand(connect, slot.JobExpire, "Expunge what its mailboxes do not keep, and forget what was expunged long ago", "forget all that was expunged: it cannot be brought back"),
		jobCommand(connect, slot.JobRepack, "Free the room of messages that are gone", "rewrite every pack that has any"),
		jobCommand(connect, slot.JobSnapshot, "Save each mail.db on the archive partition", ""),
		jobCommand(connect, slot.JobPurge, "Forget what was expunged, free its room and take it out of the index, at once", ""),
	}
}

func jobCommand(connect connector, job, short, all string) *cobra.Command {
	q := slot.JobRequest{Job: job}
	c := &cobra.Command{Use: job + " [USER]...", Short: short}
	if all != "" {
		c.Flags().BoolVar(&q.All, "all", false, all)
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		q.Users = args
		return connect.do(cmd.Context(), func(s *slot.Client) error {
			failed := false
			err := s.Job(cmd.Context(), q, func(r slot.JobResult) {
				switch {
				case r.Error != "":
					failed = true
					fmt.Fprintf(os.Stderr, "%s: %s\n", r.User, r.Error)
					if r.Did == "" {
						break
					}
					fallthrough
				case r.Did != "":
					fmt.Printf("%s: %s\n", r.User, r.Did)
				}
			})
			if err == nil && failed {
				err = errReported
			}
			return err
		})
	}
	return c
}
