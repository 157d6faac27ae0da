package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"teraslot/mailbox"
)

// Item is one message.
type Item struct {
	// Place is the file, and in an mbox the offset, for people to look at.
	Place string
	// Key names the message within its source, also after a Maildir's reader
	// changed flags and so the file's name.
	Key string
	// Mailbox is where it lay: UTF-8, hierarchy "/", "" for the source's top.
	Mailbox string
	Flags   mailbox.Flags
	// Date is when the message came, as the source knows it; zero if it does not.
	Date time.Time
	Body []byte // with CRLF line ends; nil if Err is set
	// Read is how many bytes of the source (see Size) the message is worth.
	Read int64
	Err  error
}

// Format is a way to keep mail.
type Format string

// The formats. Auto looks at the path: a directory with cur in it or below is a
// Maildir, other directories hold messages, a file that begins with a "From "
// line is an mbox, other files are one message each.
const (
	Auto      Format = "auto"
	Mbox      Format = "mbox"
	Maildir   Format = "maildir"
	Directory Format = "dir"
)

// ErrFormat is returned for a path that cannot be read in the format.
var ErrFormat = errors.New("not mail in a known format")

// Errors of single messages.
var (
	ErrTooBig = errors.New("message is too big")
	ErrEmpty  = errors.New("message is empty")
	// ErrSeveral: what a directory of messages has there is a whole mailbox.
	ErrSeveral = errors.New("an mbox of several messages: import it by itself")
	// ErrNoFile: a pipe, a device, a link to nothing or to a directory.
	ErrNoFile = errors.New("not a file")
)

// Options say how to read. The zero value works.
type Options struct {
	Format Format // "" is Auto
	// Mboxo reads an mbox whose writer quoted only lines that begin with "From ",
	// not those that begin with ">From ". The default is mboxrd, where each
	// level of quoting is taken back.
	Mboxo bool
	// Folders makes the subdirectories of a directory of messages mailboxes.
	Folders bool
	// MaxMessage in bytes; 0 is 64 MiB.
	MaxMessage int64
}

// Source is mail to be read.
type Source struct {
	o    Options
	path string
	size int64
	read func(ctx context.Context, yield func(Item) bool) error
}

// Open looks at a path. Nothing stays open.
func Open(path string, o Options) (*Source, error) {
	if o.MaxMessage <= 0 {
		o.MaxMessage = 64 << 20
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	s := &Source{o: o}
	if s.path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if o.Format == "" || o.Format == Auto {
		if s.o.Format, err = detect(s.path, info); err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
	}
	switch {
	case s.o.Format == Mbox && info.Mode().IsRegular():
		s.read = s.mbox
		s.size = info.Size()
	case s.o.Format == Maildir && info.IsDir():
		err = s.openMaildir()
	case s.o.Format == Directory:
		err = s.openDirectory()
	default:
		err = ErrFormat
	}
	if err != nil {
		return nil, fmt.Errorf("import %s as %s: %w", path, s.o.Format, err)
	}
	return s, nil
}

// Format is the format found or given.
func (s *Source) Format() Format { return s.o.Format }

// Size is the number of bytes to read, for showing progress.
func (s *Source) Size() int64 { return s.size }

// Items yields every message in an order that stays the same while the source
// does. An error of the source as a whole comes as the last item, without a
// key. The sequence ends early when ctx does.
func (s *Source) Items(ctx context.Context) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		if err := s.read(ctx, yield); err != nil {
			yield(Item{Place: s.path, Err: err})
		}
	}
}

func detect(path string, info fs.FileInfo) (Format, error) {
	if info.IsDir() {
		found, _, err := maildirs(path)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return Maildir, nil
		}
		return Directory, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadSlice('\n')
		line = bytes.TrimPrefix(line, byteOrderMark)
		switch {
		case err != nil && err != io.EOF && err != bufio.ErrBufferFull:
			return "", err
		case isFrom(line):
			return Mbox, nil
		case err != nil || len(bytes.TrimSpace(line)) > 0: // an mbox may begin with empty lines
			return Directory, nil
		}
	}
}

// regular looks at what a directory has under a name, and where a link leads. The
// error is ErrNoFile for what cannot be a message, and fs.ErrNotExist for what went
// since the directory was listed.
func regular(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		if info, err = os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: a link that leads nowhere: %v", ErrNoFile, err)
		}
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %v", ErrNoFile, info.Mode())
	}
	return info, nil
}

// readFile reads a file that holds one message. A "From " line before it is taken off; with a
// date in it the file is an mbox, and quoted like others. Where a server has given the
// file to clients as it is, served, that line is part of the message.
func (s *Source) readFile(path string, served bool) (body []byte, date time.Time, err error) {
	b, err := s.readAll(path)
	if err != nil {
		return nil, date, err
	}
	mbox := false
	if isFrom(b) && !served {
		if s.o.Format == Directory && several(b) {
			return nil, date, ErrSeveral
		}
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		date, mbox = fromDate(line)
		b = rest
	}
	if mbox && s.o.Format == Directory {
		b = unquoteAll(b, s.o.Mboxo)
	}
	b = toCRLF(b)
	if mbox && s.o.Format == Directory {
		b = trimSeparatorLine(b)
	}
	if int64(len(b)) > s.o.MaxMessage {
		return nil, date, fmt.Errorf("more than %d bytes: %w", s.o.MaxMessage, ErrTooBig)
	}
	if len(b) == 0 { // an empty line is a message to those who served it
		return nil, date, ErrEmpty
	}
	return b, date, nil
}

// readAll reads a file of at most Options.MaxMessage.
func (s *Source) readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, s.o.MaxMessage+1))
	if err == nil && int64(len(b)) > s.o.MaxMessage {
		err = fmt.Errorf("more than %d bytes: %w", s.o.MaxMessage, ErrTooBig)
	}
	return b, err
}

// toCRLF gives each line feed its carriage return.
func toCRLF(b []byte) []byte {
	bare := 0
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			bare++
		}
	}
	if bare == 0 {
		return b
	}
	out := make([]byte, 0, len(b)+bare)
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}

// entry is a file in a directory of messages.
type entry struct {
	path, mailbox string
	size          int64
	err           error // it cannot be read
}

// exportLedger lies in what slotctl export wrote, of whatever format.
const exportLedger = "teraslot-export.json"

// openDirectory takes every file below the path as a message; a path that is a file
// itself is one.
func (s *Source) openDirectory() error {
	if _, err := os.Lstat(filepath.Join(s.path, exportLedger)); err == nil {
		return fmt.Errorf("an export to mboxes, not messages: import each mbox by itself: %w", ErrFormat)
	}
	var entries []entry
	err := filepath.WalkDir(s.path, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && path != s.path {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		e := entry{path: path}
		info, err := regular(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			e.err = err
		default:
			e.size = info.Size()
		}
		if dir, err := filepath.Rel(s.path, filepath.Dir(path)); err == nil && s.o.Folders && dir != "." && filepath.IsLocal(dir) {
			e.mailbox = filepath.ToSlash(dir)
		}
		entries = append(entries, e)
		s.size += e.size
		return nil
	})
	s.read = func(ctx context.Context, yield func(Item) bool) error {
		for _, e := range entries {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !yield(s.entry(e)) {
				return nil
			}
		}
		return nil
	}
	return err
}

func (s *Source) entry(e entry) Item {
	it := Item{Place: e.path, Key: e.path, Mailbox: e.mailbox, Read: e.size, Err: e.err}
	if e.err == nil {
		it.Body, it.Date, it.Err = s.readFile(e.path, false)
		it.Flags = statusFlags(it.Body)
	}
	return it
}
