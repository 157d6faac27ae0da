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
	const atOnce = 100
	for first := 0; first < len(mail); first += atOnce {
		batch := mail[first:min(first+atOnce, len(mail))]
		if c.append(batch, first) == nil {
			continue
		}
		for i := range batch { // it does not take NUL and a few other things
			_ = c.append(batch[i:i+1], first+i)
		}
	}
	fmt.Printf("cyrus: %d messages, %d refused\n", len(c.messages), len(mail)-len(c.messages))
	index := exec.CommandContext(b.ctx, filepath.Join(server.Dir, "run"), "squatter", "-C", filepath.Join(server.Dir, "imapd.conf"), "-i", "-r", "user.user0")
	if out, err := index.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("squatter: %w: %s", err, out)
	}
	_, err = c.do("SELECT INBOX")
	return c, err
}

// append adds messages by one command (RFC 3502); the first has the given number.
func (c *cyrus) append(mail []corpus.Message, first int) error {
	var command strings.Builder
	command.WriteString("APPEND INBOX")
	for _, m := range mail {
		fmt.Fprintf(&command, " {%d+}\r\n%s", len(m.Raw), m.Raw)
	}
	out, err := c.do(command.String())
	if err != nil {
		return err
	}
	var validity, uid int
	if _, code, ok := strings.Cut(out, "[APPENDUID "); !ok {
		return fmt.Errorf("no APPENDUID: %s", out)
	} else if _, err := fmt.Sscanf(code, "%d %d", &validity, &uid); err != nil {
		return fmt.Errorf("%s: %w", out, err)
	}
	for i := range mail {
		c.messages[strconv.Itoa(uid+i)] = first + i
	}
	return nil
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
	return c.sorted(`FUZZY TEXT "` + words + `"`)
}

// byWord asks Cyrus with a key for each word: then the words need not all be in one
// part of the message.
type byWord struct{ *cyrus }

func (c byWord) name() string { return "cyrus, a key a word" }

func (c byWord) ranked(_ context.Context, words string) ([]int, error) {
	var keys []string
	for _, w := range strings.Fields(words) {
		keys = append(keys, `FUZZY TEXT "`+w+`"`)
	}
	return c.sorted(strings.Join(keys, " "))
}

// sorted returns what matches the keys, the most relevant first.
func (c *cyrus) sorted(keys string) ([]int, error) {
	out, err := c.do("UID SORT (RELEVANCY) UTF-8 " + keys)
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
