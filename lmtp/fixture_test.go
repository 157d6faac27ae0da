package lmtp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a server over a real store with the users anna, bob and
// carla@example.org.
type fixture struct {
	t        testing.TB
	store    *mailstore.Store
	accounts *account.Accounts
	server   *Server
	addr     net.Addr
	stop     context.CancelFunc // as the end of Serve's context
	stopped  chan error
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func newFixture(t testing.TB, o Options, so mailstore.Options) *fixture {
	t.Helper()
	so.Conf = t.TempDir()
	store, err := mailstore.Open(t.Context(), so)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := account.Open(t.Context(), filepath.Join(so.Conf, "slot.db"), account.Options{Cost: account.Cost{Memory: 8, Passes: 1, Lanes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, store: store, accounts: accounts}
	for _, name := range []string{"anna", "bob", "carla@example.org"} {
		a, err := accounts.Add(t.Context(), name, "password", account.Quota{})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.CreateUser(t.Context(), a.ID, mailstore.UserOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	o.Store, o.Accounts, o.Name = store, accounts, "mx.test"
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	if o.Separator == 0 {
		o.Separator = '+'
	}
	if f.server, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.serve(l)
	t.Cleanup(f.close)
	return f
}

func (f *fixture) serve(l net.Listener) {
	ctx, cancel := context.WithCancel(f.t.Context())
	stopped := make(chan error, 1)
	f.addr, f.stop, f.stopped = l.Addr(), cancel, stopped
	go func() { stopped <- f.server.Serve(ctx, l) }()
}

// close stops the server and checks all mail.
func (f *fixture) close() {
	f.stop()
	if err := <-f.stopped; err != nil {
		f.t.Error(err)
	}
	ctx := context.Background()
	users, err := f.store.Users(ctx)
	if err != nil {
		f.t.Error(err)
	}
	for _, u := range users {
		if err := f.store.Verify(ctx, u, func(found mailstore.Finding) { f.t.Errorf("verify: %v", found) }); err != nil {
			f.t.Error(err)
		}
	}
	if err := errors.Join(f.accounts.Close(), f.store.Close()); err != nil {
		f.t.Error(err)
	}
}

// mail acquires a user's mail for the length of fn.
func (f *fixture) mail(name string, fn func(ctx context.Context, m *mailstore.Mail)) {
	f.t.Helper()
	ctx := context.Background()
	a, err := f.accounts.Lookup(ctx, name)
	if err != nil {
		f.t.Fatal(err)
	}
	m, err := f.store.Acquire(ctx, a.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	defer m.Release()
	fn(ctx, m)
}

// messages are the messages in a user's mailbox.
func (f *fixture) messages(user, box string) []string {
	f.t.Helper()
	var out []string
	f.mail(user, func(ctx context.Context, m *mailstore.Mail) {
		st, err := m.MailboxNamed(ctx, box)
		if err != nil {
			f.t.Fatal(err)
		}
		v, err := m.View(ctx, st.ID)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, r := range v.Records {
			out = append(out, f.content(ctx, m, st.ID, r))
		}
	})
	return out
}

func (f *fixture) content(ctx context.Context, m *mailstore.Mail, id mailbox.ID, r mailbox.Record) string {
	c, err := m.Open(ctx, id, r)
	if err != nil {
		f.t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size))
	if err := errors.Join(err, c.Close()); err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

// count is the number of messages in INBOX.
func (f *fixture) count(user string) int { return len(f.messages(user, "INBOX")) }

// client is one dialogue.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// dial connects without a word.
func (f *fixture) dial() *client {
	f.t.Helper()
	conn, err := net.Dial(f.addr.Network(), f.addr.String())
	if err != nil {
		f.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := &client{f.t, conn, bufio.NewReader(conn)}
	f.t.Cleanup(func() { conn.Close() })
	return c
}

// hello connects and says LHLO.
func (f *fixture) hello() *client {
	f.t.Helper()
	c := f.dial()
	c.expect("220")
	c.say("LHLO client.test", "250")
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// say sends a line and expects a reply that begins so. It returns the reply.
func (c *client) say(line, reply string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	return c.expect(reply)
}

// expect reads a reply, of several lines if need be.
func (c *client) expect(reply string) string {
	c.t.Helper()
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%v, want %s", err, reply)
		}
		all.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			break
		}
	}
	if !strings.HasPrefix(all.String(), reply) {
		c.t.Fatalf("reply %q, want %s", all.String(), reply)
	}
	return all.String()
}

// closed expects the end of the connection.
func (c *client) closed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil && !errors.Is(err, net.ErrClosed) || len(b) > 0 {
		c.t.Fatalf("%q, %v, want the end", b, err)
	}
}

// envelope says MAIL, RCPT for each recipient, DATA.
func (c *client) envelope(to ...string) {
	c.t.Helper()
	c.say("MAIL FROM:<sender@example.com>", "250")
	for _, rcpt := range to {
		c.say("RCPT TO:<"+rcpt+">", "250")
	}
	c.say("DATA", "354")
}

// deliver sends a message and expects 250 for each recipient.
func (c *client) deliver(message string, to ...string) {
	c.t.Helper()
	c.envelope(to...)
	c.send(message + "\r\n.\r\n")
	for range to {
		c.expect("250 2.1.5")
	}
}

const hello = "From: sender@example.com\r\nSubject: hello\r\nMessage-ID: <hello@example.com>\r\n\r\nHello."

func received(to string) string {
	return fmt.Sprintf("Return-Path: <sender@example.com>\r\nReceived: from client.test ([127.0.0.1])\r\n\tby mx.test (Teraslot) with LMTP"+
		"%s;\r\n\tWed, 4 Mar 2026 12:00:00 +0000\r\n", to)
}
