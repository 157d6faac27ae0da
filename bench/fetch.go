package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"time"

	"teraslot/bench/daemon"
)

// client is a raw IMAP connection: what is measured is the server, not a
// client's parser.
type client struct {
	b    *bench
	conn net.Conn
	r    *bufio.Reader
	n    int
}

// dial logs in and selects the INBOX.
func dial(b *bench, s *daemon.Slot, user string) *client {
	conn, err := net.Dial("tcp", s.IMAP)
	b.must(err)
	c := &client{b: b, conn: conn, r: bufio.NewReaderSize(conn, 1<<20)}
	_, err = c.r.ReadString('\n')
	b.must(err)
	c.do("LOGIN " + user + " \"" + password + "\"")
	c.do("SELECT INBOX")
	return c
}

// do sends one command and reads to its end; it returns the untagged bytes and
// the time.
func (c *client) do(command string) ([]byte, time.Duration) {
	c.n++
	tag := fmt.Sprintf("t%d ", c.n)
	start := time.Now()
	_, err := c.conn.Write([]byte(tag + command + "\r\n"))
	c.b.must(err)
	var out []byte
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			c.b.Fatal(command, err)
		}
		if bytes.HasPrefix(line, []byte(tag)) {
			took := time.Since(start)
			if !bytes.HasPrefix(line[len(tag):], []byte("OK")) {
				c.b.Fatal(command, string(line))
			}
			return out, took
		}
		out = append(out, line...)
	}
}

// times runs a command some times over and prints percentiles.
func (c *client) times(what, command string, n int) {
	var all []time.Duration
	size := 0
	for range n {
		out, took := c.do(command)
		all, size = append(all, took), len(out)
	}
	percentiles(what, all, fmt.Sprintf("%d bytes", size))
}

// fetch measures the commands by which clients synchronise, on 6,046 messages.
func fetch(b *bench) {
	s := b.slot()
	addUsers(b, s, 1)
	load(b, s, "user0", b.messages("spamassassin"))
	s.Start(b)
	c := dial(b, s, "user0")
	defer c.conn.Close()
	for _, item := range []string{"FLAGS", "ENVELOPE", "BODYSTRUCTURE", "(UID FLAGS INTERNALDATE RFC822.SIZE)"} {
		c.times("UID FETCH 1:* "+item, "UID FETCH 1:* "+item, 5)
	}
	c.times("UID FETCH 1:1000 BODY.PEEK[]", "UID FETCH 1:1000 BODY.PEEK[]", 5)
	var stores []time.Duration
	for i := range 6 {
		sign := []string{"+", "-"}[i%2]
		_, took := c.do("UID STORE 1:* " + sign + "FLAGS.SILENT (\\Flagged)")
		stores = append(stores, took)
	}
	percentiles("UID STORE 1:* ±FLAGS.SILENT, changing, durable", stores, "")
	c.times("SELECT INBOX", "SELECT INBOX", 20)
	s.Stop(b)
}

// hits counts the numbers of a SEARCH response.
func hits(out []byte) int {
	_, rest, ok := strings.Cut(string(out), "* SEARCH")
	if !ok {
		return 0
	}
	line, _, _ := strings.Cut(rest, "\r\n")
	return len(strings.Fields(line))
}
