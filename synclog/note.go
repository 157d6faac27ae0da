package synclog

import (
	"fmt"
	"hash/crc32"
	"strings"

	"teraslot/mailbox"
)

// Note says that something changed.
type Note struct {
	User    mailbox.User
	Mailbox mailbox.ID // "": the user, anything of it
}

// version is the first word of a line.
const version = "1"

// nobody stands for an absent mailbox.
const nobody = "-"

// The length of a line is bounded by that of its longest parts.
const maxLine = len(version) + 1 + 32 + 1 + 24 + 1 + 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// valid reports whether the ids have their form: others cannot be read back.
func (n Note) valid() bool {
	if _, err := mailbox.ParseUser(string(n.User)); err != nil {
		return false
	}
	_, err := mailbox.ParseID(string(n.Mailbox))
	return err == nil || n.Mailbox == ""
}

// appendLine appends the note as a line, as docs/formats.md draws it.
func (n Note) appendLine(b []byte) []byte {
	id := string(n.Mailbox)
	if id == "" {
		id = nobody
	}
	start := len(b)
	b = append(b, version+" "+string(n.User)+" "+id...)
	return fmt.Appendf(b, " %08x\n", crc32.Checksum(b[start:], castagnoli))
}

// parseLine reads a line without its end. It takes what appendLine writes, and
// nothing else.
func parseLine(line string) (Note, bool) {
	words := strings.Split(line, " ")
	if len(words) != 4 || words[0] != version {
		return Note{}, false
	}
	n := Note{User: mailbox.User(words[1]), Mailbox: mailbox.ID(words[2])}
	if words[2] == nobody {
		n.Mailbox = ""
	}
	ok := n.valid() && string(n.appendLine(nil)) == line+"\n"
	return n, ok
}

// parse reads a log: its notes, each once, in the order of their first lines,
// and the number of lines that cannot be read. What follows the last line end is
// a write that a crash cut short, and counts as one if it is not empty.
func parse(content string) (notes []Note, damaged int) {
	seen := map[Note]bool{}
	for line := range strings.SplitSeq(content, "\n") {
		if line == "" {
			continue // the flush after a torn one begins with a line end
		}
		n, ok := parseLine(line)
		switch {
		case !ok:
			damaged++
		case !seen[n]:
			seen[n] = true
			notes = append(notes, n)
		}
	}
	return notes, damaged
}
