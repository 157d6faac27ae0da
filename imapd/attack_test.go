package imapd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// quick are limits short enough to be waited for.
var quick = Limits{Login: 300 * time.Millisecond, Handshake: 200 * time.Millisecond, Command: 200 * time.Millisecond,
	Stall: 200 * time.Millisecond, Idle: 300 * time.Millisecond, Write: 300 * time.Millisecond, Grace: 300 * time.Millisecond}

// waitEnd reads until the server closes the connection and returns what it said.
func (p *peer) waitEnd(t *testing.T) string {
	t.Helper()
	p.conn.SetDeadline(time.Now().Add(patience))
	said, err := io.ReadAll(p.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection is still open; the server said %q", said)
	}
	return string(said)
}

func TestSilentClientBeforeLogin(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true, Limits: quick})
	p := h.dial(t)
	if said := p.waitEnd(t); !strings.Contains(said, "* BYE ") {
		t.Errorf("no BYE in %q", said)
	}
}

// A client that sends an octet at a time gets no more time than a silent one.
func TestDrippingClientBeforeLogin(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true, Limits: quick})
	p := h.dial(t)
	start := time.Now()
	drip := make(chan error, 1)
	go func() {
		for {
			if _, err := p.conn.Write([]byte("a")); err != nil {
				drip <- err
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	}()
	p.waitEnd(t)
	p.conn.Close()
	<-drip
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("held the connection for %v", d)
	}
}

func TestSilentClientBeforeTLS(t *testing.T) {
	o := Options{Limits: quick}
	h := openSlot(t, &o)
	h.srv = New(o)
	h.serve(t, true)
	t.Cleanup(func() { h.close(t) })
	if said := h.dial(t).waitEnd(t); said != "" {
		t.Errorf("the server said %q without TLS", said)
	}
}

// TLS gives a client that says nothing, or an octet at a time, no more time.
func TestSilentClientAfterTLS(t *testing.T) {
	o := Options{Limits: quick}
	h := openSlot(t, &o)
	h.srv = New(o)
	h.serve(t, true)
	t.Cleanup(func() { h.close(t) })
	silent, drips := h.dial(t), h.dial(t)
	silent.startTLS(t)
	drips.startTLS(t)
	dripped := make(chan struct{})
	go func() {
		defer close(dripped)
		for {
			if _, err := drips.conn.Write([]byte("a")); err != nil {
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	}()
	for _, p := range []*peer{silent, drips} {
		if said := p.waitEnd(t); !strings.HasPrefix(said, "* OK ") || !strings.Contains(said, "* BYE ") {
			t.Errorf("no BYE in %q", said)
		}
		p.conn.Close()
	}
	<-dripped
}

func TestSilentClientInSTARTTLS(t *testing.T) {
	h := newHarness(t, Options{Limits: quick})
	p := h.dial(t)
	p.response(t)
	p.do(t, "STARTTLS")
	p.waitEnd(t)
}

func TestIdleClientAfterLogin(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true, Limits: quick})
	for _, command := range []string{"", "a IDLE\r\n"} {
		p := h.login(t, "alice")
		p.say(t, command)
		if said := p.waitEnd(t); !strings.Contains(said, "* BYE ") {
			t.Errorf("after %q no BYE in %q", command, said)
		}
	}
}

func TestHalfCommandAfterLogin(t *testing.T) {
	limits := quick
	limits.Idle = time.Minute
	h := newHarness(t, Options{PlainLogin: true, Limits: limits})
	for _, text := range []string{"a NOO", "a LOGIN {5}\r\nab", "a APPEND INBOX {5}\r\nab", "a APPEND INBOX {100+}\r\nab"} {
		p := h.login(t, "alice")
		p.say(t, text)
		if said := p.waitEnd(t); !strings.Contains(said, "* BYE ") {
			t.Errorf("after %q no BYE in %q", text, said)
		}
	}
}

// Octets of a refused literal are not commands (RFC 7888 §4).
func TestRefusedLiteralIsNotParsed(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true, Limits: Limits{Message: 1 << 20}})
	evil := "x1 CREATE injected\r\n"
	pad := evil + strings.Repeat("z", 5000-len(evil))
	long := strings.Repeat(evil, 2_000_000/len(evil))
	for _, command := range []string{
		"a SEARCH TEXT {5000+}\r\n",               // an argument
		"a SEARCH TEXT {2000000+}\r\n",            // larger than an argument may be
		"a LOGIN {5000+}\r\n",                     // where the state allows no login
		"a FROB {5000+}\r\n",                      // no command
		"a APPEND nowhere {5000+}\r\n",            // no mailbox
		"a APPEND INBOX (\\Bogus) {5000+}\r\n",    // no flag
		"a APPEND INBOX ~{5000+}\r\n",             // a binary message
		"a SELECT INBOX {5000+}\r\n",              // where no literal belongs
		"a REPLACE 1 INBOX {5000+}\r\n",           // an extension
		"{5000+}\r\n",                             // not even a tag
		"a STORE 1 FLAGS (\\Seen) {5000+}\r\n",    // after the end
		"a SEARCH CHARSET UTF-8 {5000+}\r\n",      // a key that is none
		"a UID FETCH 1 BODY[{5000+}\r\n",          // in a section
		"a APPEND INBOX \"bad date\" {5000+}\r\n", // in a wrong APPEND
	} {
		p := h.selected(t, "alice", "INBOX")
		octets := pad
		if strings.Contains(command, "{2000000+}") {
			octets = long + strings.Repeat("z", 2_000_000-len(long))
		}
		p.say(t, command+octets+"\r\n")
		p.say(t, "b NOOP\r\n")
		for {
			line, err := p.tryResponse()
			if strings.Contains(line, "x1 ") {
				t.Errorf("after %q the literal was a command: %q", command, line)
			}
			if err != nil || strings.HasPrefix(line, "b ") {
				break
			}
		}
	}
	if got := h.login(t, "alice").do(t, `LIST "" inj*`); len(got) > 0 {
		t.Errorf("a literal's octets made a mailbox: %q", got)
	}
}

// A client that sends a literal which it was not asked for is cut off.
func TestUnaskedLiteralIsNotParsed(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	p := h.login(t, "alice")
	p.say(t, "a APPEND nowhere {20}\r\nx1 CREATE injected\r\n\r\n")
	p.waitEnd(t)
	if got := h.login(t, "alice").do(t, `LIST "" inj*`); len(got) > 0 {
		t.Errorf("a literal's octets made a mailbox: %q", got)
	}
}

// Commands sent before TLS began are not carried out under it.
func TestInjectionBeforeTLS(t *testing.T) {
	h := newHarness(t, Options{})
	p := h.dial(t)
	p.response(t)
	p.say(t, "a STARTTLS\r\nb CAPABILITY\r\n")
	said := p.waitEnd(t)
	if strings.Contains(said, "b ") || strings.Contains(said, "* CAPABILITY") {
		t.Errorf("the server carried out what came before TLS: %q", said)
	}
}

// Neither a line nor a literal goes on for ever, wanted or not.
func TestEndlessInput(t *testing.T) {
	for _, start := range []string{"a NOOP ", "a APPEND INBOX {99999999999+}\r\n", "a APPEND nowhere {99999999999999999999+}\r\n",
		"a SEARCH TEXT {99999999999+}\r\n"} {
		endless(t, start)
	}
}

func endless(t *testing.T, start string) {
	h := newHarness(t, Options{PlainLogin: true, Limits: Limits{Message: 1 << 20}})
	p := h.login(t, "alice")
	p.say(t, start)
	junk := []byte(strings.Repeat("x", 1<<16))
	p.conn.SetDeadline(time.Now().Add(patience))
	var sent int
	for sent < 64<<20 {
		n, err := p.conn.Write(junk)
		sent += n
		if err != nil {
			break
		}
	}
	if sent >= 64<<20 {
		t.Errorf("the server took 64 MiB after %q", start)
	}
	p.conn.Close()
}

// Strangers get less room than users.
func TestStrangersLiteral(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	for _, text := range []string{"a LOGIN {100000}\r\n", "a LOGIN {5000+}\r\n" + strings.Repeat("x", 5000) + "\r\n"} {
		p := h.dial(t)
		p.response(t)
		p.say(t, text)
		if got := p.response(t); !strings.HasPrefix(got, "a BAD ") {
			t.Errorf("after %.20q the server said %q", text, got)
		}
	}
	p := h.dial(t)
	p.response(t)
	p.say(t, "a LOGIN {2000000+}\r\n")
	if said := p.waitEnd(t); !strings.Contains(said, "* BYE ") {
		t.Errorf("no BYE in %q", said)
	}
}

func TestNotOurProtocol(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	p := h.dial(t)
	p.say(t, "GET / HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("A: b\r\n", 20)+"\r\n")
	if said := p.waitEnd(t); !strings.Contains(said, "* BYE ") {
		t.Errorf("no BYE in %q", said)
	}
}

// One command of a few octets must not cost time or memory beyond its answer.
func TestCheapCommandsStayCheap(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	h.deliver(t, "alice", "INBOX", mail("one"))
	p := h.selected(t, "alice", "INBOX")
	start := time.Now()
	for _, command := range []string{
		"UID FETCH 1:4294967295 UID", "UID SEARCH UID 1:4294967295", "UID STORE 1:4294967295 +FLAGS.SILENT (\\Seen)",
		"UID FETCH 4294967295:1,1:4294967295,5:* UID", "UID COPY 1:4294967295 Archive", "UID EXPUNGE 1:4294967295",
		`LIST "" "` + strings.Repeat("*a", 40) + `"`, `LIST "" "` + strings.Repeat("%*", 200) + `"`,
		"SEARCH " + strings.Repeat("NOT ", 90) + "ALL",
	} {
		p.do(t, command)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	for _, command := range []string{
		"SEARCH " + strings.Repeat("(", 5000) + "ALL", "SEARCH " + strings.Repeat("NOT ", 10_000) + "ALL",
		"FETCH 1 (BODY[" + strings.Repeat("1.", 10_000) + "1])",
	} {
		if _, completion := p.run(t, command); strings.HasPrefix(completion, "NO [SERVERBUG]") {
			t.Errorf("%.40s…: %s", command, completion)
		}
	}
	var items []string
	for i := range 300 {
		items = append(items, fmt.Sprintf("BINARY.PEEK[1]<%d.1>", i))
	}
	if _, completion := p.run(t, "FETCH 1 ("+strings.Join(items, " ")+")"); !strings.HasPrefix(completion, "NO [LIMIT] ") {
		t.Errorf("300 items: %s", completion)
	}
	p.do(t, "NOOP")
}

func TestConnectionLimits(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true, Limits: Limits{Connections: 3, PerUser: 2}})
	one, two := h.login(t, "alice"), h.login(t, "alice")
	three := h.dial(t)
	three.response(t)
	if _, completion := three.run(t, `LOGIN alice "`+password+`"`); !strings.HasPrefix(completion, "NO [LIMIT]") {
		t.Errorf("third session of a user: %s", completion)
	}
	three.do(t, `LOGIN bob "`+password+`"`)
	four := h.dial(t)
	if said := four.waitEnd(t); !strings.HasPrefix(said, "* BYE [UNAVAILABLE]") {
		t.Errorf("connection beyond the limit: %q", said)
	}
	one.do(t, "LOGOUT")
	one.waitEnd(t)
	two.do(t, "NOOP")
	eventually(t, "a place is free again", func() bool {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			return false
		}
		defer c.Close()
		line, _ := newPeer(c).tryResponse()
		return strings.HasPrefix(line, "* OK")
	})
}

func TestPerAddressLimit(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true, Limits: Limits{PerAddress: 2}})
	h.login(t, "alice")
	h.login(t, "bob")
	if said := h.dial(t).waitEnd(t); !strings.HasPrefix(said, "* BYE ") {
		t.Errorf("third connection from an address: %q", said)
	}
}

// eventually polls until fn is true; what it waits for has no event to wait on.
func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !fn() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// A failed login is logged in one line with address and user, and the next from
// the same address waits longer.
func TestGuessingPasswords(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true, Limits: Limits{AuthDelay: 20 * time.Millisecond, AuthTries: 1}})
	var took [4]time.Duration
	for i := range took {
		p := h.dial(t)
		p.response(t)
		start := time.Now()
		p.run(t, fmt.Sprintf(`LOGIN "al\"ice%d" guess`, i))
		took[i] = time.Since(start)
	}
	if took[3] < 160*time.Millisecond {
		t.Errorf("guesses took %v: the delay does not grow", took)
	}
	found := 0
	for line := range strings.Lines(h.log.String()) {
		if strings.Contains(line, "authentication failed") && strings.Contains(line, "address=127.0.0.1") &&
			strings.Contains(line, `user="al\"ice`) {
			found++
		}
	}
	if found != len(took) {
		t.Errorf("%d lines for %d guesses in\n%s", found, len(took), h.log)
	}
}

// A client that takes nothing of what it asked for is given up, and holds up
// nobody meanwhile.
func TestClientThatDoesNotRead(t *testing.T) {
	limits := Limits{Write: 300 * time.Millisecond}
	h := newHarness(t, Options{PlainLogin: true, Limits: limits})
	h.deliver(t, "alice", "INBOX", "Subject: big\r\n\r\n"+strings.Repeat(strings.Repeat("x", 76)+"\r\n", 200_000))
	p := h.selected(t, "alice", "INBOX")
	p.say(t, "a FETCH 1 BODY.PEEK[]\r\nb FETCH 1 BODY.PEEK[]\r\n")
	other := h.selected(t, "alice", "INBOX")
	start := time.Now()
	other.do(t, `STORE 1 FLAGS.SILENT (\Flagged)`)
	other.do(t, "CREATE new")
	if d := time.Since(start); d > 250*time.Millisecond {
		t.Errorf("another session waited %v", d)
	}
	eventually(t, "the session has ended", func() bool { return strings.Contains(h.log.String(), "session ended") })
}

// TestCommandsThatAreNone: a stranger who speaks another protocol is soon sent away; a user whose
// program is wrong has more time, and a right command in between forgives the wrong ones.
func TestCommandsThatAreNone(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	for _, c := range []struct {
		p    *peer
		most int
	}{{h.dial(t), 10}, {h.login(t, "alice"), 100}} {
		if c.most == 10 {
			c.p.response(t)
		}
		for range 2 {
			c.p.say(t, strings.Repeat("a GET / HTTP/1.1\r\n", c.most-1))
			for i := range c.most - 1 {
				if got := c.p.response(t); !strings.HasPrefix(got, "a BAD ") {
					t.Fatalf("command %d of %d: %q", i, c.most, got)
				}
			}
			c.p.do(t, "NOOP")
		}
		c.p.say(t, strings.Repeat("a\r\n", c.most))
		if said := c.p.waitEnd(t); strings.Count(said, "a BAD ") != c.most || !strings.Contains(said, "* BYE ") {
			t.Errorf("after %d: %q", c.most, said)
		}
	}
}
