package clients

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/bench/daemon"
)

// syncer is a client that keeps a Maildir and a mailbox alike.
type syncer struct {
	name, pkg string
	// prepare writes its configuration and returns the command that syncs.
	prepare func(t *testing.T, f *fixture, dir string) []string
	// inbox is where INBOX lies below the client's directory.
	inbox string
	// idle reports whether a run said that it changed nothing.
	idle func(said string) bool
	// same is a message without what the client changes in it; nil where it changes nothing.
	same func(text string) string
}

const mbsyncConfig = `
IMAPAccount test
Host @HOST@
Port @PORT@
User @USER@
Pass "@PASSWORD@"
SSLType STARTTLS
CertificateFile @CERT@

IMAPStore far
Account test

MaildirStore near
Path @DIR@/mail/
Inbox @DIR@/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`

// TLS is from the first byte here: the library below offlineimap reads and writes one TLS
// connection from two threads, and after STARTTLS, where no greeting orders them, some 3 of
// 100 of its connections wait for a reply to what was never sent.
const offlineimapConfig = `
[general]
accounts = test
metadata = @DIR@/meta
ui = basic
[Account test]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = @DIR@/mail
sep = /
[Repository far]
type = IMAP
remotehost = @HOST@
remoteport = @TLSPORT@
remoteuser = @USER@
remotepass = @PASSWORD@
ssl = yes
starttls = no
cert_fingerprint = @FINGERPRINT@
folderfilter = lambda name: name in ('INBOX', 'Archive')
`

// rewritten are the marks that Python's email leaves: it takes messages apart and writes
// them anew, with other white space and with the ends of parts that had none. What is
// left of each of the corpus's 6,046 messages is the same.
var rewritten = regexp.MustCompile(`(?m)^--.*$|\s+`)

var syncers = []syncer{{
	name: "mbsync", pkg: "isync", inbox: "mail/INBOX",
	prepare: func(t *testing.T, f *fixture, dir string) []string {
		if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
			t.Fatal(err)
		}
		// It counts what it does on a terminal only.
		return []string{"script", "-qec", "mbsync -c " + write(t, filepath.Join(dir, "rc"), f.fill(mbsyncConfig, dir)) + " -a", "/dev/null"}
	},
	idle: func(said string) bool {
		// What was added, changed and deleted far and near, again and again: nothing.
		done := regexp.MustCompile(`[FN]: \+(\d+)/\d+ \*(\d+)/\d+ #(\d+)/\d+`).FindAllStringSubmatch(said, -1)
		return len(done) > 0 && !slices.ContainsFunc(done, func(m []string) bool { return strings.Join(m[1:], "") != "000" })
	},
}, {
	name: "offlineimap", pkg: "offlineimap3", inbox: "mail/INBOX",
	same: func(text string) string { return rewritten.ReplaceAllString(text, "") },
	prepare: func(t *testing.T, f *fixture, dir string) []string {
		text := strings.NewReplacer("@FINGERPRINT@", f.fingerprint(t), "@TLSPORT@", f.tlsPort).Replace(f.fill(offlineimapConfig, dir))
		return []string{"offlineimap", "-c", write(t, filepath.Join(dir, "rc"), text), "-o", "-u", "basic"}
	},
	idle: func(said string) bool {
		return strings.Contains(said, "Finished account") && !regexp.MustCompile(`(?m)^ *(Copy message|Deleting|Adding flags|Removing flags|Adding folder)`).MatchString(said)
	},
}}

// TestSync syncs real mail with flags down, what both sides change both ways, and each
// time once more when there is nothing to do.
func TestSync(t *testing.T) {
	for _, s := range syncers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			needs(t, s.name, s.pkg)
			f := start(t, 120)
			f.setFlags(t)
			dir := daemon.Scratch(t)
			command := s.prepare(t, f, dir)
			near := maildir{filepath.Join(dir, s.inbox), f}
			if s.same != nil {
				f.same = s.same
			}
			sync := func() string { return succeeds(t, dir, command[0], command[1:]...) }
			unchanged := func(when string) {
				t.Helper()
				states, files, sent := f.states(t), near.files(t), f.sent(t)
				said := sync()
				if !s.idle(said) {
					t.Errorf("%s a second run did something:\n%s", when, said[max(0, len(said)-2000):])
				}
				if after := f.states(t); !reflect.DeepEqual(after, states) {
					t.Errorf("%s a second run changed the server's counters from %+v to %+v", when, states, after)
				}
				if !slices.Equal(near.files(t), files) {
					t.Errorf("%s a second run changed the Maildir", when)
				}
				// A message that came again would be more than all that is said of it.
				if more := f.sent(t) - sent; more > int64(200*len(f.mail)+20_000) {
					t.Errorf("%s a second run was sent %d octets", when, more)
				}
			}
			sync()
			want := f.held(t, "INBOX")
			if n := sum(want); n != len(f.mail) {
				t.Fatalf("%d messages on the server, %d were imported", n, len(f.mail))
			}
			same(t, "after the first run", near.held(t), want)
			unchanged("after the first run")
			which := f.changeBothSides(t, near)
			sync()
			sync() // some do in one run what was near, in the next what is far
			want = f.held(t, "INBOX")
			if n := sum(want); n != len(f.mail)+2-2 {
				t.Errorf("%d messages after two came and two went of %d", n, len(f.mail))
			}
			same(t, "after changes on both sides", near.held(t), want)
			f.checkChanges(t, which, want)
			unchanged("after changes on both sides")
		})
	}
}

func sum(m map[letter]int) (n int) {
	for c := range maps.Values(m) {
		n += c
	}
	return n
}

// setFlags gives the messages all combinations of four flags.
func (f *fixture) setFlags(t *testing.T) {
	t.Helper()
	c := f.dial(t)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	for bit, flag := range []imap.Flag{imap.FlagSeen, imap.FlagFlagged, imap.FlagAnswered, imap.FlagDraft} {
		var set imap.UIDSet
		for i := range f.mail {
			if (i+1)>>bit&1 != 0 {
				set.AddNum(imap.UID(i + 1))
			}
		}
		store(t, c, set, imap.StoreFlagsAdd, flag)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
}

// The changes of both sides: what comes, what goes and what is marked.
const (
	fromNear = "Subject: written near\nMessage-ID: <near@example.org>\n\nnear\n"
	fromFar  = "Subject: delivered far\r\nMessage-ID: <far@example.org>\r\n\r\nfar\r\n"
)

// changes are the messages that are changed: numbers in f.mail, of some whose text no
// other has.
type changes struct{ nearMarked, nearDeleted, farMarked, farDeleted int }

func (f *fixture) pick(t *testing.T) changes {
	t.Helper()
	count := map[string]int{}
	for _, m := range f.mail {
		count[f.plain(m.Raw)]++
	}
	var unique []int
	for i, m := range f.mail {
		if count[f.plain(m.Raw)] == 1 {
			unique = append(unique, i)
		}
	}
	if len(unique) < 40 {
		t.Fatalf("only %d messages differ from all others", len(unique))
	}
	return changes{unique[10], unique[20], unique[30], unique[len(unique)-1]}
}

// changeBothSides adds, marks and deletes a message near, and others on the server.
func (f *fixture) changeBothSides(t *testing.T, near maildir) changes {
	t.Helper()
	which := f.pick(t)
	for _, path := range near.files(t) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch f.plain(raw) {
		case f.plain(f.mail[which.nearMarked].Raw):
			near.mark(t, path, "DFRS")
		case f.plain(f.mail[which.nearDeleted].Raw):
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	near.add(t, "1700000000.1.near", fromNear)
	d, err := daemon.DialLMTP(f.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Deliver(user+"@example.org", []byte(fromFar)); err != nil {
		t.Fatal(err)
	}
	c := f.dial(t)
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	store(t, c, imap.UIDSetNum(imap.UID(which.farMarked+1)), imap.StoreFlagsSet, imap.FlagFlagged)
	store(t, c, imap.UIDSetNum(imap.UID(which.farDeleted+1)), imap.StoreFlagsAdd, imap.FlagDeleted)
	if _, err := c.Expunge().Collect(); err != nil {
		t.Fatal(err)
	}
	return which
}

func store(t *testing.T, c *imapclient.Client, set imap.NumSet, op imap.StoreFlagsOp, flag imap.Flag) {
	t.Helper()
	if err := c.Store(set, &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{flag}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
}

// checkChanges holds that what both sides did is what there is.
func (f *fixture) checkChanges(t *testing.T, which changes, held map[letter]int) {
	t.Helper()
	flags := map[string]string{}
	for l := range held {
		flags[l.text] = l.flags
	}
	for _, c := range []struct {
		what, text, flags string
		there             bool
	}{
		{"the message that was written near", f.plain([]byte(fromNear)), "", true},
		{"the message that was delivered far", f.plain([]byte(fromFar)), "", true},
		{"the message that was marked near", f.plain(f.mail[which.nearMarked].Raw), "DFRS", true},
		{"the message that was marked far", f.plain(f.mail[which.farMarked].Raw), "F", true},
		{"the message that was deleted near", f.plain(f.mail[which.nearDeleted].Raw), "", false},
		{"the message that was deleted far", f.plain(f.mail[which.farDeleted].Raw), "", false},
	} {
		if got, there := flags[c.text]; there != c.there || got != c.flags {
			// What is delivered gets trace fields in front.
			if c.there && !there && c.flags == "" && hasSuffix(flags, c.text) {
				continue
			}
			t.Errorf("%s: there %v with flags %q, want %v and %q", c.what, there, got, c.there, c.flags)
		}
	}
}

func hasSuffix(texts map[string]string, suffix string) bool {
	for text := range texts {
		if strings.HasSuffix(text, suffix) {
			return true
		}
	}
	return false
}
