package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/slot"
	"teraslot/synclog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a slot with the users brong and first.last, whose store this
// process owns, as a daemon would.
type fixture struct {
	t      *testing.T
	file   string
	config *slot.Config
	store  *mailstore.Store
	ids    map[string]mailbox.User
	now    func() time.Time // of the command; nil: time.Now
}

func newFixture(t *testing.T, extra string) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{t: t, file: filepath.Join(dir, "slot.toml"), ids: make(map[string]mailbox.User)}
	f.must(os.WriteFile(f.file, []byte(fmt.Sprintf("root = %q\n[tiers]\ntemp = %q\n%s", dir, filepath.Join(dir, "temp"), extra)), 0o600))
	var err error
	f.config, err = slot.Load(f.file)
	f.must(err)
	for _, path := range []string{f.config.Conf, f.config.Spool, f.config.Archive} {
		f.must(os.MkdirAll(path, 0o700))
	}
	for _, path := range f.config.Tiers.Roots() {
		f.must(os.MkdirAll(path, 0o700))
	}
	f.store, err = mailstore.Open(t.Context(), f.config.MailstoreOptions())
	f.must(err)
	t.Cleanup(func() { f.must(f.store.Close()) })
	accounts, err := account.Open(t.Context(), f.config.AccountsFile(), account.Options{Cost: account.Cost{Memory: 8, Passes: 1, Lanes: 1}})
	f.must(err)
	for _, name := range []string{"brong", "first.last"} {
		a, err := accounts.Add(t.Context(), name, "secret word", account.Quota{})
		f.must(err)
		f.must(f.store.CreateUser(t.Context(), a.ID, mailstore.UserOptions{}))
		f.ids[name] = a.ID
	}
	f.must(accounts.Close())
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// deliver appends n messages to a mailbox of a user, which is made if need be.
func (f *fixture) deliver(name, folder string, n int) {
	f.t.Helper()
	mail, err := f.store.Acquire(f.t.Context(), f.ids[name])
	f.must(err)
	defer mail.Release()
	box, err := mail.MailboxNamed(f.t.Context(), folder)
	if err != nil {
		box, err = mail.Create(f.t.Context(), "", folder, "")
		f.must(err)
	}
	for i := range n {
		msg, err := f.store.Spool(f.t.Context(), strings.NewReader(
			fmt.Sprintf("Subject: %s %s %d %d\r\n\r\nbody\r\n", name, folder, box.UIDNext, i)))
		f.must(err)
		defer msg.Close()
		_, err = mail.Append(f.t.Context(), "", mailstore.Append{Mailbox: box.ID, Message: msg})
		f.must(err)
	}
}

// forgetHalf expunges every other message of a user's INBOX, for good.
func (f *fixture) forgetHalf(name string) {
	f.t.Helper()
	ctx := f.t.Context()
	mail, err := f.store.Acquire(ctx, f.ids[name])
	f.must(err)
	defer mail.Release()
	box, err := mail.MailboxNamed(ctx, "INBOX")
	f.must(err)
	var set mailbox.UIDSet
	for uid := mailbox.UID(1); uid < box.UIDNext; uid += 2 {
		set.Add(uid)
	}
	_, err = mail.StoreFlags(ctx, "", box.ID, set, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
	f.must(err)
	_, _, err = mail.Expunge(ctx, "", box.ID, &set)
	f.must(err)
	_, err = mail.Forget(ctx, time.Now().Add(time.Hour))
	f.must(err)
}

// squatter runs the command and expects an exit code; it returns its output.
func (f *fixture) squatter(code int, args ...string) (stdout, stderr string) {
	f.t.Helper()
	var out, err bytes.Buffer
	if got := run(f.t.Context(), append([]string{"-C", f.file}, args...), options{&out, &err, f.now}); got != code {
		f.t.Fatalf("squatter %v: exit %d, want %d\n%s%s", args, got, code, &out, &err)
	}
	return out.String(), err.String()
}

// wants fails the test unless text has lines that match the patterns, in order.
func wants(t *testing.T, text string, patterns ...string) {
	t.Helper()
	rest := strings.Split(text, "\n")
	for _, p := range patterns {
		re := regexp.MustCompile("^" + p + "$")
		at := 0
		for at < len(rest) && !re.MatchString(rest[at]) {
			at++
		}
		if at == len(rest) {
			t.Fatalf("no line %q, in this order, in:\n%s", p, text)
		}
		rest = rest[at+1:]
	}
}

func TestIndexAuditCompact(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 3)
	f.deliver("brong", "Work/Old", 2)
	f.deliver("first.last", "INBOX", 1)

	out, _ := f.squatter(exitTempFail, "-A", "-u", "brong")
	wants(t, out, `Unindexed message\(s\) in user\.brong: 1 2 3 `, `Unindexed message\(s\) in user\.brong\.Work\.Old: 1 2 `)

	out, _ = f.squatter(exitOK, "-v", "-i")
	if !strings.Contains(out, "Indexed 5 message(s) of user.brong") || !strings.Contains(out, "Indexed 1 message(s) of user.first.last") {
		t.Errorf("got:\n%s", out)
	}
	if out, errs := f.squatter(exitOK, "-A"); out+errs != "" {
		t.Errorf("the audit of a whole index says:\n%s%s", out, errs)
	}
	out, _ = f.squatter(exitOK, "-v", "-i", "-u", "brong", "first.last")
	wants(t, out, `Indexed 0 message\(s\) of user\.brong`, `Indexed 0 message\(s\) of user\.first\.last`)

	out, _ = f.squatter(exitOK, "-v", "-z", "data", "-t", "temp,meta", "-u", "brong")
	wants(t, out,
		`compressing temp:\d+ to data:\d+ for user\.brong \(active temp:\d+\)`,
		`adding new initial search location temp:\d+`,
		`compacting databases`,
		`Compressing messages for brong`,
		`done /.*`,
		`renaming tempdir into place`,
		`finished compact of user\.brong \(active temp:\d+,data:\d+\)`)
	if out, _ := f.squatter(exitOK, "-z", "archive", "-t", "data"); out != "" {
		t.Errorf("without -v, the compaction says:\n%s", out)
	}
	f.squatter(exitOK, "-A")
	out, _ = f.squatter(exitOK, "-v", "-X", "-z", "archive", "-t", "archive", "user.brong")
	wants(t, out, `compressing archive:\d+ to archive:\d+ for .*`, `Reindexing messages for brong`, `finished compact of user\.brong \(active temp:\d+,archive:\d+\)`)
	out, _ = f.squatter(exitOK, "-v", "-T", "archive", "-z", "data", "-t", "archive", "-u", "brong")
	wants(t, out, `compressing archive:\d+ to data:\d+ for .*`, `Reindexing messages for brong`, `finished compact of user\.brong \(active temp:\d+,data:\d+\)`)
	if out, _ = f.squatter(exitOK, "-v", "-X", "-z", "data", "-t", "archive", "-u", "brong"); out != "" {
		t.Errorf("reindexing a tier with nothing in it says:\n%s", out)
	}
	out, _ = f.squatter(exitOK, "-A", "-v", "-u", "brong")
	wants(t, out, `user\.brong: 5 messages held, 5 indexed, 0 incompletely; 0 expunged ones not indexed; of the documents 0 are dead and 0 double`)
}

// The daemon may be down: then nobody has the mail open.
func TestWithoutADaemon(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 3)
	f.must(f.store.Close())
	out, _ := f.squatter(exitOK, "-v", "-i", "-u", "brong")
	if !strings.Contains(out, "Indexed 3 message(s)") {
		t.Errorf("got:\n%s", out)
	}
	f.squatter(exitOK, "-z", "data", "-t", "temp")
	f.squatter(exitOK, "-A")
}

func TestMailboxArguments(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 1)
	f.deliver("brong", "Work", 2)
	f.deliver("brong", "Work/Old", 4)
	f.deliver("first.last", "A.B", 8)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-i", "user.brong"}, "Indexed 1 message(s) of user.brong"},
		{[]string{"-i", "user.brong.Work"}, "Indexed 2 message(s) of user.brong"},
		{[]string{"user/brong/Work"}, "Indexed 2 message(s) of user.brong"},
		{[]string{"-i", "-r", "user.brong.Work"}, "Indexed 4 message(s) of user.brong"},
		{[]string{"-r", "user.brong.Work"}, "Indexed 6 message(s) of user.brong"},
		{[]string{"-r", "user.brong"}, "Indexed 7 message(s) of user.brong"},
		{[]string{"user.brong", "user.brong.Work"}, "Indexed 3 message(s) of user.brong"},
		{[]string{"user/first.last/A.B"}, "Indexed 8 message(s) of user.first.last"},
		{[]string{"user.first.last"}, "Indexed 0 message(s) of user.first.last"},
	} {
		if out, _ := f.squatter(exitOK, append([]string{"-v"}, c.args...)...); !strings.Contains(out, c.want) {
			t.Errorf("%v: got\n%s, want %s", c.args, out, c.want)
		}
	}
	for _, args := range [][]string{
		{"-i", "user.nobody"}, {"-i", "user.brong.Nothing"}, {"-i", "-u", "nobody"}, {"-r", "user.brong.Nothing"},
		{"brong"}, {"-A", "-u", "nobody"}, {"-z", "data", "-t", "temp", "-u", "nobody", "brong"},
	} {
		if _, errs := f.squatter(exitTempFail, args...); !strings.Contains(errs, "squatter: ") {
			t.Errorf("%v: nothing was said", args)
		}
	}
}

// TestFlagsOfTheReference: a flag that the reference system takes and this program does not is refused by name, with why.
func TestFlagsOfTheReference(t *testing.T) {
	f := newFixture(t, "")
	for _, args := range [][]string{
		{"-P"}, {"--reindex-partials"}, {"-L", "3"}, {"--reindex-minlevel=3"}, {"-U"}, {"--only-upgrade"}, {"-B"}, {"--skip-locked"},
		{"-Z"}, {"--internalindex"}, {"-N", "x"}, {"--name", "x"}, {"-a"}, {"--squat-annot"}, {"-l"}, {"--list"}, {"-e", "x"}, {"--search=x"},
		{"-m"}, {"-s", "1"}, {"--squat-skip", "1"}, {"-D"}, {"--index-duplicates"}, {"--highest-createdmodseq", "-u", "brong"},
		{"--attachextract-cache-dir=D"}, {"--attachextract-cache-only"}, {"-iD"}, {"-vD", "-z", "data", "-t", "temp"},
	} {
		flag := args[0]
		switch {
		case flag == "-iD" || flag == "-vD":
			flag = "-D"
		case strings.HasPrefix(flag, "--"):
			flag, _, _ = strings.Cut(flag, "=")
		}
		_, errs := f.squatter(exitUsage, args...)
		first, _, _ := strings.Cut(errs, "\n")
		if !strings.HasPrefix(first, "squatter: usage: ") || !strings.Contains(first, flag) || !strings.Contains(first, "the reference system's, and not taken here: ") {
			t.Errorf("%v: got %q", args, first)
		}
	}
}

func TestUsage(t *testing.T) {
	f := newFixture(t, "")
	for _, args := range [][]string{
		{"-z", "data"}, {"-t", "temp"}, {"-F"}, {"-X"}, {"-i", "-A"}, {"-z", "data", "-t", "temp", "-A"}, {"-R", "user.brong"},
		{"-u"}, {"-r"}, {"-S", "-1"}, {"-S", "x"}, {"-S", "nan"}, {"-S", "inf"}, {"-n", "mine"}, {"-d", "-i"}, {"--unknown"}, {"-z", "data", "-t", "temp,"},
		{"-T", "temp"}, {"--full-speed"}, {"--full-speed", "--apply"}, {"-z", "data", "-t", "temp", "-X", "-T", "temp"}, {"-o"}, {"-z", "data", "-t", "temp", "-o", "-F"}, {"-i", "-f", "x", "-A"}, {"-f", "x", "brong"}, {"--repair"}, {"--plan", "brong"},
		{"--plan", "--apply"}, {"--stats", "-A"}, {"-P"}, {"-L", "3"}, {"-U"}, {"-B"}, {"-Z"}, {"-N", "x"}, {"-a"}, {"-l"}, {"-e", "x"}, {"-s", "1"},
		{"-R", "-n", "../x"}, {"-R", "-n", "squatter"},
		{"-p", "--stats"}, {"-p", "--plan"}, {"-p", "--apply"}, {"-p", "-R"}, {"-p", "-A"},
	} {
		if _, errs := f.squatter(exitUsage, args...); !strings.HasPrefix(errs, "squatter: usage: ") {
			t.Errorf("%v: got %q", args, errs)
		}
	}
	for _, args := range [][]string{{"-p", "-i"}, {"-p"}, {"-p", "-z", "data", "-t", "temp"}, {"-p", "-A", "--repair"}} {
		f.squatter(exitOK, args...)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"-i"}, options{stdout: &out, stderr: &errs}); code != exitUsage {
		t.Errorf("without -C: exit %d", code)
	}
	if code := run(t.Context(), []string{"-C", filepath.Join(t.TempDir(), "none"), "-i"}, options{stdout: &out, stderr: &errs}); code != exitTempFail {
		t.Errorf("without a file: exit %d", code)
	}
	bad := filepath.Join(t.TempDir(), "bad.toml")
	f.must(os.WriteFile(bad, []byte("nonsense = 1\n"), 0o600))
	if code := run(t.Context(), []string{"-C", bad, "-i"}, options{stdout: &out, stderr: &errs}); code != exitConfig {
		t.Errorf("with an unknown key: exit %d", code)
	}
	empty := filepath.Join(t.TempDir(), "empty.toml")
	f.must(os.WriteFile(empty, fmt.Appendf(nil, "root = %q\n", t.TempDir()), 0o600))
	if code := run(t.Context(), []string{"-C", empty, "-i"}, options{stdout: &out, stderr: &errs}); code != exitTempFail {
		t.Errorf("without a slot: exit %d", code)
	}
}

// A tier that the slot does not have is refused before anything is done; a
// database or a tier of which the user has nothing is nothing to do.
func TestUnknownTier(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 1)
	f.squatter(exitOK, "-i")
	for _, args := range [][]string{
		{"-z", "nowhere", "-t", "temp"}, {"-z", "data", "-t", "nowhere"}, {"-z", "data", "-t", "temp,nowhere:3"},
		{"-z", "data", "-t", "temp", "-T", "nowhere"}, {"-z", "data", "-t", "data:x"}, {"-z", "data:3", "-t", "temp"},
		{"-z", "data", "-t", "temp:"}, {"-z", "data", "-t", "temp:01"},
	} {
		out, errs := f.squatter(exitUsage, append(args, "-v", "-u", "brong")...)
		if out != "" || !strings.Contains(errs, "INVALID: unknown tier") {
			t.Errorf("%v: got %q and %q", args, out, errs)
		}
	}
	for _, sources := range []string{"archive", "data:71", "meta,temp:999", " data "} {
		if out, errs := f.squatter(exitOK, "-v", "-z", "data", "-t", sources, "-u", "brong"); out+errs != "" {
			t.Errorf("-t %s: got %q and %q", sources, out, errs)
		}
	}
}

// One damaged message: the others are indexed, and the exit status says that one
// is not.
func TestFailureIsAnExitStatus(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 3)
	packs, err := filepath.Glob(filepath.Join(f.config.Spool, f.ids["brong"].Dir(), "*.pack"))
	f.must(err)
	data, err := os.ReadFile(packs[0])
	f.must(err)
	f.must(os.WriteFile(packs[0], bytes.Replace(data, []byte("INBOX 1 0"), []byte("INBOX 9 0"), 1), 0o600))
	out, errs := f.squatter(exitTempFail, "-v", "-i", "-u", "brong")
	if !strings.Contains(out, "Indexed 2 message(s)") || !strings.Contains(errs, "could not be indexed") {
		t.Errorf("got:\n%s%s", out, errs)
	}
	out, _ = f.squatter(exitTempFail, "-A", "-u", "brong")
	wants(t, out, `Unindexed message\(s\) in user\.brong: 1 `)
}

func TestRolling(t *testing.T) {
	f := newFixture(t, "[squatter]\noff = true\n")
	f.deliver("brong", "INBOX", 2)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		done <- run(ctx, []string{"-C", f.file, "-R", "-d"}, options{stdout: &bytes.Buffer{}, stderr: &errs})
	}()
	f.untilIndexed("brong")
	if _, errs := f.squatter(exitTempFail, "-R"); !strings.Contains(errs, "another squatter -R") {
		t.Errorf("a second -R says %q", errs)
	}
	f.deliver("first.last", "INBOX", 2)
	f.untilIndexed("first.last")
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit %d: %s", code, &errs)
	}
}

// untilIndexed waits until the audit of a user finds nothing missing.
func (f *fixture) untilIndexed(name string) {
	f.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		var out, errs bytes.Buffer
		if run(f.t.Context(), []string{"-C", f.file, "-A", "-u", name}, options{stdout: &out, stderr: &errs}) == exitOK {
			return
		}
		select {
		case <-deadline:
			f.t.Fatalf("%s is not indexed:\n%s%s", name, &out, &errs)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestRollingIsRefusedBesideADaemonThatRolls(t *testing.T) {
	f := newFixture(t, "")
	log, err := synclog.Open(synclog.Options{Dir: f.config.SyncDir(slot.SquatterChannel)})
	f.must(err)
	defer func() { f.must(log.Close()) }()
	if _, errs := f.squatter(exitTempFail, "-R"); !strings.Contains(errs, "the daemon indexes already") {
		t.Errorf("got %q", errs)
	}
}
