package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"teraslot/bench/corpus"
	"teraslot/bench/peers"
)

// cyrus is Cyrus's FUZZY over IMAP, on the same mail, indexed by Xapian.
type cyrus struct {
	conn     net.Conn
	in       *bufio.Reader
	messages map[string]int // the message's number, by UID
	tag      int
}

func (b *bench) openCyrus(mail []corpus.Message) (*cyrus, error) {
	server := peers.Cyrus(b)
	conn, err := net.Dial("tcp", server.IMAP)
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { conn.Close() })
	c := &cyrus{conn: conn, in: bufio.NewReader(conn), messages: map[string]int{}}
	if _, err := c.in.ReadString('\n'); err != nil {
		return nil, err
	}
	if _, err := c.do("LOGIN user0 x"); err != nil {
		return nil, err
	}
	refused := 0
	for i, m := range mail {
		out, err := c.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(m.Raw), m.Raw))
		_, uid, ok := strings.Cut(out, "[APPENDUID ")
		if err != nil || !ok {
			refused++ // it does not take NUL and a few other things
			continue
		}
		uid, _, _ = strings.Cut(uid, "]")
		c.messages[uid[strings.IndexByte(uid, ' ')+1:]] = i
	}
	fmt.Printf("cyrus: %d messages, %d refused\n", len(mail)-refused, refused)
	index := exec.CommandContext(b.ctx, filepath.Join(server.Dir, "run"), "squatter", "-C", filepath.Join(server.Dir, "imapd.conf"), "-i", "-r", "user.user0")
	if out, err := index.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("squatter: %w: %s", err, out)
	}
	_, err = c.do("SELECT INBOX")
	return c, err
}

// do sends a command and returns all that comes up to its OK.
func (c *cyrus) do(command string) (string, error) {
	c.tag++
	tag := "t" + strconv.Itoa(c.tag)
	if _, err := io.WriteString(c.conn, tag+" "+command+"\r\n"); err != nil {
		return "", err
	}
	var out bytes.Buffer
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		out.WriteString(line)
		if status, ok := strings.CutPrefix(line, tag+" "); ok {
			if !strings.HasPrefix(status, "OK") {
				return "", fmt.Errorf("%.60s: %s", command, status)
			}
			return out.String(), nil
		}
	}
}

func (c *cyrus) name() string { return "cyrus" }

func (c *cyrus) ranked(_ context.Context, words string) ([]int, error) {
	out, err := c.do(`UID SORT (RELEVANCY) UTF-8 FUZZY TEXT "` + words + `"`)
	if err != nil {
		return nil, err
	}
	var found []int
	for line := range strings.Lines(out) {
		uids, ok := strings.CutPrefix(strings.TrimSpace(line), "* SORT")
		if !ok {
			continue
		}
		for _, uid := range strings.Fields(uids) {
			n, known := c.messages[uid]
			if !known {
				return nil, fmt.Errorf("UID %s is none of the messages", uid)
			}
			found = append(found, n)
		}
	}
	return found, nil
}
