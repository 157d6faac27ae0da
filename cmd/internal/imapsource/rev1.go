package imapsource

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// rev1Conn hides from the client library that a server knows IMAP4rev2: the library
// would then write the names of mailboxes as if that had been enabled, and where they
// are not ASCII the server would not find them. It rewrites lines until it is
// told to stop, which is before the first message is read.
type rev1Conn struct {
	net.Conn
	lines *bufio.Reader
	left  []byte // of a line that was read; used by the one goroutine that reads
	done  atomic.Bool
}

func newRev1Conn(c net.Conn, greeting string) *rev1Conn {
	return &rev1Conn{Conn: c, lines: bufio.NewReaderSize(c, 64<<10), left: []byte(greeting)}
}

// Read reads what is left of a line, or the next.
func (c *rev1Conn) Read(p []byte) (int, error) {
	if len(c.left) == 0 {
		if c.done.Load() {
			return c.lines.Read(p)
		}
		line, err := c.lines.ReadSlice('\n')
		if len(line) == 0 {
			return 0, err // of a line that is too long, the beginning comes first
		}
		if !c.done.Load() {
			line = bytes.ReplaceAll(line, []byte("IMAP4rev2"), []byte("IMAP4rev0"))
		}
		c.left = line
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
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
