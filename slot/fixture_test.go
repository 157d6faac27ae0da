package slot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"teraslot/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newConfig is a slot of its own below a new directory, on free ports.
func newConfig(t *testing.T, more string) *Config {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("name = \"test\"\nroot = \".\"\n%s\n[tiers]\ntemp = \"temp\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n", more)
	if !strings.Contains(more, "[imap]") {
		text += "[imap]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = [\"127.0.0.1:0\"]\n"
	}
	if !strings.Contains(more, "[lmtp]") {
		text += "[lmtp]\nlisten = [\"127.0.0.1:0\"]\n"
	}
	c, err := Read(strings.NewReader(text), filepath.Join(dir, "slot.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running is a slot that serves.
type running struct {
	*Slot
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
	client *Client
}

func start(t *testing.T, c *Config, o Options) *running {
	t.Helper()
	s, err := Open(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Slot: s, t: t, cancel: cancel, done: make(chan error, 1), client: newClient(c)}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

// stop ends the slot and checks all mail and indexes; it may be called twice.
func (r *running) stop() {
	if r.cancel == nil {
		return
	}
	findings := 0
	err := r.client.Verify(context.Background(), nil, func(f Finding) { findings++; r.t.Errorf("verify: %v", f) })
	if err != nil {
		r.t.Errorf("verify: %v", err)
	}
	r.client.http.CloseIdleConnections()
	r.cancel()
	r.cancel = nil
	if err := errors.Join(<-r.done, r.Close()); err != nil {
		r.t.Error(err)
	}
}

func (r *running) addUser(name string) {
	r.t.Helper()
	if err := r.client.AddUser(r.t.Context(), AddUser{Name: name, Password: "secret"}); err != nil {
		r.t.Fatal(err)
	}
}

// deliver delivers by LMTP over TCP.
func (r *running) deliver(message string, to ...string) error {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.Addresses().LMTP[0])
	if err != nil {
		r.t.Fatal(err)
	}
	l := smtp.NewClientLMTP(conn)
	defer l.Close()
	return l.SendMail("sender@example.org", to, strings.NewReader(message))
}

// login opens INBOX.
func (r *running) login(name, password string) (*imapclient.Client, error) {
	r.t.Helper()
	c, err := imapclient.DialInsecure(r.Addresses().IMAP[0], nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.Login(name, password).Wait(); err != nil {
		c.Close()
		return nil, err
	}
	_, err = c.Select("INBOX", nil).Wait()
	return c, err
}

// hits is the number of messages in INBOX with a word.
func (r *running) hits(name, word string) int {
	r.t.Helper()
	c, err := r.login(name, "secret")
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	found, err := c.UIDSearch(&imap.SearchCriteria{Text: []string{word}}, nil).Wait()
	if err != nil {
		r.t.Fatal(err)
	}
	return len(found.AllUIDs())
}

// batch makes a batch of messages with these bodies.
func batch(t *testing.T, in Incoming, flags mailbox.Flags, bodies ...string) *Batch {
	t.Helper()
	b := &Batch{}
	for _, body := range bodies {
		if err := b.Add(in.Mailbox, flags, in, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}
