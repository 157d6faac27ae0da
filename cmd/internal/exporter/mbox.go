package exporter

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// mbox exports a mailbox to an mbox and returns its size. One that an earlier run
// wrote of the same state of the mailbox is kept.
func (r *run) mbox(ctx context.Context, name string, view *mailstore.View, e entry) (int64, error) {
	file := filepath.Join(r.dir, e.Path)
	old := r.ledger.Mailboxes[view.State.ID]
	size, there, err := exists(r.fs, file)
	if err != nil {
		return 0, err
	}
	if e.Size = size; there && e == old {
		r.result.Kept += len(view.Records)
		r.result.Read += view.State.Counts.Size
		r.o.Progress(r.result)
		return size, nil
	}
	if err := disk.MkdirAll(r.fs, filepath.Dir(file), 0o700); err != nil {
		return 0, err
	}
	to := &counter{}
	err = disk.Publish(r.fs, file, 0o600, func(w io.Writer) error {
		to.to = w
		b := bufio.NewWriterSize(to, 64<<10)
		err := r.letters(ctx, name, view.State.ID, view.Records, func(letters []letter) error {
			for i := range letters {
				if err := r.mboxLetter(b, name, &letters[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return b.Flush()
	})
	return to.n, err
}

// counter counts what is written.
type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// mboxLetter appends a message. One that cannot be read whole is reported before a
// byte of it is written.
func (r *run) mboxLetter(w *bufio.Writer, name string, l *letter) error {
	ends, err := scanLines(l.reader())
	if err != nil {
		r.fail(place(name, l.UID), err)
		return nil
	}
	from := bufio.NewReader(l.reader())
	w.WriteString(fromLine(sender(l.reader()), l.InternalDate.Time()))
	q := newQuoter(w)
	if r.o.Flags {
		err = copyFlagged(q, from, l.Flags, ends)
	} else {
		err = copyLines(q, from, ends)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", place(name, l.UID), err)
	}
	q.end()
	r.result.Written++
	// A bufio.Writer keeps its first error: it says so here, not after the last message.
	_, err = w.Write(nil)
	return err
}

// fromLine is the line that begins a message: the sender of the envelope and the
// time of arrival in UTC (RFC 4155, Appendix A).
func fromLine(sender string, arrived time.Time) string {
	arrived = arrived.UTC()
	// A year of other than four digits would not be read as a date.
	if y := arrived.Year(); y < 0 || y > 9999 {
		arrived = time.Date(min(max(y, 0), 9999), arrived.Month(), arrived.Day(), arrived.Hour(), arrived.Minute(), arrived.Second(), 0, time.UTC)
	}
	return fromWord + sender + " " + arrived.Format(time.ANSIC) + "\n"
}

// unknownSender stands where a message has no Return-Path, or the empty one.
const unknownSender = "MAILER-DAEMON"

// maxSenderHeader is how far the Return-Path is looked for: delivery puts it on top.
const maxSenderHeader = 64 << 10

// sender is the address of the first Return-Path field (RFC 5321 §4.4).
func sender(message io.Reader) string {
	r := bufio.NewReader(io.LimitReader(message, maxSenderHeader))
	for {
		line, err := r.ReadSlice('\n')
		if len(bytes.TrimRight(line, "\r\n")) == 0 || err != nil && err != bufio.ErrBufferFull {
			return unknownSender
		}
		if fieldName(line) == "return-path" {
			_, value, _ := strings.Cut(string(line), ":")
			return cleanSender(value)
		}
	}
}

// cleanSender takes an address that is one word of printable ASCII; there is no
// quoting in a "From " line.
func cleanSender(value string) string {
	address := strings.Trim(value, " \t\r\n")
	address = strings.TrimSuffix(strings.TrimPrefix(address, "<"), ">")
	unfit := func(r rune) bool { return r <= ' ' || r > '~' }
	if address == "" || len(address) > 320 || address[0] == ':' || strings.ContainsFunc(address, unfit) {
		return unknownSender
	}
	return address
}

// fieldName is the name of the header field that a line begins, in lower case; ""
// if it begins none.
func fieldName(line []byte) string {
	name, _, found := bytes.Cut(line, []byte{':'})
	if !found || len(name) == 0 || name[0] == ' ' || name[0] == '\t' {
		return ""
	}
	return strings.ToLower(string(bytes.TrimRight(name, " \t")))
}

// copyFlagged copies a message with its flags in front, and without the fields
// that say what its flags were elsewhere.
func copyFlagged(to io.Writer, from *bufio.Reader, f mailbox.Flags, e lineEnds) error {
	newline := "\n"
	if !e.lf() {
		newline = "\r\n"
	}
	if _, err := io.WriteString(to, statusFields(f, newline)); err != nil {
		return err
	}
	w := &lfWriter{to: to}
	var header io.Writer = w
	if !e.lf() {
		header = to
	}
	if err := copyHeader(header, from); err != nil {
		return err
	}
	if err := w.end(); err != nil {
		return err
	}
	return copyLines(to, from, e)
}

// statusFields are the header fields of mail readers that work on mboxes.
func statusFields(f mailbox.Flags, newline string) string {
	status, more := "", ""
	for _, x := range []struct {
		flag   mailbox.System
		letter string
		in     *string
	}{{mailbox.Seen, "R", &status}, {mailbox.Answered, "A", &more}, {mailbox.Flagged, "F", &more},
		{mailbox.Draft, "T", &more}, {mailbox.Deleted, "D", &more}} {
		if f.Has(x.flag) {
			*x.in += x.letter
		}
	}
	text := "Status: " + status + "O" + newline // O: not new
	if more != "" {
		text += "X-Status: " + more + newline
	}
	if f.Keywords != "" {
		text += "X-Keywords: " + f.Keywords + newline
	}
	return text
}

// copyHeader copies a header up to and with the empty line, but for the fields of
// statusFields. What is no header field is copied.
func copyHeader(to io.Writer, from *bufio.Reader) error {
	drop, begins := false, true
	for {
		line, err := from.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		empty := begins && len(bytes.TrimRight(line, "\r\n")) == 0
		if begins && !(len(line) > 0 && (line[0] == ' ' || line[0] == '\t')) {
			switch fieldName(line) {
			case "status", "x-status", "x-keywords":
				drop = true
			default:
				drop = false
			}
		}
		if !drop {
			if _, err := to.Write(line); err != nil {
				return err
			}
		}
		if empty || err == io.EOF {
			return nil
		}
		begins = err == nil
	}
}
