package imapd

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

func TestImplicitTLS(t *testing.T) {
	o := Options{}
	h := openSlot(t, &o)
	h.srv = New(o)
	h.serve(t, true)
	t.Cleanup(func() { h.close(t) })
	c, err := tls.Dial("tcp", h.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := newPeer(c)
	if greeting := p.response(t); strings.Contains(greeting, "STARTTLS") || !strings.Contains(greeting, "AUTH=PLAIN") {
		t.Errorf("greeting %q", greeting)
	}
	p.do(t, `LOGIN alice "`+password+`"`)
}

func TestServeWithoutTLSConfiguration(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Options{}).Serve(context.Background(), l, true); !errors.Is(err, ErrNoTLS) {
		t.Errorf("Serve: %v", err)
	}
}

// Without TLS and without leave to do without, no password is taken.
func TestLoginDisabled(t *testing.T) {
	h := newHarness(t, Options{})
	p := h.dial(t)
	if greeting := p.response(t); !strings.Contains(greeting, "LOGINDISABLED") || strings.Contains(greeting, "AUTH=") {
		t.Errorf("greeting %q", greeting)
	}
	for _, command := range []string{`LOGIN alice "` + password + `"`, "AUTHENTICATE PLAIN AGFsaWNlAHPDqXNhbWU="} {
		if _, completion := p.run(t, command); !strings.HasPrefix(completion, "NO [PRIVACYREQUIRED]") {
			t.Errorf("%s: %s", command, completion)
		}
	}
	p.do(t, "STARTTLS")
	p.startTLS(t)
	p.do(t, `LOGIN alice "`+password+`"`)
}

// Commands sent ahead are answered in order.
func TestPipelining(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	p := h.dial(t)
	p.response(t)
	var b strings.Builder
	fmt.Fprintf(&b, "a LOGIN alice {%d+}\r\n%s\r\n", len(password), password)
	fmt.Fprintf(&b, "b APPEND INBOX {%d+}\r\n%s\r\n", len(mail("x")), mail("x"))
	b.WriteString("c SELECT INBOX\r\nd SEARCH SUBJECT x\r\ne FETCH 1 (UID)\r\nf IDLE\r\nDONE\r\ng SEARCH ALL\r\nh LOGOUT\r\n")
	p.say(t, b.String())
	said := p.waitEnd(t)
	at := 0
	for _, want := range []string{"a OK", "b OK [APPENDUID", "* 1 EXISTS", "c OK", "* SEARCH 1", "d OK", "* 1 FETCH (UID 1)", "e OK",
		"+ ", "f OK", "* SEARCH 1", "g OK", "* BYE", "h OK"} {
		i := strings.Index(said[at:], want)
		if i < 0 {
			t.Fatalf("no %q after octet %d of\n%s", want, at, said)
		}
		at += i + len(want)
	}
}

// A stopping server takes leave of all who wait, at once, with TLS and without.
func TestStopSaysBye(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h := newHarness(t, Options{PlainLogin: true})
		stopWhileWaiting(t, h, secure)
	}
}

func stopWhileWaiting(t *testing.T, h *harness, secure bool) {
	waiting, idling, fresh := h.dial(t), h.dial(t), h.dial(t)
	for _, p := range []*peer{waiting, idling, fresh} {
		p.response(t)
		if secure {
			p.do(t, "STARTTLS")
			p.startTLS(t)
		}
		if p != fresh {
			p.do(t, `LOGIN alice "`+password+`"`)
			p.do(t, "SELECT INBOX")
		}
	}
	idling.say(t, "i IDLE\r\n")
	idling.response(t)
	h.stop()
	for _, p := range []*peer{waiting, idling, fresh} {
		if said := p.waitEnd(t); !strings.Contains(said, "* BYE [UNAVAILABLE] ") {
			t.Errorf("no BYE in %q", said)
		}
	}
	<-h.ended
}

// A command in flight is finished before the server stops.
func TestStopFinishesCommand(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	p := h.login(t, "alice")
	p.say(t, "a APPEND INBOX {19}\r\n")
	p.response(t)
	p.say(t, "Subject: ")
	h.stop()
	p.say(t, "survives\r\n\r\n")
	said := p.waitEnd(t)
	if !strings.Contains(said, "a OK [APPENDUID ") || !strings.Contains(said, "* BYE ") {
		t.Errorf("the server said %q", said)
	}
	<-h.ended
}

// A command that does not end is cut.
func TestStopCutsCommand(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true, Limits: Limits{Grace: 100 * time.Millisecond}})
	p := h.login(t, "alice")
	p.say(t, "a APPEND INBOX {19}\r\n")
	p.response(t)
	h.stop()
	select {
	case <-h.ended:
	case <-time.After(patience):
		t.Fatal("Serve did not return")
	}
}

// IDLE tells within a second, whoever changes the mailbox.
func TestIdleTellsSoon(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	idle := h.selected(t, "alice", "INBOX")
	idle.say(t, "i IDLE\r\n")
	idle.response(t)
	start := time.Now()
	h.deliver(t, "alice", "INBOX", mail("one"))
	if line := idle.response(t); line != "* 1 EXISTS" {
		t.Errorf("told %q", line)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}

// What happens in other mailboxes, or to other users, is nobody's news.
func TestIdleTellsNothingElse(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	idle := h.selected(t, "alice", "INBOX")
	idle.say(t, "i IDLE\r\n")
	idle.response(t)
	h.deliver(t, "alice", "Archive", mail("elsewhere"))
	h.deliver(t, "bob", "INBOX", mail("another's"))
	idle.say(t, "DONE\r\n")
	if line := idle.response(t); !strings.HasPrefix(line, "i OK") {
		t.Errorf("told %q", line)
	}
}

// Many flag changes are told once each, however many there were.
func TestFlagsAreCoalesced(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	h.deliver(t, "alice", "INBOX", mail("one"))
	sleeper := h.selected(t, "alice", "INBOX")
	m, err := h.store.Acquire(t.Context(), h.users["alice"])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	box, err := m.MailboxNamed(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		op := mailstore.AddFlags
		if i%2 == 1 {
			op = mailstore.RemoveFlags
		}
		_, err := m.StoreFlags(t.Context(), "other", box.ID, mailbox.UIDs(1), op, mailbox.Flags{System: mailbox.Flagged}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if told := sleeper.do(t, "NOOP"); len(told) != 1 {
		t.Errorf("100 changes were told as %q", told)
	}
}

// A search that has to read all messages ends when its client has gone.
func TestWatchNoticesLoss(t *testing.T) {
	c, client := net.Pipe()
	limits := Limits{}.withDefaults()
	w := newConn(c, &limits)
	lost := make(chan error, 1)
	watching := w.watch(func(err error) { lost <- err })
	client.Close()
	select {
	case <-lost:
	case <-time.After(patience):
		t.Fatal("a closed connection went unnoticed")
	}
	watching.stop()
}

// What a client sends during a command is read after it, in order and whole.
func TestWatchKeepsInput(t *testing.T) {
	server, client := net.Pipe()
	limits := Limits{}.withDefaults()
	c := newConn(server, &limits)
	w := c.watch(func(error) {})
	text := strings.Repeat("0123456789", 3*aheadLimit/10)
	sent := make(chan error, 1)
	go func() {
		_, err := client.Write([]byte(text + "\n"))
		sent <- err
		client.Close()
	}()
	<-w.ready
	w.stop()
	c.await(time.Now().Add(patience))
	got, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || got != text+"\n" {
		t.Errorf("read %d octets of %d, error %v", len(got), len(text)+1, err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// Two sessions of a user at work on one mailbox, and deliveries: at the end both
// count what the store holds.
func TestSessionsAgreeInTheEnd(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	for range 20 {
		h.deliver(t, "alice", "INBOX", mail("start"))
	}
	work := []string{`STORE 1:3 +FLAGS (\Deleted)`, "EXPUNGE", "FETCH 1:* (UID FLAGS)", `UID STORE 5:* +FLAGS.SILENT (\Flagged)`,
		"UID SEARCH FLAGGED", "UID COPY 1:* INBOX", "NOOP", "SEARCH ALL"}
	var wg sync.WaitGroup
	peers := []*peer{h.selected(t, "alice", "INBOX"), h.selected(t, "alice", "INBOX"), h.selected(t, "alice", "INBOX")}
	counts := make([]int, len(peers))
	for i, p := range peers {
		counts[i] = 20
		wg.Go(func() {
			for round := range 24 {
				untagged, _ := p.run(t, work[(round+3*i)%len(work)])
				count(t, &counts[i], untagged)
			}
		})
	}
	wg.Wait()
	for i, p := range peers {
		count(t, &counts[i], p.do(t, "NOOP"))
	}
	held := strings.Fields(strings.TrimPrefix(peers[0].do(t, "SEARCH ALL")[0], "* SEARCH"))
	for i, n := range counts {
		if n != len(held) {
			t.Errorf("session %d counts %d messages, the store holds %d", i, n, len(held))
		}
	}
}

// count keeps the number of messages as a client does.
func count(t *testing.T, n *int, untagged []string) {
	for _, line := range untagged {
		var number int
		var what string
		if _, err := fmt.Sscanf(line, "* %d %s", &number, &what); err != nil {
			continue
		}
		switch what {
		case "EXISTS":
			if number < *n {
				t.Errorf("EXISTS fell from %d to %d", *n, number)
			}
			*n = number
		case "EXPUNGE":
			if number < 1 || number > *n {
				t.Errorf("EXPUNGE of %d with %d messages", number, *n)
			}
			*n--
		case "FETCH":
			if number < 1 || number > *n {
				t.Errorf("FETCH of %d with %d messages", number, *n)
			}
		}
	}
}

// A session that slept for longer than records of expunged messages are kept
// hears of what went all the same.
func TestExpungeForgottenMeanwhile(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	for _, subject := range []string{"one", "two", "three"} {
		h.deliver(t, "alice", "INBOX", mail(subject))
	}
	sleeper, other := h.selected(t, "alice", "INBOX"), h.selected(t, "alice", "INBOX")
	other.do(t, `STORE 1,3 +FLAGS.SILENT (\Deleted)`)
	other.do(t, "EXPUNGE")
	h.deliver(t, "alice", "INBOX", mail("four"))
	h.forget(t, "alice")
	want := []string{"* 1 EXPUNGE", "* 2 EXPUNGE", "* 2 EXISTS", "* 1 RECENT"}
	other.do(t, "NOOP")
	if got := sleeper.do(t, "NOOP"); !slices.Equal(got, want) {
		t.Errorf("told %q, not %q", got, want)
	}
	if got := sleeper.do(t, "FETCH 1:2 UID"); !slices.Equal(got, []string{"* 1 FETCH (UID 2)", "* 2 FETCH (UID 4)"}) {
		t.Errorf("after that %q", got)
	}
}
