package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"teraslot/cmd/internal/imapsource"
	"teraslot/cmd/internal/source"
	"teraslot/cmd/internal/terminal"
	"teraslot/cmd/internal/transfer"
	"teraslot/slot"
)

// transferFlags adds the flags for sources whose UIDs can be kept.
func (o *importFlags) transferFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.passwordFile, "password-file", "", "`file` with the password for the IMAP server; default: asked for, or read from a pipe")
	f.StringVar(&o.server.Login, "login", "", "`name` of an administrator who logs in to the IMAP server in the user's name")
	f.StringVar(&o.server.CA, "ca", "", "`file` of certificates to verify the IMAP server by")
	f.BoolVar(&o.server.Insecure, "insecure", false, "take any certificate of the IMAP server")
	f.BoolVar(&o.server.Plaintext, "plaintext", false, "log in to imap:// without TLS: anybody on the way can read the password")
	f.IntVar(&o.transfer.Connections, "connections", 4, "how many mailboxes are read at once")
	f.StringArrayVar(&o.transfer.Exclude, "exclude", nil, "`mailbox` to leave out, with those below it; may be given more than once")
	f.BoolVar(&o.transfer.Expunge, "expunge", false, "expunge here what was expunged there since the last run")
	f.BoolVar(&o.transfer.DryRun, "dry-run", false, "say what would be done, and change nothing")
	f.BoolVar(&o.newUIDs, "new-uids", false, "give new UIDs to the messages of a Maildir that has some")
}

// uidSource returns where mail with UIDs comes from; nil if PATH is no such source.
func (o *importFlags) uidSource(path string) (transfer.Source, error) {
	if strings.HasPrefix(path, "imap://") || strings.HasPrefix(path, "imaps://") {
		// What is wrong with the URL comes before the question for a password.
		if _, err := imapsource.Open(path, o.server); err != nil {
			return nil, err
		}
		var err error
		if o.server.Password, err = o.password(); err != nil {
			return nil, err
		}
		return imapsource.Open(path, o.server)
	}
	if o.newUIDs || o.to.Journal != "" || o.to.SkipExisting {
		return nil, nil
	}
	mail, err := source.Open(path, o.from)
	if err != nil {
		return nil, err
	}
	from, found, err := mail.UIDs()
	if err != nil || !found {
		return nil, err
	}
	return from, nil
}

// password reads the password for the other server.
func (o *importFlags) password() (string, error) {
	if o.passwordFile == "" {
		return terminal.Password(os.Stdin, os.Stderr)
	}
	b, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return "", fmt.Errorf("%s: there is no password in its first line", o.passwordFile)
	}
	return string(line), nil
}

// transferMail carries mail over and says what was done.
func transferMail(ctx context.Context, s *slot.Client, from transfer.Source, o transfer.Options) error {
	t := &teller{line: terminal.NewProgress(os.Stderr)}
	begun := time.Now()
	o.Report = t.report
	o.Notice = func(text string) {
		t.line.Clear()
		fmt.Printf("not kept: %s\n", text)
	}
	o.Done = func(name string, r transfer.Result) {
		t.line.Clear()
		fmt.Printf("%s: %s\n", name, resultText(r, o))
	}
	o.Progress = func(r transfer.Result) {
		t.line.Show(time.Now(), func() string {
			return fmt.Sprintf("%d mailboxes, %d messages, %d bytes", r.Mailboxes, r.Stored, r.Bytes)
		})
	}
	r, err := transfer.Run(ctx, s, from, o)
	t.line.Clear()
	fmt.Printf("%d mailboxes, %d of them with their UIDs: %s; %d bytes in %.1f s\n", r.Mailboxes, r.Kept, resultText(r, o),
		r.Bytes, time.Since(begun).Seconds())
	if err != nil {
		return fmt.Errorf("%w (what was stored stays: run it again to go on)", err)
	}
	return t.end(nil)
}

// resultText says what became of messages; what there is none of is left out, but
// for what was stored.
func resultText(r transfer.Result, o transfer.Options) string {
	would := ""
	if o.DryRun {
		would = "would be "
	}
	gone := "no longer there (see --expunge)"
	if o.Expunge {
		gone = would + "expunged"
	}
	text := fmt.Sprintf("%d messages %sstored", r.Stored, would)
	for _, x := range []struct {
		n    int
		what string
	}{
		{r.Renamed, "of them with new UIDs"},
		{r.Same, "here already"},
		{r.Flags, "with flags " + would + "changed"},
		{r.Deleted, "left out because they were deleted here"},
		{r.Expunged, gone},
		{r.Unsure, "not there, and perhaps delivered here"},
		{r.Failed, "failed"},
	} {
		if x.n > 0 {
			text += fmt.Sprintf(", %d %s", x.n, x.what)
		}
	}
	return text
}
