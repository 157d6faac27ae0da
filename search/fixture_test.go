package search_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/search"
	"teraslot/tiers"
)

const user = mailbox.User("0123456789abcdef0123456789abcdef")

// fixture is a slot with one user, whose INBOX holds mails.
type fixture struct {
	t     testing.TB
	dir   string
	store *mailstore.Store
	tiers *tiers.Set
	s     *search.Searcher
	mail  *mailstore.Mail
	inbox mailbox.ID
	mails []*mail
	woken atomic.Int64
	// spoiled is set when the test damaged the store, which then fails its check.
	spoiled bool
	step    func(string) // called at each step of the index
}

func newFixture(t testing.TB, o search.Options) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir()}
	roots := map[string]string{}
	for _, name := range []string{"conf", "spool", "archive", "temp", "data", "old"} {
		path := filepath.Join(f.dir, name)
		f.must(os.Mkdir(path, 0o700))
		switch name {
		case "temp", "data":
			roots[name] = path
		case "old":
			roots["archive"] = path
		}
	}
	var err error
	f.store, err = mailstore.Open(t.Context(), mailstore.Options{Conf: filepath.Join(f.dir, "conf"),
		Spool: filepath.Join(f.dir, "spool"), Archive: filepath.Join(f.dir, "archive")})
	f.must(err)
	f.must(f.store.CreateUser(t.Context(), user, mailstore.UserOptions{}))
	f.tiers, err = tiers.New(tiers.Options{Conf: filepath.Join(f.dir, "conf"), Roots: roots,
		ExtractVersion: message.ExtractVersion, Logger: testLogger(t),
		Step: func(s string) {
			if f.step != nil {
				f.step(s)
			}
		}})
	f.must(err)
	f.mail, err = f.store.Acquire(t.Context(), user)
	f.must(err)
	state, err := f.mail.MailboxNamed(t.Context(), "INBOX")
	f.must(err)
	f.inbox = state.ID
	o.Store, o.Tiers = f.store, f.tiers
	o.Wake = func(mailbox.User) { f.woken.Add(1) }
	if o.Now == nil {
		o.Now = func() time.Time { return testNow }
	}
	f.s = search.New(o)
	t.Cleanup(f.close)
	return f
}

// testLogger logs to the test if it is verbose.
func testLogger(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// close checks that store and index are consistent, and closes them.
func (f *fixture) close() {
	ctx := context.Background()
	f.mail.Release()
	findings := 0
	f.must(f.store.Verify(ctx, user, func(d mailstore.Finding) {
		if findings++; !f.spoiled {
			f.t.Errorf("store: %v", d)
		}
	}))
	if f.spoiled && findings == 0 {
		f.t.Error("the check of the store did not find the damage")
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

// deliver appends messages to INBOX in one transaction and completes what the
// test knows of them.
func (f *fixture) deliver(mails ...*mail) {
	f.t.Helper()
	var items []mailstore.Append
	for _, m := range mails {
		msg, err := f.store.Spool(f.t.Context(), bytes.NewReader(m.raw))
		f.must(err)
		defer msg.Close()
		items = append(items, mailstore.Append{Mailbox: f.inbox, Message: msg,
			Flags: mailbox.MakeFlags(m.flags...), InternalDate: mailbox.DateOf(m.internal)})
	}
	records, err := f.mail.Append(f.t.Context(), "", items...)
	f.must(err)
	for i, r := range records {
		mails[i].uid, mails[i].modseq, mails[i].saved = r.UID, r.ModSeq, r.SaveDate
		mails[i].guid = mailbox.GUIDOf(mails[i].raw)
	}
	f.mails = append(f.mails, mails...)
}

// index commits documents of the given messages.
func (f *fixture) index(mails ...*mail) {
	f.t.Helper()
	var docs []tiers.Doc
	for _, m := range mails {
		docs = append(docs, tiers.Doc{GUID: m.guid, Complete: true, Units: m.text(f.t)})
	}
	f.must(f.tiers.User(user).Commit(f.t.Context(), docs))
}

// find searches INBOX.
func (f *fixture) find(q search.Query) (*search.Result, error) {
	return f.s.Search(f.t.Context(), search.Request{User: user, Mailbox: f.inbox, Query: q})
}

// expect returns what the oracle finds.
func (f *fixture) expect(q search.Query) []mailbox.UID {
	f.t.Helper()
	uids := []mailbox.UID{}
	for _, m := range f.mails {
		if oracle(f.t, q, m, testNow) {
			uids = append(uids, m.uid)
		}
	}
	return uids
}

// plain makes a message of a subject and a body.
func plain(subject, body string) *mail {
	at := testNow.Add(-24 * time.Hour)
	return &mail{internal: at, sent: at, raw: []byte("From: a@example.org\r\nTo: b@example.org\r\nDate: " +
		at.Format(time.RFC1123Z) + "\r\nSubject: " + subject + "\r\n\r\n" + body + "\r\n")}
}

// envInt is a number from the environment, for longer runs.
func envInt(t testing.TB, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s=%s: %v", name, s, err)
	}
	return n
}
