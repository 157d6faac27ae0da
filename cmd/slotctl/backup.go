package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"teraslot/account"
	"teraslot/backup"
	"teraslot/cmd/internal/terminal"
	"teraslot/mailbox"
	"teraslot/slot"
)

const backupHelp = `Backup adds a generation to DIR: the mail of all users and their accounts, each
user as he is at one moment, while the daemon runs or not. Only what is new is
copied, and every message checked on the way.

DIR must be empty or hold earlier backups, and lie outside of the slot. With
--keep or --keep-age, generations that neither keeps are then removed; the latest
always stays.

What cannot be read is reported with its place and stops nothing; the exit status
is then 1. A backup that was killed leaves DIR as it was, and the next goes on.

Not in it: the configuration file, certificates, and the index, which is made anew.`

// backupFlags are those of slotctl backup.
type backupFlags struct {
	list, verify bool
	generation   string
	keep         backup.Keep
	age, scratch string
}

func backupCommand(config *string) *cobra.Command {
	var b backupFlags
	c := &cobra.Command{Use: "backup DIR", Short: "Back up all mail and accounts, or look at the backups", Long: backupHelp, Args: cobra.ExactArgs(1)}
	f := c.Flags()
	f.BoolVar(&b.list, "list", false, "list the generations that are there, and do nothing")
	f.BoolVar(&b.verify, "verify", false, "read all of a generation and check every message, and do nothing else")
	f.StringVar(&b.generation, "generation", "", "`name` of the generation to verify; default the latest")
	f.IntVar(&b.keep.Count, "keep", 0, "keep so many of the latest generations")
	f.StringVar(&b.age, "keep-age", "", "keep generations that are not older than `TIME`, such as 30d or 12h, and without --keep the latest 3")
	f.StringVar(&b.scratch, "scratch", "", "`directory` with room for the largest mail.db; default DIR/scratch")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if b.age != "" {
			if b.keep.Age, err = parseAge(b.age); err != nil {
				return fmt.Errorf("--keep-age: %w", err)
			}
		}
		switch {
		case b.keep.Count < 0:
			return fmt.Errorf("--keep: %d is less than nothing", b.keep.Count)
		case b.list && b.verify, b.generation != "" && !b.verify:
			return errors.New("--list and --verify exclude each other; --generation is for --verify")
		case b.list:
			return listBackups(args[0])
		case b.verify:
			return verifyBackup(cmd.Context(), args[0], b)
		}
		return runBackup(cmd.Context(), *config, args[0], b)
	}
	return c
}

// parseAge reads a time such as 12h or 30d.
func parseAge(s string) (time.Duration, error) {
	var d slot.Duration
	err := d.UnmarshalText([]byte(s))
	return time.Duration(d), err
}

// teller writes progress and reports to standard error, and counts the latter.
type teller struct {
	line    *terminal.Progress
	reports int
}

func (t *teller) report(place string, err error) {
	t.reports++
	t.line.Clear()
	fmt.Fprintf(os.Stderr, "%s: %v\n", place, err)
}

// end is the error for what was reported.
func (t *teller) end(err error) error {
	t.line.Clear()
	if err == nil && t.reports > 0 {
		err = errReported
	}
	return err
}

func runBackup(ctx context.Context, config, dir string, b backupFlags) (err error) {
	s, err := openForReading(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.config.CheckApart(dir); err != nil {
		return err
	}
	t := &teller{line: terminal.NewProgress(os.Stderr)}
	r, err := backup.Create(dir, backup.Options{Scratch: b.scratch, Report: t.report, Logger: stderrLog(),
		FS: s.config.Hooks.FS, Step: s.config.Hooks.Of("backup")})
	if err != nil {
		return err
	}
	names, err := loginNames(ctx, s)
	if err != nil {
		return err
	}
	begun := time.Now()
	result, err := r.Run(ctx, backup.Source{Store: s.store, Names: names, Exists: s.exists, Accounts: s.accounts.Snapshot, Progress: func(r backup.Result) {
		t.line.Show(time.Now(), func() string { return fmt.Sprintf("%d of %d users, %d bytes copied", r.Users, len(names), r.Bytes) })
	}})
	t.line.Clear()
	if err != nil {
		return err
	}
	fmt.Printf("generation %s: %d users, %d of them unchanged; %d bytes of mail copied in %.1f s\n",
		result.Generation, result.Users, result.Unchanged, result.Bytes, time.Since(begun).Seconds())
	if result.Kept+result.Failed > 0 {
		fmt.Printf("%d users could not be read and are as in the generation before; %d are missing\n", result.Kept, result.Failed)
	}
	if b.keep != (backup.Keep{}) {
		p, err := r.Prune(ctx, b.keep)
		if err != nil {
			return err
		}
		fmt.Printf("%d older generations removed, %d bytes freed\n", p.Generations, p.Bytes)
	}
	return t.end(nil)
}

func loginNames(ctx context.Context, s *opened) (map[mailbox.User]string, error) {
	accounts, err := s.accounts.List(ctx)
	names := make(map[mailbox.User]string, len(accounts))
	for _, a := range accounts {
		names[a.ID] = a.Name
	}
	return names, err
}

// exists reports whether a user has an account.
func (o *opened) exists(ctx context.Context, u mailbox.User) (bool, error) {
	_, err := o.accounts.ByID(ctx, u)
	if errors.Is(err, account.ErrNoAccount) {
		return false, nil
	}
	return err == nil, err
}

func listBackups(dir string) error {
	t := &teller{line: terminal.NewProgress(os.Stderr)}
	r, err := backup.Open(dir, backup.Options{Report: t.report})
	if err != nil {
		return err
	}
	all, err := r.Generations()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "GENERATION\tMADE\tUSERS\tBYTES")
	for _, g := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", g.Name, g.Time.Local().Format("2006-01-02 15:04:05"), len(g.Users), g.Bytes())
	}
	return t.end(w.Flush())
}

func verifyBackup(ctx context.Context, dir string, b backupFlags) error {
	t := &teller{line: terminal.NewProgress(os.Stderr)}
	r, err := backup.Open(dir, backup.Options{Scratch: b.scratch, Report: t.report, Logger: stderrLog()})
	if err != nil {
		return err
	}
	g, err := r.Generation(b.generation)
	if err != nil {
		return err
	}
	c, err := r.Verify(ctx, g, nil)
	if err != nil {
		return err
	}
	fmt.Printf("generation %s: %d users checked, %d findings\n", g.Name, c.Users, c.Findings)
	return t.end(nil)
}
