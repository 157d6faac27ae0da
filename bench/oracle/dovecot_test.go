package oracle

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"mime"
	"net"
	"net/mail"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
	"teraslot/bench/peers"
)

// TestDovecot gives a Dovecot and a slot the same mail and asks both for every order
// and all threads. COUNT is how many messages of each corpus; 300 by default. Messages
// whose header is not as it should be are left out: everybody reads them in a way of
// his own.
func TestDovecot(t *testing.T) {
	slot := daemon.New(t, filepath.Join(daemon.Scratch(t), "slot"), "")
	slot.AddUser(t, "anna", password)
	for _, c := range corpora {
		corpus.Messages(t, c.name) // skips before a peer is started
	}
	peer := peers.Dovecot(t, peers.Mdbox)
	slot.Start(t)
	own, theirs := dialRaw(t, slot.IMAP), dialRaw(t, peer.IMAP)
	for _, c := range corpora {
		t.Run(c.name, func(t *testing.T) {
			messages := corpus.Messages(t, c.name)
			step := max(1, len(messages)/environ("COUNT", 300))
			random := rand.New(rand.NewPCG(1, uint64(len(messages))))
			for _, d := range []*rawClient{own, theirs} {
				d.do(t, "CREATE "+c.name)
			}
			n, odd := 0, 0
			for i := 0; i < len(messages); i += step {
				raw := bytes.ReplaceAll(messages[i].Raw, []byte{0}, []byte{' '}) // which no IMAP literal may hold
				if !isPlain(raw) {
					odd++
					continue
				}
				n++
				at := time.Unix(1_600_000_000+random.Int64N(1e7), 0).UTC().Format(`"02-Jan-2006 15:04:05 -0700"`)
				for _, d := range []*rawClient{own, theirs} {
					d.do(t, fmt.Sprintf("APPEND %s %s {%d+}\r\n%s", c.name, at, len(raw), raw))
				}
			}
			own.do(t, "SELECT "+c.name)
			theirs.do(t, "SELECT "+c.name)
			differences := compareOrders(t, own, theirs)
			t.Logf("proof: %s: %d commands on %d messages (%d odd ones left out), beside Dovecot: %d differences",
				t.Name(), len(orders), n, odd, differences)
		})
	}
	slot.Stop(t)
}

// isPlain reports whether net/mail and mime can read each of the fields that are
// compared, and each is there once at most.
func isPlain(raw []byte) bool {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return false
	}
	for _, name := range []string{"From", "To", "Cc", "Date", "Subject", "Message-Id", "In-Reply-To", "References"} {
		values := m.Header[name]
		if len(values) == 0 {
			continue
		}
		decoded, err := new(mime.WordDecoder).DecodeHeader(values[0])
		if len(values) > 1 || err != nil || strings.Contains(decoded, "=?") || !isASCII(values[0]) {
			return false
		}
		switch name {
		case "From", "To", "Cc":
			_, err = mail.ParseAddressList(values[0])
		case "Date":
			var at time.Time
			if at, err = mail.ParseDate(values[0]); err == nil && at.Year() < 1980 {
				return false
			}
		}
		if err != nil {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 126 || r < ' ' && r != '\t' })
}

// orders are the commands compared. Dovecot's REFS has the threads of ours in another
// order: docs/search.md, "SORT and THREAD".
var orders = func() (list []string) {
	for key := range strings.FieldsSeq("ARRIVAL CC DATE FROM SIZE SUBJECT TO DISPLAYFROM DISPLAYTO") {
		list = append(list, "SORT ("+key+") UTF-8 ALL", "UID SORT (REVERSE "+key+") UTF-8 ALL")
	}
	return append(list, "SORT (SUBJECT REVERSE DATE) UTF-8 ALL", "UID SORT (FROM TO REVERSE ARRIVAL) UTF-8 2:*",
		"THREAD ORDEREDSUBJECT UTF-8 ALL", "UID THREAD REFERENCES UTF-8 ALL", "THREAD REFERENCES UTF-8 SMALLER 3000",
		"THREAD REFS UTF-8 ALL", "UID THREAD REFS UTF-8 LARGER 2000")
}()

func compareOrders(t *testing.T, own, theirs *rawClient) (differences int) {
	for _, command := range orders {
		got, want := own.do(t, command), theirs.do(t, command)
		if strings.Contains(command, "REFS") {
			got, want = sortThreads(got), sortThreads(want)
		}
		if got == want {
			continue
		}
		differences++
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		from := max(0, at-40)
		t.Errorf("%s, from octet %d: %.120s; Dovecot says %.120s", command, at, got[from:], want[from:])
	}
	return differences
}

// sortThreads brings the threads of a response into an order of their own.
func sortThreads(response string) string {
	var threads []string
	depth, start := 0, 0
	for i, c := range response {
		switch c {
		case '(':
			if depth++; depth == 1 {
				start = i
			}
		case ')':
			if depth--; depth == 0 {
				threads = append(threads, response[start:i+1])
			}
		}
	}
	slices.Sort(threads)
	return strings.Join(threads, "")
}

// rawClient sends commands and reads text.
type rawClient struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
}

func dialRaw(t *testing.T, addr string) *rawClient {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &rawClient{conn: conn, r: bufio.NewReader(conn)}
	if _, err := c.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	c.do(t, `LOGIN anna "`+password+`"`)
	return c
}

// do sends a command, which has to succeed, and returns its SORT or THREAD response.
func (c *rawClient) do(t *testing.T, command string) (response string) {
	t.Helper()
	c.tag++
	tag := fmt.Sprintf("a%d ", c.tag)
	if _, err := c.conn.Write([]byte(tag + command + "\r\n")); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(line, "* SORT"), strings.HasPrefix(line, "* THREAD"):
			response = strings.TrimSpace(line)
		case strings.HasPrefix(line, tag+"OK"):
			return response
		case strings.HasPrefix(line, tag):
			t.Fatalf("%.100s: %s", command, line)
		}
	}
}
