package exporter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Format is a form of export.
type Format string

// The formats.
const (
	Maildir Format = "maildir"
	Mbox    Format = "mbox"
)

// Errors by which callers decide.
var (
	// ErrFormat is returned for a format that is not one of the above.
	ErrFormat = errors.New("not a format of export")
	// ErrForeign is returned for a directory that holds anything but an export of
	// the same user in the same format.
	ErrForeign = errors.New("the directory is neither empty nor an export of this user in this format")
	// ErrInUse is returned where another export runs.
	ErrInUse = errors.New("another export to the directory runs")
	// ErrKeywords is reported for a keyword that has no letter in its folder.
	ErrKeywords = errors.New("a Maildir folder has 26 keywords")
)

// Options say what is exported and how. The zero value exports all to a Maildir.
type Options struct {
	Format Format // "" is Maildir
	// Mailboxes are the names of those to export; none stands for all. With names,
	// the subscriptions are left as they are.
	Mailboxes []string
	// Flags adds the header fields Status, X-Status and X-Keywords to the messages
	// of an mbox, in place of those they have.
	Flags bool
	// Report is told of what could not be exported, Notice of what a reader of the
	// directory should know, Progress how far it got; one call at a time. Each may
	// be nil.
	Report   func(place string, err error)
	Notice   func(text string)
	Progress func(Result)
	// FS is the disk to write to; by default disk.OS().
	FS disk.FS
	// Chtimes sets a file's time of modification; by default that of the machine's
	// disk.
	Chtimes func(name string, modified time.Time) error
}

// Result is how far an export got.
type Result struct {
	Mailboxes int
	Written   int // messages written
	Kept      int // messages that an earlier run had written
	Removed   int // files of messages that are gone
	Failed    int // messages and mailboxes that were reported and left out
	Lost      int // keywords that were reported and left out
	// Read is how many bytes of mail were dealt with, of Total.
	Read, Total int64
}

// run is one export.
type run struct {
	o      Options
	fs     disk.FS
	mail   *mailstore.Mail
	dir    string
	ledger ledger
	result Result
}

// Run exports the mail of a user to a directory, which is made if it is missing.
// What is wrong with a message or a mailbox is reported, counted in Result.Failed
// and stops nothing; an error means that the rest was not exported, and that
// running again goes on from there.
func Run(ctx context.Context, mail *mailstore.Mail, dir string, o Options) (Result, error) {
	r := &run{o: o.withDefaults(), mail: mail, dir: filepath.Clean(dir)}
	r.fs = r.o.FS
	err := r.all(ctx)
	if err != nil {
		err = fmt.Errorf("export to %s: %w", r.dir, err)
	}
	return r.result, err
}

func (o Options) withDefaults() Options {
	if o.Format == "" {
		o.Format = Maildir
	}
	if o.Report == nil {
		o.Report = func(string, error) {}
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Progress == nil {
		o.Progress = func(Result) {}
	}
	if o.FS == nil {
		o.FS = disk.OS()
	}
	if o.Chtimes == nil {
		// A zero time leaves the time of access alone.
		o.Chtimes = func(name string, modified time.Time) error { return os.Chtimes(name, time.Time{}, modified) }
	}
	return o
}

func (r *run) all(ctx context.Context) (err error) {
	if r.o.Format != Maildir && r.o.Format != Mbox {
		return fmt.Errorf("%q: %w", r.o.Format, ErrFormat)
	}
	all, err := r.mail.Mailboxes(ctx)
	if err != nil {
		return err
	}
	chosen, err := choose(all, r.o.Mailboxes)
	if err != nil {
		return err
	}
	unlock, err := r.begin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock.Close()) }()
	if err := r.ledger.track(all, r.o.Format); err != nil {
		return err
	}
	for _, box := range chosen {
		r.result.Total += box.Counts.Size
	}
	for _, box := range chosen {
		if err := r.mailbox(ctx, box); err != nil {
			return fmt.Errorf("mailbox %s: %w", box.Name, err)
		}
	}
	if r.o.Format == Maildir && len(r.o.Mailboxes) == 0 {
		if err := r.subscriptions(ctx); err != nil {
			return err
		}
	}
	return r.tellLeft()
}

// choose returns the mailboxes of those names, or all.
func choose(all []mailbox.State, names []string) ([]mailbox.State, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []mailbox.State
	for _, name := range names {
		clean, err := mailstore.CleanName(name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(s mailbox.State) bool { return s.Name == clean })
		if i < 0 {
			return nil, fmt.Errorf("%q: %w", name, mailstore.ErrNoMailbox)
		}
		if !slices.ContainsFunc(out, func(s mailbox.State) bool { return s.ID == all[i].ID }) {
			out = append(out, all[i])
		}
	}
	return out, nil
}

// mailbox exports one. Its entry in the ledger is written when all of it is there.
func (r *run) mailbox(ctx context.Context, box mailbox.State) error {
	path := mailboxPath(r.o.Format, box.Name)
	if isShortened(r.o.Format, path) {
		r.o.Notice(fmt.Sprintf("%s: exported to %s, its name is too long for a file's", box.Name, filepath.Join(r.dir, path)))
	}
	view, err := r.mail.View(ctx, box.ID)
	if errors.Is(err, mailstore.ErrNoMailbox) {
		return nil // deleted since the mailboxes were listed
	}
	if err != nil {
		return err
	}
	e := entry{Name: box.Name, Path: path, UIDValidity: view.State.UIDValidity, ModSeq: view.State.HighestModSeq, Flags: r.o.Flags}
	failed := r.result.Failed
	for _, uid := range view.Damaged {
		r.fail(fmt.Sprintf("%s UID %d", box.Name, uid), view.Whole())
	}
	if r.o.Format == Maildir {
		err = r.maildir(ctx, box.Name, view, filepath.Join(r.dir, path))
	} else {
		e.Size, err = r.mbox(ctx, box.Name, view, e)
	}
	if err != nil {
		return err
	}
	r.result.Mailboxes++
	if r.result.Failed > failed {
		e.ModSeq = 0 // the next run tries again
	}
	return r.store(box.ID, e)
}

func (r *run) fail(place string, err error) {
	r.result.Failed++
	r.o.Report(place, err)
}

// A group is messages that are opened together.
const (
	groupMessages = 256
	groupBytes    = 16 << 20
)

// group returns how many of the first records make a group: at least one.
func group(recs []mailbox.Record) int {
	n, size := 0, int64(0)
	for n < len(recs) && n < groupMessages {
		if size += recs[n].Size; n > 0 && size > groupBytes {
			break
		}
		n++
	}
	return n
}

// letter is a message that is open.
type letter struct {
	mailbox.Record
	content *mailstore.Content
}

// letters opens the messages of the records, group by group, and calls fn with
// each group. Messages that cannot be read are reported and left out.
func (r *run) letters(ctx context.Context, name string, id mailbox.ID, recs []mailbox.Record, fn func([]letter) error) error {
	for len(recs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := group(recs)
		if err := r.letterGroup(ctx, name, id, recs[:n], fn); err != nil {
			return err
		}
		for _, rec := range recs[:n] {
			r.result.Read += rec.Size
		}
		r.o.Progress(r.result)
		recs = recs[n:]
	}
	return nil
}

func (r *run) letterGroup(ctx context.Context, name string, id mailbox.ID, recs []mailbox.Record, fn func([]letter) error) (err error) {
	var open []letter
	defer func() {
		for _, l := range open {
			err = errors.Join(err, l.content.Close())
		}
	}()
	for i, o := range r.mail.OpenAll(ctx, id, recs) {
		switch {
		case o.Err == nil:
			open = append(open, letter{recs[i], o.Content})
		case ctx.Err() != nil:
			err = ctx.Err()
		case errors.Is(o.Err, mailstore.ErrNoMessage):
			// Expunged and forgotten since the mailbox was read.
		default:
			r.fail(place(name, recs[i].UID), o.Err)
		}
	}
	if err != nil {
		return err
	}
	return fn(open)
}

func place(mailbox string, uid mailbox.UID) string { return fmt.Sprintf("%s, UID %d", mailbox, uid) }

// exists reports whether a name is there, and its size.
func exists(fsys disk.FS, name string) (size int64, ok bool, err error) {
	info, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return info.Size(), true, nil
}
