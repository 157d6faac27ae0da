package search_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
	"teraslot/text"
	"teraslot/tiers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// library fills the fixture with n messages, every third of them "odd".
func (f *fixture) library(n int) {
	f.t.Helper()
	var mails []*mail
	for i := range n {
		kind := "even"
		if i%3 == 0 {
			kind = "odd"
		}
		m := plain(fmt.Sprintf("number %d", i), fmt.Sprintf("a rather %s message, copy%d of it", kind, i))
		if i%10 == 0 {
			m.flags = []string{`\Flagged`}
		}
		mails = append(mails, m)
	}
	f.deliver(mails...)
}

// check searches and compares with the oracle; it returns the statistics.
func (f *fixture) check(q search.Query) search.Stats {
	f.t.Helper()
	res, err := f.find(q)
	f.must(err)
	if want := f.expect(q); !slices.Equal(res.UIDs, want) {
		f.t.Fatalf("%s: got %v, want %v", describe(q), res.UIDs, want)
	}
	return res.Stats
}

func TestKeysOfTheRecordReadNoText(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(30)
	day := mailbox.DateOf(testNow).Day()
	for _, q := range []search.Query{
		search.All{}, search.And{}, search.Or{}, search.Not{Key: search.All{}},
		search.UIDs{}, search.UIDs{Set: mailbox.UIDRange(3, 7)}, search.UIDs{Set: mailbox.UIDRange(1, 1<<32-1)},
		search.SystemFlag{Flags: mailbox.Flagged}, search.Not{Key: search.SystemFlag{Flags: mailbox.Flagged}},
		search.Keyword{Name: "none"}, search.Larger{Bytes: 160}, search.Smaller{Bytes: 160},
		search.InternalDate{When: search.Before, Day: day}, search.InternalDate{When: search.On, Day: day - 1},
		search.SentDate{When: search.Since, Day: day}, search.SentDate{When: search.On, Day: day - 1},
		search.SaveDate{When: search.Since, Day: 1}, search.Older{Seconds: 86400}, search.Older{Seconds: 86401},
		search.Younger{Seconds: 86400}, search.Younger{Seconds: 86399}, search.ModSeq{Min: 1}, search.ModSeq{Min: 1 << 60},
		search.EmailID{}, search.EmailID{ID: "E12"}, search.EmailID{ID: mailstore.EmailID(f.mails[4].guid)},
		search.Anywhere(""), search.Body(""), search.Not{Key: search.Body("")},
		// Text keys that nothing is left for.
		search.And{search.Body("rather"), search.SystemFlag{Flags: mailbox.Draft}},
		search.Or{search.Body("rather"), search.Smaller{Bytes: 1 << 20}},
		search.And{search.Not{Key: search.Anywhere("x")}, search.UIDs{}},
	} {
		if s := f.check(q); s != (search.Stats{}) {
			t.Errorf("%s: %+v, want nothing read", describe(q), s)
		}
	}
}

func TestThreads(t *testing.T) {
	f := newFixture(t, search.Options{})
	root, reply, other := plain("a", "x"), plain("b", "y"), plain("c", "z")
	root.raw = append([]byte("Message-ID: <root@example.org>\r\n"), root.raw...)
	reply.raw = append([]byte("References: <root@example.org>\r\n"), reply.raw...)
	f.deliver(root)
	f.deliver(other, reply)
	view, err := f.mail.View(t.Context(), f.inbox)
	f.must(err)
	ids, err := f.mail.ThreadIDs(t.Context(), view.Records)
	f.must(err)
	for _, c := range []struct {
		q    search.Query
		want []mailbox.UID
	}{
		{search.ThreadID{ID: ids[0]}, []mailbox.UID{root.uid, reply.uid}},
		{search.Not{Key: search.ThreadID{ID: ids[0]}}, []mailbox.UID{other.uid}},
		{search.And{search.ThreadID{ID: ids[0]}, search.Body("y")}, []mailbox.UID{reply.uid}},
		{search.Or{search.ThreadID{ID: ids[1]}, search.Body("x")}, []mailbox.UID{root.uid, other.uid}},
		{search.ThreadID{ID: "Tnone"}, []mailbox.UID{}},
	} {
		res, err := f.find(c.q)
		f.must(err)
		if !slices.Equal(res.UIDs, c.want) {
			t.Errorf("%s: got %v, want %v", describe(c.q), res.UIDs, c.want)
		}
	}
}

func TestScansOnlyWhatCheaperKeysLeave(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(30) // three of them flagged
	flagged := search.SystemFlag{Flags: mailbox.Flagged}
	for _, c := range []struct {
		q    search.Query
		want int
	}{
		{search.Body("odd"), 30},
		{search.And{search.Body("odd"), flagged}, 3},
		{search.Or{search.Body("odd"), flagged}, 27},
		{search.Not{Key: search.And{search.Body("odd"), flagged}}, 3},
		{search.And{search.Not{Key: search.Anywhere("odd")}, search.UIDs{Set: mailbox.UIDRange(2, 5)}}, 4},
	} {
		if s := f.check(c.q); s.Scanned != c.want {
			t.Errorf("%s: %d scanned, want %d", describe(c.q), s.Scanned, c.want)
		}
	}
}

func TestNotNeverReadsIndexedMail(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(30)
	f.index(f.mails...)
	for _, q := range []search.Query{
		search.Not{Key: search.Body("odd")}, search.Not{Key: search.Body("no-such-word")},
		search.And{search.Not{Key: search.Body("odd")}, search.Not{Key: search.Header("Subject", "7")}},
		search.Not{Key: search.Or{search.Body("copy1"), search.Anywhere("number")}},
	} {
		if s := f.check(q); s.Verified+s.Scanned > 0 || s.Indexed == 0 {
			t.Errorf("%s: %+v, want the index alone to answer", describe(q), s)
		}
	}
}

func TestWakesForManyUnindexed(t *testing.T) {
	f := newFixture(t, search.Options{WakeAfter: 10})
	f.library(25)
	f.check(search.Smaller{Bytes: 10})
	if f.woken.Load() != 0 {
		t.Error("woken by a search that looked at no text")
	}
	f.check(search.Body("odd"))
	if f.woken.Load() != 1 {
		t.Errorf("woken %d times with 25 messages waiting, want once", f.woken.Load())
	}
	f.index(f.mails[:15]...)
	f.check(search.Body("odd"))
	if f.woken.Load() != 1 {
		t.Errorf("woken with 10 messages waiting, want more than 10")
	}
}

// Messages that are in the index incompletely have been tried: they do not wait.
func TestIncompleteDocumentsAreScannedAndDoNotWake(t *testing.T) {
	f := newFixture(t, search.Options{WakeAfter: 1})
	f.library(5)
	var docs []tiers.Doc
	for _, m := range f.mails {
		docs = append(docs, tiers.Doc{GUID: m.guid})
	}
	f.must(f.tiers.User(user).Commit(t.Context(), docs))
	if s := f.check(search.Body("odd")); s.Scanned != 5 || f.woken.Load() != 0 {
		t.Errorf("%+v and woken %d times, want 5 scanned, none", s, f.woken.Load())
	}
}

// After a downgrade the index is of a later program: messages are read instead,
// and the log says what can be done.
func TestIndexOfALaterProgram(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(t, search.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	f.library(10)
	f.index(f.mails...)
	name := filepath.Join(f.dir, "conf", user.Dir(), "index.active")
	body := "temp:1\n#9 "
	f.must(os.WriteFile(name, fmt.Appendf(nil, "%s%08x\n", body, crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli))), 0o600))
	if s := f.check(search.Body("odd")); s.Scanned != 10 || !strings.Contains(log.String(), "delete "+name) {
		t.Errorf("%+v; the log has:\n%s", s, &log)
	}
}

func TestLimits(t *testing.T) {
	for name, limits := range map[string]search.Limits{
		"messages": {Messages: 9}, "bytes": {Bytes: 500}, "time": {Time: 1},
	} {
		f := newFixture(t, search.Options{Limits: limits})
		f.library(10)
		if res, err := f.find(search.Body("odd")); !errors.Is(err, search.ErrLimit) || res != nil {
			t.Errorf("%s: got %v, %v; want %v", name, res, err, search.ErrLimit)
		}
		if name == "time" {
			continue
		}
		f.check(search.And{search.Body("odd"), search.UIDs{Set: mailbox.UIDRange(1, 2)}})
		f.index(f.mails...)
		f.check(search.Body("odd"))
	}
}

func TestCancelled(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(10)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	_, err := f.s.Search(ctx, search.Request{User: user, Mailbox: f.inbox, Query: search.Body("odd")})
	if !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
}

// A search waits while others read, and ends there when its client goes away or its time
// is over.
func TestSearchWaitsForItsTurn(t *testing.T) {
	f := newFixture(t, search.Options{Workers: 2, Limits: search.Limits{Time: -1}})
	f.library(10)
	done := make(chan error)
	find := func(ctx context.Context) {
		_, err := f.s.Search(ctx, search.Request{User: user, Mailbox: f.inbox, Query: search.Body("odd")})
		done <- err
	}
	release := f.s.HoldTurns(t, 2, "another")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	go find(ctx)
	cancel(gone)
	if err := <-done; !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
	hurried, stop := context.WithTimeoutCause(t.Context(), 1, search.ErrLimit)
	defer stop()
	go find(hurried)
	if err := <-done; !errors.Is(err, search.ErrLimit) {
		t.Errorf("got %v, want %v", err, search.ErrLimit)
	}
	go find(t.Context())
	select {
	case err := <-done:
		t.Errorf("a search read messages out of turn: %v", err)
	default:
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	f.check(search.Body("odd"))
}

func TestDepth(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(3)
	nest := func(n int) search.Query {
		var q search.Query = search.Body("odd")
		for range n {
			q = search.Not{Key: q}
		}
		return q
	}
	f.check(nest(400))
	if _, err := f.find(nest(100_000)); !errors.Is(err, search.ErrDepth) {
		t.Errorf("got %v, want %v", err, search.ErrDepth)
	}
	if _, err := f.find(search.And{nil}); err == nil {
		t.Error("a nil key was accepted")
	}
}

func TestUnknown(t *testing.T) {
	f := newFixture(t, search.Options{})
	_, err := f.s.Search(t.Context(), search.Request{User: user, Mailbox: "000000000000000000000000"})
	if !errors.Is(err, mailstore.ErrNoMailbox) {
		t.Errorf("got %v, want %v", err, mailstore.ErrNoMailbox)
	}
	_, err = f.s.Search(t.Context(), search.Request{User: mailbox.User(strings.Repeat("9", 32)), Mailbox: f.inbox})
	if !errors.Is(err, mailstore.ErrNoUser) {
		t.Errorf("got %v, want %v", err, mailstore.ErrNoUser)
	}
}

// A message that cannot be read is never a silent miss: it fails the searches
// that need it, by name, and no others.
func TestDamagedMessage(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(9)
	bad := f.mails[4]
	f.spoil(bad)
	for _, q := range []search.Query{search.Body("odd"), search.Not{Key: search.Body("odd")}} {
		_, err := f.find(q)
		d, ok := errors.AsType[*mailstore.Damage](err)
		if !ok || d.UID != bad.uid || d.Mailbox != f.inbox {
			t.Errorf("%s: got %v, want damage of UID %d", describe(q), err, bad.uid)
		}
	}
	f.check(search.And{search.Body("odd"), search.Not{Key: search.UIDs{Set: mailbox.UIDs(bad.uid)}}})
	f.check(search.Or{search.Body("odd"), search.Larger{Bytes: 1}})
	f.index(f.mails...) // from what the test knows of it
	f.check(search.Body("odd"))
	f.check(search.Body("rather odd message"))
}

// spoil changes an octet of a message in its pack.
func (f *fixture) spoil(m *mail) {
	f.t.Helper()
	packs, err := filepath.Glob(filepath.Join(f.dir, "spool", user.Dir(), "*.pack"))
	f.must(err)
	for _, pack := range packs {
		data, err := os.ReadFile(pack)
		f.must(err)
		body, _, _ := strings.Cut(string(m.raw), "\r\n\r\n")
		if at := strings.Index(string(data), body); at >= 0 {
			data[at] ^= 0xff
			f.must(os.WriteFile(pack, data, 0o600))
			f.spoiled = true
			return
		}
	}
	f.t.Fatal("the message is in no pack")
}

// A message that cannot be read and has left the mailbox since the view was
// taken is missed by nobody; one that has not fails the search.
func TestGoneSinceTheView(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(6)
	view, err := f.mail.View(t.Context(), f.inbox)
	f.must(err)
	bad := f.mails[0]
	f.spoil(bad)
	r := search.Request{User: user, Mailbox: f.inbox, Query: search.Body("message")}
	if _, err := f.s.SearchView(t.Context(), r, view); err == nil {
		t.Error("a damaged message was passed over")
	}
	gone := mailbox.UIDs(bad.uid)
	_, err = f.mail.StoreFlags(t.Context(), "", f.inbox, gone, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
	f.must(err)
	_, _, err = f.mail.Expunge(t.Context(), "", f.inbox, &gone)
	f.must(err)
	res, err := f.s.SearchView(t.Context(), r, view)
	f.must(err)
	if len(res.UIDs) != 5 || slices.Contains(res.UIDs, bad.uid) {
		t.Errorf("got %v, want the five that are left", res.UIDs)
	}
}

// The join of view and index follows what happens to either.
func TestCachedJoinFollows(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(40)
	odd := search.And{search.Body("odd"), search.Not{Key: search.SystemFlag{Flags: mailbox.Flagged}}}
	f.check(odd)
	f.index(f.mails[:25]...)
	f.check(odd)
	changed := mailbox.UIDRange(7, 12)
	_, err := f.mail.StoreFlags(t.Context(), "", f.inbox, changed, mailstore.AddFlags, mailbox.MakeFlags(`\Flagged`, `\Deleted`), nil)
	f.must(err)
	for _, m := range f.mails {
		if changed.Contains(m.uid) {
			m.flags = []string{`\Flagged`, `\Deleted`}
		}
	}
	f.check(odd)
	_, _, err = f.mail.Expunge(t.Context(), "", f.inbox, nil)
	f.must(err)
	f.mails = slices.DeleteFunc(f.mails, func(m *mail) bool { return changed.Contains(m.uid) })
	if s := f.check(odd); s.Scanned != 14 {
		t.Errorf("%+v, want the 14 unflagged messages scanned", s)
	}
	f.library(10)
	f.index(f.mails...)
	if s := f.check(odd); s.Scanned != 0 {
		t.Errorf("%+v, want none scanned", s)
	}
}

func TestSameContentSeveralTimes(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(4)
	for range 3 {
		again := *f.mails[0]
		f.deliver(&again)
	}
	f.index(f.mails[1:4]...)
	f.check(search.Body("odd"))
	f.index(f.mails[0])
	f.check(search.Body("odd"))
	f.index(f.mails[0]) // a second document
	if s := f.check(search.Body("rather odd")); s.Scanned != 0 || s.Verified == 0 {
		t.Errorf("%+v", s)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := newFixture(t, search.Options{Registerer: reg})
	search.New(search.Options{Store: f.store, Tiers: f.tiers, Registerer: reg}) // a second one shares them
	f.library(6)
	f.index(f.mails[:4]...)
	f.check(search.Body("odd"))
	f.check(search.Body("odd message"))
	got := map[string]float64{}
	families, err := reg.Gather()
	f.must(err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if c := m.GetCounter(); c != nil {
				got[m.GetLabel()[0].GetValue()] += c.GetValue()
			}
		}
	}
	if got["scan"] != 4 || got["verify"] == 0 || got["index"]+got["verify"] != 8 || got["ok"] != 2 {
		t.Errorf("got %v", got)
	}
}

func TestManyKeys(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.library(20)
	f.index(f.mails[:15]...)
	var any search.Or
	for i := range 2000 {
		any = append(any, search.Text{Key: text.NewKey(text.InBody, "", fmt.Sprintf("copy%d ", i*7))})
	}
	f.check(any)
	f.check(search.Not{Key: any})
}

// The index has fields that are no header fields; no key may name them.
func TestFieldsOfTheIndexAreNoHeaderFields(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.deliver(plain("one", "needle"))
	f.index(f.mails...)
	for _, name := range []string{":body", ":BODY", ":rune", ":name", ":line", ":header", "subject:", ":"} {
		for _, pattern := range []string{"needle", "n", "", "one", "subject:"} {
			for _, q := range []search.Query{search.Header(name, pattern), search.Fuzzy{Key: search.Header(name, pattern)}} {
				res, err := f.find(q)
				if err != nil || len(res.UIDs) != 0 {
					t.Errorf("%+v finds %v, %v", q, res.UIDs, err)
				}
			}
		}
	}
}
