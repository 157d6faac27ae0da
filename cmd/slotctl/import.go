package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"teraslot/cmd/internal/importer"
	"teraslot/cmd/internal/source"
	"teraslot/cmd/internal/terminal"
	"teraslot/slot"
)

const importHelp = `Import stores the mail at PATH for USER: an mbox, a Maildir with its folders,
flags and keywords, a directory of messages, or one message.

A message that cannot be imported is reported with its place and stops nothing;
the exit status is then 1. Interrupted, an import with --journal goes on where it
stopped when it is run again; without one, --skip-existing finds out by content.`

func importCommand(connect connector) *cobra.Command {
	var (
		from source.Options
		to   importer.Options
	)
	c := &cobra.Command{Use: "import USER PATH", Short: "Import an mbox, a Maildir or messages", Long: importHelp, Args: cobra.ExactArgs(2)}
	f := c.Flags()
	f.StringVar((*string)(&from.Format), "format", string(source.Auto), "auto, mbox, maildir or dir")
	f.BoolVar(&from.Mboxo, "mboxo", false, "the mbox quotes only lines that begin with \"From \"")
	f.BoolVar(&from.Folders, "folders", false, "subdirectories of a directory of messages become mailboxes")
	f.StringVar(&to.Mailbox, "mailbox", "", "`mailbox` to import into, and below; default INBOX")
	f.BoolVar(&to.SkipExisting, "skip-existing", false, "leave out messages that their mailbox has, by content")
	f.StringVar(&to.Journal, "journal", "", "`file` that keeps how far the import got")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		mail, err := source.Open(args[1], from)
		if err != nil {
			return err
		}
		to.User = args[0]
		return connect.do(cmd.Context(), func(s *slot.Client) error {
			return importMail(cmd, s, mail, to)
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
