package lmtp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
)

// trace is what final delivery puts before a message (RFC 5321 §4.4).
func (s *Server) trace(c *session, e envelope) io.Reader {
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", e.from)
	fmt.Fprintf(&b, "Received: from %s", c.client)
	if host, _, err := net.SplitHostPort(c.conn.RemoteAddr().String()); err == nil {
		fmt.Fprintf(&b, " ([%s])", host)
	}
	fmt.Fprintf(&b, "\r\n\tby %s (Teraslot) with LMTP", s.o.Name) // RFC 3848 names it
	if len(e.recipients) == 1 {
		fmt.Fprintf(&b, "\r\n\tfor <%s>", e.recipients[0].path)
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", s.o.Now().Format("Mon, 2 Jan 2006 15:04:05 -0700"))
	return strings.NewReader(b.String())
}

// cleaned is the message without an mbox "From " line and Return-Path fields on top.
func cleaned(r io.Reader) io.Reader { return &cleaner{r: r} }

// cleaner looks at the message's top at its first Read: looking earlier would
// wait for a client before the caller is ready for errors.
type cleaner struct {
	r    io.Reader
	body *bufio.Reader
	err  error
}

// Read reads what follows the removed lines.
func (c *cleaner) Read(p []byte) (int, error) {
	if c.body == nil {
		c.body = bufio.NewReaderSize(c.r, maxCommand)
		c.err = c.skip()
	}
	if c.err != nil {
		return 0, c.err
	}
	return c.body.Read(p)
}

func (c *cleaner) skip() error {
	if err := c.skipIf(isFromLine, false); err != nil {
		return err
	}
	return c.skipIf(isReturnPath, true)
}

// skipIf drops lines while drop wants it, with the folded lines after them, as
// long as they fit the buffer: longer ones are no trace of any agent.
func (c *cleaner) skipIf(drop func(line []byte) bool, again bool) error {
	for {
		line, err := c.peekLine()
		if line == nil || !drop(line) {
			return err
		}
		for folded := true; folded; {
			if _, err := c.body.Discard(len(line)); err != nil {
				return err
			}
			if line, err = c.peekLine(); line == nil {
				return err
			}
			folded = line[0] == ' ' || line[0] == '\t'
		}
		if !again {
			return nil
		}
	}
}

// peekLine returns the next line with its end, or nil if there is none within
// the buffer.
func (c *cleaner) peekLine() ([]byte, error) {
	for n := 1; ; n = c.body.Buffered() + 1 {
		_, err := c.body.Peek(n)
		buffered, _ := c.body.Peek(c.body.Buffered()) // never fails
		if end := bytes.IndexByte(buffered, '\n'); end >= 0 {
			return buffered[:end+1], nil
		}
		if err == io.EOF || err == bufio.ErrBufferFull {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// isFromLine tells mbox's separator from a From field, which RFC 5322 §4.5.1
// lets have white space before its colon.
func isFromLine(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("From "))
	return ok && !bytes.HasPrefix(bytes.TrimLeft(rest, " \t"), []byte(":"))
}

func isReturnPath(line []byte) bool {
	name, _, ok := bytes.Cut(line, []byte(":"))
	return ok && strings.EqualFold(string(bytes.TrimRight(name, " \t")), "Return-Path")
}
