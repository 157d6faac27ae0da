package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"teraslot/backup"
	"teraslot/cmd/internal/importer"
	"teraslot/cmd/internal/source"
	"teraslot/cmd/internal/steps"
	"teraslot/cmd/internal/terminal"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/slot"
)

const restoreHelp = `Restore brings mail back from the backups in DIR.

  slotctl restore DIR USER                        all of the user's mail
  slotctl restore DIR USER --mailbox Work         a mailbox and those below it
  slotctl restore DIR USER --deleted-since 3d     what was deleted since then

put it into mailboxes below RESTORED/<time>, beside the user's own, through the
daemon or without one. Run again with the same --into, it leaves out what is there.

  slotctl restore DIR USER --replace              in place of the user's mail
  slotctl restore DIR --slot                      all users, into an empty slot

need the daemon stopped. What --replace finds in its way gets another name.
--generation or --at choose another generation than the latest (slotctl backup DIR
--list). A TIME is 2026-11-22, "2026-11-22 14:30", in the local zone, or how long ago:
90m, 12h, 3d. --dry-run says what would be restored.`

type restoreFlags struct {
	generation, at, deletedSince, into, scratch string
	mailboxes                                   []string
	replace, slot, dryRun                       bool
}

func restoreCommand(config *string, connect connector) *cobra.Command {
	var o restoreFlags
	c := &cobra.Command{Use: "restore DIR [USER]", Short: "Bring mail back from a backup", Long: restoreHelp, Args: cobra.RangeArgs(1, 2)}
	f := c.Flags()
	f.StringVar(&o.generation, "generation", "", "`name` of the generation; default the latest")
	f.StringVar(&o.at, "at", "", "the latest generation of that `TIME` or before it")
	f.StringArrayVar(&o.mailboxes, "mailbox", nil, "`mailbox` to restore, with those below it; may be given more than once")
	f.StringVar(&o.deletedSince, "deleted-since", "", "messages that were there at that `TIME` or since, and are not now")
	f.StringVar(&o.into, "into", "", "`mailbox` to restore below; default RESTORED/<time>")
	f.BoolVar(&o.replace, "replace", false, "replace the user's mail")
	f.BoolVar(&o.slot, "slot", false, "restore a whole slot, into empty directories")
	f.StringVar(&o.scratch, "scratch", "", "`directory` with room for the largest mail.db; default DIR/scratch")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be restored, and do nothing")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.check(len(args) == 2); err != nil {
			return err
		}
		t := &teller{line: terminal.NewProgress(os.Stderr)}
		loaded, err := steps.Load(*config)
		if err != nil {
			return err
		}
		r, err := backup.Open(args[0], backup.Options{Scratch: o.scratch, Report: t.report, Logger: stderrLog(), FS: loaded.Hooks.FS})
		if err != nil {
			return err
		}
		g, err := o.choose(r)
		if err != nil {
			return err
		}
		job := restoring{restoreFlags: o, repository: r, generation: g, teller: t, config: *config}
		switch {
		case o.slot:
			return job.wholeSlot(cmd.Context())
		case o.replace:
			return job.inPlace(cmd.Context(), args[1])
		}
		return connect.do(cmd.Context(), func(s *slot.Client) error { return job.beside(cmd.Context(), s, args[1]) })
	}
	return c
}

// check refuses what makes no sense together.
func (o *restoreFlags) check(user bool) error {
	if o.deletedSince != "" {
		if _, err := parsePast(o.deletedSince, time.Now()); err != nil {
			return fmt.Errorf("--deleted-since: %w", err)
		}
	}
	switch {
	case o.slot == user:
		return errors.New("give a USER, or --slot for all")
	case o.slot && o.replace:
		return errors.New("--slot is for an empty slot, where nothing can be replaced")
	case (o.slot || o.replace) && (o.deletedSince != "" || len(o.mailboxes) > 0 || o.into != ""):
		return errors.New("--slot and --replace restore all mail, each where it was")
	case o.generation != "" && o.at != "":
		return errors.New("--generation and --at exclude each other")
	case o.deletedSince != "" && (o.generation != "" || o.at != "" || len(o.mailboxes) > 0):
		return errors.New("--deleted-since looks into all generations and mailboxes")
	}
	return nil
}

// choose returns the generation that is asked for.
func (o *restoreFlags) choose(r *backup.Repository) (*backup.Generation, error) {
	if o.at == "" {
		return r.Generation(o.generation)
	}
	moment, err := parseTime(o.at, time.Now())
	if err != nil {
		return nil, fmt.Errorf("--at: %w", err)
	}
	return r.At(moment)
}

// parseTime reads a moment, or how long ago it was.
func parseTime(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", time.RFC3339, "20060102T150405Z"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if ago, err := parseAge(s); err == nil {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf(`%q is no time such as "2026-11-22 14:30" or 3d`, s)
}

// parsePast is parseTime of what must have come already: nothing was deleted since.
func parsePast(s string, now time.Time) (time.Time, error) {
	t, err := parseTime(s, now)
	if err == nil && t.After(now) {
		err = fmt.Errorf("%s is in the future", t.Format(time.DateTime))
	}
	return t, err
}

// restoring is one run.
type restoring struct {
	restoreFlags
	repository *backup.Repository
	generation *backup.Generation
	user       backup.User // whose mail of the generation is restored beside
	*teller
	config string
}

// wholeSlot fills an empty slot.
func (job *restoring) wholeSlot(ctx context.Context) error {
	config, err := steps.Load(job.config)
	if err != nil {
		return err
	}
	if err := config.CheckOwner(); err != nil {
		return err
	}
	if job.dryRun {
		fmt.Printf("generation %s: %d users, %d bytes of mail\n", job.generation.Name, len(job.generation.Users), job.generation.Bytes())
		return nil
	}
	got, err := job.repository.RestoreSlot(ctx, job.generation, config.MailstoreOptions(), config.AccountsFile(), func(r backup.Restored) {
		job.line.Show(time.Now(), func() string { return fmt.Sprintf("%d of %d users", r.Users, len(job.generation.Users)) })
	})
	job.line.Clear()
	fmt.Printf("generation %s: %d users restored, %d bytes of mail\n", job.generation.Name, got.Users, got.Bytes)
	if errors.Is(err, backup.ErrNotEmpty) {
		err = fmt.Errorf("%w: for one user's mail, see --replace", err)
	}
	return job.end(err)
}

// inPlace replaces a user's mail.
func (job *restoring) inPlace(ctx context.Context, name string) error {
	s, err := openForReading(ctx, job.config)
	if err != nil {
		return err
	}
	a, err := s.accounts.Lookup(ctx, name)
	if err = errors.Join(err, s.Close()); err != nil {
		return fmt.Errorf("user %s: %w (make the user, and restore without --replace)", name, err)
	}
	u, err := job.generation.User(string(a.ID))
	if err != nil {
		return err
	}
	if job.dryRun {
		fmt.Printf("generation %s: %s, id %s, %d packs\n", job.generation.Name, name, u.ID, len(u.Packs))
		return nil
	}
	got, err := job.repository.RestoreUser(ctx, u, s.config.MailstoreOptions())
	for _, aside := range got.Aside {
		fmt.Printf("what was there is now %s\n", aside)
	}
	if errors.Is(err, mailstore.ErrBusy) {
		err = fmt.Errorf("%w: stop the daemon first", err)
	}
	if err != nil {
		return job.end(err)
	}
	fmt.Printf("generation %s: %s restored, %d bytes of mail\n", job.generation.Name, name, got.Bytes)
	job.tellStrays(ctx, got)
	return job.end(nil)
}

// tellStrays names the mailboxes that changed their owner after the generation was made.
func (job *restoring) tellStrays(ctx context.Context, got backup.Restored) {
	for _, s := range got.Twice {
		job.report("mailbox "+string(s.Mailbox), fmt.Errorf("it was given to user %s since, who has it, too: delete one of them", s.Other))
	}
	for _, s := range got.Nowhere {
		giver, err := job.generation.User(string(s.Other))
		box, err2 := job.repository.NameOf(ctx, job.generation, s.Other, s.Mailbox)
		if err = errors.Join(err, err2); err != nil {
			job.report("mailbox "+string(s.Mailbox), fmt.Errorf("it was given to this user by user %s since, and nobody has it now: %w", s.Other, err))
			continue
		}
		job.report("mailbox "+box, fmt.Errorf("it was given to this user by %s since, and nobody has it now: slotctl restore DIR %s --generation %s --mailbox %q, and give it away once more",
			giver.Name, giver.Name, job.generation.Name, box))
	}
}

// beside restores into mailboxes of their own.
func (job *restoring) beside(ctx context.Context, client *slot.Client, name string) error {
	users, err := client.Users(ctx)
	if err != nil {
		return err
	}
	id := mailbox.User("")
	for _, u := range users {
		if u.Name == name {
			id = u.ID
		}
	}
	if id == "" {
		return fmt.Errorf("user %s: no such user; to restore one who was removed, add the user first", name)
	}
	if job.into == "" {
		job.into = "RESTORED/" + time.Now().Format("2006-01-02 15.04.05")
	}
	if job.deletedSince == "" {
		if job.user, err = job.chosenUser(id, name, users); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	items, failed := job.items(ctx, id, name)
	if job.dryRun {
		return job.tell(items, failed)
	}
	result, err := importer.Run(ctx, client, items, importer.Options{User: name, Mailbox: job.into, SkipExisting: true, Report: job.report,
		Progress: func(r importer.Result) {
			job.line.Show(time.Now(), func() string { return fmt.Sprintf("%d messages", r.Messages()) })
		}})
	job.line.Clear()
	fmt.Printf("%d messages restored below %s, %d were there, %d failed\n", result.Stored, job.into, result.Skipped, result.Failed)
	return job.end(errors.Join(err, *failed))
}

// chosenUser is the part of the generation that is restored for a user: his own by
// his id. One of his name and another id is he who was removed, and made anew, unless
// the slot has that id still: then it was renamed, and its mail is another person's.
func (job *restoring) chosenUser(id mailbox.User, name string, users []slot.User) (backup.User, error) {
	u, err := job.generation.User(string(id))
	if !errors.Is(err, mailstore.ErrNoUser) {
		return u, err
	}
	if u, err = job.generation.User(name); err != nil {
		return u, err
	}
	for _, now := range users {
		if now.ID == u.ID {
			return u, fmt.Errorf("user %s (%s) is not in generation %s: %s was then user %s, who is now %s; to restore that mail, restore %[6]s",
				name, id, job.generation.Name, name, u.ID, now.Name)
		}
	}
	fmt.Printf("user %s (%s) is not in generation %s; this is the mail of %[1]s (%[4]s), whom the slot has no more\n", name, id, job.generation.Name, u.ID)
	return u, nil
}

// tell lists what would be restored.
func (job *restoring) tell(items iter.Seq[source.Item], failed *error) error {
	n := 0
	for it := range items {
		if it.Err != nil {
			job.report(it.Place, it.Err)
			continue
		}
		n++
		fmt.Printf("%s\t%s\t%d bytes\t%s\n", it.Place, it.Date.Format("2006-01-02 15:04:05 -0700"), len(it.Body), subject(it.Body))
	}
	fmt.Printf("%d messages\n", n)
	return job.end(*failed)
}

// subject is the first line of a message's Subject field, for people to look at.
func subject(body []byte) string {
	for line := range bytes.Lines(body) {
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
		if len(line) > 8 && bytes.EqualFold(line[:8], []byte("subject:")) {
			return fmt.Sprintf("%.100q", bytes.TrimSpace(line[8:]))
		}
	}
	return ""
}

// items yields what is to be restored; the error that ends it early is there when
// it has ended.
func (job *restoring) items(ctx context.Context, id mailbox.User, name string) (iter.Seq[source.Item], *error) {
	failed := new(error)
	return func(yield func(source.Item) bool) {
		stop := errors.New("enough")
		err := job.messages(ctx, id, name, func(m backup.Message) error {
			it := source.Item{Place: m.Place, Key: m.Place, Mailbox: m.Mailbox, Date: m.Record.InternalDate.Time(), Read: m.Record.Size, Err: m.Err,
				Flags: m.Record.Flags.Minus(mailbox.MakeFlags(`\Deleted`))}
			if it.Err == nil {
				it.Body, it.Err = io.ReadAll(io.NewSectionReader(m.Content, 0, m.Content.Size))
			}
			if !yield(it) {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			*failed = err
		}
	}, failed
}

func (job *restoring) messages(ctx context.Context, id mailbox.User, name string, fn func(backup.Message) error) error {
	if job.deletedSince == "" {
		return job.repository.Messages(ctx, job.generation, job.user, job.mailboxes, fn)
	}
	since, err := parsePast(job.deletedSince, time.Now())
	if err != nil {
		return fmt.Errorf("--deleted-since: %w", err)
	}
	return withMail(ctx, job.config, name, func(m *mailstore.Mail) error {
		return job.repository.Deleted(ctx, m, id, since, fn)
	})
}
