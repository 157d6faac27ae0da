package imapsource

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"teraslot/imapd/wire"
)

// rev1Conn hides from the client library what it cannot bear. It looks at lines until it
// is told to stop, which is before the first message is read.
//
// That a server knows IMAP4rev2: the library would then write the names of mailboxes as
// if that had been enabled, and where they are not ASCII the server would not find them.
//
// Mailboxes whose names are in no encoding that IMAP has, octets of Latin-1 for one: the
// library would give the whole connection up. They are noted instead.
//
// That a server tells subscriptions by LSUB alone, which the library does not know: what it
// asks by LIST (SUBSCRIBED) is asked by LSUB while lsub is set, and answered as by LIST.
type rev1Conn struct {
	net.Conn
	lines *bufio.Reader
	left  []byte // of a line that was read; used by the one goroutine that reads
	done  atomic.Bool
	lsub  atomic.Bool

	mu  sync.Mutex // guards odd
	odd []string   // names of mailboxes that were left out
}

func newRev1Conn(c net.Conn, greeting string) *rev1Conn {
	return &rev1Conn{Conn: c, lines: bufio.NewReaderSize(c, 64<<10), left: []byte(greeting)}
}

// unnamed are the names of the mailboxes that were left out so far.
func (c *rev1Conn) unnamed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.odd)
}

// Read reads what is left of a line, or the next.
func (c *rev1Conn) Read(p []byte) (int, error) {
	for len(c.left) == 0 {
		if c.done.Load() {
			return c.lines.Read(p)
		}
		line, err := c.lines.ReadSlice('\n')
		if len(line) == 0 {
			return 0, err // of a line that is too long, the beginning comes first
		}
		if !c.done.Load() {
			if line, err = c.listed(line); err != nil {
				return 0, err
			}
			line = bytes.ReplaceAll(line, []byte("IMAP4rev2"), []byte("IMAP4rev0"))
			line = lsubAnswer.ReplaceAll(line, []byte(`* LIST (\Subscribed)`))
		}
		c.left = line
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

// Write writes a command, which the library gives whole.
func (c *rev1Conn) Write(p []byte) (int, error) {
	if !c.lsub.Load() {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(bytes.Replace(p, []byte(" LIST (SUBSCRIBED) "), []byte(" LSUB "), 1)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// lsubAnswer is the beginning of LSUB. Of the names that "*" matches all are subscribed,
// \Noselect ones too (RFC 3501 §6.3.9).
var lsubAnswer = regexp.MustCompile(`^\* (?i:LSUB) \([^)]*\)`)

// listedName is the end of a LIST or LSUB response: the delimiter and a name.
var listedName = regexp.MustCompile(`(?s)^\* (?i:LIST|LSUB) \([^)]*\) (?:"(?:\\?.)"|(?i:NIL)) (.*)\r\n$`)

// literalName is a name that comes as a literal.
var literalName = regexp.MustCompile(`^\{(\d{1,5})\}$`)

// listed returns a line as it is, with the literal that is a mailbox's name; nothing of a
// mailbox whose name cannot be read.
func (c *rev1Conn) listed(line []byte) ([]byte, error) {
	m := listedName.FindSubmatch(line)
	if m == nil {
		return line, nil
	}
	name := string(m[1])
	if size := literalName.FindStringSubmatch(name); size != nil {
		n, err := strconv.Atoi(size[1])
		if err != nil {
			return nil, err
		}
		line = append(bytes.Clone(line), make([]byte, n)...)
		if _, err := io.ReadFull(c.lines, line[len(line)-n:]); err != nil {
			return nil, err
		}
		name = string(line[len(line)-n:])
		rest, err := c.lines.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = append(line, rest...)
	} else if quoted, ok := strings.CutPrefix(name, `"`); ok {
		name = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(strings.TrimSuffix(quoted, `"`))
	}
	if readable(name) {
		return line, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.odd = append(c.odd, name)
	return nil, nil
}

// readable reports whether a name is UTF-8 that is no ASCII, or modified UTF-7, and so the
// server is told the same name that it told.
func readable(name string) bool {
	if strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) {
		return false
	}
	ascii := strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return -1
		}
		return r
	}, name)
	_, ok := wire.DecodeUTF7(ascii)
	return ok
}

// errInjected: octets came in the clear behind the answer to STARTTLS, which somebody
// on the way may have put there.
var errInjected = errors.New("there is more behind the answer to STARTTLS")

// startTLS brings up TLS on a connection that begins without, and returns it with the
// greeting that was read.
func startTLS(conn net.Conn, config *tls.Config) (net.Conn, string, error) {
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, "", err
	}
	r := bufio.NewReaderSize(conn, 8<<10)
	greeting, err := r.ReadString('\n')
	if err != nil {
		return nil, "", err
	}
	if !strings.HasPrefix(greeting, "* OK") {
		return nil, "", fmt.Errorf("greeted by %.100q", greeting)
	}
	if _, err := io.WriteString(conn, "s STARTTLS\r\n"); err != nil {
		return nil, "", err
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, "", err
		}
		if strings.HasPrefix(line, "s OK") {
			break
		}
		if strings.HasPrefix(line, "s ") {
			return nil, "", fmt.Errorf("STARTTLS: %.100q: %w", line, ErrPlaintext)
		}
	}
	if r.Buffered() > 0 {
		return nil, "", errInjected
	}
	t := tls.Client(conn, config)
	if err := t.Handshake(); err != nil {
		return nil, "", err
	}
	// Without its capabilities, which came in the clear.
	return t, "* OK ready\r\n", conn.SetDeadline(time.Time{})
}
