package exporter

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// maxFileName is the longest file name in bytes that Linux's file systems take.
const maxFileName = 255

// mailboxPath is where a mailbox is exported, below the directory. Different names
// have different paths, and none is a file of the export itself. Names that are too long
// for a file are cut, and end in what tells them from others that begin like them.
func mailboxPath(format Format, name string) string {
	if format == Maildir {
		return folderDir(name)
	}
	return filepath.FromSlash(mboxFile(name))
}

// fits reports whether a file can have the name; ".new" is what disk.Publish appends.
func fits(file string) bool { return len(file)+len(".new") <= maxFileName }

// shortened makes a file name of as much of the beginning of name as fits, and of its
// digest. mark parts them: no name of another mailbox has that in its files' names.
func shortened(name, mark, ending string, file func(string) string) string {
	end := fmt.Sprintf("%s%.16x%s", mark, sha256.Sum256([]byte(name)), ending)
	for len(name) > 0 && !fits(file(name)+end) {
		_, size := utf8.DecodeLastRuneInString(name)
		name = strings.TrimSuffix(name[:len(name)-size], mailstore.Separator)
	}
	return file(name) + end
}

// The marks of shortened names: names that are whole have neither, because what would
// make one is escaped.
const (
	folderMark = `\7e`
	mboxMark   = "%7E"
)

// isShortened reports whether a mailbox's path has not all of its name.
func isShortened(format Format, path string) bool {
	if format == Maildir {
		return strings.Contains(path, folderMark)
	}
	return strings.Contains(path, mboxMark)
}

// folderDir is the Maildir++ directory of a mailbox; INBOX is at the top.
func folderDir(name string) string {
	if name == mailstore.Inbox {
		return "."
	}
	if dir := "." + storageName(name); fits(dir) {
		return dir
	}
	return shortened(name, folderMark, "", func(cut string) string { return "." + storageName(cut) })
}

// listEscapes are those of Dovecot's listescape: the separator of Maildir++
// cannot be in a level otherwise.
var listEscapes = strings.NewReplacer(`\`, `\5c`, ".", `\2e`)

// storageName is a mailbox's name as Dovecot's Maildir++ keeps it in its files.
func storageName(name string) string {
	levels := strings.Split(name, mailstore.Separator)
	for i, level := range levels {
		levels[i] = string(wire.AppendUTF7(nil, listEscapes.Replace(level)))
	}
	return strings.Join(levels, ".")
}

const mboxEnding = ".mbox"

// mboxFile is the mbox of a mailbox, with slashes. Directories never end as the
// mboxes, the ledger and its lock do.
func mboxFile(name string) string {
	levels := strings.Split(name, mailstore.Separator)
	for i, level := range levels {
		ending := ""
		if i == len(levels)-1 {
			ending = mboxEnding
		}
		if levels[i] = levelFile(level) + ending; !fits(levels[i]) {
			levels[i] = shortened(level, mboxMark, ending, levelFile)
		}
	}
	return strings.Join(levels, mailstore.Separator)
}

// levelFile is a level in the name of a file.
func levelFile(level string) string {
	level = strings.ReplaceAll(level, "%", "%25")
	if rest, ok := strings.CutPrefix(level, "."); ok {
		level = "%2E" + rest
	}
	switch end := filepath.Ext(level); end {
	case mboxEnding, ".json", ".lock", ".new":
		level = strings.TrimSuffix(level, end) + "%2E" + end[1:]
	}
	return level
}

// origin ends the names of messages' files, where a Maildir has the host.
const origin = "teraslot"

// uniqueName is the first part of the name of a message's file: what never
// changes about the message. It begins with the seconds of its arrival, as every
// Maildir's names do.
func uniqueName(v mailbox.UIDValidity, rec *mailbox.Record) string {
	return fmt.Sprintf("%d.U%dV%dG%.32s.%s", max(rec.InternalDate.Unix, 0), rec.UID, v, rec.GUID, origin)
}

// fileName is the name of a message's file.
type fileName struct {
	unique string
	size   int64 // in bytes: S=
	wide   int64 // with CRLF for each LF: W=
	flags  string
}

// base is the name without flags, as it stands in dovecot-uidlist.
func (f fileName) base() string { return fmt.Sprintf("%s,S=%d,W=%d", f.unique, f.size, f.wide) }

// String is the name in cur.
func (f fileName) String() string { return f.base() + ":2," + f.flags }

// parseFileName takes a name apart that String made; ok is false for others.
func parseFileName(name string) (f fileName, ok bool) {
	base, flags, _ := strings.Cut(name, ":2,")
	parts := strings.Split(base, ",")
	if len(parts) != 3 || !strings.HasSuffix(parts[0], "."+origin) {
		return f, false
	}
	size, err1 := strconv.ParseInt(strings.TrimPrefix(parts[1], "S="), 10, 64)
	wide, err2 := strconv.ParseInt(strings.TrimPrefix(parts[2], "W="), 10, 64)
	f = fileName{parts[0], size, wide, flags}
	return f, err1 == nil && err2 == nil && uniqueParts(f.unique) && f.String() == name
}

// uniqueParts reports whether uniqueName made the text.
func uniqueParts(unique string) bool {
	var seconds int64
	var uid, validity uint32
	var guid string
	n, err := fmt.Sscanf(unique, "%d.U%dV%dG%s", &seconds, &uid, &validity, &guid)
	if n != 4 || err != nil || len(guid) != 32+1+len(origin) {
		return false
	}
	for _, c := range guid[:32] {
		if !strings.ContainsRune("0123456789abcdef", c) {
			return false
		}
	}
	return true
}
