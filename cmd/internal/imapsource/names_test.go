package imapsource

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/cmd/internal/transfer"
	"teraslot/mailbox"
)

// answering is a server that answers LIST by lines, and what else it is asked by OK.
func answering(t *testing.T, lines string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	untagged := map[string]string{"CAPABILITY": "* CAPABILITY IMAP4rev1\r\n", "LIST": lines, "LOGOUT": "* BYE\r\n"}
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "* OK [CAPABILITY IMAP4rev1] ready\r\n")
		for r := bufio.NewScanner(conn); r.Scan(); {
			tag, rest, _ := strings.Cut(r.Text(), " ")
			command, _, _ := strings.Cut(rest, " ")
			io.WriteString(conn, untagged[command]+tag+" OK done\r\n")
		}
	}()
	return l.Addr().String()
}

// TestUnreadableNames: a mailbox whose name is in no encoding is told of and left out, in
// whatever form the name comes; the others are listed.
func TestUnreadableNames(t *testing.T) {
	names := []string{`"caf` + "\xe9" + `"`, "{4}\r\nxyz\xff", `"R&D"`, `"a\"\\&AGE-"`, "{6}\r\na\"b\xfec\\", `"&Jjo!"`, `"fine &AOk-"`, `"récent"`, "{5}\r\nplain", "INBOX", "&-"}
	answer := ""
	for _, name := range names {
		answer += `* LIST (\HasNoChildren) "/" ` + name + "\r\n"
	}
	at := answering(t, answer)
	s, err := Open("imap://anna@"+at+"/", Options{Password: "x", Plaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	list, err := s.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []transfer.Place{{There: "fine é", Here: "fine é"}, {There: "récent", Here: "récent"}, {There: "plain", Here: "plain"},
		{There: "INBOX"}, {There: "&", Here: "&"}}
	if !slices.Equal(list.Mailboxes, want) {
		t.Errorf("listed %+v", list.Mailboxes)
	}
	all := strings.Join(list.Notices, "\n")
	for _, name := range []string{`"caf\xe9"`, `"xyz\xff"`, `"R&D"`, `"a\"\\&AGE-"`, `"a\"b\xfec\\"`, `"&Jjo!"`} {
		if !strings.Contains(all, name+": left out") {
			t.Errorf("nothing is told of %s in\n%s", name, all)
		}
	}
	if len(list.Notices) != 6 {
		t.Errorf("told\n%s", all)
	}
}

func TestReadable(t *testing.T) {
	for name, want := range map[string]bool{"": true, "INBOX": true, "&AOk-": true, "é&AOk-": true, "&-": true, "é": true,
		"&": false, "&AGE-": false, "\xe9": false, "a\tb": false, "&2D0-": false, "\u0085": false} {
		if readable(name) != want {
			t.Errorf("%q is readable: %v", name, !want)
		}
	}
}

// TestFlagsOf: what belongs to a session is no flag of a message.
func TestFlagsOf(t *testing.T) {
	if got := flagsOf(nil); got != (mailbox.Flags{}) {
		t.Errorf("none are %+v", got)
	}
	if got, want := flagsOf([]imap.Flag{`\recent`, `\Seen`, "work"}), mailbox.MakeFlags(`\Seen`, "work"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
