package exporter

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lineEnds is what a message's line ends are.
type lineEnds struct {
	size    int64
	crlf    int64
	bare    int64 // LF without a CR before it
	doubled bool  // two CR before an LF
}

// scanLines counts the line ends of a message.
func scanLines(r io.Reader) (lineEnds, error) {
	var e lineEnds
	var before [2]byte // the last two bytes of what was read earlier
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		e.scan(before, buffer[:n])
		switch {
		case n > 1:
			before = [2]byte(buffer[n-2 : n])
		case n == 1:
			before = [2]byte{before[1], buffer[0]}
		}
		if err == io.EOF {
			return e, nil
		}
		if err != nil {
			return e, err
		}
	}
}

func (e *lineEnds) scan(before [2]byte, p []byte) {
	at := func(i int) byte {
		if i < 0 {
			return before[2+i]
		}
		return p[i]
	}
	e.size += int64(len(p))
	for i := 0; ; i++ {
		next := bytes.IndexByte(p[i:], '\n')
		if next < 0 {
			return
		}
		i += next
		switch {
		case at(i-1) != '\r':
			e.bare++
		case at(i-2) == '\r':
			e.doubled = true
			fallthrough
		default:
			e.crlf++
		}
	}
}

// lf reports whether the message is written with LF for CRLF: whether CRLF for
// each LF without CR then gives its bytes again.
func (e lineEnds) lf() bool { return e.bare == 0 && !e.doubled }

// written is the size of the file, wide that with CRLF for each LF without CR,
// which a Maildir server gives as RFC822.SIZE.
func (e lineEnds) written() int64 {
	if e.lf() {
		return e.size - e.crlf
	}
	return e.size
}

func (e lineEnds) wide() int64 { return e.size + e.bare }

// lfWriter writes LF for CRLF. It is given a whole message, then end is called.
type lfWriter struct {
	to io.Writer
	cr bool // seen, and not written yet
}

func (w *lfWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if w.cr && p[0] != '\n' {
			if err := w.end(); err != nil {
				return 0, err
			}
		}
		line, rest, found := bytes.Cut(p, []byte{'\r'})
		if _, err := w.to.Write(line); err != nil {
			return 0, err
		}
		w.cr, p = found, rest
	}
	return n, nil
}

func (w *lfWriter) end() error {
	if !w.cr {
		return nil
	}
	w.cr = false
	_, err := w.to.Write([]byte{'\r'})
	return err
}

// copyLines writes a message, with the line ends that e decides.
func copyLines(to io.Writer, r io.Reader, e lineEnds) error {
	if !e.lf() {
		_, err := io.Copy(to, r)
		return err
	}
	w := &lfWriter{to: to}
	_, err := io.Copy(w, r)
	return errors.Join(err, w.end())
}

// fromWord begins the lines that are quoted.
const fromWord = "From "

// quoter quotes a message for an mbox, in the mboxrd form. It keeps no line: ">"
// is put after those that are there, which gives the same bytes as before them.
type quoter struct {
	to     *bufio.Writer
	inside bool // of a line, past where it could be quoted
	held   int  // bytes of fromWord that were seen and not written yet
	last   byte // that was given; '\n' at first
}

func newQuoter(to *bufio.Writer) *quoter { return &quoter{to: to, last: '\n'} }

// Write takes a piece of the message. Errors of the buffered writer come with its
// Flush.
func (q *quoter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := len(p)
	q.last = p[n-1]
	for len(p) > 0 {
		p = q.step(p)
	}
	return n, nil
}

// step writes some of p and returns the rest.
func (q *quoter) step(p []byte) []byte {
	switch c := p[0]; {
	case q.inside:
		i := bytes.IndexByte(p, '\n') + 1
		if q.inside = i == 0; q.inside {
			i = len(p)
		}
		q.to.Write(p[:i])
		return p[i:]
	case q.held == 0 && c == '>':
		q.to.WriteByte(c)
		return p[1:]
	case c == fromWord[q.held]:
		if q.held++; q.held == len(fromWord) {
			q.to.WriteByte('>')
			q.release()
		}
		return p[1:]
	default:
		q.release()
		return p
	}
}

// release writes what is held: the line is decided upon.
func (q *quoter) release() {
	q.to.WriteString(fromWord[:q.held])
	q.held, q.inside = 0, true
}

// end ends the message: its last line, if that is open, and the empty line that
// parts it from the next.
func (q *quoter) end() {
	q.release()
	if q.last != '\n' {
		q.to.WriteByte('\n')
	}
	q.to.WriteByte('\n')
}
