package clients

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

// messages is how many messages the clients below read.
const messages = 60

func digests(mail []corpus.Message) (out []string) {
	for _, m := range mail {
		out = append(out, fmt.Sprintf("%x", sha256.Sum256(m.Raw)))
	}
	return out
}

// TestScripts runs a script of Python's imaplib and one of Perl's Mail::IMAPClient.
func TestScripts(t *testing.T) {
	for _, c := range []struct{ name, program, script, pkg string }{
		{"imaplib", "python3", "session.py", "python3"},
		{"Mail::IMAPClient", "perl", "session.pl", "libmail-imapclient-perl"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			needs(t, c.program, c.pkg)
			if c.program == "perl" {
				if _, code := run(t, t.TempDir(), "perl", "-MMail::IMAPClient", "-e", "1"); code != 0 {
					t.Skipf("Mail::IMAPClient is not installed (Debian: %s)", c.pkg)
				}
			}
			f := start(t, messages)
			script, err := filepath.Abs(filepath.Join("testdata", c.script))
			if err != nil {
				t.Fatal(err)
			}
			said := succeeds(t, t.TempDir(), c.program, script, f.host, f.port, user, password, f.fill("@CERT@", ""))
			if got := strings.Fields(said); !slices.Equal(got, digests(f.mail)) {
				t.Errorf("it read %d messages of %d, or others:\n%.2000s", len(got), len(f.mail), said)
			}
		})
	}
}

// TestResync has a script of Python's imaplib come back by QRESYNC to what another changed.
func TestResync(t *testing.T) {
	t.Parallel()
	needs(t, "python3", "python3")
	f := start(t, messages)
	script, err := filepath.Abs(filepath.Join("testdata", "resync.py"))
	if err != nil {
		t.Fatal(err)
	}
	if said := succeeds(t, t.TempDir(), "python3", script, f.host, f.port, user, password, f.fill("@CERT@", "")); strings.TrimSpace(said) != "ok" {
		t.Errorf("it said %q", said)
	}
}

const neomuttResync = `
set imap_condstore = yes
set imap_qresync = yes
set header_cache = "@DIR@/cache/"
`

// TestNeomuttResync has neomutt, which keeps what it knows and comes back by QRESYNC, copy all mail and then what is flagged
// after others have expunged, flagged and delivered.
func TestNeomuttResync(t *testing.T) {
	t.Parallel()
	needs(t, "neomutt", "neomutt")
	if said, _ := run(t, t.TempDir(), "neomutt", "-v"); !strings.Contains(said, "+hcache") {
		t.Skip("neomutt has no header cache")
	}
	f := start(t, messages)
	f.same = func(text string) string { return counted.ReplaceAllString(text, "") }
	home := daemon.Scratch(t)
	if err := os.Mkdir(filepath.Join(home, "cache"), 0o700); err != nil {
		t.Fatal(err)
	}
	visit := func(name, keys string) (log string) {
		config := neomuttConfig[:strings.Index(neomuttConfig, "push ")] + neomuttResync + "push \"" + keys + "<quit>\"\n"
		rc := write(t, filepath.Join(home, name), f.fill(config, home))
		succeeds(t, home, "script", "-qec", "neomutt -n -d 3 -l "+filepath.Join(home, name+".log")+" -F "+rc, "/dev/null")
		text, err := os.ReadFile(filepath.Join(home, name+".log0")) // it keeps several
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	visit("first", "<first-entry>")
	c := f.dial(t)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	store(t, c, imap.UIDSetNum(2, 5, 7), imap.StoreFlagsAdd, imap.FlagDeleted)
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	store(t, c, imap.UIDSetNum(3, 9, 10), imap.StoreFlagsAdd, imap.FlagFlagged)
	want := texts(f.held(t, "INBOX"))
	log := visit("second", "<tag-pattern>~A<enter><tag-prefix><copy-message>@DIR@/copy<enter><untag-pattern>~A<enter>"+
		"<tag-pattern>~F<enter><tag-prefix><copy-message>@DIR@/flagged<enter>")
	// It takes numbers behind VANISHED (EARLIER) for those before, where flags changed too; then it sees that, and reads all anew.
	if !regexp.MustCompile(`UID FETCH \S+ \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)`).MatchString(log) || !strings.Contains(log, "Handling VANISHED") {
		t.Errorf("neomutt did not come back by QRESYNC:\n%.4000s", log)
	}
	same(t, "the copy", texts(maildir{filepath.Join(home, "copy"), f}.held(t)), want)
	flagged := 0
	for _, n := range (maildir{filepath.Join(home, "flagged"), f}).held(t) {
		flagged += n
	}
	before := 0
	for l, n := range f.held(t, "INBOX") {
		if strings.Contains(l.flags, "F") {
			before += n
		}
	}
	if flagged != before {
		t.Errorf("it takes %d messages for flagged, %d are", flagged, before)
	}
}

// TestCurl reads, searches, appends and marks by URLs.
func TestCurl(t *testing.T) {
	t.Parallel()
	needs(t, "curl", "curl")
	f := start(t, messages)
	home := t.TempDir()
	curl := func(args ...string) string {
		return succeeds(t, home, "curl", append([]string{"-sS", "--ssl-reqd", "--insecure", "--user", user + ":" + password}, args...)...)
	}
	base := "imap://" + f.IMAP
	curl("-o", filepath.Join(home, "#1"), base+fmt.Sprintf("/INBOX;UID=[1-%d]", len(f.mail)))
	for i, m := range f.mail {
		got, err := os.ReadFile(filepath.Join(home, fmt.Sprint(i+1)))
		if err != nil || string(got) != string(m.Raw) {
			t.Errorf("UID %d: %d octets of %d, %v", i+1, len(got), len(m.Raw), err)
		}
	}
	file := write(t, filepath.Join(home, "mail"), "Subject: uploaded\r\n\r\ntext\r\n")
	curl("-T", file, base+"/Archive")
	if got := curl(base + "/Archive?SUBJECT%20uploaded"); got != "* SEARCH 1\r\n" {
		t.Errorf("search: %q", got)
	}
	if got := curl(base+"/Archive", "-X", `STORE 1 +Flags \Seen`); !strings.Contains(got, `FLAGS (\Seen`) {
		t.Errorf("store: %q", got)
	}
	if got := curl(base, "-X", "STATUS Archive (MESSAGES UNSEEN)"); !strings.Contains(got, "* STATUS Archive (MESSAGES 1 UNSEEN 0)") {
		t.Errorf("status: %q", got)
	}
}

// TestFetchmail takes all mail, finds none in a second run, and a delivered message in
// a third.
func TestFetchmail(t *testing.T) {
	t.Parallel()
	needs(t, "fetchmail", "fetchmail")
	f := start(t, messages)
	home := t.TempDir()
	rc := write(t, filepath.Join(home, "rc"), f.fill("poll @HOST@ protocol IMAP port @PORT@ user \"@USER@\" password \"@PASSWORD@\" sslproto \"\" keep\n", home))
	// Each message becomes a file.
	mda := write(t, filepath.Join(home, "mda"), "#!/bin/sh\nexec cat >\"$(mktemp "+home+"/got.XXXXXXXX)\"\n")
	if err := os.Chmod(mda, 0o700); err != nil {
		t.Fatal(err)
	}
	fetch := func() (string, int) {
		return run(t, home, "fetchmail", "-f", rc, "--nodetach", "--nosyslog", "--pidfile", filepath.Join(home, "pid"), "-m", mda)
	}
	// What is read in a message: fetchmail adds a Received field and rewrites addresses.
	body := func(raw []byte) string {
		_, text, _ := strings.Cut(strings.ReplaceAll(string(raw), "\r", ""), "\n\n")
		return strings.TrimRight(text, "\n")
	}
	got := func() map[string]int {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(home, "got.*"))
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]int{}
		for _, name := range files {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out[body(raw)]++
		}
		return out
	}
	want := map[string]int{}
	for _, m := range f.mail {
		want[body(m.Raw)]++
	}
	if said, code := fetch(); code != 0 || !maps.Equal(got(), want) {
		t.Errorf("ended with %d, %d of %d bodies:\n%.2000s", code, len(got()), len(want), said)
	}
	if said, code := fetch(); code != 1 || !maps.Equal(got(), want) { // 1: no mail
		t.Errorf("a second run ended with %d:\n%.2000s", code, said)
	}
	d, err := daemon.DialLMTP(f.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Deliver(user+"@example.org", []byte(fromFar)); err != nil {
		t.Fatal(err)
	}
	want[body([]byte(fromFar))]++
	if said, code := fetch(); code != 0 || !maps.Equal(got(), want) {
		t.Errorf("a third run, with a new message, ended with %d:\n%.2000s", code, said)
	}
}

const neomuttConfig = `
set imap_user = "@USER@"
set imap_pass = "@PASSWORD@"
set ssl_starttls = yes
set ssl_verify_host = no
set certificate_file = "@CERT@"
set folder = "imap://@HOST@:@PORT@/"
set spoolfile = "+INBOX"
set mbox_type = Maildir
set delete = yes
set confirmappend = no
set confirmcreate = no
set wait_key = no
set quit = yes
set move = no
set resolve = no
set sort = mailbox-order
push "<tag-pattern>~A<enter><tag-prefix><copy-message>@DIR@/copy<enter><tag-pattern>~A<enter><first-entry><untag-pattern>~A<enter><set-flag>!<next-entry><delete-message><sync-mailbox><quit>"
`

// counted are the fields in which neomutt notes what it counted.
var counted = regexp.MustCompile(`(?mi)^(Content-Length|Lines|Status|X-Status): .*\n`)

// TestNeomutt copies all mail to a Maildir, flags the first message and deletes the
// second, by keys that are pushed at its start.
func TestNeomutt(t *testing.T) {
	t.Parallel()
	needs(t, "neomutt", "neomutt")
	f := start(t, messages)
	f.same = func(text string) string { return counted.ReplaceAllString(text, "") }
	home := daemon.Scratch(t)
	rc := write(t, filepath.Join(home, "rc"), f.fill(neomuttConfig, home))
	want := f.held(t, "INBOX")
	succeeds(t, home, "script", "-qec", "neomutt -n -F "+rc, "/dev/null")
	// Flags are compared on the server: only texts are in the copy.
	same(t, "the copy", texts(maildir{filepath.Join(home, "copy"), f}.held(t)), texts(want))
	c := f.dial(t)
	if state, err := c.Select("INBOX", nil).Wait(); err != nil || int(state.NumMessages) != len(f.mail)-1 {
		t.Fatalf("INBOX: %+v, %v", state, err)
	}
	first, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{UID: true, Flags: true}).Collect()
	if err != nil || len(first) != 1 || first[0].UID != 1 || !slices.Contains(first[0].Flags, imap.FlagFlagged) {
		t.Errorf("the first message: %+v, %v", first, err)
	}
}

// texts are letters without their flags.
func texts(m map[letter]int) map[letter]int {
	out := map[letter]int{}
	for l, n := range m {
		out[letter{text: l.text}] += n
	}
	return out
}

var subjectField = regexp.MustCompile(`(?mi)^Subject:`)

// TestGoIMAP reads everything that a mail program shows of each message.
func TestGoIMAP(t *testing.T) {
	t.Parallel()
	f := start(t, messages)
	c := f.dial(t)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	whole, header := &imap.FetchItemBodySection{Peek: true}, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true}
	all, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true,
		Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{whole, header}}).Collect()
	if err != nil || len(all) != len(f.mail) {
		t.Fatalf("%d messages of %d, %v", len(all), len(f.mail), err)
	}
	for i, m := range all {
		raw := f.mail[i].Raw
		if string(m.FindBodySection(whole)) != string(raw) || m.RFC822Size != int64(len(raw)) || int(m.UID) != i+1 {
			t.Errorf("message %d: UID %d, %d octets of %d", i+1, m.UID, m.RFC822Size, len(raw))
		}
		if h := m.FindBodySection(header); !strings.HasPrefix(string(raw), string(h)) || subjectField.Match(h) && m.Envelope == nil {
			t.Errorf("message %d: header %.200q, envelope %+v", i+1, h, m.Envelope)
		}
		if m.BodyStructure == nil || m.BodyStructure.MediaType() == "" {
			t.Errorf("message %d has no structure", i+1)
		}
	}
	moved, err := c.Move(imap.UIDSetNum(2, 3), "Archive").Wait()
	if err != nil || moved.DestUIDs.String() != "1:2" {
		t.Errorf("moved: %+v, %v", moved, err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Error(err)
	}
}
