package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"teraslot/account"
	"teraslot/cmd/internal/terminal"
	"teraslot/slot"
)

func userCommand(connect, create connector) *cobra.Command {
	c := &cobra.Command{Use: "user", Aliases: []string{"users"}, Short: "Add, change, list and remove users"}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return fmt.Errorf("what shall be done with users? See slotctl user --help; %q is not among it", args)
	}
	c.AddCommand(userAdd(create), userPasswd(connect), userList(connect), userDel(connect), userRename(connect), userMove(connect), userQuota(connect))
	return c
}

func userAdd(connect connector) *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a user; the password is asked for, or read from a pipe",
		Args:  cobra.ExactArgs(1),
	}
	quota := quotaFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		q, given, err := quota()
		if err != nil {
			return err
		}
		password, err := terminal.Password(os.Stdin, os.Stderr)
		if err != nil {
			return err
		}
		u := slot.AddUser{Name: args[0], Password: password}
		if given {
			u.Quota = &q
		}
		return connect.do(cmd.Context(), func(s *slot.Client) error { return s.AddUser(cmd.Context(), u) })
	}
	return c
}

// quotaFlags adds the flags of a quota and returns how to read them.
func quotaFlags(c *cobra.Command) func() (q account.Quota, given bool, err error) {
	size := c.Flags().String("bytes", "", "most `bytes` of mail, such as 2GB; 0 is no limit")
	messages := c.Flags().Int64("messages", 0, "most messages; 0 is no limit")
	return func() (q account.Quota, given bool, err error) {
		given = c.Flags().Changed("bytes") || c.Flags().Changed("messages")
		if *size != "" {
			b, err := slot.ParseBytes(*size)
			if err != nil {
				return q, given, fmt.Errorf("--bytes: %w", err)
			}
			q.Bytes = int64(b)
		}
		if q.Messages = *messages; q.Messages < 0 {
			return q, given, fmt.Errorf("--messages: %d is less than nothing", q.Messages)
		}
		return q, given, nil
	}
}

func userPasswd(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "passwd NAME",
		Short: "Give a user a new password; it is asked for, or read from a pipe",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := terminal.Password(os.Stdin, os.Stderr)
			if err != nil {
				return err
			}
			return connect.do(cmd.Context(), func(s *slot.Client) error {
				return s.Change(cmd.Context(), "passwd", slot.ChangeUser{Name: args[0], Password: password})
			})
		},
	}
}

func userDel(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "del NAME",
		Short: "Remove a user with all mail, for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return connect.do(cmd.Context(), func(s *slot.Client) error {
				return s.Change(cmd.Context(), "del", slot.ChangeUser{Name: args[0]})
			})
		},
	}
}

func userRename(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "rename NAME NEWNAME",
		Short: "Give a user another login name",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return connect.do(cmd.Context(), func(s *slot.Client) error {
				return s.Change(cmd.Context(), "rename", slot.ChangeUser{Name: args[0], To: args[1]})
			})
		},
	}
}

func userMove(connect connector) *cobra.Command {
	var m slot.MoveUser
	c := &cobra.Command{
		Use:   "move NAME PARTITION",
		Short: "Move a user's mail and index to another partition of the slot",
		Long: `Moves a user's messages and index to the roots of [partitions.PARTITION] in the
configuration, or back to the slot's own: default. Mail is taken and read and
searched meanwhile; for the moment of the change the user's sessions end, and who
connects waits. Interrupted, it is undone or finished when the slot is next opened.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			m.Name, m.To = args[0], args[1]
			return connect.do(cmd.Context(), func(s *slot.Client) error { return s.Move(cmd.Context(), m) })
		},
	}
	c.Flags().BoolVar(&m.MailOnly, "mail", false, "move the mail, and leave the index where it is")
	c.Flags().BoolVar(&m.IndexOnly, "search", false, "move the index, and leave the mail where it is")
	c.MarkFlagsMutuallyExclusive("mail", "search")
	return c
}

func userQuota(connect connector) *cobra.Command {
	c := &cobra.Command{
		Use:   "quota NAME --bytes SIZE --messages N",
		Short: "Give a user another quota; what is not given is unlimited",
		Args:  cobra.ExactArgs(1),
	}
	quota := quotaFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		q, given, err := quota()
		if err != nil {
			return err
		}
		if !given {
			return fmt.Errorf("give --bytes or --messages")
		}
		return connect.do(cmd.Context(), func(s *slot.Client) error {
			return s.Change(cmd.Context(), "quota", slot.ChangeUser{Name: args[0], Quota: q})
		})
	}
	return c
}

func userList(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all users with what they use",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return connect.do(cmd.Context(), func(s *slot.Client) error {
				users, err := s.Users(cmd.Context())
				if err != nil {
					return err
				}
				return writeUsers(os.Stdout, users)
			})
		},
	}
}

func writeUsers(out io.Writer, users []slot.User) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tMESSAGES\tBYTES\tQUOTA\tSTATE")
	for _, u := range users {
		state := "active"
		switch {
		case u.Trouble != "":
			state = u.Trouble
		case u.Disabled:
			state = "disabled"
		case u.Partition != "":
			state = "active on " + u.Partition
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", u.Name, u.ID, u.Usage.Messages, u.Usage.Bytes, quotaText(u.Quota), state)
	}
	return w.Flush()
}

func quotaText(q account.Quota) string {
	switch {
	case q == account.Quota{}:
		return "-"
	case q.Messages == 0:
		return slot.Bytes(q.Bytes).String()
	case q.Bytes == 0:
		return fmt.Sprintf("%d messages", q.Messages)
	}
	return fmt.Sprintf("%s, %d messages", slot.Bytes(q.Bytes), q.Messages)
}
