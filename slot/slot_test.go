package slot

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"teraslot/account"
	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/squatter"
)

func TestDeliveredIsFoundAtOnce(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	for i := range 5 {
		word := fmt.Sprintf("quagga%dx", i)
		if err := r.deliver("Subject: x\r\n\r\n"+word+"\r\n", "anna@example.org"); err != nil {
			t.Fatal(err)
		}
		if n := r.hits("anna", word); n != 1 {
			t.Fatalf("%s is found %d times", word, n)
		}
	}
}

func TestSecondProcessIsToldWhoHasTheSlot(t *testing.T) {
	c := newConfig(t, "")
	start(t, c, Options{})
	s, err := Open(t.Context(), c, Options{})
	if !errors.Is(err, mailstore.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := os.Stat(c.AdminSocket()); err != nil {
		t.Errorf("the second took the first one's socket away: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	c := newConfig(t, "[lmtp]\nsocket_mode = \"0600\"\nlisten = []\n")
	r := start(t, c, Options{})
	for path, want := range map[string]fs.FileMode{
		c.AdminSocket(): fs.ModeSocket | 0o600, c.LMTP.Socket: fs.ModeSocket | 0o600, c.AccountsFile(): 0o600,
		c.Conf: fs.ModeDir | 0o700, c.Spool: fs.ModeDir | 0o700, c.Tiers.Temp: fs.ModeDir | 0o700,
		filepath.Join(c.Conf, "tls", "self-signed.key"): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Error(err)
		} else if info.Mode() != want {
			t.Errorf("%s is %v, want %v", path, info.Mode(), want)
		}
	}
	r.stop()
	for _, path := range []string{c.AdminSocket(), c.LMTP.Socket} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left behind: %v", path, err)
		}
	}
}

func TestSockets(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, strings.Repeat("d", 120))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(long, "s")
	for range 2 { // the second finds the first one's stale name
		l, err := listenUnix(path, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				err = c.Close()
			}
			accepted <- err
		}()
		c, err := dialUnix(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(<-accepted, c.Close(), l.(*socket).Listener.Close()); err != nil {
			t.Error(err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := listenUnix(file, 0o600); !errors.Is(err, errNotSocket) {
		t.Errorf("a file was taken for a socket: %v, %v", l, err)
	}
}

func TestUsers(t *testing.T) {
	c := newConfig(t, "[quota]\nmessages = 7\n")
	r := start(t, c, Options{})
	ctx := t.Context()
	r.addUser("anna")
	var remote *RemoteError
	if err := r.client.AddUser(ctx, AddUser{Name: "ANNA", Password: "x"}); !errors.As(err, &remote) || remote.Status != http.StatusConflict {
		t.Errorf("a second anna: %v", err)
	}
	if err := r.client.AddUser(ctx, AddUser{Name: "a+b", Password: "x"}); err == nil {
		t.Error("a name with + was taken")
	}
	if err := r.client.AddUser(ctx, AddUser{Name: "bob", Password: "x", Quota: &account.Quota{Bytes: 5000}}); err != nil {
		t.Error(err)
	}
	if err := r.deliver("A: 1\r\n\r\nx\r\n", "anna@example.org"); err != nil {
		t.Error(err)
	}
	users, err := r.client.Users(ctx)
	if err != nil || len(users) != 2 || users[0].Name != "anna" || users[0].Usage.Messages != 1 ||
		users[0].Quota.Messages != 7 || users[1].Quota != (account.Quota{Bytes: 5000}) {
		t.Errorf("%+v, %v", users, err)
	}
	if err := r.client.Change(ctx, "passwd", ChangeUser{Name: "anna", Password: "other"}); err != nil {
		t.Error(err)
	}
	if _, err := r.login("anna", "secret"); err == nil {
		t.Error("the old password still works")
	}
	if err := r.client.Change(ctx, "rename", ChangeUser{Name: "anna", To: "anna.w"}); err != nil {
		t.Error(err)
	}
	if im, err := r.login("anna.w", "other"); err != nil {
		t.Errorf("after a new password and a new name: %v", err)
	} else {
		im.Close()
	}
	if err := r.client.Change(ctx, "quota", ChangeUser{Name: "anna.w", Quota: account.Quota{Messages: 1}}); err != nil {
		t.Error(err)
	}
	if err := r.deliver("A: 1\r\n\r\nx\r\n", "anna.w@example.org"); err == nil {
		t.Error("delivered over quota")
	}
	for _, what := range []string{"passwd", "rename", "quota", "del"} {
		err := r.client.Change(ctx, what, ChangeUser{Name: "nobody", To: "somebody", Password: "x"})
		if !errors.As(err, &remote) || remote.Status != http.StatusNotFound {
			t.Errorf("%s of nobody: %v", what, err)
		}
	}
}

func TestRemovedUserLeavesNothing(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	r.addUser("bob")
	users, err := r.client.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := r.deliver("A: 1\r\n\r\nquagga\r\n", "anna@example.org", "bob@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.squatter.IndexUser(t.Context(), users[0].ID, squatter.IndexOptions{}); err != nil {
		t.Fatal(err)
	}
	session, err := r.login("anna", "secret") // whoever is logged in must not keep the mail
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := r.client.Change(t.Context(), "del", ChangeUser{Name: "anna"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.login("anna", "secret"); err == nil {
		t.Error("a removed user logs in")
	}
	if err := r.deliver("A: 1\r\n\r\nx\r\n", "anna@example.org"); err == nil {
		t.Error("delivered to a removed user")
	}
	err = filepath.WalkDir(c.Root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(path, string(users[0].ID)) {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if r.hits("bob", "quagga") != 3 {
		t.Error("another user lost mail")
	}
	r.addUser("anna") // the name is free again, and has no mail
	if n := r.hits("anna", "A"); n != 0 {
		t.Errorf("a new user has %d messages", n)
	}
}

// TestHeal: a crash between account and mail, either way.
func TestHeal(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("whole")
	for _, name := range []string{"added", "disabled", "removed"} {
		if _, err := r.accounts.Add(t.Context(), name, "secret", account.Quota{Messages: 3}); err != nil {
			t.Fatal(err)
		}
	}
	r.addUser("going")
	for _, err := range []error{
		r.accounts.Disable(t.Context(), "disabled", true),
		r.accounts.BeginRemoval(t.Context(), "removed"),
		r.accounts.BeginRemoval(t.Context(), "going"), // whose mail is there still
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.cancel()
	if err := errors.Join(<-r.done, r.Close()); err != nil {
		t.Fatal(err)
	}
	r.cancel = nil
	again := start(t, c, Options{})
	users, err := again.client.Users(t.Context())
	if err != nil || len(users) != 3 || users[0].Name != "added" || users[1].Name != "disabled" || !users[1].Disabled {
		t.Errorf("%+v, %v", users, err)
	}
	for _, u := range users {
		if u.Trouble != "" {
			t.Errorf("%+v", u)
		}
	}
	if err := again.deliver("A: 1\r\n\r\nx\r\n", "added@example.org"); err != nil {
		t.Error(err)
	}
}

// TestRemovalInTheWay: what keeps a user from being removed wholly, such as a file of
// somebody else's, keeps nobody else from his mail, and the removal is finished later.
func TestRemovalInTheWay(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	r.addUser("bob")
	bob, err := r.accounts.Lookup(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.deliver("A: 1\r\n\r\nx\r\n", "bob@example.org"); err != nil {
		t.Fatal(err)
	}
	r.indexed("bob", 1)
	foreign := filepath.Join(c.Tiers.Data, bob.ID.Dir(), "99", "foreign")
	if err := os.MkdirAll(filepath.Dir(foreign), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	remove := func() error { return r.client.Change(t.Context(), "del", ChangeUser{Name: "bob"}) }
	if err := remove(); err == nil || !strings.Contains(err.Error(), filepath.Dir(foreign)) {
		t.Errorf("removed: %v", err)
	}
	r.cancel() // a stop would verify all users
	if err := errors.Join(<-r.done, r.Close()); err != nil {
		t.Fatal(err)
	}
	r.cancel = nil
	r = start(t, c, Options{})
	if err := r.deliver("A: 1\r\n\r\nx\r\n", "anna@example.org"); err != nil {
		t.Error(err)
	}
	if err := r.deliver("A: 1\r\n\r\nx\r\n", "bob@example.org"); err == nil {
		t.Error("mail is taken for who is being removed")
	}
	if err := os.Remove(foreign); err != nil {
		t.Errorf("what nobody here made is gone: %v", err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if users, err := r.client.Users(t.Context()); err != nil || len(users) != 1 {
		t.Errorf("%+v, %v", users, err)
	}
}

// TestLostMailIsNotMadeAnew: where a user had mail and nothing of it is left, he is not
// given an empty mailbox, disabled or not, until somebody asks for one.
func TestLostMailIsNotMadeAnew(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	r.addUser("berta")
	if err := r.accounts.Disable(t.Context(), "berta", true); err != nil {
		t.Fatal(err)
	}
	ids := map[string]mailbox.User{}
	for _, name := range []string{"anna", "berta"} {
		a, err := r.accounts.Lookup(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = a.ID
	}
	r.stop()
	for _, id := range ids {
		if err := os.Remove(filepath.Join(c.Conf, id.Dir(), "mail.db")); err != nil {
			t.Fatal(err)
		}
	}
	var log lines
	r = start(t, c, Options{Logger: log.logger()})
	for name := range ids {
		if _, err := r.accounts.Lookup(t.Context(), name); err != nil {
			t.Errorf("the account is gone: %v", err)
		}
		if err := r.deliver("A: 1\r\n\r\nx\r\n", name+"@example.org"); err == nil {
			t.Errorf("mail for %s was taken", name)
		}
		if !strings.Contains(log.String(), "slotctl reconstruct") || !strings.Contains(log.String(), "user="+name) {
			t.Errorf("nothing is said of %s: %s", name, log.String())
		}
	}
	var said []JobResult
	if err := r.client.Repair(t.Context(), RepairRequest{Users: []string{"anna", "berta"}, Reconstruct: true}, func(j JobResult) { said = append(said, j) }); err != nil {
		t.Fatal(err)
	}
	for name := range ids {
		if err := r.deliver("A: 1\r\n\r\nx\r\n", name+"@example.org"); err != nil {
			t.Errorf("%s after %+v: %v", name, said, err)
		}
	}
}

// end stops the slot without checking what it has.
func (r *running) end() {
	r.t.Helper()
	r.cancel()
	r.cancel = nil
	r.client.http.CloseIdleConnections()
	if err := errors.Join(<-r.done, r.Close()); err != nil {
		r.t.Error(err)
	}
}

// move renames a file or a directory.
func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A partition that is not mounted is not taken for an empty one.
func TestPartitionNotMounted(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	if err := r.deliver("A: 1\r\n\r\nquagga\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	r.stop()
	for _, root := range []string{c.Spool, c.Conf} {
		for _, mountPoint := range []bool{false, true} {
			move(t, root, root+".disk")
			if mountPoint {
				if err := os.Mkdir(root, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			s, err := Open(t.Context(), c, Options{})
			if !errors.Is(err, ErrMissing) {
				t.Errorf("without %s: %v, want %v", root, err, ErrMissing)
			}
			if err == nil {
				s.Close()
			}
			if err := os.RemoveAll(root); err != nil {
				t.Fatal(err)
			}
			move(t, root+".disk", root)
		}
	}
	if n := start(t, c, Options{}).hits("anna", "quagga"); n != 1 {
		t.Errorf("with all mounted again: %d messages", n)
	}
}

// Where mail.db was lost and the packs were not, nothing is made in its place.
func TestLostRecordsAreNotReplaced(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	if err := r.deliver("A: 1\r\n\r\nquagga\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	name := filepath.Join(c.Conf, a.ID.Dir(), "mail.db")
	move(t, name, name+".lost")
	r = start(t, c, Options{})
	if err := r.deliver("A: 2\r\n\r\nquagga\r\n", "anna@example.org"); err == nil || !strings.Contains(err.Error(), "451") && !strings.Contains(err.Error(), "4.3.0") {
		t.Errorf("delivery: %v, want 451", err)
	}
	r.end()
	move(t, name+".lost", name)
	if n := start(t, c, Options{}).hits("anna", "quagga"); n != 1 {
		t.Errorf("with mail.db back: %d messages", n)
	}
}

func TestRestartKeepsMailAndCertificate(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	if err := r.deliver("A: 1\r\n\r\nquagga\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	first := peerCertificate(t, r.Addresses().IMAPTLS[0])
	r.stop()
	r = start(t, c, Options{})
	if !r.log.Clean() {
		t.Error("a clean stop is not known as one")
	}
	if r.hits("anna", "quagga") != 1 {
		t.Error("mail is lost")
	}
	if !bytes.Equal(first, peerCertificate(t, r.Addresses().IMAPTLS[0])) {
		t.Error("a restart made another certificate")
	}
}

func peerCertificate(t *testing.T, address string) []byte {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Raw
}

func TestReloadCertificate(t *testing.T) {
	dir := t.TempDir()
	k := &certificate{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	if err := k.sign("one", time.Now()); err != nil {
		t.Fatal(err)
	}
	r := start(t, newConfig(t, fmt.Sprintf("[tls]\ncert = %q\nkey = %q\n", k.cert, k.key)), Options{})
	at := r.Addresses().IMAPTLS[0]
	before := peerCertificate(t, at)
	if err := os.WriteFile(k.cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(); err == nil {
		t.Error("a broken certificate was loaded")
	}
	if !bytes.Equal(before, peerCertificate(t, at)) {
		t.Error("after a failed reload another certificate is used")
	}
	if err := k.sign("two", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(); err != nil {
		t.Error(err)
	}
	if bytes.Equal(before, peerCertificate(t, at)) {
		t.Error("the new certificate is not used")
	}
}

func TestExpiringSelfSignedCertificateIsReplaced(t *testing.T) {
	c := newConfig(t, "")
	if err := c.makeRoots(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	first, selfSigned, err := openCertificate(c, Options{Now: func() time.Time { return now }})
	if err != nil || !selfSigned {
		t.Fatal(selfSigned, err)
	}
	for i, replaced := range []bool{false, true} {
		years := 1 + 2*i
		k, _, err := openCertificate(c, Options{Now: func() time.Time { return now.AddDate(years, 0, 0) }})
		if err != nil {
			t.Fatal(err)
		}
		if same := bytes.Equal(k.current.Load().Certificate[0], first.current.Load().Certificate[0]); same == replaced {
			t.Errorf("after %d years: the same is %v", years, same)
		}
	}
}

func TestMetrics(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	if err := r.deliver("A: 1\r\n\r\nx\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get("http://" + r.Addresses().Metrics[0] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if !strings.Contains(string(text), `teraslot_lmtp_recipients_total{outcome="delivered"} 1`) {
		t.Errorf("%.2000s", text)
	}
}

// TestTakenAddress: nothing is served if one listener cannot be, and the slot is
// free again.
func TestTakenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newConfig(t, fmt.Sprintf("[lmtp]\nlisten = [%q]\n", l.Addr()))
	if s, err := Open(t.Context(), c, Options{}); err == nil || !strings.Contains(err.Error(), "lmtp.listen") {
		t.Errorf("%v, %v", s, err)
	}
	c.LMTP.Listen = nil
	start(t, c, Options{})
}

func TestForeignRootIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only the superuser can make a directory that belongs to another")
	}
	c := newConfig(t, "")
	for _, root := range []string{c.Conf, c.Tiers.Temp} {
		if err := os.MkdirAll(root, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(root, 4711, 4711); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(t.Context(), c, Options{}); !errors.Is(err, ErrOwner) {
			t.Errorf("%s: %v, %v", root, s, err)
		}
		if err := os.Chown(root, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	trap := filepath.Join(t.TempDir(), "trap")
	if err := errors.Join(os.Remove(c.Tiers.Temp), os.Symlink(t.TempDir(), trap), os.Lchown(trap, 4711, 4711)); err != nil {
		t.Fatal(err)
	}
	c.Tiers.Temp = trap
	if s, err := Open(t.Context(), c, Options{}); !errors.Is(err, ErrOwner) {
		t.Errorf("another user's link was followed: %v, %v", s, err)
	}
}

// TestAdministerWithoutDaemon: the client opens the slot, others share it, and it
// is free afterwards.
func TestAdministerWithoutDaemon(t *testing.T) {
	c := newConfig(t, "")
	first, err := Administer(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.AddUser(t.Context(), AddUser{Name: "anna", Password: "secret"}); err != nil {
		t.Error(err)
	}
	second, err := Administer(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	st, err := second.Status(t.Context())
	if err != nil || !st.Offline || st.Users != 1 || st.PID != os.Getpid() {
		t.Errorf("%+v, %v", st, err)
	}
	if err := errors.Join(second.Close(), first.Close()); err != nil {
		t.Error(err)
	}
	r := start(t, c, Options{})
	through, err := Administer(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	st, err = through.Status(t.Context())
	if err != nil || st.Offline || len(st.Addresses.IMAP) != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := through.Close(); err != nil {
		t.Error(err)
	}
	if r.hits("anna", "x") != 0 {
		t.Error("mail from nowhere")
	}
}

// TestImportedIsIndexedLater: what came in while no daemon ran is indexed by the
// next one, unasked.
func TestImportedIsIndexedLater(t *testing.T) {
	c := newConfig(t, "")
	client, err := Administer(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.AddUser(t.Context(), AddUser{Name: "anna", Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	b := batch(t, Incoming{Mailbox: "INBOX"}, mailbox.Flags{}, "A: 1\r\n\r\nquagga\r\n", "A: 2\r\n\r\nquagga\r\n")
	if _, err := client.Import(t.Context(), "anna", b, false); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	log := &searchLog{indexed: make(chan struct{}, 10)}
	r := start(t, c, Options{Logger: slog.New(log)})
	<-log.indexed
	if n := r.hits("anna", "quagga"); n != 2 {
		t.Errorf("%d hits", n)
	}
	if scanned := log.get("scanned"); scanned != "0" {
		t.Errorf("%s messages were scanned after indexing", scanned)
	}
}

// searchLog keeps the fields of the last search and tells when mail was indexed.
type searchLog struct {
	indexed chan struct{}
	mu      sync.Mutex // guards last
	last    map[string]string
}

func (l *searchLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *searchLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *searchLog) WithGroup(string) slog.Handler            { return l }
func (l *searchLog) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "indexed":
		l.indexed <- struct{}{}
	case "search":
		l.mu.Lock()
		defer l.mu.Unlock()
		l.last = map[string]string{}
		r.Attrs(func(a slog.Attr) bool { l.last[a.Key] = a.Value.String(); return true })
	}
	return nil
}

func (l *searchLog) get(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last[key]
}

// TestRemovalFailsHalfWay: from some file on none can be removed, and the daemon ends. The user is nobody then, neither logged in nor delivered to, and gone
// with all he had after the next start, unasked.
func TestRemovalFailsHalfWay(t *testing.T) {
	fail := errors.New("the disk fails")
	count := 2
	if n, err := strconv.Atoi(os.Getenv("COUNT")); err == nil {
		count = n
	}
	for at := 1; at <= count; at++ {
		c := newConfig(t, "")
		r := start(t, c, Options{})
		r.addUser("anna")
		if err := r.deliver("A: 1\r\n\r\nquagga\r\n", "anna@example.org"); err != nil {
			t.Fatal(err)
		}
		a, err := r.accounts.Lookup(t.Context(), "anna")
		if err != nil {
			t.Fatal(err)
		}
		r.indexed("anna", 1)
		if _, err := r.job(t.Context(), JobSnapshot, a.ID, true); err != nil {
			t.Fatal(err)
		}
		r.stop()

		sound := c.Hooks.FS
		failing := disk.FailFrom(1+4*(at-1), fail, disk.OpRemove)
		var removing atomic.Bool
		c.Hooks.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
			if !removing.Load() || !strings.Contains(name, string(a.ID)) {
				return nil
			}
			return failing(op, name)
		}})
		r = start(t, c, Options{})
		removing.Store(true)
		err = r.client.Change(t.Context(), "del", ChangeUser{Name: "anna"})
		if err == nil {
			t.Fatalf("all was removed by %d calls", 4*(at-1))
		}
		if !strings.Contains(err.Error(), fail.Error()) {
			t.Errorf("removed: %v", err)
		}
		if err := r.deliver("A: 1\r\n\r\nx\r\n", "anna@example.org"); err == nil {
			t.Error("mail is taken for who is being removed")
		}
		if session, err := r.login("anna", "secret"); err == nil {
			t.Error("who is being removed logs in")
			session.Close()
		}
		r.cancel() // a stop would verify all users
		if err := errors.Join(<-r.done, r.Close()); err != nil {
			t.Fatal(err)
		}
		r.cancel = nil

		c.Hooks.FS = sound
		r = start(t, c, Options{})
		await(t, "removed", func() bool { _, err := r.accounts.ByID(t.Context(), a.ID); return errors.Is(err, account.ErrNoAccount) })
		err = filepath.WalkDir(c.Root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.Contains(path, string(a.ID)) {
				t.Errorf("cut off at %d: %s is left", at, path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		r.addUser("anna") // the name is free again
		r.stop()
	}
}
