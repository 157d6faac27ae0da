package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"teraslot/cmd/internal/imapsource"
	"teraslot/cmd/internal/importer"
	"teraslot/cmd/internal/source"
	"teraslot/cmd/internal/terminal"
	"teraslot/cmd/internal/transfer"
	"teraslot/slot"
)

const importHelp = `Import stores the mail at PATH for USER: an mbox, a Maildir with its folders,
flags and keywords, a directory of messages, or one message.

A message that cannot be imported is reported with its place and stops nothing;
the exit status is then 1. Interrupted, an import with --journal goes on where it
stopped when it is run again; without one, --skip-existing finds out by content.

From imaps://LOGIN@HOST/ (or imap://, with STARTTLS), and from a Maildir that
Dovecot has served, UIDs, flags, keywords, dates, subscriptions and (over IMAP)
special uses are kept, so that clients go on with what they have: run it once while
the old server is in use, as often as you like after that, and once more when the
old server takes no more mail. Each run carries over only what is new; what was
deleted here stays deleted. Flags, uses and subscriptions are those of the old
server until then. What cannot be kept is told.`

// importFlags are those of slotctl import.
type importFlags struct {
	from         source.Options
	to           importer.Options
	server       imapsource.Options
	transfer     transfer.Options
	passwordFile string
	newUIDs      bool
}

func importCommand(connect connector) *cobra.Command {
	var o importFlags
	c := &cobra.Command{Use: "import USER PATH", Short: "Import an mbox, a Maildir, messages, or from an IMAP server", Long: importHelp, Args: cobra.ExactArgs(2)}
	f := c.Flags()
	f.StringVar((*string)(&o.from.Format), "format", string(source.Auto), "auto, mbox, maildir or dir")
	f.BoolVar(&o.from.Mboxo, "mboxo", false, "the mbox quotes only lines that begin with \"From \"")
	f.BoolVar(&o.from.Folders, "folders", false, "subdirectories of a directory of messages become mailboxes")
	f.StringVar(&o.to.Mailbox, "mailbox", "", "`mailbox` to import into, and below; default INBOX")
	f.BoolVar(&o.to.SkipExisting, "skip-existing", false, "leave out messages that their mailbox has, by content")
	f.StringVar(&o.to.Journal, "journal", "", "`file` that keeps how far the import got")
	o.transferFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o.to.User, o.transfer.User = args[0], args[0]
		o.transfer.Mailbox = o.to.Mailbox
		from, err := o.uidSource(args[1])
		if err != nil {
			return err
		}
		if from != nil {
			return connect.do(cmd.Context(), func(s *slot.Client) error { return transferMail(cmd.Context(), s, from, o.transfer) })
		}
		if o.transfer.DryRun || o.transfer.Expunge || len(o.transfer.Exclude) > 0 {
			return errors.New("--dry-run, --expunge and --exclude are for sources whose UIDs are kept")
		}
		mail, err := source.Open(args[1], o.from)
		if err != nil {
			return err
		}
		return connect.do(cmd.Context(), func(s *slot.Client) error {
			return importMail(cmd, s, mail, o.to)
		})
	}
	return c
}

func importMail(cmd *cobra.Command, s *slot.Client, mail *source.Source, to importer.Options) error {
	line := terminal.NewProgress(os.Stderr)
	begun := time.Now()
	to.Report = func(place string, err error) {
		line.Clear()
		fmt.Fprintf(os.Stderr, "%s: %v\n", place, err)
	}
	to.Progress = func(r importer.Result) {
		line.Show(time.Now(), func() string { return progressText(r, mail.Size(), time.Since(begun)) })
	}
	result, err := importer.Run(cmd.Context(), s, mail.Items(cmd.Context()), to)
	line.Clear()
	elapsed := time.Since(begun)
	fmt.Printf("%d messages stored, %d skipped, %d failed; %d bytes in %.1f s (%.0f messages/s)\n", result.Stored, result.Skipped,
		result.Failed, result.Bytes, elapsed.Seconds(), float64(result.Stored)/max(elapsed.Seconds(), 0.001))
	if err != nil {
		if to.Journal == "" && result.Messages() > 0 {
			err = fmt.Errorf("%w (what was stored stays: go on with --skip-existing)", err)
		}
		return err
	}
	if result.Failed > 0 {
		return errReported
	}
	return nil
}

func progressText(r importer.Result, size int64, elapsed time.Duration) string {
	return fmt.Sprintf("%d messages, %d %%, %.0f messages/s", r.Messages(), 100*r.Read/max(size, 1), float64(r.Messages())/max(elapsed.Seconds(), 0.001))
}
