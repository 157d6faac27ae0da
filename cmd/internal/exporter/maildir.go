package exporter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"teraslot/cmd/internal/source"
	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// writers is how many messages are written at once: most of the time goes into
// waiting for their syncs.
const writers = 4

// folder is one Maildir that is being written.
type folder struct {
	*run
	name     string // of the mailbox
	dir      string
	view     *mailstore.View
	keywords keywords
	present  map[string]fileName    // what earlier runs finished, by unique name
	names    map[mailbox.UID]string // without flags: what dovecot-uidlist will say
}

func (f *folder) cur(name string) string { return filepath.Join(f.dir, "cur", name) }
func (f *folder) tmp(name string) string { return filepath.Join(f.dir, "tmp", name) }

// maildir exports a mailbox to a Maildir.
func (r *run) maildir(ctx context.Context, name string, view *mailstore.View, dir string) error {
	f := &folder{run: r, name: name, dir: dir, view: view, names: make(map[mailbox.UID]string)}
	for _, step := range []func() error{f.make, f.list, f.assignKeywords} {
		if err := step(); err != nil {
			return err
		}
	}
	missing, err := f.keep()
	if err != nil {
		return err
	}
	if err := f.removeGone(); err != nil {
		return err
	}
	if err := r.letters(ctx, name, view.State.ID, missing, func(l []letter) error { return f.write(ctx, l) }); err != nil {
		return err
	}
	// The names in cur before those in tmp, so that a rename is never lost in both.
	for _, sub := range []string{"cur", "tmp"} {
		if err := r.fs.SyncDir(filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	if err := f.publishZones(); err != nil {
		return err
	}
	return f.publishUIDs()
}

// publishZones writes the zones of internal dates, which a file's time of modification does
// not have. Servers over Maildir pass over the file.
func (f *folder) publishZones() error {
	return disk.Publish(f.fs, filepath.Join(f.dir, source.ZonesFile), 0o600, func(to io.Writer) error {
		w := bufio.NewWriter(to)
		for i := range f.view.Records {
			rec := &f.view.Records[i]
			if _, ok := f.names[rec.UID]; ok && rec.InternalDate.Zone != 0 {
				fmt.Fprintf(w, "%d %s\n", rec.InternalDate.Zone, f.names[rec.UID])
			}
		}
		return w.Flush()
	})
}

// make makes the directories, and empties tmp of what a run left that was broken
// off.
func (f *folder) make() error {
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := disk.MkdirAll(f.fs, filepath.Join(f.dir, sub), 0o700); err != nil {
			return err
		}
	}
	unfinished, err := f.fs.ReadDir(filepath.Join(f.dir, "tmp"))
	if err != nil {
		return err
	}
	for _, e := range unfinished {
		if !uniqueParts(e.Name()) {
			continue
		}
		if err := f.fs.Remove(f.tmp(e.Name())); err != nil {
			return err
		}
	}
	if f.dir == f.run.dir {
		return nil
	}
	return f.mark()
}

// mark makes the empty file by which a folder below the top is known (Maildir++), and
// where the folder's name is not all of the mailbox's, a file with that.
func (f *folder) mark() error {
	if filepath.Base(f.dir) != "."+storageName(f.name) {
		if err := f.publishOnce(source.NameFile, f.name+"\n"); err != nil {
			return err
		}
	}
	return f.publishOnce("maildirfolder", "")
}

// publishOnce writes a small file, unless there is one.
func (f *folder) publishOnce(name, text string) error {
	name = filepath.Join(f.dir, name)
	if _, there, err := exists(f.fs, name); err != nil || there {
		return err
	}
	return disk.Publish(f.fs, name, 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// list finds what earlier runs finished. A file whose size is not what its name
// says was changed by somebody, and is written again.
func (f *folder) list() error {
	entries, err := f.fs.ReadDir(filepath.Join(f.dir, "cur"))
	if err != nil {
		return err
	}
	f.present = make(map[string]fileName, len(entries))
	for _, e := range entries {
		name, ok := parseFileName(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		_, twice := f.present[name.unique]
		if twice || !info.Mode().IsRegular() || info.Size() != name.size {
			if err := f.fs.Remove(f.cur(e.Name())); err != nil {
				return err
			}
			continue
		}
		f.present[name.unique] = name
	}
	return nil
}

// assignKeywords writes dovecot-keywords before any file uses its letters.
func (f *folder) assignKeywords() error {
	var err error
	if f.keywords, err = f.readKeywords(f.dir); err != nil {
		return err
	}
	lost := f.keywords.assign(f.view.Records)
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		f.result.Lost++
		f.o.Report(f.name, fmt.Errorf("keyword %s of %d messages: %w", name, lost[name], ErrKeywords))
	}
	return f.publishKeywords(f.dir, &f.keywords)
}

// keep gives the messages that are there the flags they have now, and returns the
// others. What it keeps is no longer in present.
func (f *folder) keep() (missing []mailbox.Record, err error) {
	for i := range f.view.Records {
		rec := &f.view.Records[i]
		unique := uniqueName(f.view.State.UIDValidity, rec)
		old, there := f.present[unique]
		if !there {
			missing = append(missing, *rec)
			continue
		}
		delete(f.present, unique)
		now := old
		if now.flags = f.keywords.letters(rec.Flags); now != old {
			if err := f.fs.Rename(f.cur(old.String()), f.cur(now.String())); err != nil {
				return nil, err
			}
		}
		f.names[rec.UID] = now.base()
		f.result.Kept++
		f.result.Read += rec.Size
		f.o.Progress(f.result)
	}
	return missing, nil
}

// removeGone removes the files of messages that the mailbox has no longer.
func (f *folder) removeGone() error {
	for _, unique := range slices.Sorted(maps.Keys(f.present)) {
		if err := f.fs.Remove(f.cur(f.present[unique].String())); err != nil {
			return err
		}
		f.result.Removed++
	}
	return nil
}

// write writes messages, a few at once.
func (f *folder) write(ctx context.Context, letters []letter) error {
	names := make([]fileName, len(letters))
	damage := make([]error, len(letters))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for i := range letters {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			names[i], damage[i], err = f.writeOne(&letters[i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, l := range letters {
		if damage[i] != nil {
			f.fail(place(f.name, l.UID), damage[i])
			continue
		}
		f.names[l.UID] = names[i].base()
		f.result.Written++
	}
	return nil
}

// writeOne writes a message and returns its name, or why it could not be read, or
// why it could not be written.
func (f *folder) writeOne(l *letter) (name fileName, damage, err error) {
	ends, damage := scanLines(l.reader())
	if damage != nil {
		return name, damage, nil
	}
	name = fileName{uniqueName(f.view.State.UIDValidity, &l.Record), ends.written(), ends.wide(), f.keywords.letters(l.Flags)}
	temporary := f.tmp(name.unique)
	from := &watched{from: l.reader()}
	err = f.writeFile(temporary, l.InternalDate.Time(), func(w io.Writer) error { return copyLines(w, from, ends) })
	if err == nil {
		return name, nil, f.fs.Rename(temporary, f.cur(name.String()))
	}
	if rmErr := f.fs.Remove(temporary); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
		err = errors.Join(err, rmErr)
	}
	if from.err != nil {
		return name, from.err, nil
	}
	return name, nil, err
}

// writeFile writes a file with a time of modification, which is set before the
// sync, so that both are durable together.
func (f *folder) writeFile(name string, modified time.Time, write func(io.Writer) error) error {
	file, err := f.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 64<<10)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.o.Chtimes(name, modified)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// reader reads the message from its beginning.
func (l *letter) reader() io.Reader { return io.NewSectionReader(l.content, 0, l.content.Size) }

// watched tells errors of what is read from those of where it is written.
type watched struct {
	from io.Reader
	err  error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// publishUIDs writes dovecot-uidlist, version 3.
func (f *folder) publishUIDs() error {
	s := &f.view.State
	return disk.Publish(f.fs, filepath.Join(f.dir, "dovecot-uidlist"), 0o600, func(to io.Writer) error {
		w := bufio.NewWriter(to)
		// The mailbox's GUID has 128 bits there; our id, which stays through renames, has 96.
		fmt.Fprintf(w, "3 V%d N%d G%s00000000\n", s.UIDValidity, s.UIDNext, s.ID)
		for _, rec := range f.view.Records {
			if name, ok := f.names[rec.UID]; ok {
				fmt.Fprintf(w, "%d :%s\n", rec.UID, name)
			}
		}
		return w.Flush()
	})
}

// subscriptions writes the subscribed names, one a line, as they are in the
// names of folders.
func (r *run) subscriptions(ctx context.Context) error {
	names, err := r.mail.Subscriptions(ctx)
	if err != nil {
		return err
	}
	return disk.Publish(r.fs, filepath.Join(r.dir, "subscriptions"), 0o600, func(to io.Writer) error {
		w := bufio.NewWriter(to)
		for _, name := range names {
			fmt.Fprintln(w, storageName(name))
		}
		return w.Flush()
	})
}
