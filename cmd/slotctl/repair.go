package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"teraslot/slot"
)

const reconstructHelp = `Makes the mail.db of users anew, where it was lost or cannot be read: from the
copy that the night saves on the archive partition, and from the messages in the
packs that the copy does not know. They are back under their UIDs, without flags.

Without a copy, all messages, also those that were deleted, go to mailboxes below
Recovered, and every mailbox gets a new UIDVALIDITY: clients fetch all mail anew.

What was there is set aside beside it and not removed. A mail.db that is whole stays
in its place, with status 1: slotctl verify --repair mends what is wrong otherwise,
and --force has it replaced nevertheless.`

func reconstructCommand(connect connector) *cobra.Command {
	var q slot.RepairRequest
	c := &cobra.Command{
		Use:   "reconstruct USER...",
		Short: "Make users' mail.db anew from its copy and the packs",
		Long:  reconstructHelp,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return connect.do(cmd.Context(), func(s *slot.Client) error {
				q.Users, q.Reconstruct = args, true
				return repair(cmd.Context(), s, q)
			})
		},
	}
	c.Flags().BoolVar(&q.Force, "force", false, "replace a mail.db that is whole, too")
	return c
}

// repair has users repaired or reconstructed and prints what is done.
func repair(ctx context.Context, s *slot.Client, q slot.RepairRequest) error {
	failed := false
	err := s.Repair(ctx, q, func(r slot.JobResult) {
		if r.Error != "" {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %s\n", r.User, r.Error)
			return
		}
		fmt.Printf("%s: %s\n", r.User, r.Did)
	})
	if err == nil && failed {
		err = errReported
	}
	return err
}

// verifyAndRepair verifies, repairs those of whom something is wrong, and verifies them
// again. Who cannot be verified keeps nobody else from being repaired.
func verifyAndRepair(ctx context.Context, s *slot.Client, users []string, q slot.RepairRequest) error {
	var wrong []string
	seen := map[string]bool{}
	err := s.Verify(ctx, users, func(f slot.Finding) {
		fmt.Printf("%s: %s: %s\n", f.User, f.Where, f.What)
		if !seen[f.User] {
			seen[f.User] = true
			wrong = append(wrong, f.User)
		}
	})
	if err != nil && seen[slot.AccountsName] && !slices.Contains(users, slot.AccountsName) {
		// Nobody's mail can be looked at before.
		q.Users = []string{slot.AccountsName}
		if err := repair(ctx, s, q); err != nil {
			return err
		}
		return verifyAndRepair(ctx, s, append(users, slot.AccountsName), q)
	}
	if len(wrong) == 0 {
		return err
	}
	q.Users = wrong
	failed := repair(ctx, s, q)
	left := 0
	again := s.Verify(ctx, wrong, func(f slot.Finding) {
		left++
		fmt.Printf("%s: %s: still: %s\n", f.User, f.Where, f.What)
	})
	switch {
	case again != nil:
		return again
	case err != nil:
		return err
	case left > 0:
		return fmt.Errorf("%d findings are left", left)
	}
	return failed
}
