package slot

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"teraslot/account"
)

// rcpt asks over a connection of its own whether mail for a recipient is taken.
type rcpt struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (r *running) dialLMTP() *rcpt {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.Addresses().LMTP[0])
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	c := &rcpt{r.t, conn, bufio.NewReader(conn)}
	c.reply()
	c.say("LHLO test")
	return c
}

func (c *rcpt) reply() string {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if line[3] != '-' {
			return line
		}
	}
}

func (c *rcpt) say(line string) string {
	c.t.Helper()
	fmt.Fprintf(c.conn, "%s\r\n", line)
	return c.reply()
}

// is expects the reply to RCPT, each time it is asked.
func (c *rcpt) is(to, reply string) {
	c.t.Helper()
	for range 2 {
		c.say("RSET")
		c.say("MAIL FROM:<a@example.org> SIZE=1000")
		if got := c.say("RCPT TO:<" + to + ">"); !strings.HasPrefix(got, reply) {
			c.t.Errorf("RCPT for %s: %q, want %s", to, strings.TrimSpace(got), reply)
		}
	}
}

// TestNextRecipientSeesChanges: what slotctl changes of a user is seen by the next
// RCPT, also of a session that has asked before, though accounts and quotas are
// answered from memory.
func TestNextRecipientSeesChanges(t *testing.T) {
	ctx := t.Context()
	r := start(t, newConfig(t, ""), Options{})
	quota := func(q account.Quota) error {
		return r.client.Change(ctx, "quota", ChangeUser{Name: "anna", Quota: q})
	}
	rename := func(from, to string) error {
		return r.client.Change(ctx, "rename", ChangeUser{Name: from, To: to})
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r.addUser("bob")
	c := r.dialLMTP()
	c.is("anna@example.org", "550 5.1.1")
	r.addUser("anna")
	c.is("anna@example.org", "250")
	must(r.deliver("Subject: one\r\n\r\nx\r\n", "anna@example.org"))
	must(quota(account.Quota{Messages: 1}))
	c.is("anna@example.org", "452 4.2.2")
	must(quota(account.Quota{Bytes: 1100}))
	c.is("anna@example.org", "452 4.2.2")
	must(quota(account.Quota{}))
	c.is("anna@example.org", "250")
	must(rename("anna", "carla"))
	c.is("anna@example.org", "550 5.1.1")
	c.is("carla@example.org", "250")
	must(rename("bob", "anna"))
	c.is("anna@example.org", "250")
	must(r.deliver("Subject: two\r\n\r\nforbob\r\n", "anna@example.org"))
	if n := r.hits("anna", "forbob"); n != 1 {
		t.Errorf("the user who is called so now has %d", n)
	}
	must(r.client.Change(ctx, "del", ChangeUser{Name: "carla"}))
	c.is("carla@example.org", "550 5.1.1")
	r.addUser("carla")
	c.is("carla@example.org", "250")
}
