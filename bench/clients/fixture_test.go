package clients

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/slot"
)

const (
	user     = "anna"
	password = "correct horse"
)

func TestMain(m *testing.M) {
	code := m.Run()
	daemon.Clean()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// fixture is a running slot with real mail in anna's INBOX.
type fixture struct {
	*daemon.Slot
	host, port string
	tlsPort    string
	metrics    string // address
	mail       []corpus.Message
	same       func(text string) string // a message without what the client changes in it
}

// start runs a slot with COUNT messages of the corpus, or n.
func start(t *testing.T, n int) *fixture {
	t.Helper()
	mail := corpus.Messages(t, "spamassassin")
	if count, err := strconv.Atoi(os.Getenv("COUNT")); err == nil && count > 0 {
		n = count
	}
	mail = mail[:min(n, len(mail))]
	metrics := daemon.FreeAddress(t)
	s := daemon.New(t, filepath.Join(daemon.Scratch(t), "slot"), fmt.Sprintf("[metrics]\nlisten = %q\n", metrics))
	s.AddUser(t, user, password)
	dir := t.TempDir()
	for i, m := range mail {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d.eml", i)), m.Raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Run(t.Context(), t, "", "slotctl", "--config", s.Config, "import", user, dir); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	host, port, err := net.SplitHostPort(s.IMAP)
	if err != nil {
		t.Fatal(err)
	}
	_, tlsPort, err := net.SplitHostPort(s.IMAPS)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{s, host, port, tlsPort, metrics, mail, func(text string) string { return text }}
}

// needs skips the test where a program is not installed.
func needs(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed (Debian: %s)", program, pkg)
	}
}

// fill puts what a client has to know into the text of its configuration.
func (f *fixture) fill(text, dir string) string {
	return strings.NewReplacer("@HOST@", f.host, "@PORT@", f.port, "@USER@", user, "@PASSWORD@", password, "@DIR@", dir,
		"@CERT@", filepath.Join(f.Root, "conf", "tls", "self-signed.pem")).Replace(text)
}

// write writes a file that only its owner may read, as clients want it.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a client in a home of its own and returns all that it said, and its exit
// code.
func run(t *testing.T, home, name string, args ...string) (said string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "LC_ALL=C.UTF-8", "TERM=xterm", "PYTHONWARNINGS=ignore")
	cmd.Dir = home
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// succeeds is run for a client that has to end well.
func succeeds(t *testing.T, home, name string, args ...string) string {
	t.Helper()
	said, code := run(t, home, name, args...)
	if code != 0 {
		t.Fatalf("%s %q ended with %d:\n%s", name, args, code, said)
	}
	return said
}

// fingerprint is the SHA-256 of the certificate that the slot has made.
func (f *fixture) fingerprint(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(f.fill("@CERT@", ""))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	return fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
}

// dial logs in with go-imap's client.
func (f *fixture) dial(t *testing.T) *imapclient.Client {
	t.Helper()
	c, err := f.DialIMAP(user, password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// letter is a message as far as all clients keep it, and its flags.
type letter struct{ text, flags string }

// plain is a message without what clients do to it: the fields that they add to know
// it by, and their line ends.
func (f *fixture) plain(raw []byte) string {
	var out strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(string(raw), "\r", "")) {
		if !strings.HasPrefix(line, "X-TUID: ") && !strings.HasPrefix(line, "X-OfflineIMAP: ") {
			out.WriteString(line)
		}
	}
	return f.same(strings.TrimRight(out.String(), "\n") + "\n")
}

// maildirFlags are the letters of a Maildir's file names, in their order.
var maildirFlags = []struct {
	letter byte
	flag   imap.Flag
}{{'D', imap.FlagDraft}, {'F', imap.FlagFlagged}, {'R', imap.FlagAnswered}, {'S', imap.FlagSeen}, {'T', imap.FlagDeleted}}

func flagLetters(flags []imap.Flag) string {
	var out []byte
	for _, f := range maildirFlags {
		for _, g := range flags {
			if strings.EqualFold(string(f.flag), string(g)) {
				out = append(out, f.letter)
			}
		}
	}
	return string(out)
}

// held counts the letters of a mailbox on the server.
func (f *fixture) held(t *testing.T, name string) map[letter]int {
	t.Helper()
	c := f.dial(t)
	defer c.Close()
	state, err := c.Select(name, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	out := map[letter]int{}
	if state.NumMessages == 0 {
		return out
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	all, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{Flags: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		out[letter{f.plain(m.FindBodySection(whole)), flagLetters(m.Flags)}]++
	}
	return out
}

// states are the mailboxes with their counters, as the server's disk has them.
func (f *fixture) states(t *testing.T) map[string]mailbox.State {
	t.Helper()
	config, err := slot.Load(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	o := config.MailstoreOptions()
	o.ReadOnly = true
	store, err := mailstore.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	users, err := store.Users(t.Context())
	if err != nil || len(users) != 1 {
		t.Fatalf("users %v, %v", users, err)
	}
	m, err := store.Acquire(t.Context(), users[0])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	boxes, err := m.Mailboxes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]mailbox.State{}
	for _, b := range boxes {
		out[b.Name] = b
	}
	return out
}

var (
	sessionEnd = regexp.MustCompile(`(?m)^.*imap: session ended.* sent=(\d+).*$`)
	noSessions = regexp.MustCompile(`(?m)^teraslot_imap_sessions 0$`)
)

// over waits until all sessions are: a client does not see when the slot has noticed that it left.
func (f *fixture) over(t *testing.T) {
	t.Helper()
	for {
		r, err := http.Get("http://" + f.metrics + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if noSessions.Match(text) {
			http.DefaultClient.CloseIdleConnections()
			return
		}
	}
}

// sent is how many octets the slot has sent, once all sessions are over.
func (f *fixture) sent(t *testing.T) (octets int64) {
	t.Helper()
	f.over(t)
	for _, m := range sessionEnd.FindAllStringSubmatch(f.Log(), -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		octets += n
	}
	return octets
}

// same compares what two sides hold.
func same(t *testing.T, what string, got, want map[letter]int) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	said := 0
	tell := func(how string, l letter, n int) {
		if said++; said <= 5 {
			t.Errorf("%s: %d %s with flags %q: %.300q", what, n, how, l.flags, l.text)
		}
	}
	for l, n := range want {
		if got[l] < n {
			tell("missing", l, n-got[l])
		}
	}
	for l, n := range got {
		if want[l] < n {
			tell("too many", l, n-want[l])
		}
	}
}
