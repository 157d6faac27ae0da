package peers

import (
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"
)

// TestPeers starts each, delivers by LMTP and finds the message by IMAP.
func TestPeers(t *testing.T) {
	for name, start := range map[string]func(TB) *Server{
		"Dovecot mdbox":   func(tb TB) *Server { return Dovecot(tb, Mdbox) },
		"Dovecot Maildir": func(tb TB) *Server { return Dovecot(tb, Maildir) },
		"Cyrus":           Cyrus,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c, err := imapclient.DialInsecure(s.IMAP, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Login("anna", "any").Wait(); err != nil {
				t.Fatal(err)
			}
			deliver(t, s.LMTP, "anna", "Subject: x\r\n\r\nhello\r\n")
			data, err := c.Select("INBOX", nil).Wait()
			if err != nil || data.NumMessages != 1 {
				t.Errorf("%+v, %v", data, err)
			}
		})
	}
}

// TestCyrusPair: what is delivered to one is on the other after sync_client.
func TestCyrusPair(t *testing.T) {
	master, replica := CyrusPair(t)
	open := func(s *Server) *imapclient.Client {
		c, err := imapclient.DialInsecure(s.IMAP, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.Login("anna", "any").Wait(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	open(master)
	deliver(t, master.LMTP, "anna", "Subject: x\r\n\r\nhello\r\n")
	if out, err := master.Command("sync_client", "-n", "copy", "-A").CombinedOutput(); err != nil {
		t.Fatalf("sync_client: %v: %s", err, out)
	}
	if data, err := open(replica).Select("INBOX", nil).Wait(); err != nil || data.NumMessages != 1 {
		t.Errorf("%+v, %v", data, err)
	}
}

func deliver(t *testing.T, addr, to, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClientLMTP(conn)
	defer c.Close()
	if err := c.SendMail("sender@example.org", []string{to}, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}
