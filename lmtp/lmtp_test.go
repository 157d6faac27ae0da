package lmtp

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

func TestGreetingAndCapabilities(t *testing.T) {
	f := newFixture(t, Options{MaxMessage: 5 << 20, MaxRecipients: 7}, mailstore.Options{})
	c := f.dial()
	if got := c.expect("220"); !strings.Contains(got, "mx.test LMTP") {
		t.Errorf("greeting %q", got)
	}
	c.say("EHLO client.test", "500")
	c.say("MAIL FROM:<a@b>", "503")
	got := c.say("LHLO client.test", "250")
	for _, want := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "SIZE 5242880", "LIMITS RCPTMAX=7"} {
		if !strings.Contains(got, want+"\r\n") {
			t.Errorf("%s is not announced in %q", want, got)
		}
	}
	c.say("QUIT", "221")
	c.closed()
}

// TestStoredBytes: what is in the mailbox after the reply is the message with
// what final delivery adds, and nothing else.
func TestStoredBytes(t *testing.T) {
	for _, x := range []struct{ name, sent, stored string }{
		{"plain", hello, hello + "\r\n"},
		{"dots", "A: 1\r\n\r\n..\r\n..x\r\nx.", "A: 1\r\n\r\n.\r\n.x\r\nx.\r\n"},
		{"8 bit", "A: 1\r\n\r\ngrüße \xff\x00", "A: 1\r\n\r\ngrüße \xff\x00\r\n"},
		{"mbox line", "From ada Mon Jan  6 10:20:30 2020\r\nA: 1\r\n\r\nx", "A: 1\r\n\r\nx\r\n"},
		{"an old From field", "From : ada@example.org\r\n\r\nx", "From : ada@example.org\r\n\r\nx\r\n"},
		{"Return-Path on top", "Return-Path: <forged@example.com>\r\nreturn-path :\r\n <two@example.com>\r\nA: 1\r\n\r\nx", "A: 1\r\n\r\nx\r\n"},
		{"Return-Path further down", "A: 1\r\nReturn-Path: <kept@example.com>\r\n\r\nx", "A: 1\r\nReturn-Path: <kept@example.com>\r\n\r\nx\r\n"},
		{"both on top", "From ada Mon Jan  6 10:20:30 2020\r\nReturn-Path: <x@example.com>\r\n\r\nx", "\r\nx\r\n"},
		{"no header", "\r\nFrom here", "\r\nFrom here\r\n"},
		{"a long line", "A: 1\r\n\r\n" + strings.Repeat("x", 300_000), "A: 1\r\n\r\n" + strings.Repeat("x", 300_000) + "\r\n"},
		{"a long first line", "From " + strings.Repeat("x", 100_000) + "\r\n\r\nx", "From " + strings.Repeat("x", 100_000) + "\r\n\r\nx\r\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := newFixture(t, Options{}, mailstore.Options{})
			c := f.hello()
			c.deliver(x.sent, "anna@example.org")
			want := received("\r\n\tfor <anna@example.org>") + x.stored
			if got := f.messages("anna", "INBOX"); len(got) != 1 || got[0] != want {
				t.Errorf("got  %.600q\nwant %.600q", got, want)
			}
		})
	}
}

func TestRecipients(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	f.mail("anna", func(ctx context.Context, m *mailstore.Mail) {
		for _, name := range []string{"Lists/Go", "lists/PHP", "Lists/Php"} {
			if _, err := m.Create(ctx, "", name, ""); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, x := range []struct{ rcpt, user, box string }{
		{"Anna@anywhere.example", "anna", "INBOX"},
		{"carla@example.org", "carla@example.org", "INBOX"},
		{"CARLA@EXAMPLE.ORG", "carla@example.org", "INBOX"},
		{"carla@elsewhere.example", "", ""},
		{"nobody@example.org", "", ""},
		{"nobody+anna@example.org", "", ""},
		{"+anna@example.org", "", ""},
		{"anna+Lists/Go@example.org", "anna", "Lists/Go"},
		{"anna+lists/go@example.org", "anna", "Lists/Go"},
		{"anna+Lists/Php@example.org", "anna", "Lists/Php"},
		{"anna+lists/php@example.org", "anna", "INBOX"}, // two of that name: neither
		{"anna+absent@example.org", "anna", "INBOX"},
		{"anna+@example.org", "anna", "INBOX"},
		{"anna+../../etc@example.org", "anna", "INBOX"},
		{"carla+Archive@example.org", "carla@example.org", "Archive"},
	} {
		t.Run(x.rcpt, func(t *testing.T) {
			c := f.hello()
			if x.user == "" {
				c.say("MAIL FROM:<>", "250")
				c.say("RCPT TO:<"+x.rcpt+">", "550 5.1.1")
				return
			}
			before := len(f.messages(x.user, x.box))
			c.deliver("Subject: for "+x.rcpt, x.rcpt)
			got := f.messages(x.user, x.box)
			if len(got) != before+1 || !strings.Contains(got[before], "for "+x.rcpt) {
				t.Errorf("%s has %d messages, had %d", x.box, len(got), before)
			}
		})
	}
}

func TestNoSeparator(t *testing.T) {
	f := newFixture(t, Options{Separator: '-'}, mailstore.Options{})
	c := f.hello()
	c.say("MAIL FROM:<>", "250")
	c.say("RCPT TO:<anna+x@example.org>", "550")
	c.say("RCPT TO:<anna-x@example.org>", "250")
}

func TestEachRecipientGetsItsReply(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	c := f.hello()
	c.say("MAIL FROM:<sender@example.com>", "250")
	c.say("RCPT TO:<anna@example.org>", "250")
	c.say("RCPT TO:<nobody@example.org>", "550 5.1.1")
	c.say("RCPT TO:<bob@example.org>", "250")
	c.say("RCPT TO:<bob@example.com>", "250") // another way to the same mailbox
	c.say("RCPT TO:<anna@example.org>", "250")
	// bob goes over quota after RCPT, and before his message is stored.
	f.mail("bob", func(ctx context.Context, m *mailstore.Mail) {
		if err := m.SetQuota(ctx, mailstore.Quota{Bytes: 10}); err != nil {
			t.Fatal(err)
		}
	})
	c.say("DATA", "354")
	c.send(hello + "\r\n.\r\n")
	c.expect("250 2.1.5 <anna@example.org>")
	c.expect("452 4.2.2 <bob@example.org>")
	c.expect("452 4.2.2 <bob@example.com>")
	c.expect("250 2.1.5 <anna@example.org>")
	c.say("NOOP", "250")
	if a, b := f.messages("anna", "INBOX"), f.count("bob"); len(a) != 1 || b != 0 {
		t.Errorf("anna has %d messages, bob %d, want one copy and none", len(a), b)
	} else if a[0] != received("")+hello+"\r\n" {
		t.Errorf("%q names a recipient to the others", a[0])
	}
}

func TestManyRecipients(t *testing.T) {
	f := newFixture(t, Options{MaxRecipients: 3}, mailstore.Options{})
	c := f.hello()
	c.say("MAIL FROM:<sender@example.com>", "250")
	for _, r := range []string{"anna@example.org", "bob@example.org", "carla@example.org"} {
		c.say("RCPT TO:<"+r+">", "250")
	}
	c.say("RCPT TO:<anna+Sent@example.org>", "452 4.5.3")
	c.say("DATA", "354")
	c.send(hello + "\r\n.\r\n")
	for range 3 {
		c.expect("250")
	}
	guids := map[mailbox.GUID]bool{}
	for _, u := range []string{"anna", "bob", "carla@example.org"} {
		for _, m := range f.messages(u, "INBOX") {
			guids[mailbox.GUIDOf([]byte(m))] = true
		}
	}
	if len(guids) != 1 {
		t.Errorf("%d different messages, want one for all", len(guids))
	}
}

func TestPipelining(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	c := f.hello()
	c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<anna@example.org>\r\nRCPT TO:<nobody@example.org>\r\nDATA\r\n")
	for _, code := range []string{"250", "250", "550", "354"} {
		c.expect(code)
	}
	c.send("A: 1\r\n\r\nx\r\n.\r\nMAIL FROM:<b@example.com>\r\nRCPT TO:<bob@example.org>\r\nRSET\r\nNOOP\r\n")
	for range 5 {
		c.expect("250")
	}
	if f.count("anna") != 1 || f.count("bob") != 0 {
		t.Error("not one for anna and none for bob")
	}
}

func TestChunking(t *testing.T) {
	f := newFixture(t, Options{MaxMessage: 100_000}, mailstore.Options{})
	c := f.hello()
	begin := func() {
		c.say("MAIL FROM:<sender@example.com>", "250")
		c.say("RCPT TO:<anna@example.org>", "250")
		c.say("RCPT TO:<bob@example.org>", "250")
	}
	begin()
	c.send("BDAT 6\r\nA: 1\r\n")
	c.expect("250")
	c.send("BDAT 5 LAST\r\n\r\n.\r\n")
	c.expect("250 2.1.5 <anna@example.org>")
	c.expect("250 2.1.5 <bob@example.org>")
	want := received("") + "A: 1\r\n\r\n.\r\n"
	if got := f.messages("anna", "INBOX"); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Given up in the middle, nothing is stored.
	begin()
	c.send("BDAT 6\r\nB: 2\r\n")
	c.expect("250")
	c.say("MAIL FROM:<sender@example.com>", "503")
	c.say("NOOP", "250")
	c.say("RSET", "250")
	c.send("BDAT 3 LAST\r\nxyz") // a chunk of nothing
	c.expect("503")
	// A long line in a chunk.
	begin()
	c.send("BDAT 50000 LAST\r\n" + strings.Repeat("x", 50_000))
	c.expect("250")
	c.expect("250")
	// Too big altogether.
	begin()
	c.send("BDAT 60000\r\n" + strings.Repeat("x", 60_000))
	c.expect("250")
	c.send("BDAT 60000\r\n" + strings.Repeat("x", 60_000))
	c.expect("552 5.3.4")
	begin()
	c.send("BDAT 100001 LAST\r\n" + strings.Repeat("x", 100_001))
	c.expect("552 5.3.4 <anna@example.org>")
	c.expect("552 5.3.4 <bob@example.org>")
	// The last chunk may be empty.
	begin()
	c.send("BDAT 5\r\nA: 1\n")
	c.expect("250")
	c.send("BDAT 0 LAST\r\n")
	c.expect("250 2.1.5")
	c.expect("250 2.1.5")
	if a, b := f.count("anna"), f.count("bob"); a != 3 || b != 3 {
		t.Errorf("anna has %d, bob %d, want 3 each", a, b)
	}
}

// TestChunkOfUnknownSize: where nobody can tell how long a chunk is, what follows may
// be the message of a stranger and is never taken for commands.
func TestChunkOfUnknownSize(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	smuggled := "RSET\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\nQUIT\r\n"
	for _, command := range []string{"BDAT", "BDAT x", "BDAT -1 LAST", "BDAT 140 LASTX", "BDAT 99999999999999999999 LAST"} {
		for _, before := range []string{"", "BDAT 3\r\nabc"} {
			c := f.hello()
			c.say("MAIL FROM:<sender@example.com>", "250")
			c.say("RCPT TO:<anna@example.org>", "250")
			c.send(before)
			if before != "" {
				c.expect("250")
			}
			c.send(command + "\r\n" + smuggled)
			c.expect("501 5.5.4")
			if rest, _ := io.ReadAll(c.r); len(rest) > 0 { // its error: octets that nobody read may reset the connection
				t.Errorf("%q after %q: %q", command, before, rest)
			}
		}
	}
	if a, b := f.count("anna"), f.count("bob"); a+b > 0 {
		t.Errorf("anna has %d messages, bob %d", a, b)
	}
}

func TestUTF8Addresses(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	c := f.hello()
	c.say("MAIL FROM:<jürgen@пример.example> SMTPUTF8 BODY=8BITMIME", "250")
	c.say("RCPT TO:<anna@пример.example>", "250")
	c.say("DATA", "354")
	c.send("Subject: grüße\r\n\r\nx\r\n.\r\n")
	c.expect("250")
	if got := f.messages("anna", "INBOX"); len(got) != 1 || !strings.HasPrefix(got[0], "Return-Path: <jürgen@пример.example>\r\n") {
		t.Errorf("%q", got)
	}
}

func TestTooBig(t *testing.T) {
	f := newFixture(t, Options{MaxMessage: 50_000}, mailstore.Options{})
	c := f.hello()
	c.say("MAIL FROM:<a@example.com> SIZE=50001", "552 5.3.4")
	c.say("MAIL FROM:<a@example.com> SIZE=49999", "250")
	c.say("RSET", "250")
	c.envelope("anna@example.org", "bob@example.org")
	c.send("A: 1\r\n\r\n" + strings.Repeat("0123456789abcde\r\n", 10_000) + ".\r\n")
	c.expect("552 5.3.4 <anna@example.org>")
	c.expect("552 5.3.4 <bob@example.org>")
	// The dialogue goes on behind it.
	c.deliver(hello, "anna@example.org")
	if f.count("anna") != 1 || f.count("bob") != 0 {
		t.Error("what is too big was stored")
	}
}

// TestTooBigForTheStore: the trace fields may carry a message over the store's limit.
func TestTooBigForTheStore(t *testing.T) {
	f := newFixture(t, Options{MaxMessage: 1000}, mailstore.Options{MaxMessage: 1000})
	c := f.hello()
	c.envelope("anna@example.org")
	c.send("A: 1\r\n\r\n" + strings.Repeat("x", 980) + "\r\n.\r\n")
	c.expect("552 5.3.4")
	c.deliver(hello, "anna@example.org")
}

func TestOverQuota(t *testing.T) {
	for _, x := range []struct {
		permanent bool
		reply     string
	}{{false, "452 4.2.2"}, {true, "552 5.2.2"}} {
		t.Run(x.reply, func(t *testing.T) {
			f := newFixture(t, Options{OverQuotaPermanent: x.permanent}, mailstore.Options{})
			f.mail("anna", func(ctx context.Context, m *mailstore.Mail) {
				if err := m.SetQuota(ctx, mailstore.Quota{Bytes: 10_000, Messages: 2}); err != nil {
					t.Fatal(err)
				}
			})
			c := f.hello()
			c.say("MAIL FROM:<a@example.com> SIZE=20000", "250")
			c.say("RCPT TO:<anna@example.org>", x.reply) // before the message is sent
			c.say("RSET", "250")
			c.envelope("anna@example.org")
			c.send("A: 1\r\n\r\n" + strings.Repeat("x", 20_000) + "\r\n.\r\n")
			c.expect(x.reply)
			c.deliver(hello, "anna@example.org")
			c.deliver(hello, "anna@example.org")
			c.say("MAIL FROM:<a@example.com>", "250")
			c.say("RCPT TO:<anna@example.org>", x.reply)
			if f.count("anna") != 2 {
				t.Errorf("%d messages", f.count("anna"))
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	var mu sync.Mutex
	full := false
	faulty := disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if full && op == disk.OpWrite && strings.HasSuffix(name, ".pack") {
			return unix.ENOSPC
		}
		return nil
	}})
	f := newFixture(t, Options{}, mailstore.Options{FS: faulty})
	c := f.hello()
	c.deliver(hello, "anna@example.org")
	mu.Lock()
	full = true
	mu.Unlock()
	c.envelope("anna@example.org", "bob@example.org")
	c.send(hello + "\r\n.\r\n")
	c.expect("452 4.3.1 <anna@example.org>")
	c.expect("452 4.3.1 <bob@example.org>")
	mu.Lock()
	full = false
	mu.Unlock()
	c.deliver(hello, "anna@example.org")
	if f.count("anna") != 2 || f.count("bob") != 0 {
		t.Errorf("anna has %d, bob %d", f.count("anna"), f.count("bob"))
	}
}

func TestUnixSocket(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	first, stopped := f.stop, f.stopped
	f.serve(l) // a second listener of the same server
	f.hello().deliver(hello, "anna@example.org")
	if got := f.messages("anna", "INBOX"); len(got) != 1 || !strings.Contains(got[0], "Received: from client.test\r\n\tby mx.test") {
		t.Errorf("%q", got)
	}
	first()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	f.hello().deliver(hello, "anna@example.org") // the other listener goes on
}

func TestLostConnectionStoresNothing(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	for _, begin := range []string{"DATA\r\nA: 1\r\n\r\nx", "BDAT 100 LAST\r\nA: 1", "BDAT 4\r\nA: 1"} {
		c := f.hello()
		c.say("MAIL FROM:<a@example.com>", "250")
		c.say("RCPT TO:<anna@example.org>", "250")
		c.send(begin)
		c.conn.Close()
	}
	f.stop()
	if err := <-f.stopped; err != nil {
		t.Fatal(err)
	}
	f.stopped <- nil
	if n := f.count("anna"); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestSilentClientIsLeft(t *testing.T) {
	f := newFixture(t, Options{Timeout: 30 * time.Millisecond}, mailstore.Options{})
	c := f.hello()
	c.expect("421 4.4.2")
	c.closed()
	c = f.hello()
	c.envelope("anna@example.org")
	c.send("A: 1\r\n")
	c.expect("451 4.4.2")
}

func TestLongCommandLine(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	c := f.hello()
	c.send(strings.Repeat("x", 2*maxCommand)) // no line end ever
	c.expect("500 5.4.0")
}

func TestConnectionLimit(t *testing.T) {
	f := newFixture(t, Options{MaxConnections: 2}, mailstore.Options{})
	a, b := f.hello(), f.hello()
	c := f.dial()
	c.expect("421 4.3.2")
	c.closed()
	a.say("QUIT", "221")
	a.closed()
	f.hello().deliver(hello, "anna@example.org")
	b.deliver(hello, "anna@example.org")
}

// TestGracefulStop: a message in flight is stored and acknowledged, idle clients
// are taken leave of, and new ones find nobody.
func TestGracefulStop(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	busy, chunks, idle, between := f.hello(), f.hello(), f.hello(), f.hello()
	busy.envelope("anna@example.org")
	busy.send("Subject: in flight\r\n")
	chunks.say("MAIL FROM:<a@example.com>", "250")
	chunks.say("RCPT TO:<bob@example.org>", "250")
	chunks.send("BDAT 6\r\nA: 1\r\n")
	chunks.expect("250")
	between.say("MAIL FROM:<a@example.com>", "250")
	// The server has begun to read the message: its state is seen by stop.
	f.awaitReceiving(2)
	f.stop()
	idle.expect("421")
	idle.closed()
	between.expect("421")
	if conn, err := net.Dial("tcp", f.addr.String()); err == nil {
		conn.Close()
		t.Error("a new connection was taken")
	}
	busy.send("\r\nlate\r\n.\r\n")
	busy.expect("250 2.1.5")
	busy.expect("421")
	chunks.send("BDAT 2 LAST\r\n\r\n")
	chunks.expect("250 2.1.5")
	chunks.expect("421")
	if err := <-f.stopped; err != nil {
		t.Error(err)
	}
	f.stopped <- nil
	if f.count("anna") != 1 || f.count("bob") != 1 {
		t.Error("a message in flight was not stored")
	}
}

// awaitReceiving waits until so many connections are in the middle of a message.
func (f *fixture) awaitReceiving(n int) {
	f.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		receiving := 0
		f.server.mu.Lock()
		for c := range f.server.conns {
			c.mu.Lock()
			if c.receiving {
				receiving++
			}
			c.mu.Unlock()
		}
		f.server.mu.Unlock()
		if receiving == n {
			return
		}
	}
}

func TestGraceEnds(t *testing.T) {
	f := newFixture(t, Options{Grace: 20 * time.Millisecond}, mailstore.Options{})
	c := f.hello()
	c.envelope("anna@example.org")
	c.send("Subject: never finished\r\n")
	f.awaitReceiving(1)
	f.stop()
	if err := <-f.stopped; err != nil {
		t.Error(err)
	}
	f.stopped <- nil
	if n := f.count("anna"); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestDuplicates(t *testing.T) {
	now := noon
	var mu sync.Mutex
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	f := newFixture(t, Options{Duplicates: time.Hour, Now: clock}, mailstore.Options{})
	c := f.hello()
	c.deliver(hello, "anna@example.org", "bob@example.org")
	c.deliver(hello, "anna@example.org")
	c.deliver(strings.Replace(hello, "Hello.", "Hello again.", 1), "anna@example.org") // its Message-ID counts
	c.deliver(hello, "anna+Archive@example.org")                                       // another mailbox
	c.deliver("Subject: no id", "anna@example.org")
	c.deliver("Subject: no id", "anna@example.org")
	if a, b, archive := f.count("anna"), f.count("bob"), len(f.messages("anna", "Archive")); a != 3 || b != 1 || archive != 1 {
		t.Errorf("anna %d, bob %d, archive %d", a, b, archive)
	}
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	c.deliver(hello, "anna@example.org")
	if a := f.count("anna"); a != 4 {
		t.Errorf("after the window anna has %d", a)
	}
}

func TestDuplicateAfterFailureIsStored(t *testing.T) {
	f := newFixture(t, Options{Duplicates: time.Hour}, mailstore.Options{})
	quota := func(n int64) {
		f.mail("anna", func(ctx context.Context, m *mailstore.Mail) {
			if err := m.SetQuota(ctx, mailstore.Quota{Bytes: n}); err != nil {
				t.Fatal(err)
			}
		})
	}
	c := f.hello()
	quota(100)
	c.envelope("anna@example.org")
	c.send(hello + "\r\n.\r\n")
	c.expect("452")
	quota(0)
	c.deliver(hello, "anna@example.org")
	if f.count("anna") != 1 {
		t.Error("a refused message counted as stored")
	}
}

// However long a Message-ID is, remembering it takes the same room.
func TestLongMessageIDsTakeNoRoom(t *testing.T) {
	d := newDuplicates(time.Minute, time.Now)
	stored, err := d.claim(t.Context(), "u", "m", strings.Repeat("x", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	stored(true)
	if again, err := d.claim(t.Context(), "u", "m", strings.Repeat("x", 1<<20)); again != nil || err != nil {
		t.Errorf("the same Message-ID is not known again: %v", err)
	}
	for key := range d.entries {
		if size := unsafe.Sizeof(key) + uintptr(len(key.user)+len(key.mailbox)); size > 100 {
			t.Errorf("a key of %d octets", size)
		}
	}
}

// An account whose mail cannot be found is not refused for good.
func TestAccountWithoutMail(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	a, err := f.server.o.Accounts.Lookup(t.Context(), "anna")
	if err == nil {
		err = f.server.o.Store.RemoveUser(t.Context(), a.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := f.hello()
	c.say("MAIL FROM:<a@example.org>", "250")
	c.say("RCPT TO:<anna@example.org>", "451 4.3.0")
}

func TestConcurrentDuplicates(t *testing.T) {
	f := newFixture(t, Options{Duplicates: time.Hour}, mailstore.Options{})
	var wg sync.WaitGroup
	for range 8 {
		c := f.hello()
		wg.Go(func() {
			for i := range 5 {
				c.deliver(fmt.Sprintf("Message-ID: <%d@example.com>\r\n\r\nx", i), "anna@example.org")
			}
		})
	}
	wg.Wait()
	if n := f.count("anna"); n != 5 {
		t.Errorf("%d messages, want 5", n)
	}
}

func TestDuplicatesAreForgotten(t *testing.T) {
	now := noon
	d := newDuplicates(time.Minute, func() time.Time { return now })
	for i := range 1000 {
		now = now.Add(time.Second)
		done, err := d.claim(t.Context(), "u", "m", fmt.Sprint(i))
		if err != nil || done == nil {
			t.Fatal(i, err)
		}
		done(i%3 > 0)
	}
	if len(d.entries) > 60 || len(d.order) > 90 {
		t.Errorf("%d entries, %d in order", len(d.entries), len(d.order))
	}
	// One in flight outlives its window: whoever waits for it must get an answer.
	done, err := d.claim(t.Context(), "u", "m", "slow")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	second := d.enter(delivery{"u", "m", sha256.Sum256([]byte("slow"))})
	if second == nil {
		t.Fatal("a second storing of the same message was begun")
	}
	done(true)
	if <-second.done; !second.stored {
		t.Error("the second was not told that it is stored")
	}
}

// TestMailboxesThatGo: a folder that is deleted between RCPT and the message, and
// an INBOX that is another one than last time.
func TestMailboxesThatGo(t *testing.T) {
	f := newFixture(t, Options{}, mailstore.Options{})
	c := f.hello()
	c.deliver(hello, "anna@example.org")
	a, err := f.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	f.server.inboxes.put(a.ID, "000000000000000000000000")
	c.deliver(hello, "anna@example.org")
	c.say("MAIL FROM:<a@example.com>", "250")
	c.say("RCPT TO:<anna+Archive@example.org>", "250")
	f.mail("anna", func(ctx context.Context, m *mailstore.Mail) {
		st, err := m.MailboxNamed(ctx, "Archive")
		if err == nil {
			err = m.Delete(ctx, "", st.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	c.say("DATA", "354")
	c.send(hello + "\r\n.\r\n")
	c.expect("250")
	if n := f.count("anna"); n != 3 {
		t.Errorf("%d messages in INBOX", n)
	}
}
