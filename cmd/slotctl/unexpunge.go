package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"teraslot/mailbox"
	"teraslot/slot"
)

const unexpungeHelp = `Without --uid, --since or --deleted it lists the messages of MAILBOX that were
expunged and can be brought back, or, without MAILBOX, the deleted mailboxes.

Messages come back with their flags and under new UIDs, because clients were told
that the old ones are gone. A deleted mailbox comes back as it was.`

func unexpungeCommand(connect connector) *cobra.Command {
	var (
		q     slot.ExpungedRequest
		since time.Duration
		id    string
	)
	c := &cobra.Command{Use: "unexpunge USER [MAILBOX]", Short: "Bring back expunged messages and deleted mailboxes", Long: unexpungeHelp, Args: cobra.RangeArgs(1, 2)}
	f := c.Flags()
	f.StringVar(&q.UIDs, "uid", "", "bring back the messages with these `UIDs`, such as 4,7:9")
	f.DurationVar(&since, "since", 0, "bring back what was expunged in this `time`, such as 2h")
	f.StringVar(&id, "deleted", "", "bring back the deleted mailbox with this `id`")
	f.StringVar(&q.To, "to", "", "with --deleted: under this `name`")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		q.User = args[0]
		if len(args) == 2 {
			q.Mailbox = args[1]
		}
		if (q.Mailbox == "") != (q.UIDs == "" && since == 0) && q.Mailbox == "" || q.Mailbox != "" && id != "" {
			return fmt.Errorf("--uid and --since are about messages of a MAILBOX, --deleted about a mailbox")
		}
		if since > 0 {
			q.Since = time.Now().Add(-since)
		}
		q.ID, q.Restore = mailbox.ID(id), q.UIDs != "" || since > 0 || id != ""
		return connect.do(cmd.Context(), func(s *slot.Client) error {
			list, err := s.Expunged(cmd.Context(), q)
			if err != nil {
				return err
			}
			if q.UIDs != "" && len(list) == 0 {
				return fmt.Errorf("%s: no message of UIDs %s can be brought back", q.Mailbox, q.UIDs)
			}
			return writeExpunged(list, q.Restore)
		})
	}
	return c
}

func writeExpunged(list []slot.Expunged, back bool) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, x := range list {
		at := x.At.Local().Format("2006-01-02 15:04:05")
		switch {
		case x.UID == 0 && back:
			fmt.Fprintf(w, "%s is back with %d messages\n", x.Mailbox, x.Messages)
		case x.UID == 0:
			fmt.Fprintf(w, "%s\t%s\t%d messages\t%d bytes\tdeleted %s\n", x.ID, x.Mailbox, x.Messages, x.Size, at)
		case back && x.New == 0:
			fmt.Fprintf(w, "UID %d is there again already\n", x.UID)
		case back:
			fmt.Fprintf(w, "UID %d is back as UID %d\n", x.UID, x.New)
		default:
			fmt.Fprintf(w, "UID %d\t%d bytes\texpunged %s\n", x.UID, x.Size, at)
		}
	}
	return w.Flush()
}
