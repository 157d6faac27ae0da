package imapd

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"teraslot/account"
	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/search"
	"teraslot/tiers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a server over a real slot in directories of its own.
type harness struct {
	srv      *Server
	store    *mailstore.Store
	tiers    *tiers.Set
	accounts *account.Accounts
	users    map[string]mailbox.User
	addr     string
	log      *logged
	stop     context.CancelFunc
	ended    chan struct{} // closed when Serve has returned
	dir      string
	reopen   func(t testing.TB) // opens store, index and accounts anew
	damaged  bool               // on purpose: not verified in the end
}

// logged keeps the log's lines.
type logged struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

// take returns the lines so far and forgets them.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.lines.Reset()
	return l.lines.String()
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

// password is every test user's.
const password = "sésame"

// newHarness starts a server with the users alice and bob. After the test, all is
// stopped and every user's mail is verified.
func newHarness(t testing.TB, o Options) *harness {
	t.Helper()
	h := openSlot(t, &o)
	h.srv = New(o)
	h.serve(t, false)
	t.Cleanup(func() { h.close(t) })
	return h
}

// openSlot opens store, index and accounts, and puts them into o.
func openSlot(t testing.TB, o *Options) *harness { return openSlotOn(t, o, disk.OS(), nil) }

// openSlotOn is openSlot with the packs on a disk, and behind a fence, of the test's
// choice.
func openSlotOn(t testing.TB, o *Options, fs disk.FS, fence func(context.Context, mailbox.User) error) *harness {
	t.Helper()
	h := &harness{dir: t.TempDir(), users: make(map[string]mailbox.User), log: new(logged)}
	conf, temp := filepath.Join(h.dir, "conf"), filepath.Join(h.dir, "temp")
	for _, dir := range []string{conf, temp} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.reopen = func(t testing.TB) { h.open(t, o, conf, temp, fs, fence) }
	h.reopen(t)
	h.addUser(t, "alice", account.Quota{})
	h.addUser(t, "bob", account.Quota{})
	return h
}

// open opens what lies in the directories.
func (h *harness) open(t testing.TB, o *Options, conf, temp string, fs disk.FS, fence func(context.Context, mailbox.User) error) {
	t.Helper()
	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	h.store, err = mailstore.Open(ctx, mailstore.Options{Conf: conf, FS: fs, Fence: fence, Logger: logger,
		MaxMessage: o.Limits.withDefaults().Message, Notify: func(ev mailbox.Event) {
			if h.srv != nil {
				h.srv.Notify(ev)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	h.tiers, err = tiers.New(tiers.Options{Conf: conf, Roots: map[string]string{"temp": temp}, DefaultTier: "temp",
		ExtractVersion: message.ExtractVersion, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	h.accounts, err = account.Open(ctx, filepath.Join(conf, "slot.db"), account.Options{Cost: account.Cost{Memory: 64, Passes: 1, Lanes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	o.Store, o.Accounts, o.Logger = h.store, h.accounts, logger
	o.Searcher = search.New(search.Options{Store: h.store, Tiers: h.tiers, Logger: logger})
	o.TLS = &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
	if o.Name == "" {
		o.Name = "Teraslot"
	}
	if o.Limits.AuthDelay == 0 {
		o.Limits.AuthDelay = time.Millisecond
	}
}

// restartSlot ends the server and the slot, and starts both again.
func (h *harness) restartSlot(t testing.TB) {
	t.Helper()
	h.stop()
	<-h.ended
	h.closeSlot(t)
	o := h.srv.o
	h.reopen(t)
	o.Store, o.Accounts, o.Searcher = h.store, h.accounts, search.New(search.Options{Store: h.store, Tiers: h.tiers})
	h.srv = New(o)
	h.serve(t, false)
}

func (h *harness) closeSlot(t testing.TB) {
	t.Helper()
	for _, closing := range []func() error{h.accounts.Close, h.tiers.Close, h.store.Close} {
		if err := closing(); err != nil {
			t.Error(err)
		}
	}
}

func (h *harness) addUser(t testing.TB, name string, q account.Quota) {
	t.Helper()
	ctx := context.Background()
	acc, err := h.accounts.Add(ctx, name, password, q)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.store.CreateUser(ctx, acc.ID, mailstore.UserOptions{Quota: mailstore.Quota(q)}); err != nil {
		t.Fatal(err)
	}
	h.users[name] = acc.ID
}

func (h *harness) serve(t testing.TB, implicitTLS bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	h.stop, h.ended = stop, make(chan struct{})
	go func() {
		defer close(h.ended)
		if err := h.srv.Serve(ctx, l, implicitTLS); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()
}

// close stops the server and verifies what it leaves.
func (h *harness) close(t testing.TB) {
	h.stop()
	<-h.ended
	for name, id := range h.users {
		if h.damaged {
			break
		}
		err := h.store.Verify(context.Background(), id, func(f mailstore.Finding) {
			t.Errorf("mail of %s after the test: %+v", name, f)
		})
		if err != nil {
			t.Errorf("verifying the mail of %s: %v", name, err)
		}
	}
	h.closeSlot(t)
}

var testCertificate = func() func(t testing.TB) tls.Certificate {
	var once sync.Once
	var cert tls.Certificate
	return func(t testing.TB) tls.Certificate {
		once.Do(func() { cert = makeCertificate(t) })
		return cert
	}
}()

func makeCertificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// dial opens a connection; it is closed after the test.
func (h *harness) dial(t testing.TB) *peer {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newPeer(c)
}

// login opens a connection and logs in.
func (h *harness) login(t testing.TB, user string) *peer {
	t.Helper()
	p := h.dial(t)
	p.response(t)
	p.do(t, `LOGIN `+user+` "`+password+`"`)
	return p
}

// selected opens a connection of a user with a mailbox selected.
func (h *harness) selected(t testing.TB, user, name string) *peer {
	t.Helper()
	p := h.login(t, user)
	p.do(t, "SELECT "+name)
	return p
}

// startTLS does the client's part of STARTTLS after the server said OK.
func (p *peer) startTLS(t testing.TB) {
	t.Helper()
	c := tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	p.conn, p.r = c, bufio.NewReader(c)
}

// deliver stores a message as another program would: its event comes from no
// session of the server.
func (h *harness) deliver(t testing.TB, user, name, text string) mailbox.UID {
	t.Helper()
	uid, err := h.tryDeliver(user, name, text)
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

func (h *harness) tryDeliver(user, name, text string) (mailbox.UID, error) {
	ctx := context.Background()
	m, err := h.store.Acquire(ctx, h.users[user])
	if err != nil {
		return 0, err
	}
	defer m.Release()
	box, err := m.MailboxNamed(ctx, name)
	if err != nil {
		return 0, err
	}
	msg, err := h.store.Spool(ctx, strings.NewReader(text))
	if err != nil {
		return 0, err
	}
	defer msg.Close()
	records, err := m.Append(ctx, "lmtp", mailstore.Append{Mailbox: box.ID, Message: msg,
		InternalDate: mailbox.Date{Unix: 1_700_000_000}})
	if err != nil {
		return 0, err
	}
	return records[0].UID, nil
}

// mail returns a short message of that subject.
func mail(subject string) string {
	return "From: Ann <ann@example.com>\r\nSubject: " + subject + "\r\n\r\nHello\r\n"
}

// forget drops the records of all that was expunged, as if they had grown old.
func (h *harness) forget(t testing.TB, user string) {
	t.Helper()
	if any, err := h.tryForget(user); err != nil || !any {
		t.Fatalf("forgot some: %v, error %v", any, err)
	}
}

func (h *harness) tryForget(user string) (any bool, err error) {
	ctx := context.Background()
	m, err := h.store.Acquire(ctx, h.users[user])
	if err != nil {
		return false, err
	}
	defer m.Release()
	n, err := m.Forget(ctx, time.Now().Add(time.Hour))
	return n > 0, err
}
