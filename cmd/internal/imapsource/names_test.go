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

// answering is a server that has capabilities besides IMAP4rev1, answers commands that begin
// by some text by lines or, if that is "refused", by BAD, and what else it is asked by OK alone.
func answering(t *testing.T, capabilities string, lines map[string]string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	lines["CAPABILITY"], lines["LOGOUT"] = "* CAPABILITY IMAP4rev1"+capabilities+"\r\n", "* BYE\r\n"
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "* OK [CAPABILITY IMAP4rev1] ready\r\n")
		for r := bufio.NewScanner(conn); r.Scan(); {
			tag, rest, _ := strings.Cut(r.Text(), " ")
			answer := ""
			for command, text := range lines {
				if strings.HasPrefix(rest, command) {
					answer = text
				}
			}
			if answer == "refused" {
				io.WriteString(conn, tag+" BAD no\r\n")
				continue
			}
			io.WriteString(conn, answer+tag+" OK done\r\n")
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
	for _, capabilities := range []string{"", " LIST-EXTENDED"} { // with it, they are listed twice
		list := listOf(t, answering(t, capabilities, map[string]string{"LIST": answer}))
		checkUnreadable(t, list)
	}
}

// listOf is what a server lists.
func listOf(t *testing.T, at string) transfer.List {
	t.Helper()
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
	return list
}

func checkUnreadable(t *testing.T, list transfer.List) {
	t.Helper()
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

// TestSpecialUses: they come in answer to a plain LIST as well as when they are asked for,
// in whatever case, and what none can have here is told of.
func TestSpecialUses(t *testing.T) {
	const boxes = `* LIST (\HasNoChildren) "/" INBOX` + "\r\n" +
		`* LIST (\HasNoChildren \Sent) "/" "Sent Items"` + "\r\n" +
		`* LIST (\JUNK \HasNoChildren) "/" Spam` + "\r\n" +
		`* LIST (\NoSelect \Drafts) "/" Level` + "\r\n" +
		`* LIST (\All \Archive) "/" "All Mail"` + "\r\n" +
		`* LIST (\Trash \Archive) "/" Bin` + "\r\n" +
		`* LIST (\Important) "/" Pressing` + "\r\n"
	want := []transfer.Place{{There: "INBOX"}, {There: "Sent Items", Here: "Sent Items", Use: `\Sent`}, {There: "Spam", Here: "Spam", Use: `\Junk`},
		{There: "All Mail", Here: "All Mail", Use: `\Archive`}, {There: "Bin", Here: "Bin", Use: `\Trash`}, {There: "Pressing", Here: "Pressing"}}
	notices := []string{`All Mail: the use \All, which no mailbox has here`, `Bin: the use \Archive, besides \Trash`,
		`Pressing: the use \Important, which no mailbox has here`}
	for capabilities, lines := range map[string]map[string]string{
		"":                           {`LIST "" "*"`: boxes},
		" SPECIAL-USE":               {`LIST "" "*"`: boxes},
		" SPECIAL-USE LIST-EXTENDED": {`LIST "" "*" RETURN (SPECIAL-USE)`: boxes},
	} {
		list := listOf(t, answering(t, capabilities, lines))
		if !slices.Equal(list.Mailboxes, want) || !slices.Equal(list.Notices, notices) {
			t.Errorf("with%s: %+v", capabilities, list)
		}
	}
}

// TestSubscriptions: names that are subscribed and no mailboxes are among them, levels
// above subscribed ones are not.
func TestSubscriptions(t *testing.T) {
	lines := map[string]string{
		`LIST "" "*"`: `* LIST () "." INBOX` + "\r\n" + `* LIST () "." Work` + "\r\n" + `* LIST () "." Work.Plans` + "\r\n",
		`LIST (SUBSCRIBED) "" "*"`: `* LIST (\Subscribed) "." INBOX` + "\r\n" + `* LIST (\Subscribed \NonExistent) "." Gone.Away` + "\r\n" +
			`* LIST (\HasChildren) "." Work ("CHILDINFO" ("SUBSCRIBED"))` + "\r\n" + `* LIST (\Subscribed) "." Work.Plans` + "\r\n",
	}
	list := listOf(t, answering(t, " LIST-EXTENDED", lines))
	if !list.Known || !slices.Equal(list.Subscriptions, []string{"", "Gone/Away", "Work/Plans"}) || len(list.Mailboxes) != 3 {
		t.Errorf("%+v", list)
	}
	// RFC 3501 §6.3.9: all that LSUB names under "*" is subscribed, \Noselect or not.
	lines[`LSUB "" "*"`] = `* LSUB () "." INBOX` + "\r\n" + `* LSUB (\NoSelect) "." "Gone.Away"` + "\r\n" + `* lsub (\HasNoChildren) NIL {4}` + "\r\nWork\r\n"
	list = listOf(t, answering(t, "", lines))
	if !list.Known || !slices.Equal(list.Subscriptions, []string{"", "Gone/Away", "Work"}) || len(list.Mailboxes) != 3 {
		t.Errorf("by LSUB: %+v", list)
	}
	lines[`LSUB "" "*"`] = "refused"
	if list = listOf(t, answering(t, "", lines)); list.Known || len(list.Subscriptions) > 0 || len(list.Mailboxes) != 3 {
		t.Errorf("where it does not tell: %+v", list)
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
