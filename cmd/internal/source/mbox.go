package source

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"teraslot/mailbox"
)

// mbox reads the messages of an mbox file (RFC 4155, Appendix A).
func (s *Source) mbox(ctx context.Context, yield func(Item) bool) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := &mboxReader{lines: bufio.NewReaderSize(f, 64<<10), mboxo: s.o.Mboxo, max: s.o.MaxMessage}
	for ctx.Err() == nil {
		it, err := r.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		it.Place = s.path + "@" + it.Key
		if !yield(it) {
			return nil
		}
	}
	return ctx.Err()
}

// mboxReader cuts an mbox into messages.
type mboxReader struct {
	lines *bufio.Reader
	mboxo bool
	max   int64

	at      int64  // offset of the next line
	from    []byte // separator of the message to come, read already
	started bool
}

// next returns the next message; io.EOF after the last one.
func (r *mboxReader) next() (Item, error) {
	if !r.started {
		r.started = true
		if err := r.first(); err != nil {
			return Item{}, err
		}
	}
	if r.from == nil {
		return Item{}, io.EOF
	}
	begin := r.at - int64(len(r.from))
	it := Item{Key: fmt.Sprint(begin)}
	it.Date, _ = fromDate(r.from)
	r.from = nil
	body, err := r.message()
	if err != nil {
		return Item{}, err
	}
	it.Read = r.at - int64(len(r.from)) - begin
	switch {
	case int64(len(body)) > r.max:
		it.Err = fmt.Errorf("more than %d bytes: %w", r.max, ErrTooBig)
	case len(bytes.TrimSpace(body)) == 0: // the separator's own empty line, if any
		it.Err = ErrEmpty
	default:
		it.Body = body
		it.Flags = statusFlags(body)
	}
	return it, nil
}

// byteOrderMark is what editors of Windows put before UTF-8.
var byteOrderMark = []byte("\ufeff")

// first finds the first separator; empty lines may come before it.
func (r *mboxReader) first() error {
	for {
		line, err := r.line()
		if err != nil {
			return err
		}
		if line = bytes.TrimPrefix(line, byteOrderMark); isFrom(line) {
			r.from = bytes.Clone(line)
			return nil
		}
		if len(bytes.TrimSpace(line)) > 0 {
			return fmt.Errorf("the file does not begin with a \"From \" line: %w", ErrFormat)
		}
	}
}

// line returns a whole line with its end. It is valid until the next call.
func (r *mboxReader) line() ([]byte, error) {
	line, err := r.lines.ReadSlice('\n')
	r.at += int64(len(line))
	if err == bufio.ErrBufferFull || err == io.EOF && len(line) > 0 {
		err = nil // a piece of a long line, or a last line without an end
	}
	return line, err
}

// message reads up to the next separator. Beyond the limit, it goes on without
// keeping what it reads.
func (r *mboxReader) message() ([]byte, error) {
	var body []byte
	begins, blank := true, false // of a line; after an empty line
	for {
		line, err := r.line()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if begins && blank && isSeparator(line) {
			r.from = bytes.Clone(line)
			break
		}
		blank = begins && len(bytes.TrimRight(line, "\r\n")) == 0
		if begins {
			line = unquote(line, r.mboxo)
		}
		begins = line[len(line)-1] == '\n'
		if int64(len(body)) <= r.max {
			body = appendCRLF(body, line)
		}
	}
	return trimSeparatorLine(body), nil
}

// appendCRLF appends a line, or a piece of one, with CRLF as its end.
func appendCRLF(body, line []byte) []byte {
	text, ended := bytes.CutSuffix(line, []byte("\n"))
	body = append(body, text...)
	if !ended {
		return body
	}
	if !bytes.HasSuffix(body, []byte("\r")) {
		body = append(body, '\r')
	}
	return append(body, '\n')
}

// trimSeparatorLine takes off the empty line that the writer of an mbox puts
// after a message, but not the one that ends a header.
func trimSeparatorLine(body []byte) []byte {
	empty := []byte("\r\n\r\n")
	if bytes.HasSuffix(body, empty) && bytes.Index(body, empty) < len(body)-len(empty) {
		return body[:len(body)-2]
	}
	return body
}

// unquote takes one level of quoting off a line, of mboxrd or of mboxo.
func unquote(line []byte, mboxo bool) []byte {
	rest := bytes.TrimLeft(line, ">")
	depth := len(line) - len(rest)
	if depth == 0 || !bytes.HasPrefix(rest, []byte("From ")) || mboxo && depth > 1 {
		return line
	}
	return line[1:]
}

// unquoteAll takes one level of quoting off all lines.
func unquoteAll(text []byte, mboxo bool) []byte {
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		out = append(out, unquote(line, mboxo)...)
	}
	return out
}

// isFrom reports whether text begins with an mbox "From " line. A From field
// with white space before its colon (RFC 5322 §4.5.1) is none.
func isFrom(text []byte) bool {
	rest, ok := bytes.CutPrefix(text, []byte("From "))
	return ok && !bytes.HasPrefix(bytes.TrimLeft(rest, " \t"), []byte(":"))
}

// several reports whether a file that begins with a "From " line holds more than one
// message. A date and an empty line before it may also stand in a letter; a header field
// behind it, in one that quotes an mbox.
func several(file []byte) bool {
	blank := false
	for len(file) > 0 {
		var line []byte
		line, file, _ = bytes.Cut(file, []byte("\n"))
		if blank && isSeparator(line) && beginsWithField(file) {
			return true
		}
		blank = len(bytes.TrimRight(line, "\r")) == 0
	}
	return false
}

// beginsWithField reports whether text begins with the name of a header field and its colon (RFC 5322 §3.6.8).
func beginsWithField(text []byte) bool {
	for i, c := range text {
		if c == ':' || c <= ' ' || c >= 127 {
			return i > 0 && c == ':'
		}
	}
	return false
}

// isSeparator is stricter, because writers forget to quote: within a file, a
// "From " line separates messages only if it has a date.
func isSeparator(line []byte) bool {
	if !isFrom(line) {
		return false
	}
	_, ok := fromDate(line)
	return ok
}

// fromLayouts are the dates of "From " lines, after the name of the day.
var fromLayouts = []string{
	"Jan 2 15:04:05 2006",
	"Jan 2 15:04:05 2006 -0700",
	"Jan 2 15:04:05 -0700 2006",
	"Jan 2 15:04:05 MST 2006",
	"Jan 2 15:04:05 2006 MST",
	"Jan 2 15:04 2006",
	"Jan 2 15:04 MST 2006",
	"2 Jan 2006 15:04:05 -0700",
	"2 Jan 2006 15:04:05 MST",
	"2 Jan 2006 15:04:05",
}

// fromDate finds the date of a "From " line; without a zone it is UTC (RFC 4155).
func fromDate(line []byte) (time.Time, bool) {
	if len(line) > 1024 {
		return time.Time{}, false
	}
	words := strings.Fields(string(line))
	for i, w := range words {
		if !isWeekday(strings.TrimSuffix(w, ",")) {
			continue
		}
		text := strings.Join(words[i+1:], " ")
		for _, layout := range fromLayouts {
			if t, err := time.Parse(layout, text); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

func isWeekday(w string) bool {
	switch w {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

// statusFlags reads the flags that mail readers keep in the header of messages
// in an mbox: Status, X-Status, X-Keywords.
func statusFlags(body []byte) mailbox.Flags {
	var names []string
	for len(body) > 0 {
		line, rest, _ := bytes.Cut(body, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		body = rest
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		switch strings.ToLower(name) {
		case "status", "x-status":
			names = append(names, letters(value)...)
		case "x-keywords":
			names = append(names, strings.Fields(value)...)
		}
	}
	return mailbox.MakeFlags(names...)
}

// letters are the flags of Status and X-Status.
func letters(value string) []string {
	var names []string
	for _, c := range value {
		switch c {
		case 'R':
			names = append(names, `\Seen`)
		case 'A':
			names = append(names, `\Answered`)
		case 'F':
			names = append(names, `\Flagged`)
		case 'D':
			names = append(names, `\Deleted`)
		case 'T':
			names = append(names, `\Draft`)
		}
	}
	return names
}
