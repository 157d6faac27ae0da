package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"teraslot/account"
	"teraslot/bench/line"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

func TestMain(m *testing.M) {
	var remains []goleak.Option
	for _, name := range line.Remains {
		remains = append(remains, goleak.IgnoreAnyFunction(name))
	}
	goleak.VerifyTestMain(m, remains...)
}

// memoryDir is a new directory in memory.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "replication")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// identities makes those of slots a, b, c and of a stranger, under one authority.
func identities(t testing.TB) func(name string) *Identity {
	t.Helper()
	dir := t.TempDir()
	must(t, WriteIdentities(dir, time.Now(), "a", "b", "c", "stranger"))
	return func(name string) *Identity {
		i, err := LoadIdentity(filepath.Join(dir, name+CertSuffix), filepath.Join(dir, name+KeySuffix), filepath.Join(dir, AuthorityFile))
		must(t, err)
		return i
	}
}

// node is a slot without clients.
type node struct {
	t        testing.TB
	name     string
	store    *mailstore.Store
	accounts *account.Accounts
	identity *Identity
	address  string
	dir      string
	slot     string // its id; "": of its name
	stop     func()
	step     func(string) // of the store; nil: none
}

// slotID is the slot's id.
func (n *node) slotID() string { return cmp.Or(n.slot, "slot-"+n.name) }

// newNode opens a slot in a new directory.
func newNode(t testing.TB, name string, id func(string) *Identity) *node {
	t.Helper()
	n := &node{t: t, name: name, identity: id(name)}
	n.open(memoryDir(t))
	return n
}

func (n *node) open(dir string) {
	t := n.t
	n.dir = dir
	var err error
	n.store, err = mailstore.Open(t.Context(), mailstore.Options{Conf: dir, Slot: n.slotID(), RetainDeleted: true, Step: func(step string) {
		if n.step != nil {
			n.step(step)
		}
	}})
	must(t, err)
	n.accounts, err = account.Open(t.Context(), filepath.Join(dir, "slot.db"), account.Options{Owner: true, Cost: account.Cost{Memory: 8, Passes: 1, Lanes: 1}})
	must(t, err)
	t.Cleanup(func() {
		if err := errors.Join(n.store.Close(), n.accounts.Close()); err != nil {
			t.Error(err)
		}
	})
}

// serve makes the node answer its peers.
func (n *node) serve(master bool, peers ...string) {
	n.t.Helper()
	n.serveAt("127.0.0.1:0", master, peers...)
}

func (n *node) serveAt(address string, master bool, peers ...string) {
	n.t.Helper()
	l, err := net.Listen("tcp", address)
	must(n.t, err)
	n.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := NewServer(ServerOptions{Store: n.store, Accounts: n.accounts, StoreName: "s1", Slot: n.slotID(), Identity: n.identity,
		Peers: peers, Master: master, Logger: slog.New(slog.DiscardHandler)})
	go func() { done <- s.Serve(ctx, l) }()
	n.stop = func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("serve: %v", err)
		}
		n.stop = func() {}
	}
	n.t.Cleanup(func() { n.stop() })
}

// client connects n to another node.
func (n *node) client(to *node) *Client {
	n.t.Helper()
	return n.clientAt(to.name, to.address)
}

func (n *node) clientAt(name, address string) *Client {
	n.t.Helper()
	c, err := NewClient(ClientOptions{Store: n.store, Accounts: n.accounts, StoreName: "s1", Slot: n.slotID(), Identity: n.identity,
		Name: name, Address: address, Logger: slog.New(slog.DiscardHandler)})
	must(n.t, err)
	n.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			n.t.Error(err)
		}
	})
	return c
}

// user makes a user with mail.
func (n *node) user(name string) mailbox.User {
	n.t.Helper()
	a, err := n.accounts.Add(n.t.Context(), name, "secret of "+name, account.Quota{})
	must(n.t, err)
	must(n.t, n.store.CreateUser(n.t.Context(), a.ID, mailstore.UserOptions{}))
	return a.ID
}

// mail runs fn on a user's mail.
func (n *node) mail(u mailbox.User, fn func(m *mailstore.Mail) error) {
	n.t.Helper()
	m, err := n.store.Acquire(context.Background(), u)
	if err != nil {
		n.t.Fatalf("slot %s: %v", n.name, err)
	}
	defer m.Release()
	must(n.t, fn(m))
}

// deliver adds a message to a mailbox and returns its record.
func (n *node) deliver(u mailbox.User, box, text string) (out mailbox.Record) {
	n.t.Helper()
	n.mail(u, func(m *mailstore.Mail) error {
		ctx := context.Background()
		st, err := m.MailboxNamed(ctx, box)
		if err != nil {
			return err
		}
		msg, err := n.store.Spool(ctx, strings.NewReader(text))
		if err != nil {
			return err
		}
		defer msg.Close()
		recs, err := m.Append(ctx, "", mailstore.Append{Mailbox: st.ID, Message: msg})
		if err == nil {
			out = recs[0]
		}
		return err
	})
	return out
}

// letter is a small message.
func letter(n int) string {
	return fmt.Sprintf("Message-ID: <%d@x>\r\nSubject: letter %d\r\nReferences: <%d@x>\r\n\r\nbody of %d\r\n", n, n, n/3, n)
}

// sync makes a user equal at the other end of c.
func (n *node) sync(c *Client, u mailbox.User) Stats {
	n.t.Helper()
	s, err := c.Sync(n.t.Context(), u)
	must(n.t, err)
	return s
}

// seen is all that clients can tell of a user, as text.
func (n *node) seen(u mailbox.User) string {
	n.t.Helper()
	ctx := context.Background()
	var b strings.Builder
	e, err := n.accounts.Entry(ctx, u)
	must(n.t, err)
	fmt.Fprintf(&b, "%+v\n", e)
	n.mail(u, func(m *mailstore.Mail) error {
		image, err := m.Image(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x %v %v %+v\n", image.Digest(), image.ModSeq, image.Subscriptions, image.Quota)
		for _, box := range image.Mailboxes {
			fmt.Fprintf(&b, "%+v\n", box.State)
			entries, err := m.Entries(ctx, box.ID)
			if err != nil {
				return err
			}
			for _, r := range entries {
				r.Num = 0
				fmt.Fprintf(&b, "%+v\n%s", r, n.text(m, r))
			}
		}
		return nil
	})
	return b.String()
}

func (n *node) text(m *mailstore.Mail, r mailstore.Entry) string {
	c, err := m.OpenGUID(context.Background(), r.GUID)
	must(n.t, err)
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size))
	must(n.t, err)
	return string(b)
}

// same fails unless both have the user alike, and whole.
func same(t testing.TB, u mailbox.User, a, b *node) {
	t.Helper()
	if x, y := a.seen(u), b.seen(u); x != y {
		t.Fatalf("user %s differs:\n--- %s\n%s\n--- %s\n%s", u, a.name, x, b.name, y)
	}
	for _, n := range []*node{a, b} {
		must(t, n.store.Verify(t.Context(), u, func(f mailstore.Finding) { t.Errorf("%s: %s", n.name, f) }))
	}
}
