package imapd

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// needs skips the test if a program is not installed.
func needs(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed (apt-get install curl isync python3)", program)
	}
	return path
}

// runClient runs a program that has to succeed and returns what it printed.
func runClient(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

func TestCurl(t *testing.T) {
	curl := needs(t, "curl")
	h := newHarness(t, Options{})
	h.deliver(t, "alice", "INBOX", mail("for curl"))
	base := "imap://" + h.addr
	call := func(args ...string) string {
		return runClient(t, "", curl, append([]string{"-sS", "--ssl-reqd", "--insecure", "--user", "alice:" + password}, args...)...)
	}
	if got := call(base); !strings.Contains(got, `* LIST (\HasNoChildren) "/" INBOX`) {
		t.Errorf("list: %q", got)
	}
	if got := call(base + "/INBOX;UID=1"); got != mail("for curl") {
		t.Errorf("fetch: %q", got)
	}
	if got := call(base + "/INBOX;UID=1;SECTION=HEADER.FIELDS%20(SUBJECT)"); got != "Subject: for curl\r\n\r\n" {
		t.Errorf("fetch of a header field: %q", got)
	}
	if got := call(base + "/INBOX?SUBJECT%20curl"); got != "* SEARCH 1\r\n" {
		t.Errorf("search: %q", got)
	}
	file := filepath.Join(t.TempDir(), "mail")
	if err := os.WriteFile(file, []byte(mail("from curl")), 0o600); err != nil {
		t.Fatal(err)
	}
	call("--upload-file", file, base+"/Archive")
	if got := call(base + "/Archive;UID=1"); got != mail("from curl") {
		t.Errorf("fetch of what was uploaded: %q", got)
	}
	call("--request", "CREATE lists", base)
	if got := call("--request", "STATUS lists (MESSAGES)", base); !strings.Contains(got, "* STATUS lists (MESSAGES 0)") {
		t.Errorf("status: %q", got)
	}
}

const imaplibSession = `
import imaplib, ssl, sys
host, port = sys.argv[1].split(":")
password = sys.argv[2]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

def ok(answer):
    typ, data = answer
    assert typ == "OK", answer
    return data

m = imaplib.IMAP4(host, int(port))
ok(m.starttls(context))
m._encoding = "utf-8"
ok(m.login("alice", password))
ok(m.create("python"))
text = b"From: a@example.com\r\nSubject: snake\r\n\r\nssss\r\n"
for flags in ("(\\Seen)", None):
    ok(m.append("python", flags, imaplib.Time2Internaldate(1700000000), text))
assert ok(m.select("python")) == [b"2"]
assert ok(m.search(None, "UNSEEN")) == [b"2"]
assert ok(m.search("UTF-8", "SUBJECT", '"snake"')) == [b"1 2"]
data = ok(m.fetch("1", "(RFC822)"))
assert data[0][1] == text, data
data = ok(m.uid("FETCH", "2", "(BODY.PEEK[TEXT])"))
assert data[0][1] == b"ssss\r\n", data
data = ok(m.store("2", "+FLAGS", "(\\Deleted)"))
assert b"\\Deleted" in data[0], data
assert ok(m.copy("1:2", "Archive")) is not None
assert ok(m.expunge()) == [b"2"]
assert ok(m.status("python", "(MESSAGES UIDNEXT)")) == [b"python (MESSAGES 1 UIDNEXT 3)"]
ok(m.close())
assert any(b"Archive" in line for line in ok(m.list()))
ok(m.subscribe("python"))
assert any(b"python" in line for line in ok(m.lsub('""', "p*")))
ok(m.rename("python", "monty"))
ok(m.unsubscribe("python"))
ok(m.delete("monty"))
assert ok(m.namespace()) == [b'(("" "/")) NIL NIL']
assert m.select("monty")[0] == "NO"
m.logout()
print("done")
`

func TestPythonImaplib(t *testing.T) {
	python := needs(t, "python3")
	h := newHarness(t, Options{})
	if got := runClient(t, imaplibSession, python, "-", h.addr, password); got != "done\n" {
		t.Errorf("imaplib: %q", got)
	}
}

// mbsyncOf writes a configuration for alice's mail and returns what syncs it with
// the Maildirs below dir/mail.
func mbsyncOf(t *testing.T, h *harness, dir string) (sync func()) {
	t.Helper()
	mbsync := needs(t, "mbsync")
	host, port, err := net.SplitHostPort(h.addr)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "rc")
	text := strings.NewReplacer("HOST", host, "PORT", port, "DIR", dir, "PASS", password).Replace(`
IMAPAccount test
Host HOST
Port PORT
User alice
Pass PASS
SSLType None
AuthMechs LOGIN

IMAPStore far
Account test

MaildirStore near
Path DIR/mail/
Inbox DIR/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		runClient(t, "", mbsync, "-c", config, "-a")
	}
}

// TestMbsync syncs both ways, and a second time when there is nothing to do.
func TestMbsync(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	for _, subject := range []string{"one", "two", "three"} {
		h.deliver(t, "alice", "INBOX", mail(subject))
	}
	p := h.selected(t, "alice", "INBOX")
	p.do(t, `STORE 2 FLAGS.SILENT (\Seen \Flagged)`)
	p.do(t, "CREATE lists/go")
	h.deliver(t, "alice", "lists/go", mail("four"))

	dir := t.TempDir()
	sync := mbsyncOf(t, h, dir)
	sync()
	inbox := maildir(t, filepath.Join(dir, "mail", "INBOX"))
	if len(inbox) != 3 || len(maildir(t, filepath.Join(dir, "mail", "lists", "go"))) != 1 {
		t.Fatalf("after the first run INBOX has %q", inbox)
	}
	if !slices.ContainsFunc(inbox, func(name string) bool { return strings.HasSuffix(name, "FS") }) {
		t.Errorf("no message has the flags of the second: %q", inbox)
	}
	before := append(p.do(t, "UID FETCH 1:* (FLAGS)"), tree(t, dir)...)
	sync()
	if after := append(p.do(t, "UID FETCH 1:* (FLAGS)"), tree(t, dir)...); !slices.Equal(before, after) {
		t.Errorf("a second run changed\n%q to\n%q", before, after)
	}

	// Now from the other side: a new message, and one that is deleted.
	path := filepath.Join(dir, "mail", "INBOX", "new", "1700000000.1.host")
	if err := os.WriteFile(path, []byte("Subject: from near\n\ntext\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "mail", "INBOX", inbox[0])); err != nil {
		t.Fatal(err)
	}
	sync()
	if got := p.do(t, `UID SEARCH SUBJECT "from near"`); !slices.Contains(got, "* SEARCH 4") {
		t.Errorf("the new message: %q", got)
	}
	if got := p.do(t, "UID SEARCH ALL"); len(strings.Fields(got[len(got)-1])) != 2+3 {
		t.Errorf("after one came and one went: %q", got)
	}
}

// TestMbsyncCorpus downloads real mail, COUNT messages of it, and compares it
// with what was stored.
func TestMbsyncCorpus(t *testing.T) {
	corpus := os.Getenv("CORPUS")
	if corpus == "" {
		t.Skip("CORPUS is not set: no real mail to test with")
	}
	limit := 200
	if n, err := strconv.Atoi(os.Getenv("COUNT")); err == nil {
		limit = n
	}
	h := newHarness(t, Options{PlainLogin: true})
	stored := make(map[string]int)
	eachMessage(t, filepath.Join(corpus, "spamassassin.tar.xz"), func(raw []byte) bool {
		h.deliver(t, "alice", "INBOX", string(raw))
		stored[content(raw)]++
		limit--
		return limit > 0
	})
	dir := t.TempDir()
	sync := mbsyncOf(t, h, dir)
	sync()
	inbox := filepath.Join(dir, "mail", "INBOX")
	for _, name := range maildir(t, inbox) {
		raw, err := os.ReadFile(filepath.Join(inbox, name))
		if err != nil {
			t.Fatal(err)
		}
		stored[content(raw)]--
	}
	for text, n := range stored {
		if n != 0 {
			t.Errorf("%d too few (or too many) of a message that ends in %q", n, text[max(0, len(text)-60):])
		}
	}
	before := tree(t, dir)
	sync()
	if !slices.Equal(before, tree(t, dir)) {
		t.Error("a second run changed something")
	}
}

// content is a message as far as mbsync keeps it as it is: it adds a field of its
// own, and writes line ends its own way.
func content(raw []byte) string {
	var out strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(string(raw), "\r", "")) {
		if !strings.HasPrefix(line, "X-TUID: ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// maildir lists the messages of a Maildir, without mbsync's own files.
func maildir(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, filepath.Join(sub, e.Name()))
		}
	}
	return names
}

// tree lists the messages below a directory.
func tree(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "mail"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(d.Name(), ".") {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestGoIMAP goes through the base commands with a client that shares no code
// with the server's codec.
func TestGoIMAP(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	c, err := imapclient.DialInsecure(h.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Login("alice", password).Wait())
	// Where IMAP4rev2 is offered this client sends names in UTF-8.
	_, err = c.Enable(imap.CapIMAP4rev2).Wait()
	must(err)
	must(c.Create("Entwürfe & mehr", nil).Wait())
	boxes, err := c.List("", "Entw*", nil).Collect()
	must(err)
	if len(boxes) != 1 || boxes[0].Mailbox != "Entwürfe & mehr" || boxes[0].Delim != '/' {
		t.Fatalf("listed %+v", boxes)
	}
	text := mail("for Go")
	appended := c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen, "$work"},
		Time: time.Unix(1_700_000_000, 0)})
	_, err = appended.Write([]byte(text))
	must(err)
	must(appended.Close())
	data, err := appended.Wait()
	must(err)
	state, err := c.Select("INBOX", nil).Wait()
	must(err)
	if state.NumMessages != 1 || data.UID != 1 || data.UIDValidity != state.UIDValidity {
		t.Errorf("appended %+v, selected %+v", data, state)
	}
	goIMAPMessages(t, c, text)
	must(c.Logout().Wait())
}

func goIMAPMessages(t *testing.T, c *imapclient.Client, text string) {
	t.Helper()
	section := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{Envelope: true, Flags: true, UID: true, InternalDate: true,
		RFC822Size: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil || len(messages) != 1 {
		t.Fatalf("fetched %d messages, error %v", len(messages), err)
	}
	m := messages[0]
	if m.Envelope.Subject != "for Go" || m.Envelope.From[0].Addr() != "ann@example.com" || m.UID != 1 ||
		m.RFC822Size != int64(len(text)) || m.InternalDate.Unix() != 1_700_000_000 ||
		string(m.FindBodySection(section)) != text || m.BodyStructure.MediaType() != "text/plain" ||
		!slices.Contains(m.Flags, imap.FlagSeen) || !slices.Contains(m.Flags, "$work") {
		t.Errorf("fetched %+v", m)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "GO"}},
		Flag: []imap.Flag{imap.FlagSeen}}, &imap.SearchOptions{ReturnCount: true, ReturnAll: true}).Wait()
	if err != nil || found.Count != 1 || !slices.Equal(found.AllUIDs(), []imap.UID{1}) {
		t.Errorf("found %+v, error %v", found, err)
	}
	copied, err := c.Copy(imap.UIDSetNum(1), "Archive").Wait()
	if err != nil || copied.DestUIDs.String() != "1" {
		t.Errorf("copied %+v, error %v", copied, err)
	}
	stored, err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect()
	if err != nil || len(stored) != 1 || !slices.Contains(stored[0].Flags, imap.FlagDeleted) {
		t.Errorf("stored %+v, error %v", stored, err)
	}
	gone, err := c.Expunge().Collect()
	if err != nil || !slices.Equal(gone, []uint32{1}) {
		t.Errorf("expunged %v, error %v", gone, err)
	}
	status, err := c.Status("Archive", &imap.StatusOptions{NumMessages: true, UIDNext: true, NumUnseen: true}).Wait()
	if err != nil || *status.NumMessages != 1 || status.UIDNext != 2 || *status.NumUnseen != 0 {
		t.Errorf("status %+v, error %v", status, err)
	}
	idle, err := c.Idle()
	if err == nil {
		err = idle.Close()
	}
	if err == nil {
		err = idle.Wait()
	}
	if err != nil {
		t.Errorf("idle: %v", err)
	}
}
