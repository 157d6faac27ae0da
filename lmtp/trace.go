package lmtp

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// trace is what final delivery puts before a message (RFC 5321 §4.4).
func (s *session) trace() io.Reader {
	b := make([]byte, 0, 512)
	b = append(append(append(b, "Return-Path: <"...), s.from...), ">\r\nReceived: from "...)
	b = append(b, s.client...)
	if s.peer != "" {
		b = append(append(append(b, " (["...), s.peer...), "])"...)
	}
	// RFC 3848 names LMTP.
	b = append(append(append(b, "\r\n\tby "...), s.server.o.Name...), " (Teraslot) with LMTP"...)
	if len(s.recipients) == 1 {
		b = append(append(append(b, "\r\n\tfor <"...), s.recipients[0].path...), '>')
	}
	b = append(b, ";\r\n\t"...)
	b = s.server.o.Now().AppendFormat(b, "Mon, 2 Jan 2006 15:04:05 -0700")
	return bytes.NewReader(append(b, "\r\n"...))
}

// cleaner is a message without an mbox "From " line and Return-Path fields on top.
// It looks at the message's top at its first Read: looking earlier would wait for a
// client before the caller is ready for errors.
type cleaner struct {
	body  *bufio.Reader
	begun bool
	err   error
}

// reset makes c the message of r.
func (c *cleaner) reset(r io.Reader) {
	if c.body == nil {
		c.body = bufio.NewReaderSize(r, maxCommand)
	}
	c.body.Reset(r)
	c.begun, c.err = false, nil
}

// Read reads what follows the removed lines.
func (c *cleaner) Read(p []byte) (int, error) {
	if !c.begun {
		c.begun = true
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
