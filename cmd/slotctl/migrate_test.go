package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
	"teraslot/bench/peers"
)

// wiretap passes connections on and remembers what clients said and how much
// servers answered.
type wiretap struct {
	addr string
	to   string

	mu     sync.Mutex // guards all below
	said   bytes.Buffer
	answer int64
}

func newWiretap(t *testing.T, to string) *wiretap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wiretap{addr: l.Addr().String(), to: to}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { w.pass(c) })
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return w
}

func (w *wiretap) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(writerFunc(func(b []byte) (int, error) {
			w.mu.Lock()
			w.said.Write(b)
			w.mu.Unlock()
			return server.Write(b)
		}), client)
		server.(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		io.Copy(writerFunc(func(b []byte) (int, error) {
			w.mu.Lock()
			w.answer += int64(len(b))
			w.mu.Unlock()
			return client.Write(b)
		}), server)
		client.(*net.TCPConn).CloseWrite()
	})
	both.Wait()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// bodies is how many commands asked for messages' octets.
func (w *wiretap) bodies() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(regexp.MustCompile(`(?i) FETCH [^\r\n]*(BODY(\.PEEK)?\[\]|RFC822( |\)|\r))`).FindAllIndex(w.said.Bytes(), -1))
}

func (w *wiretap) commands() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}

// mbsync is a client with its state: mail and state below dir.
type mbsync struct{ dir string }

// sync runs it against a server and returns its log.
func (m mbsync) sync(t *testing.T, addr, password string) string {
	t.Helper()
	program, err := exec.LookPath("mbsync")
	if err != nil {
		t.Skipf("no mbsync: %v", err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(m.dir, "rc")
	text := strings.NewReplacer("HOST", host, "PORT", port, "DIR", m.dir, "PASS", password).Replace(`
IMAPAccount far
Host HOST
Port PORT
User anna
Pass "PASS"
SSLType None
AuthMechs LOGIN

IMAPStore far
Account far

MaildirStore near
Path DIR/mail/
Inbox DIR/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Expunge Both
SyncState *
`)
	for _, err := range []error{os.MkdirAll(filepath.Join(m.dir, "mail"), 0o700), os.WriteFile(config, []byte(text), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-V", "-c", config, "-a")
	cmd.Env = append(os.Environ(), "HOME="+m.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("mbsync: %v\n%s", err, out)
	}
	return string(out)
}

// files are the messages' files, with the flags in their names, by inode: what was
// not downloaded again is the same file.
func (m mbsync) files(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(m.dir, "mail"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".") {
			info, err := d.Info()
			if err != nil {
				return err
			}
			out = append(out, fmt.Sprintf("%s %v", path, info.Sys()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// names are the files' names alone.
func (m mbsync) names(t *testing.T) []string {
	t.Helper()
	out := m.files(t)
	for i := range out {
		out[i], _, _ = strings.Cut(out[i], " ")
		// A file may have gone from new to cur.
		out[i] = strings.Replace(out[i], "/new/", "/cur/", 1)
	}
	slices.Sort(out)
	return out
}

// old is the server that the mail comes from.
type old struct {
	t     *testing.T
	c     *imapclient.Client
	delim string
}

func newOld(t *testing.T, addr string) *old {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	o := &old{t: t, c: c}
	o.check(c.Login("anna", "any").Wait())
	list, err := c.List("", "INBOX", nil).Collect()
	o.check(err)
	o.delim = string(list[0].Delim)
	return o
}

func (o *old) check(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *old) append(name string, body []byte, date time.Time, flags ...imap.Flag) {
	o.t.Helper()
	cmd := o.c.Append(name, int64(len(body)), &imap.AppendOptions{Flags: flags, Time: date})
	_, err := cmd.Write(body)
	o.check(errors.Join(err, cmd.Close()))
	_, err = cmd.Wait()
	o.check(err)
}

func (o *old) store(name string, op imap.StoreFlagsOp, flag imap.Flag, uids ...imap.UID) {
	o.t.Helper()
	_, err := o.c.Select(name, nil).Wait()
	o.check(err)
	o.check(o.c.Store(imap.UIDSetNum(uids...), &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{flag}}, nil).Close())
}

func (o *old) expunge(name string, uids ...imap.UID) {
	o.t.Helper()
	o.store(name, imap.StoreFlagsAdd, imap.FlagDeleted, uids...)
	o.check(o.c.Expunge().Close())
}

// plainHeader is one that Cyrus takes: lines of fields and their continuations alone.
var plainHeader = regexp.MustCompile(`^(?:[!-9;-~]+:[\t -~]*\r\n(?:[\t ][\t -~]*\r\n)*)+\r\n`)

// letters are some messages: real ones where CORPUS says where they are.
func letters(t *testing.T, n int) [][]byte {
	var out [][]byte
	if dir := os.Getenv("CORPUS"); dir != "" {
		all, err := corpus.Read(filepath.Join(dir, "mime-torture.tar.xz"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			// Nothing that a server would alter, or refuse: no NUL, CRLF throughout, a header of fields.
			raw := bytes.ReplaceAll(bytes.ReplaceAll(m.Raw, []byte("\r"), nil), []byte("\n"), []byte("\r\n"))
			if len(out) < n && len(raw) < 50_000 && !bytes.ContainsRune(raw, 0) && plainHeader.Match(raw) {
				out = append(out, raw)
			}
		}
	}
	for i := len(out); i < n; i++ {
		out = append(out, fmt.Appendf(nil, "From: a@example.org\r\nSubject: letter %d\r\nMessage-ID: <%d@example.org>\r\n\r\n%s\r\n", i, i, strings.Repeat("text ", i*7)))
	}
	return out
}

// fill gives the old server mail as people have it: gaps in the UIDs, flags, keywords,
// subscriptions, names with spaces and umlauts.
func (o *old) fill() {
	o.t.Helper()
	deep := "Work" + o.delim + "Größe mehr"
	for _, name := range []string{"Work", deep} {
		o.check(o.c.Create(name, nil).Wait())
	}
	for name, use := range map[string]imap.MailboxAttr{"Sent Items": imap.MailboxAttrSent, "Papierkorb": imap.MailboxAttrTrash} {
		var with *imap.CreateOptions // Dovecot's configuration has their uses
		if o.c.Caps().Has(imap.CapCreateSpecialUse) {
			with = &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{use}}
		}
		o.check(o.c.Create(name, with).Wait())
	}
	for _, name := range []string{deep, "Sent Items", "Work"} {
		o.check(o.c.Subscribe(name).Wait())
	}
	o.check(o.c.Unsubscribe("Work").Wait())
	// What is subscribed need not be a mailbox (RFC 9051 §6.3.7), where the server keeps to that.
	o.check(o.c.Create("Gone", nil).Wait())
	o.check(o.c.Subscribe("Gone").Wait())
	o.check(o.c.Delete("Gone").Wait())
	morning := time.Date(2024, 3, 1, 8, 0, 0, 0, time.FixedZone("", 3600))
	for i, body := range letters(o.t, 40) {
		name := []string{"INBOX", "INBOX", "Work", deep}[i%4]
		flags := [][]imap.Flag{nil, {imap.FlagSeen}, {imap.FlagSeen, imap.FlagAnswered, "holiday"}, {imap.FlagFlagged, "$Forwarded"}}[i%3]
		o.append(name, body, morning.Add(time.Duration(i)*time.Hour), flags...)
	}
	o.expunge("INBOX", 1, 5, 20)
	o.expunge("Work", 2)
}

// clientState lists what a client sees of a server: names, UIDVALIDITYs, UIDs, flags,
// dates, sizes and subscriptions.
func clientState(t *testing.T, addr, password string, names func(string) string) []string {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("anna", password).Wait(); err != nil {
		t.Fatal(err)
	}
	boxes, err := c.List("", "*", &imap.ListOptions{ReturnSubscribed: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	subscribed, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, b := range subscribed {
		if name := names(b.Mailbox); name != "" && name != "INBOX" && slices.Contains(b.Attrs, imap.MailboxAttrSubscribed) {
			out = append(out, "subscribed: "+name)
		}
	}
	for _, b := range boxes {
		name := names(b.Mailbox)
		if name == "" {
			continue
		}
		data, err := c.Select(b.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s V%d N%d %t", name, data.UIDValidity, data.UIDNext, slices.Contains(b.Attrs, imap.MailboxAttrSubscribed)))
		if data.NumMessages == 0 {
			continue
		}
		var all imap.UIDSet
		all.AddRange(1, 0)
		list, err := c.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true,
			BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			var flags []string
			for _, f := range m.Flags {
				if f != `\Recent` {
					flags = append(flags, strings.ToLower(string(f)))
				}
			}
			slices.Sort(flags)
			out = append(out, fmt.Sprintf("%s %d %q %v %d %x", name, m.UID, flags, m.InternalDate.UTC(), m.RFC822Size, m.BodySection[0].Bytes))
		}
	}
	slices.Sort(out)
	return out
}

// theirs are the mailboxes that the old server has, under their names here.
func (o *old) theirs(name string) string { return strings.ReplaceAll(name, o.delim, "/") }

// ours leaves out the mailboxes that every user has here.
func ours(name string) string {
	switch name {
	case "Archive", "Drafts", "Junk", "Sent", "Trash":
		return ""
	}
	return name
}

// migration is one from a peer to a slot.
type migration struct {
	*testing.T
	slot *daemon.Slot
	from string // what slotctl import is given
	flag []string
}

const secret = "correct horse"

func newMigration(t *testing.T) *migration {
	s := daemon.New(t, filepath.Join(t.TempDir(), "slot"), "")
	s.AddUser(t, "anna", secret)
	s.Start(t)
	t.Cleanup(func() { s.Stop(t) })
	return &migration{T: t, slot: s}
}

// run imports, and returns what was said.
func (m *migration) run(more ...string) string {
	m.Helper()
	args := slices.Concat([]string{"--config", m.slot.Config, "import", "anna", m.from}, m.flag, more)
	out, err := m.slot.Run(m.Context(), m, "any\n", "slotctl", args...)
	if err != nil {
		m.Fatal(err)
	}
	return out
}

// last is the last line of what was said.
func last(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// TestMigrate moves a user from Dovecot and from Cyrus while he works there, and ends
// with a short last run. A client that knew the old server goes on with ours without
// asking for the octets of a single message.
func TestMigrate(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *peers.Server{
		"Dovecot": func(t *testing.T) *peers.Server { return peers.Dovecot(t, peers.Mdbox) },
		"Cyrus":   func(t *testing.T) *peers.Server { return peers.Cyrus(t) },
	} {
		t.Run(name, func(t *testing.T) {
			peer := start(t)
			there := newOld(t, peer.IMAP)
			there.fill()
			m := newMigration(t)
			m.from, m.flag = "imap://anna@"+peer.IMAP+"/", []string{"--plaintext"}
			client := mbsync{t.TempDir()}
			client.sync(t, peer.IMAP, "any")

			if out := m.run("--dry-run"); !strings.Contains(last(out), ": 36 messages would be stored") {
				t.Errorf("dry run: %s", out)
			}
			if out := m.run(); !strings.Contains(last(out), " 5 of them with their UIDs: 36 messages stored;") || strings.Contains(out, "not kept") {
				t.Errorf("first run: %s", out)
			}
			if out := m.run(); !strings.Contains(last(out), ": 0 messages stored, 36 here already;") {
				t.Errorf("nothing is new: %s", out)
			}
			// He works on, on the old server, and is synced with it for the last time.
			there.append("INBOX", []byte("Subject: late\r\n\r\nlate\r\n"), time.Time{})
			there.store("INBOX", imap.StoreFlagsAdd, "late", 3, 4)
			there.store("Work", imap.StoreFlagsDel, imap.FlagSeen, 3, 4, 5)
			there.expunge("INBOX", 6, 7)
			client.sync(t, peer.IMAP, "any")
			if out := m.run(); !strings.Contains(last(out), ": 1 messages stored, 34 here already, ") || !strings.Contains(last(out), "2 no longer there") {
				t.Errorf("short run: %s", out)
			}
			if out := m.run("--expunge"); !strings.Contains(last(out), ": 0 messages stored, 35 here already, 2 expunged;") {
				t.Errorf("last run: %s", out)
			}
			want, got := clientState(t, peer.IMAP, "any", there.theirs), clientState(t, m.slot.IMAP, secret, ours)
			if !slices.Equal(got, subscribedInbox(want)) {
				t.Errorf("here\n%s\nthere\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			m.sameUses("Archive \\Archive", "Drafts \\Drafts", "Junk \\Junk", "Papierkorb \\Trash", "Sent Items \\Sent")
			m.goesOn(client, 35)
		})
	}
}

// subscribedInbox has INBOX subscribed: here it always is.
func subscribedInbox(list []string) []string {
	out := slices.Clone(list)
	for i, s := range out {
		if strings.HasPrefix(s, "INBOX V") {
			out[i] = strings.TrimSuffix(s, " false") + map[bool]string{true: " true"}[strings.HasSuffix(s, " false")]
		}
	}
	return out
}

// sameUses compares which mailboxes have special uses here.
func (m *migration) sameUses(want ...string) {
	m.Helper()
	c, err := m.slot.DialIMAP("anna", secret)
	if err != nil {
		m.Fatal(err)
	}
	defer c.Close()
	list, err := c.List("", "*", &imap.ListOptions{ReturnSpecialUse: true}).Collect()
	if err != nil {
		m.Fatal(err)
	}
	var got []string
	for _, b := range list {
		for _, attr := range b.Attrs {
			if slices.Contains([]imap.MailboxAttr{`\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`}, attr) {
				got = append(got, fmt.Sprintf("%s %s", b.Mailbox, attr))
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		m.Errorf("special uses %q, not %q", got, want)
	}
}

// goesOn syncs a client that knows the old server with ours: nothing is downloaded,
// nothing uploaded, no file changes.
func (m *migration) goesOn(client mbsync, messages int) {
	m.Helper()
	tap := newWiretap(m.T, m.slot.IMAP)
	before := client.names(m.T)
	if len(before) != messages {
		m.Fatalf("the client has %d messages, not %d", len(before), messages)
	}
	log := client.sync(m.T, tap.addr, secret)
	if n := tap.bodies(); n != 0 || strings.Contains(strings.ToUpper(tap.commands()), " APPEND ") {
		m.Errorf("%d fetches of bodies\n%s\n%s", n, tap.commands(), log)
	}
	if after := client.names(m.T); !slices.Equal(after, before) {
		m.Errorf("the client has\n%s\nbefore\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	for _, line := range strings.Split(log, "\n") {
		if strings.Contains(line, "pulling") && !strings.Contains(line, "(0 ") && regexp.MustCompile(`pulling.* [1-9]`).MatchString(line) {
			m.Errorf("the client's log: %s", line)
		}
	}
	// And it works: new mail comes, alone.
	d, err := daemon.DialLMTP(m.slot.LMTP)
	if err != nil {
		m.Fatal(err)
	}
	if err := d.Deliver("anna@example.org", []byte("Subject: new here\r\n\r\nnew\r\n")); err != nil {
		m.Fatal(err)
	}
	d.Close()
	client.sync(m.T, tap.addr, secret)
	if n := tap.bodies(); n != 1 || len(client.names(m.T)) != messages+1 {
		m.Errorf("%d fetches of bodies for one new message, %d files", n, len(client.names(m.T)))
	}
	m.Logf("proof: %d messages synced with the old server, none downloaded again, in %d octets; one new one came", messages, tap.answer)
}

// TestMigrateMaildir reads the files that Dovecot served.
func TestMigrateMaildir(t *testing.T) {
	peer := peers.Dovecot(t, peers.Maildir)
	there := newOld(t, peer.IMAP)
	there.fill()
	client := mbsync{t.TempDir()}
	client.sync(t, peer.IMAP, "any")
	want := clientState(t, peer.IMAP, "any", there.theirs)
	m := newMigration(t)
	m.from = filepath.Join(peer.Dir, "mail", "anna", "Maildir")
	if out := m.run(); !strings.Contains(last(out), " 5 of them with their UIDs: 36 messages stored;") {
		t.Errorf("first run: %s", out)
	}
	if out := m.run(); !strings.Contains(last(out), ": 0 messages stored, 36 here already;") {
		t.Errorf("nothing is new: %s", out)
	}
	got := clientState(t, m.slot.IMAP, secret, ours)
	if !slices.Equal(got, subscribedInbox(want)) {
		t.Errorf("here\n%s\nthere\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	m.goesOn(client, 36)
}

// TestThereAndBack exports to a Maildir and imports that: UIDs, flags, keywords and
// subscriptions are what they were.
func TestThereAndBack(t *testing.T) {
	a, b := newMigration(t), newMigration(t)
	mbox := filepath.Join(t.TempDir(), "mbox")
	var text bytes.Buffer
	for i := range 9 {
		fmt.Fprintf(&text, "From a Mon Jan  6 10:2%d:30 2020\nX-Keywords: k%d\nStatus: R\nSubject: %d\n\n%d\n\n", i, i%3, i, i)
	}
	if err := os.WriteFile(mbox, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	a.from = mbox
	a.run()
	a.run("--mailbox", `Lists/v1.0 \ Größe`)
	c, err := a.slot.DialIMAP("anna", secret)
	if err != nil {
		t.Fatal(err)
	}
	o := &old{t: t, c: c, delim: "/"}
	o.expunge("INBOX", 2, 9)
	c.Close()
	dir := filepath.Join(t.TempDir(), "maildir")
	if out, err := a.slot.Run(t.Context(), t, "", "slotctl", "--config", a.slot.Config, "export", "anna", dir); err != nil {
		t.Fatal(out, err)
	}
	b.from = dir
	if out := b.run(); !strings.Contains(last(out), ": 16 messages stored;") {
		t.Errorf("%s", out)
	}
	all := func(name string) string { return name }
	want, got := clientState(t, a.slot.IMAP, secret, all), clientState(t, b.slot.IMAP, secret, all)
	if !slices.Equal(got, want) {
		t.Errorf("here\n%s\nthere\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestMigrateUses moves a user from one slot to another: uses and subscriptions are then as
// he had arranged them, whatever the new account was made with, and stay so when the
// migration is run again.
func TestMigrateUses(t *testing.T) {
	a, b := newMigration(t), newMigration(t)
	c, err := a.slot.DialIMAP("anna", secret)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := &old{t: t, c: c, delim: "/"}
	o.check(c.Rename("Sent", "Gesendet", nil).Wait())
	o.check(c.Delete("Trash").Wait())
	o.check(c.Create("Bin", &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{imap.MailboxAttrTrash}}).Wait())
	o.check(c.Delete("Junk").Wait())
	for _, name := range []string{"Archive", "Sent"} {
		o.check(c.Unsubscribe(name).Wait())
	}
	for _, name := range []string{"Gesendet", "Later"} {
		o.check(c.Subscribe(name).Wait())
	}
	b.from, b.flag = "imap://anna@"+a.slot.IMAP+"/", []string{"--plaintext"}
	for range 2 {
		cmd := slices.Concat([]string{"--config", b.slot.Config, "import", "anna", b.from}, b.flag)
		out, err := b.slot.Run(t.Context(), t, secret+"\n", "slotctl", cmd...)
		if err != nil {
			t.Fatal(out, err)
		}
		b.sameUses("Archive \\Archive", "Bin \\Trash", "Drafts \\Drafts", "Gesendet \\Sent", "Junk \\Junk")
		// What only the new account has stays, subscribed as it was made.
		names := func(name string) string {
			if name == "Junk" || name == "Sent" || name == "Trash" {
				return ""
			}
			return name
		}
		want, got := clientState(t, a.slot.IMAP, secret, names), clientState(t, b.slot.IMAP, secret, names)
		if !slices.Equal(got, want) {
			t.Errorf("here\n%s\nthere\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
