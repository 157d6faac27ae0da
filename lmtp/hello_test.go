package lmtp

import (
	"strings"
	"testing"
	"unicode/utf8"

	"teraslot/mailstore"
)

func TestClientName(t *testing.T) {
	for said, want := range map[string]string{
		"client.test": "client.test", "[127.0.0.1]": "[127.0.0.1]", "[IPv6:::1]": "[IPv6:::1]", "my_machine-1": "my_machine-1",
		"пример.example": "пример.example", "x;(by": "x??by", `"a<b>`: "?a?b?", "a\xff\xc3b": "a??b", "a\u2028b": "a?b",
		strings.Repeat("é", 200): strings.Repeat("é", 127), strings.Repeat("x", 300): strings.Repeat("x", 255),
	} {
		if got := clientName(said); got != want || !utf8.ValidString(got) {
			t.Errorf("%q is called %q, not %q", said, got, want)
		}
	}
}

// TestForgedReceived: what a client calls itself adds nothing to Received.
func TestForgedReceived(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	c := f.dial()
	c.expect("220")
	c.say("LHLO x(by)trusted.example;Mon,1", "250")
	c.deliver("Subject: x", "anna@example.org")
	got := f.messages("anna", "INBOX")
	if len(got) != 1 || !strings.Contains(got[0], "Received: from x?by?trusted.example?Mon?1 ([127.0.0.1])\r\n\tby mx.test") {
		t.Errorf("stored as %q", got)
	}
}

// TestHelloBetweenChunks: LHLO gives a message up as RSET does; one without a name is none.
func TestHelloBetweenChunks(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	c := f.hello()
	begin := func() {
		c.say("MAIL FROM:<sender@example.com>", "250")
		c.say("RCPT TO:<anna@example.org>", "250")
		c.send("BDAT 6\r\nA: 1\r\n")
		c.expect("250")
	}
	begin()
	c.say("LHLO again.test", "250")
	c.say("RCPT TO:<anna@example.org>", "503")
	c.send("BDAT 3 LAST\r\nxyz")
	c.expect("503")
	begin()
	c.say("LHLO", "501")
	c.send("BDAT 2 LAST\r\n\r\n")
	c.expect("250 2.1.5")
	if got := f.messages("anna", "INBOX"); len(got) != 1 || !strings.Contains(got[0], "from again.test ") || !strings.HasSuffix(got[0], "A: 1\r\n\r\n") {
		t.Errorf("stored: %q", got)
	}
}
