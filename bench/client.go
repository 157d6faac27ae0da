package main

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"teraslot/bench/daemon"
)

// client is a raw IMAP connection that reads octets and takes nothing apart: what
// is measured is the server.
type client struct {
	b    *bench
	conn net.Conn
	n    int
	buf  []byte // of the last answer
}

// dial logs in to a slot and selects the INBOX.
func dial(b *bench, s *daemon.Slot, user string) *client { return dialTo(b, s.IMAP, user) }

// dialTo logs in to any server and selects the INBOX.
func dialTo(b *bench, addr, user string) *client {
	conn, err := net.Dial("tcp", addr)
	b.must(err)
	c := &client{b: b, conn: conn}
	c.readTo(func(text []byte) bool { return bytes.HasSuffix(text, []byte("\n")) })
	c.do("LOGIN " + user + " \"" + password + "\"")
	c.do("SELECT INBOX")
	return c
}

// close ends the connection; a client that is nil has none.
func (c *client) close() {
	if c != nil {
		c.conn.Close()
	}
}

// do sends one command and reads to its end; it returns the answer, which is good
// until the next command, and the time.
func (c *client) do(command string) ([]byte, time.Duration) {
	start := time.Now()
	out, result := c.try(command)
	took := time.Since(start)
	if !strings.HasPrefix(result, "OK") {
		c.b.Fatal(command[:min(len(command), 80)], result)
	}
	return out, took
}

// try is do for a command that may fail; result is its completion.
func (c *client) try(command string) (out []byte, result string) {
	c.n++
	tag := fmt.Sprintf("t%d ", c.n)
	_, err := c.conn.Write([]byte(tag + command + "\r\n"))
	c.b.must(err)
	last := 0
	out = c.readTo(func(text []byte) bool {
		last = bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
		return text[len(text)-1] == '\n' && bytes.HasPrefix(text[last:], []byte(tag))
	})
	return out[:last], string(out[last+len(tag):])
}

// readTo reads until what was read is whole.
func (c *client) readTo(whole func([]byte) bool) []byte {
	n := 0
	for {
		if n == len(c.buf) {
			c.buf = slices.Concat(c.buf, make([]byte, max(64<<10, n)))
		}
		got, err := c.conn.Read(c.buf[n:])
		c.b.must(err)
		if n += got; whole(c.buf[:n]) {
			return c.buf[:n]
		}
	}
}

// found are the numbers of the SEARCH responses in an answer.
func found(out []byte) (numbers []uint32) {
	for line := range strings.SplitSeq(string(out), "\r\n") {
		list, ok := strings.CutPrefix(line, "* SEARCH")
		if !ok {
			continue
		}
		for word := range strings.FieldsSeq(list) {
			if n, err := strconv.ParseUint(word, 10, 32); err == nil {
				numbers = append(numbers, uint32(n))
			}
		}
	}
	return numbers
}

// always is a command that is the same in every run.
func always(command string) func(int) string { return func(int) string { return command } }

// timesOf runs a command some times; a client that is nil does nothing.
func timesOf(c *client, runs int, command func(int) string) (all durations) {
	if c == nil {
		return nil
	}
	for i := range runs {
		_, took := c.do(command(i))
		all = append(all, took)
	}
	return all
}
