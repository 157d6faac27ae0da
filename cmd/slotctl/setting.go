package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/slot"
)

const settingHelp = `AGE is never, now or a duration such as 30d; without it the mailbox has no setting
of its own: its mail is archived as the slot's configuration says, and kept.

With nothing but a user, or a mailbox of his, what is set is printed.`

func settingCommand(connect connector, file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "setting USER [MAILBOX [archive|expire [AGE]]]",
		Short: "Say after what age a mailbox's mail is archived or expunged",
		Long:  settingHelp,
		Args:  cobra.RangeArgs(1, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 3 {
				return withMail(cmd.Context(), *file, args[0], func(m *mailstore.Mail) error {
					return writeSettings(cmd.Context(), m, args[1:])
				})
			}
			q := slot.SettingRequest{User: args[0], Mailbox: args[1], Name: args[2]}
			if len(args) == 4 {
				q.Value = args[3]
			}
			return connect.do(cmd.Context(), func(s *slot.Client) error { return s.SetSetting(cmd.Context(), q) })
		},
	}
}

// writeSettings prints what is set for the mailbox that is named, or for all.
func writeSettings(ctx context.Context, m *mailstore.Mail, named []string) error {
	var boxes []mailbox.State
	var err error
	if len(named) > 0 {
		boxes = make([]mailbox.State, 1)
		boxes[0], err = m.MailboxNamed(ctx, named[0])
	} else {
		boxes, err = m.Mailboxes(ctx)
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, box := range boxes {
		set, err := m.Settings(ctx, box.ID)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(set)) {
			fmt.Fprintf(w, "%s\t%s\t%s\n", box.Name, name, set[name])
		}
	}
	return w.Flush()
}
