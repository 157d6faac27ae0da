package lmtp

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"teraslot/account"
	"teraslot/mailstore"
)

// TestSequences lists commands in orders that are none, and what is no command.
func TestSequences(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	c := f.dial()
	c.expect("220")
	for _, x := range []struct{ line, reply string }{
		{"RCPT TO:<anna@example.org>", "503"}, {"DATA", "503"}, {"LHLO", "501"}, {"LHLO \x01", "501"}, {"lhlo client.test and more", "250"},
		{"RCPT TO:<anna@example.org>", "503"}, {"DATA", "503"}, {"MAIL", "501"}, {"MAIL TO:<a@b>", "501"}, {"MAIL FROM:<a@b", "501"},
		{"mail from: <a@b>", "250 2.1.0"}, {"MAIL FROM:<a@b>", "503"}, {"DATA", "503"}, {"RCPT TO:<>", "501"}, {"RCPT TO:<@example.org>", "501"},
		{"RCPT TO:<anna@>", "501"}, {"RCPT TO:<anna@example.org> NOTIFY=NEVER", "555"}, {"rcpt to: <anna@example.org>", "250 2.1.5"},
		{"DATA now", "501"}, {"RSET", "250"}, {"DATA", "503"}, {"STARTTLS", "502"}, {"AUTH PLAIN", "502"}, {"HELO x", "500"},
		{"VRFY anna", "252"}, {"EXPN anna", "502"}, {"HELP", "502"}, {"", "500"}, {"FOO", "500"}, {"NOOP with words", "250"},
		{"MAIL FROM:<a@b> SIZE=99999999999", "552 5.3.4"}, {"MAIL FROM:<a@b>", "250"}, {"LHLO again.test", "250"}, {"RCPT TO:<anna@example.org>", "503"},
		{"QUIT", "221"},
	} {
		c.say(x.line, x.reply)
	}
	c.closed()
	c = f.hello()
	for range maxErrors {
		c.say("GET / HTTP/1.1", "500")
	}
	c.say("GET / HTTP/1.1", "500")
	c.expect("421")
	c.closed()
}

// TestWithoutDomain: RFC 5321 §4.1.1.3 wants <postmaster> to be taken, and §4.5.1
// that somebody reads it.
func TestWithoutDomain(t *testing.T) {
	f := newFixture(t, Options{Postmaster: "bob"}, mailstore.Options{})
	c := f.hello()
	for _, to := range []string{"postmaster", "Postmaster", "POSTMASTER@anywhere.example", "bob"} {
		c.deliver("Subject: for "+to, to)
	}
	c.deliver("Subject: x", "anna")
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<postmasters>", "550 5.1.1")
	if a, b := f.count("anna"), f.count("bob"); a != 1 || b != 4 {
		t.Errorf("anna has %d, bob %d", a, b)
	}
	a, err := f.accounts.Add(t.Context(), "postmaster", "password", account.Quota{})
	if err == nil {
		err = f.store.CreateUser(t.Context(), a.ID, mailstore.UserOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	c.say("RSET", "250")
	c.deliver("Subject: x", "postmaster")
	if n := f.count("postmaster"); n != 1 {
		t.Errorf("the user of that name got %d", n)
	}
	nobody := newFixture(t, Options{}, mailstore.Options{}).hello()
	nobody.say("MAIL FROM:<>", "250")
	nobody.say("RCPT TO:<postmaster>", "550 5.1.1")
}

// countingListener counts the writes of its connections.
type countingListener struct {
	net.Listener
	mu     sync.Mutex
	writes int // guarded by mu
}

type countingConn struct {
	net.Conn
	l *countingListener
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countingConn{c, l}, err
}

func (c countingConn) Write(p []byte) (int, error) {
	c.l.mu.Lock()
	c.l.writes++
	c.l.mu.Unlock()
	return c.Conn.Write(p)
}

// TestRepliesAreSentTogether: RFC 2920 §3.2, what a client pipelines is answered at
// once; and a message's own reply waits for nothing.
func TestRepliesAreSentTogether(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first, stopped := f.stop, f.stopped
	defer func() {
		first()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}()
	counting := &countingListener{Listener: l}
	f.serve(counting)
	c := f.hello()
	counting.mu.Lock()
	before := counting.writes
	counting.mu.Unlock()
	for range 3 {
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<anna@example.org>\r\nRCPT TO:<nobody@example.org>\r\nDATA\r\n")
		for _, code := range []string{"250", "250", "550", "354"} {
			c.expect(code)
		}
		c.send(hello + "\r\n.\r\n")
		c.expect("250 2.1.5")
	}
	counting.mu.Lock()
	defer counting.mu.Unlock()
	if n := counting.writes - before; n != 6 {
		t.Errorf("%d writes for three messages, want two each", n)
	}
}

// certificate is one for tests.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"mx.test"}}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TestStartTLS: nothing that was said in the clear counts, not even what came in
// one packet with STARTTLS.
func TestStartTLS(t *testing.T) {
	f := newFixture(t, Options{TLS: certificate(t)}, mailstore.Options{})
	c := f.dial()
	c.expect("220")
	if got := c.say("LHLO client.test", "250"); !strings.Contains(got, "STARTTLS") {
		t.Errorf("%q", got)
	}
	c.say("STARTTLS now", "501")
	c.say("MAIL FROM:<a@example.com>", "250")
	c.send("STARTTLS\r\nRCPT TO:<injected@example.org>\r\n")
	c.expect("220")
	link := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c = &client{t: t, conn: link, r: bufio.NewReader(link)}
	c.say("RCPT TO:<anna@example.org>", "503")
	if got := c.say("LHLO client.test", "250"); strings.Contains(got, "STARTTLS") {
		t.Errorf("%q", got)
	}
	c.say("STARTTLS", "503")
	c.deliver(hello, "anna@example.org")
	if f.count("anna") != 1 {
		t.Error("not delivered")
	}
	f.stop()
	c.expect("421")
	// A handshake that fails ends the session.
	if err := <-f.stopped; err != nil {
		t.Error(err)
	}
	f.stopped <- nil
}

// TestFault: a fault in one session ends it, and nothing else.
func TestFault(t *testing.T) {
	var faulty atomic.Bool
	clock := func() time.Time {
		if faulty.Load() {
			panic("the clock is broken")
		}
		return noon
	}
	f := newFixture(t, Options{Now: clock}, mailstore.Options{})
	c := f.hello()
	c.envelope("anna@example.org")
	faulty.Store(true)
	c.send(hello + "\r\n.\r\n")
	c.expect("421 4.3.0")
	faulty.Store(false)
	f.hello().deliver(hello, "anna@example.org")
}
