package squatter_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/squatter"
	"teraslot/tiers"
)

// TestMain sets how often property tests run: COUNT times, with SEED.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": cmp.Or(os.Getenv("COUNT"), "100"), "rapid.seed": cmp.Or(os.Getenv("SEED"), "0")} {
		if err := flag.Set(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	goleak.VerifyTestMain(m)
}

const user = mailbox.User("0123456789abcdef0123456789abcdef")

// fixture is a slot with one user and a squatter.
type fixture struct {
	t     testing.TB
	dir   string
	now   time.Time // of the squatter's retries
	store *mailstore.Store
	tiers *tiers.Set
	q     *squatter.Squatter
	mail  *mailstore.Mail
	inbox mailbox.ID
	// notify is told of the store's events, if set.
	notify func(mailbox.Event)
	// step is called at each step of the index, if set.
	step func(string)
	// version of the extraction, if it is to be another than the code's.
	version uint32
	// damaged is set by tests that harm the store or the index.
	damaged bool
}

func newFixture(t testing.TB, o squatter.Options) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	for _, name := range []string{"conf", "spool", "archive", "temp", "meta", "data", "old"} {
		f.must(os.Mkdir(f.path(name), 0o700))
	}
	f.open(o)
	f.must(f.store.CreateUser(t.Context(), user, mailstore.UserOptions{}))
	f.acquire()
	t.Cleanup(f.close)
	return f
}

func (f *fixture) path(names ...string) string {
	return filepath.Join(f.dir, filepath.Join(names...))
}

func (f *fixture) open(o squatter.Options) {
	f.t.Helper()
	var err error
	f.store, err = mailstore.Open(f.t.Context(), mailstore.Options{Conf: f.path("conf"), Spool: f.path("spool"),
		Archive: f.path("archive"), Notify: func(e mailbox.Event) {
			if f.notify != nil {
				f.notify(e)
			}
		}})
	f.must(err)
	f.openTiers()
	if o.Logger == nil {
		o.Logger = quiet(f.t)
	}
	o.Store, o.Tiers, o.Conf = f.store, f.tiers, f.path("conf")
	o.Now = func() time.Time { return f.now }
	f.q = squatter.New(o)
}

func (f *fixture) openTiers() {
	f.t.Helper()
	var err error
	f.tiers, err = tiers.New(tiers.Options{Conf: f.path("conf"), ExtractVersion: cmp.Or(f.version, message.ExtractVersion), Logger: quiet(f.t),
		Roots: map[string]string{"temp": f.path("temp"), "meta": f.path("meta"), "data": f.path("data"), "archive": f.path("old")},
		Step: func(s string) {
			if f.step != nil {
				f.step(s)
			}
		}})
	f.must(err)
}

func (f *fixture) acquire() {
	f.t.Helper()
	var err error
	f.mail, err = f.store.Acquire(f.t.Context(), user)
	f.must(err)
	state, err := f.mail.MailboxNamed(f.t.Context(), "INBOX")
	f.must(err)
	f.inbox = state.ID
}

// close checks store and index, and closes them.
func (f *fixture) close() {
	ctx := context.Background()
	f.mail.Release()
	if !f.damaged {
		f.must(f.store.Verify(ctx, user, func(d mailstore.Finding) { f.t.Errorf("store: %v", d) }))
		f.must(f.tiers.User(user).Verify(ctx, func(d *tiers.Damage) { f.t.Errorf("index: %v", d) }))
	}
	f.must(f.tiers.Close())
	f.must(f.store.Close())
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// quiet logs to the test only if it is verbose.
func quiet(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// raw is a message that no other test message equals.
func raw(n int) string {
	return fmt.Sprintf("From: a@example.org\r\nSubject: number %d\r\n\r\nthe body of message%dx\r\n", n, n)
}

// deliver appends messages from..to-1 to INBOX in one transaction.
func (f *fixture) deliver(from, to int) []mailbox.Record {
	f.t.Helper()
	var items []mailstore.Append
	for n := from; n < to; n++ {
		msg, err := f.store.Spool(f.t.Context(), strings.NewReader(raw(n)))
		f.must(err)
		defer msg.Close()
		items = append(items, mailstore.Append{Mailbox: f.inbox, Message: msg})
	}
	records, err := f.mail.Append(f.t.Context(), "", items...)
	f.must(err)
	return records
}

// index runs IndexUser and expects it to index want messages.
func (f *fixture) index(want int, o squatter.IndexOptions) {
	f.t.Helper()
	n, err := f.q.IndexUser(f.t.Context(), user, o)
	f.must(err)
	if n != want {
		f.t.Errorf("%d messages were indexed, want %d", n, want)
	}
}

// indexed counts the messages that the audit finds indexed.
func (f *fixture) indexed() int {
	f.t.Helper()
	return f.audit().Indexed
}

func (f *fixture) audit() *squatter.Audit {
	f.t.Helper()
	a, err := f.q.Audit(f.t.Context(), user)
	f.must(err)
	return a
}

// expunge marks UIDs deleted and removes them.
func (f *fixture) expunge(uids mailbox.UIDSet) {
	f.t.Helper()
	_, err := f.mail.StoreFlags(f.t.Context(), "", f.inbox, uids, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
	f.must(err)
	_, _, err = f.mail.Expunge(f.t.Context(), "", f.inbox, &uids)
	f.must(err)
}

// compact merges everything into one database of a tier.
func (f *fixture) compact(dest string) tiers.Result {
	f.t.Helper()
	res, err := f.q.Compact(f.t.Context(), user, squatter.CompactOptions{Sources: []string{"temp", "data", "archive"}, Dest: dest})
	f.must(err)
	return res
}

// spoil changes an octet of message n in its pack.
func (f *fixture) spoil(n int) {
	f.t.Helper()
	f.damaged = true
	packs, err := filepath.Glob(f.path("spool", user.Dir(), "*.pack"))
	f.must(err)
	for _, pack := range packs {
		data, err := os.ReadFile(pack)
		f.must(err)
		if at := strings.Index(string(data), raw(n)); at >= 0 {
			data[at] ^= 0xff
			f.must(os.WriteFile(pack, data, 0o600))
			return
		}
	}
	f.t.Fatalf("message %d is in no pack", n)
}
