package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// folder is one Maildir: a directory with cur, new and tmp.
type folder struct {
	dir      string
	mailbox  string
	keywords [26]string // by letter, a to z
}

// maildirs finds the Maildirs at and below path, and links to others, which are not
// followed: they may lead in circles.
func maildirs(path string) (found []folder, links []string, err error) {
	err = filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type() == fs.ModeSymlink && hasCur(at) {
			links = append(links, at)
		}
		if !d.IsDir() {
			return nil
		}
		switch d.Name() {
		case "cur", "new", "tmp":
			if at != path {
				return filepath.SkipDir
			}
		}
		if !hasCur(at) {
			return nil
		}
		rel, err := filepath.Rel(path, at)
		if err != nil {
			return err
		}
		f := folder{dir: at, mailbox: folderName(rel)}
		if name, err := readName(at); err != nil {
			return err
		} else if name != "" {
			f.mailbox = name
		}
		f.keywords, err = readKeywords(at)
		found = append(found, f)
		return err
	})
	return found, links, err
}

// NameFile, in a folder of an export, has the mailbox's name where that is too long for
// the folder's.
const NameFile = "teraslot-name"

// maxNameFile bounds what is read of such a file.
const maxNameFile = 4096

// readName reads a folder's NameFile; "" if it has none.
func readName(dir string) (string, error) {
	f, err := os.Open(filepath.Join(dir, NameFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxNameFile+1))
	if err != nil {
		return "", err
	}
	name := strings.TrimSuffix(string(b), "\n")
	if _, err := mailstore.CleanName(name); err != nil || len(b) > maxNameFile {
		return "", fmt.Errorf("%s: %w", f.Name(), errors.Join(mailstore.ErrName, err))
	}
	return name, nil
}

// hasCur reports whether a directory has the one that makes it a Maildir.
func hasCur(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "cur"))
	return err == nil && info.IsDir()
}

// folderName makes a mailbox name of a path below the top Maildir. Maildir++
// joins levels by dots in one directory name, ".Lists.Go"; others nest
// directories. Names that are IMAP's modified UTF-7 become UTF-8, and what Dovecot's
// listescape writes as "\2e" becomes what it stands for.
func folderName(rel string) string {
	if rel == "." {
		return ""
	}
	var levels []string
	for part := range strings.SplitSeq(filepath.ToSlash(rel), "/") {
		if dotted, ok := strings.CutPrefix(part, "."); ok {
			levels = append(levels, storageLevels(dotted)...)
		} else {
			levels = append(levels, decodeLevel(part))
		}
	}
	return strings.Join(levels, "/")
}

// storageLevels are the levels of a name as Maildir++ keeps it.
func storageLevels(name string) []string {
	levels := strings.Split(name, ".")
	for i, level := range levels {
		levels[i] = decodeLevel(level)
	}
	return levels
}

func decodeLevel(level string) string {
	if decoded, ok := wire.DecodeUTF7(level); ok {
		level = decoded
	}
	return unescape(level)
}

// unescape undoes the escapes of Dovecot's listescape: a backslash and the two
// hexadecimal digits of an octet. "\2f" stays: "/" cannot be in a level here.
func unescape(level string) string {
	if !strings.Contains(level, `\`) {
		return level
	}
	var b strings.Builder
	for i := 0; i < len(level); i++ {
		if level[i] == '\\' && i+2 < len(level) {
			if c, err := strconv.ParseUint(level[i+1:i+3], 16, 8); err == nil && ' ' < c && c < 0x7f && c != '/' {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(level[i])
	}
	return b.String()
}

// readKeywords reads Dovecot's list of what the letters a to z in file names mean.
func readKeywords(dir string) (names [26]string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "dovecot-keywords"))
	if errors.Is(err, fs.ErrNotExist) {
		return names, nil
	}
	for line := range strings.Lines(string(b)) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(number); err == nil && 0 <= n && n < 26 {
			names[n] = name
		}
	}
	return names, err
}

// letter is a message's file.
type letter struct {
	folder folder
	file   string // below the folder's directory
	unique string // the name without its flags
	flags  string
	size   int64
	date   time.Time // of modification, which IMAP servers over Maildir give as INTERNALDATE
	err    error     // it cannot be read
}

func (s *Source) openMaildir() error {
	folders, links, err := maildirs(s.path)
	if err != nil {
		return err
	}
	if len(folders) == 0 {
		return ErrFormat
	}
	var all []letter
	for _, f := range folders {
		list, err := f.list()
		if err != nil {
			return err
		}
		for _, l := range list {
			s.size += l.size
		}
		all = append(all, list...)
	}
	s.read = func(ctx context.Context, yield func(Item) bool) error {
		for _, path := range links {
			if !yield(Item{Place: path, Key: path, Err: fmt.Errorf("%w: a link to a Maildir; import that by itself", ErrNoFile)}) {
				return nil
			}
		}
		for _, l := range all {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !yield(s.letter(l, false)) {
				return nil
			}
		}
		return nil
	}
	return nil
}

// list returns the messages of a folder in the order of their unique names,
// which begin with the time of delivery.
func (f folder) list() ([]letter, error) {
	zones, err := readZones(f.dir)
	if err != nil {
		return nil, err
	}
	var all []letter
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(f.dir, sub))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue // no message
			}
			l := letter{folder: f, file: filepath.Join(sub, e.Name())}
			l.unique, l.flags = splitFlags(e.Name())
			info, err := regular(filepath.Join(f.dir, l.file))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue // gone since
			case err != nil:
				l.err = err
			default:
				l.size, l.date = info.Size(), zones.in(info.ModTime(), l.unique)
			}
			all = append(all, l)
		}
	}
	slices.SortStableFunc(all, func(a, b letter) int { return strings.Compare(a.unique, b.unique) })
	return all, nil
}

// splitFlags parts a file name at ":2,"; file systems without colons have other
// characters there.
func splitFlags(name string) (unique, flags string) {
	if i := strings.LastIndex(name, "2,"); i > 0 && strings.ContainsRune(":;!-", rune(name[i-1])) {
		return name[:i-1], name[i+2:]
	}
	return name, ""
}

// letter reads a message; as it is where clients have been served it.
func (s *Source) letter(l letter, served bool) Item {
	path := filepath.Join(l.folder.dir, l.file)
	it := Item{
		Place:   path,
		Key:     filepath.Join(l.folder.dir, l.unique),
		Mailbox: l.folder.mailbox,
		Flags:   l.folder.decode(l.flags),
		Read:    l.size,
		Err:     l.err,
	}
	if l.err != nil {
		return it
	}
	it.Body, it.Date, it.Err = s.readFile(path, served)
	if it.Date.IsZero() {
		it.Date = l.date
	}
	return it
}

// decode reads the letters of a file name.
func (f folder) decode(flags string) mailbox.Flags {
	var names []string
	for _, c := range flags {
		switch c {
		case 'S':
			names = append(names, `\Seen`)
		case 'R':
			names = append(names, `\Answered`)
		case 'F':
			names = append(names, `\Flagged`)
		case 'T':
			names = append(names, `\Deleted`)
		case 'D':
			names = append(names, `\Draft`)
		case 'P':
			names = append(names, "$Forwarded")
		default:
			if 'a' <= c && c <= 'z' && f.keywords[c-'a'] != "" {
				names = append(names, f.keywords[c-'a'])
			}
		}
	}
	return mailbox.MakeFlags(names...)
}
