package slot

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// rawClient speaks IMAP line by line.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	tags int
}

// raw logs in to a slot, with QRESYNC.
func (r *running) raw(name string) *rawClient {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.Addresses().IMAP[0])
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	c := &rawClient{t: r.t, conn: conn, in: bufio.NewReader(conn)}
	c.line()
	c.say("LOGIN " + name + " secret")
	c.say("ENABLE QRESYNC")
	return c
}

func (c *rawClient) line() string {
	c.t.Helper()
	c.conn.SetDeadline(time.Now().Add(time.Minute))
	text, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSuffix(text, "\r\n")
}

// say says a command that has to succeed, and returns what the server says to it but what is each session's own: \Recent.
func (c *rawClient) say(command string) []string {
	c.t.Helper()
	c.tags++
	tag := fmt.Sprintf("t%d", c.tags)
	if _, err := io.WriteString(c.conn, tag+" "+command+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	var out []string
	for {
		text := c.line()
		if rest, done := strings.CutPrefix(text, tag+" "); done {
			if !strings.HasPrefix(rest, "OK") {
				c.t.Fatalf("%s: %s", command, rest)
			}
			return append(out, rest)
		}
		if !strings.HasSuffix(text, " RECENT") {
			out = append(out, strings.NewReplacer(` \Recent`, "", `\Recent`, "").Replace(text))
		}
	}
}

// TestReplicasTellVanished: since any mod-sequence a replica tells a client the same as the master: what
// vanished, what changed, with the same mod-sequences; and a session that is there hears of what is replicated.
func TestReplicasTellVanished(t *testing.T) {
	master, one, two := startStore(t)
	master.addUser("anna")
	for i := range 8 {
		if err := master.deliver(fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i), "anna"); err != nil {
			t.Fatal(err)
		}
	}
	here := master.raw("anna")
	selected := strings.Join(here.say("SELECT INBOX (CONDSTORE)"), "\n")
	validity := regexp.MustCompile(`UIDVALIDITY (\d+)`).FindStringSubmatch(selected)[1]
	here.say(`STORE 2,5 +FLAGS.SILENT (\Deleted work)`)
	here.say("EXPUNGE")
	master.replicate("")
	there := one.raw("anna")
	there.say("EXAMINE INBOX")
	here.say(`UID STORE 1,8 +FLAGS (\Deleted)`)
	here.say("UID EXPUNGE 8")
	here.say("UID MOVE 3 Trash")
	here.say(`UID STORE 4 +FLAGS.SILENT (\Answered)`)
	master.replicate("")

	want := here.say("UID FETCH 1:* (FLAGS MODSEQ)")
	eventually(t, func() error { // the session on the replica hears of it in its own time
		there.say("NOOP")
		if got := there.say("UID FETCH 1:* (FLAGS MODSEQ)"); !slices.Equal(got, want) {
			return fmt.Errorf("a session on the replica has %q, one on the master %q", got, want)
		}
		return nil
	})
	highest := 0
	if _, err := fmt.Sscanf(regexp.MustCompile(`HIGHESTMODSEQ \d+`).FindString(strings.Join(here.say("STATUS INBOX (HIGHESTMODSEQ)"), " ")), "HIGHESTMODSEQ %d", &highest); err != nil {
		t.Fatal(err)
	}
	asked, replicas, vanished := master.raw("anna"), []*rawClient{one.raw("anna"), two.raw("anna")}, 0
	for since := 1; since <= highest; since++ {
		command := fmt.Sprintf("EXAMINE INBOX (QRESYNC (%s %d))", validity, since)
		want := asked.say(command)
		if slices.ContainsFunc(want, func(l string) bool { return strings.HasPrefix(l, "* VANISHED (EARLIER) ") }) {
			vanished++
		}
		for _, r := range replicas {
			if got := r.say(command); !slices.Equal(got, want) {
				t.Errorf("%s: a replica says\n%s\nthe master\n%s", command, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	if vanished < 3 {
		t.Errorf("VANISHED was told since %d mod-sequences of %d", vanished, highest)
	}
}
