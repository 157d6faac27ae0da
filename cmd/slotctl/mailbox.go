package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"teraslot/slot"
)

func mailboxCommand(connect connector) *cobra.Command {
	c := &cobra.Command{Use: "mailbox", Short: "Give mailboxes to other users"}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return fmt.Errorf("what shall be done with mailboxes? See slotctl mailbox --help; %q is not among it", args)
	}
	c.AddCommand(mailboxMove(connect))
	return c
}

func mailboxMove(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "move USER MAILBOX NEWUSER [NAME]",
		Short: "Give a mailbox to another user",
		Long: `Gives USER's MAILBOX to NEWUSER, there as NAME or under the same name: with its
messages, their UIDs, flags and dates, those that were expunged and can be brought back, and
its settings. Clients keep what they know of it, unless NAME stood for another mailbox there
with the same UIDVALIDITY. Nobody finds it with both users. Mailboxes below it stay. It must
fit NEWUSER's quota. Interrupted, it is undone or finished when the slot is next opened.`,
		Args: cobra.RangeArgs(3, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			g := slot.GiveMailbox{User: args[0], Mailbox: args[1], To: args[2]}
			if len(args) == 4 {
				g.Name = args[3]
			}
			return connect.do(cmd.Context(), func(s *slot.Client) error { return s.GiveMailbox(cmd.Context(), g) })
		},
	}
}
