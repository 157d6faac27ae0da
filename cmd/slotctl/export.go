package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"teraslot/cmd/internal/exporter"
	"teraslot/cmd/internal/terminal"
	"teraslot/mailstore"
)

const exportHelp = `Export writes the mail of USER to DIR: a Maildir++ tree as Dovecot has it, with
UIDs, flags, keywords and subscriptions, or one mbox for each mailbox (mboxrd).

It only reads the slot, whether its daemon runs or not. DIR is made; otherwise it
must be empty, or hold an earlier export of the user in the same format. That is
brought up to date: what is finished is kept, so an export that was interrupted
goes on where it stopped when it is run again.

A message that is damaged is reported with its place and stops nothing; the exit
status is then 1.`

func exportCommand(config *string) *cobra.Command {
	var o exporter.Options
	c := &cobra.Command{Use: "export USER DIR", Short: "Export a user's mail to a Maildir or mboxes", Long: exportHelp, Args: cobra.ExactArgs(2)}
	f := c.Flags()
	f.StringVar((*string)(&o.Format), "format", string(exporter.Maildir), "maildir or mbox")
	f.StringArrayVar(&o.Mailboxes, "mailbox", nil, "`mailbox` to export, and no other; may be given more than once")
	f.BoolVar(&o.Flags, "flags", false, "add Status, X-Status and X-Keywords to the messages of an mbox")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if o.Flags && o.Format != exporter.Mbox {
			return errors.New("--flags is for mboxes: a Maildir has flags in the names of its files")
		}
		return withMail(cmd.Context(), *config, args[0], func(mail *mailstore.Mail) error {
			return exportMail(cmd.Context(), mail, args[1], o)
		})
	}
	return c
}

func exportMail(ctx context.Context, mail *mailstore.Mail, dir string, o exporter.Options) error {
	line := terminal.NewProgress(os.Stderr)
	begun := time.Now()
	o.Report = func(place string, err error) {
		line.Clear()
		fmt.Fprintf(os.Stderr, "%s: %v\n", place, err)
	}
	o.Notice = func(text string) {
		line.Clear()
		fmt.Fprintln(os.Stderr, text)
	}
	o.Progress = func(r exporter.Result) {
		line.Show(time.Now(), func() string {
			return fmt.Sprintf("%d messages, %d %%", r.Written+r.Kept, 100*r.Read/max(r.Total, 1))
		})
	}
	r, err := exporter.Run(ctx, mail, dir, o)
	line.Clear()
	elapsed := time.Since(begun).Seconds()
	fmt.Printf("%d mailboxes: %d messages written, %d kept, %d removed, %d failed; %d bytes in %.1f s\n",
		r.Mailboxes, r.Written, r.Kept, r.Removed, r.Failed, r.Read, elapsed)
	if err != nil {
		return err
	}
	if r.Failed > 0 || r.Lost > 0 {
		return errReported
	}
	return nil
}
