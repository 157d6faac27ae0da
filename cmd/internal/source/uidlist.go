package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"teraslot/cmd/internal/transfer"
	"teraslot/mailbox"
)

// UIDs returns the source as one whose UIDs can be kept: a Maildir that Dovecot has
// served, with a dovecot-uidlist in at least one folder.
func (s *Source) UIDs() (transfer.Source, bool, error) {
	if s.o.Format != Maildir {
		return nil, false, nil
	}
	folders, links, err := maildirs(s.path)
	if err != nil {
		return nil, false, err
	}
	found := slices.ContainsFunc(folders, func(f folder) bool {
		_, err := os.Stat(filepath.Join(f.dir, uidlistName))
		return err == nil
	})
	return &served{s, folders, links}, found, nil
}

// served is a Maildir that Dovecot has served.
type served struct {
	*Source
	folders []folder
	links   []string
}

// List names the folders, and the subscriptions of the file of that name.
func (s *served) List(context.Context) (transfer.List, error) {
	var out transfer.List
	for _, f := range s.folders {
		out.Mailboxes = append(out.Mailboxes, transfer.Place{There: f.dir, Here: f.mailbox})
	}
	for _, link := range s.links {
		out.Notices = append(out.Notices, link+": left out, a link to a Maildir; import that by itself")
	}
	b, err := os.ReadFile(filepath.Join(s.path, "subscriptions"))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	out.Known = err == nil
	out.Subscriptions = subscriptions(b)
	return out, err
}

// subscriptions reads Dovecot's file: a name on each line, its levels parted by dots
// or, in version 2, by tabs.
func subscriptions(b []byte) []string {
	var names []string
	rest, tabs := bytes.CutPrefix(b, []byte("V\t2\n"))
	for line := range strings.Lines(string(rest)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		levels := storageLevels(line)
		if tabs {
			levels = strings.Split(line, "\t")
			for i := range levels {
				levels[i] = decodeLevel(levels[i])
			}
		}
		name := strings.Join(levels, "/")
		if strings.EqualFold(name, "INBOX") {
			name = ""
		}
		names = append(names, name)
	}
	return names
}

// Connect needs no connection.
func (s *served) Connect(context.Context) (transfer.Session, error) { return &reading{served: s}, nil }

// reading is one reader of folders.
type reading struct {
	*served
	letters map[string]letter // of the folder opened last, by key
}

func (r *reading) Close() error { return nil }

// Open reads a folder's list of UIDs and names of files.
func (r *reading) Open(_ context.Context, p transfer.Place) (transfer.Mailbox, []transfer.Message, error) {
	i := slices.IndexFunc(r.folders, func(f folder) bool { return f.dir == p.There })
	if i < 0 {
		return transfer.Mailbox{}, nil, fmt.Errorf("%s: %w", p.There, fs.ErrNotExist)
	}
	f := r.folders[i]
	list, err := readUIDs(filepath.Join(f.dir, uidlistName))
	if err != nil {
		return transfer.Mailbox{}, nil, err
	}
	letters, err := f.list()
	if err != nil {
		return transfer.Mailbox{}, nil, err
	}
	r.letters = make(map[string]letter, len(letters))
	var messages []transfer.Message
	for _, l := range letters {
		r.letters[l.file] = l
		messages = append(messages, transfer.Message{UID: list.uids[l.unique], Flags: f.decode(l.flags), Date: l.date, Key: l.file})
	}
	slices.SortStableFunc(messages, func(a, b transfer.Message) int {
		// Those without a UID come last, in the order of their names.
		return int(int64(uint32(a.UID-1)) - int64(uint32(b.UID-1)))
	})
	return list.Mailbox, messages, nil
}

// Fetch reads messages' files.
func (r *reading) Fetch(ctx context.Context, messages []transfer.Message, fn func(transfer.Message, []byte, error) error) error {
	for _, m := range messages {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l := r.letters[m.Key]
		it := Item{Err: l.err}
		if l.err == nil {
			it = r.letter(l, true)
		}
		if err := fn(m, it.Body, it.Err); err != nil {
			return err
		}
	}
	return nil
}

const uidlistName = "dovecot-uidlist"

// uidlist is what Dovecot's file of that name says.
type uidlist struct {
	transfer.Mailbox
	uids map[string]mailbox.UID // by the name of a file without flags
}

// ErrUIDList is returned for a dovecot-uidlist that cannot be read.
var ErrUIDList = errors.New("not a list of UIDs of version 1 or 3")

// readUIDs reads a list of UIDs; one that is not there is empty. A folder that has
// none gets new UIDs.
func readUIDs(path string) (uidlist, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return uidlist{}, nil
	}
	if err != nil {
		return uidlist{}, err
	}
	defer f.Close()
	list, err := parseUIDs(bufio.NewScanner(f))
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return list, err
}

// parseUIDs reads both versions: "1 VALIDITY NEXT" and lines "UID FILE", or
// "3 V… N… …" and lines "UID FIELDS… :FILE". A file that is named twice has the
// last UID, and its former one is nobody's, as in Dovecot.
func parseUIDs(lines *bufio.Scanner) (uidlist, error) {
	list := uidlist{uids: map[string]mailbox.UID{}}
	if !lines.Scan() {
		return list, errors.Join(ErrUIDList, lines.Err())
	}
	head := strings.Fields(lines.Text())
	var validity, next string
	switch {
	case len(head) >= 3 && head[0] == "1":
		validity, next = head[1], head[2]
	case len(head) >= 3 && head[0] == "3":
		for _, field := range head[1:] {
			switch field[0] {
			case 'V':
				validity = field[1:]
			case 'N':
				next = field[1:]
			}
		}
	}
	v, err1 := parseNumber(validity)
	n, err2 := parseNumber(next)
	if err := errors.Join(err1, err2); err != nil {
		return list, fmt.Errorf("%w: it begins with %.100q", ErrUIDList, lines.Text())
	}
	list.UIDValidity, list.UIDNext = mailbox.UIDValidity(v), mailbox.UID(n)
	last := uint32(0)
	for lines.Scan() {
		number, rest, _ := strings.Cut(lines.Text(), " ")
		uid, err := parseNumber(number)
		if err != nil || uid <= last || uid == math.MaxUint32 {
			return list, fmt.Errorf("%w: UID in %.100q after %d", ErrUIDList, lines.Text(), last)
		}
		last = uid
		if head[0] == "3" {
			_, rest, _ = strings.Cut(" "+rest, " :")
		}
		if name, _ := splitFlags(rest); name != "" {
			list.uids[name] = mailbox.UID(uid)
		}
	}
	list.UIDNext = max(list.UIDNext, mailbox.UID(last)+1)
	return list, lines.Err()
}

func parseNumber(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}
