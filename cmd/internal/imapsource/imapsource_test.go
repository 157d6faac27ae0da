package imapsource

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/cmd/internal/transfer"
	"teraslot/mailbox"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]address{
		"imaps://anna@old.example/":             {host: "old.example:993", name: "old.example", tls: true, user: "anna"},
		"imap://anna%40example.org@old.example": {host: "old.example:143", name: "old.example", user: "anna@example.org"},
		"imap://anna*master@[::1]:1143/":        {host: "[::1]:1143", name: "::1", user: "anna*master"},
		"imaps://old.example/":                  {},
		"imaps://anna@/":                        {},
		"pop://anna@old.example/":               {},
		"imaps://anna@old.example/INBOX":        {},
		"imaps://anna@old.example/?x":           {},
		"imaps://anna:secret@old.example/":      {},
		"imaps://anna@old.example:port/":        {},
	} {
		got, err := parseAddress(text)
		if got != want || (err == nil) != (want != address{}) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a password is told: %v", err)
		}
	}
}

// TestNames: whatever the server parts levels by, and wherever it puts the user's own.
func TestNames(t *testing.T) {
	dots := &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Prefix: "INBOX.", Delim: '.'}},
		Other: []imap.NamespaceDescriptor{{Prefix: "user.", Delim: '.'}}, Shared: []imap.NamespaceDescriptor{{Prefix: "", Delim: '.'}}}
	for _, c := range []struct {
		name     string
		delim    rune
		spaces   *imap.NamespaceData
		want     string
		personal bool
	}{
		{"inbox", '/', nil, "", true},
		{"Work/Plans", '/', nil, "Work/Plans", true},
		{"Work.Plans", '.', nil, "Work/Plans", true},
		{"a/b.c", '.', nil, "a_b/c", true},
		{"a/b", 0, nil, "a_b", true},
		{"INBOX.Sent", '.', dots, "Sent", true},
		{"INBOX.", '.', dots, "INBOX/", true},
		{"user.brong", '.', dots, "", false},
		{"user", '.', dots, "", false},
		{"users", '.', dots, "users", true},
		{"INBOX", '.', dots, "", true},
	} {
		if got, personal := nameHere(c.name, c.delim, c.spaces); got != c.want || personal != c.personal {
			t.Errorf("%q: %q, %t", c.name, got, personal)
		}
	}
	var out transfer.List
	take(&out, []*imap.ListData{
		{Mailbox: "INBOX", Delim: '.'},
		{Mailbox: "INBOX.Sent", Delim: '.'},
		{Mailbox: "Sent", Delim: '.'},
		{Mailbox: "a/b", Delim: '.'},
		{Mailbox: "level", Delim: '.', Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}},
		{Mailbox: "user.brong", Delim: '.'},
	}, dots)
	takeSubscribed(&out, []*imap.ListData{
		{Mailbox: "INBOX", Delim: '.', Attrs: []imap.MailboxAttr{imap.MailboxAttrSubscribed}},
		{Mailbox: "a/b", Delim: '.', Attrs: []imap.MailboxAttr{imap.MailboxAttrSubscribed}},
		{Mailbox: "user.brong", Delim: '.', Attrs: []imap.MailboxAttr{imap.MailboxAttrSubscribed}},
	}, dots)
	if !slices.Equal(out.Mailboxes, []transfer.Place{{There: "INBOX"}, {There: "INBOX.Sent", Here: "Sent"}, {There: "Sent", Here: "Sent"}, {There: "a/b", Here: "a_b"}}) ||
		!slices.Equal(out.Subscriptions, []string{"", "a_b"}) || len(out.Notices) != 2 { // transfer gives one of two its own name
		t.Errorf("%+v", out)
	}
}

// TestRev1Conn hides IMAP4rev2 in whatever pieces it comes, and nothing once told so.
func TestRev1Conn(t *testing.T) {
	text := "* CAPABILITY IMAP4rev1 IMAP4rev2\r\nrest IMAP4rev2 " + strings.Repeat("x", 100_000) + "\r\nno end"
	client, server := net.Pipe()
	go func() {
		io.Copy(server, iotest.OneByteReader(strings.NewReader(text)))
		server.Close()
	}()
	got, err := io.ReadAll(newRev1Conn(client, "* OK\r\n"))
	if want := "* OK\r\n" + strings.ReplaceAll(text, "IMAP4rev2", "IMAP4rev0"); err != nil || string(got) != want {
		t.Errorf("%d octets, %v", len(got), err)
	}
	client, server = net.Pipe()
	go func() {
		io.WriteString(server, text)
		server.Close()
	}()
	c := newRev1Conn(client, "")
	c.done.Store(true)
	if got, err := io.ReadAll(c); err != nil || string(got) != text {
		t.Errorf("%d octets, %v", len(got), err)
	}
}

// server answers each line that a client sends by the next of some answers.
func server(t *testing.T, greeting string, answers ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, greeting)
		r := bufio.NewReader(conn)
		for _, a := range answers {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			io.WriteString(conn, a)
		}
		io.Copy(io.Discard, r)
	}()
	return l.Addr().String()
}

// TestNoPasswordInTheClear: without TLS, or with what somebody put behind the answer to
// STARTTLS, nothing is sent.
func TestNoPasswordInTheClear(t *testing.T) {
	for name, c := range map[string]struct {
		greeting, answer string
		want             error
	}{
		"refused":  {"* OK hello\r\n", "s NO no TLS\r\n", ErrPlaintext},
		"injected": {"* OK hello\r\n", "s OK go\r\n* OK [CAPABILITY AUTH=PLAIN]\r\n", errInjected},
		"preauth":  {"* PREAUTH hello\r\n", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open("imap://anna@"+server(t, c.greeting, c.answer)+"/", Options{Password: "secret"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Connect(t.Context()); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestSilentServer: the end of the context ends waiting.
func TestSilentServer(t *testing.T) {
	s, err := Open("imap://anna@"+server(t, "* OK [CAPABILITY IMAP4rev1] hello\r\n")+"/", Options{Password: "secret", Plaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.List(ctx); err == nil {
		t.Error("a server that does not answer is taken for one")
	}
}

// TestNewsBetweenAnswers: flags that another client changes meanwhile look like answers
// to the client library. Nothing is lost by that, neither of the list nor of the octets,
// and what the server does not give is told.
func TestNewsBetweenAnswers(t *testing.T) {
	const one = "* 1 FETCH (RFC822.SIZE 5 UID 2 INTERNALDATE \" 2-Jan-2024 10:00:00 +0100\" FLAGS ())\r\n"
	const two = "* 2 FETCH (UID 9 FLAGS (\\Seen \\Recent) INTERNALDATE \"01-Jan-2024 10:00:00 +0100\" RFC822.SIZE 4)\r\n"
	const three = "* 3 FETCH (UID 11 FLAGS () INTERNALDATE \"01-Jan-2024 10:00:00 +0100\" RFC822.SIZE 4)\r\n"
	addr := server(t, "* OK [CAPABILITY IMAP4rev1] hello\r\n",
		"T1 OK [CAPABILITY IMAP4rev1] in\r\n", "* CAPABILITY IMAP4rev1\r\nT2 OK done\r\n",
		"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 3] x\r\nT3 OK [READ-ONLY] done\r\n",
		"* 2 FETCH (UID 9 FLAGS (news))\r\n"+one+two+three+"T4 OK done\r\n",
		"* SEARCH 2 9 11\r\nT5 OK done\r\n",
		two+"T6 OK done\r\n",
		"* SEARCH 9 2 11\r\nT7 OK done\r\n",
		"* 1 FETCH (UID 2 FLAGS (news))\r\n* 1 FETCH (UID 2 BODY[] {3}\r\nabc)\r\n* 2 FETCH (UID 9 BODY[] NIL)\r\nT8 OK done\r\n",
		"* 1 FETCH (UID 2 BODY[] {3}\r\nabc)\r\nT9 OK done\r\n",
		"T10 OK done\r\n", "T11 OK done\r\n", three+"T12 OK done\r\n")
	s, err := Open("imap://anna@"+addr+"/", Options{Password: "secret", Plaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	box, messages, err := c.Open(t.Context(), transfer.Place{There: "INBOX"})
	if err != nil || box != (transfer.Mailbox{UIDValidity: 7, UIDNext: 12}) || len(messages) != 3 ||
		messages[0].UID != 2 || messages[0].Size != 5 || messages[1].Flags != mailbox.MakeFlags(`\Seen`) {
		t.Fatalf("%+v, %+v, %v", box, messages, err)
	}
	got := map[mailbox.UID]string{}
	if err := c.Fetch(t.Context(), messages, func(m transfer.Message, body []byte, err error) error {
		if err != nil {
			body = []byte("failed")
		}
		got[m.UID] = string(body)
		return nil
	}); err != nil || got[2] != "abc" || got[9] != "failed" || got[11] != "failed" || len(got) != 3 {
		t.Errorf("%v, %v", got, err)
	}
}
