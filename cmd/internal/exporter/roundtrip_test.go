package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"teraslot/bench/corpus"
	"teraslot/cmd/internal/importer"
	"teraslot/cmd/internal/source"
	"teraslot/cmd/internal/transfer"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/slot"
)

// pair is a slot with two users: what is exported of one goes into the other.
type pair struct {
	t      *testing.T
	config *slot.Config
	client *slot.Client
	users  map[string]mailbox.User
}

func newPair(t *testing.T) *pair {
	t.Helper()
	config, err := slot.Read(strings.NewReader("root = \".\"\n[tiers]\ntemp = \"temp\"\n"), filepath.Join(t.TempDir(), "slot.toml"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := slot.Administer(t.Context(), config, slot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Verify(context.Background(), nil, func(f slot.Finding) { t.Errorf("verify: %v", f) }); err != nil {
			t.Error(err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &pair{t: t, config: config, client: client, users: make(map[string]mailbox.User)}
	for _, name := range []string{"anna", "bert"} {
		if err := client.AddUser(t.Context(), slot.AddUser{Name: name, Password: "secret"}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := client.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range list {
		p.users[u.Name] = u.ID
	}
	return p
}

// load imports items for a user.
func (p *pair) load(user, mailbox string, items iter.Seq[source.Item]) {
	p.t.Helper()
	r, err := importer.Run(p.t.Context(), p.client, items, importer.Options{User: user, Mailbox: mailbox,
		Report: func(place string, err error) { p.t.Errorf("%s: %v", place, err) }})
	if err != nil || r.Failed > 0 {
		p.t.Fatalf("%+v, %v", r, err)
	}
}

// read opens a user's mail for reading, beside the slot that runs.
func (p *pair) read(user string, fn func(*mailstore.Mail)) {
	p.t.Helper()
	o := p.config.MailstoreOptions()
	o.ReadOnly = true
	store, err := mailstore.Open(p.t.Context(), o)
	if err != nil {
		p.t.Fatal(err)
	}
	defer store.Close()
	mail, err := store.Acquire(p.t.Context(), p.users[user])
	if err != nil {
		p.t.Fatal(err)
	}
	defer mail.Release()
	fn(mail)
}

func (p *pair) export(user, dir string, o Options) Result {
	p.t.Helper()
	o.Report = func(place string, err error) { p.t.Errorf("%s: %v", place, err) }
	var r Result
	p.read(user, func(mail *mailstore.Mail) {
		var err error
		if r, err = Run(p.t.Context(), mail, dir, o); err != nil {
			p.t.Fatal(err)
		}
	})
	return r
}

// holdings is what a user has, a line a message, sorted: mailbox, GUID, flags and
// internal date to the second, with its zone.
func (p *pair) holdings(user string) []string {
	p.t.Helper()
	var out []string
	p.read(user, func(mail *mailstore.Mail) {
		all, err := mail.Mailboxes(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		for _, s := range all {
			view, err := mail.View(p.t.Context(), s.ID)
			if err != nil {
				p.t.Fatal(err)
			}
			for _, rec := range view.Records {
				out = append(out, fmt.Sprintf("%s: %s (%s) %d %d", s.Name, rec.GUID, rec.Flags, rec.InternalDate.Unix, rec.InternalDate.Zone))
			}
		}
	})
	slices.Sort(out)
	return out
}

func (p *pair) compare(want []string) {
	p.t.Helper()
	got := p.holdings("bert")
	if slices.Equal(got, want) {
		return
	}
	p.t.Errorf("%d messages came back of %d", len(got), len(want))
	for _, line := range want {
		if !slices.Contains(got, line) {
			p.t.Errorf("missing: %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			p.t.Errorf("came: %s", line)
		}
	}
}

// someMail are n messages with every flag, keywords and odd dates in several
// mailboxes. Each ends with a whole line, as an mbox needs it, and has a body that is
// not empty.
func someMail(seed uint64, n int) iter.Seq[source.Item] {
	r := rand.New(rand.NewPCG(seed, 1))
	boxes := []string{"", "Lists/Go", "Lists", "Entwürfe & mehr/日本", "INBOX/Unter", "Sent"}
	flags := []string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, "$Forwarded", "$Junk", "work", "später"}
	lines := []string{"", "From here", ">From there", "From x Mon Jan  6 10:20:30 2020", "text", "\r", "x\r", ">", "From:", "Größe \xff"}
	return func(yield func(source.Item) bool) {
		for i := range n {
			body := fmt.Sprintf("Return-Path: <a%d@example.org>\r\nSubject: %d\r\n\r\n", i, i)
			for range r.IntN(8) {
				body += lines[r.IntN(len(lines))] + "\r\n"
			}
			var mine []string
			for _, f := range flags {
				if r.IntN(3) == 0 {
					mine = append(mine, f)
				}
			}
			date := time.Unix(r.Int64N(4e9)-1e9, 0).In(time.FixedZone("", (r.IntN(24*4)-48)*900))
			it := source.Item{Key: strconv.Itoa(i), Mailbox: boxes[r.IntN(len(boxes))], Flags: mailbox.MakeFlags(mine...), Date: date, Body: []byte(body + "end\r\n")}
			if !yield(it) {
				return
			}
		}
	}
}

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil || n <= 0 {
		return otherwise
	}
	t.Logf("%s=%d", name, n)
	return n
}

// TestMaildirComesBack: what was exported and imported has the same GUIDs, flags,
// keywords and internal dates in the same mailboxes.
func TestMaildirComesBack(t *testing.T) {
	p := newPair(t)
	n := setting(t, "COUNT", 200)
	p.load("anna", "", someMail(uint64(setting(t, "SEED", 1)), n))
	want := p.holdings("anna")
	dir := t.TempDir()
	if r := p.export("anna", dir, Options{}); r.Written != n || r.Read != r.Total {
		t.Errorf("%+v", r)
	}
	mail, err := source.Open(dir, source.Options{})
	if err != nil || mail.Format() != source.Maildir {
		t.Fatal(mail, err)
	}
	p.load("bert", "", mail.Items(t.Context()))
	p.compare(want)
}

// TestMboxComesBack is the same for mboxes, with the flags as header fields taken
// off the messages again; they are all that differs.
func TestMboxComesBack(t *testing.T) {
	p := newPair(t)
	n := setting(t, "COUNT", 200)
	p.load("anna", "", someMail(uint64(setting(t, "SEED", 2)), n))
	want := p.holdings("anna")
	dir := t.TempDir()
	if r := p.export("anna", dir, Options{Format: Mbox, Flags: true}); r.Written != n {
		t.Errorf("%+v", r)
	}
	if _, err := source.Open(dir, source.Options{}); !errors.Is(err, source.ErrFormat) {
		t.Errorf("the directory is no directory of messages: %v", err)
	}
	for _, name := range []string{"INBOX", "Lists/Go", "Lists", "Entwürfe & mehr/日本", "INBOX/Unter", "Sent"} {
		mail, err := source.Open(filepath.Join(dir, name+".mbox"), source.Options{Format: source.Mbox})
		if err != nil {
			t.Fatal(err)
		}
		p.load("bert", name, withoutStatus(mail.Items(t.Context())))
	}
	// The date of a "From " line has no zone (RFC 4155).
	p.compare(inUTC(want))
}

// inUTC are holdings without zones.
func inUTC(all []string) []string {
	out := make([]string, len(all))
	for i, line := range all {
		out[i] = line[:strings.LastIndexByte(line, ' ')] + " 0"
	}
	slices.Sort(out)
	return out
}

// withoutStatus takes the fields that --flags adds off the top of messages.
func withoutStatus(items iter.Seq[source.Item]) iter.Seq[source.Item] {
	return func(yield func(source.Item) bool) {
		for it := range items {
			if at := bytes.Index(it.Body, []byte("Return-Path: ")); at >= 0 {
				it.Body = it.Body[at:]
			}
			if !yield(it) {
				return
			}
		}
	}
}

// longNames are of mailboxes whose names make no names of files, with what is beside, above
// and below them.
func longNames() []string {
	long, wide := strings.Repeat("x", 1000), strings.Repeat("日本", 100)
	return []string{long, long + "y", long + "/below", strings.Repeat("%", 90), wide, wide + "/" + wide[:399], strings.Repeat("a.b/", 63) + "c", strings.Repeat("x", 251)}
}

// TestLongNamesComeBack: what has a name that no file can have is exported, under
// another, and comes back from a Maildir under its own, subscribed as before.
func TestLongNamesComeBack(t *testing.T) {
	p := newPair(t)
	names := longNames()
	for i, name := range names {
		p.load("anna", "", slices.Values([]source.Item{{Key: "1", Mailbox: name, Body: fmt.Appendf(nil, "Subject: %d\r\n\r\n%d\r\n", i, i)}}))
	}
	if err := p.client.Subscribe(t.Context(), slot.Subscribe{User: "anna", Names: names}); err != nil {
		t.Fatal(err)
	}
	want := p.holdings("anna")
	dir := t.TempDir()
	for range 2 {
		told := 0
		r := p.export("anna", dir, Options{Notice: func(string) { told++ }})
		if told < len(names) { // and of levels above
			t.Errorf("told of %d", told)
		}
		if r.Written+r.Kept != len(names) || r.Failed != 0 {
			t.Errorf("%+v", r)
		}
	}
	mail, err := source.Open(dir, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	from, found, err := mail.UIDs()
	if err != nil || !found {
		t.Fatal(found, err)
	}
	r, err := transfer.Run(t.Context(), p.client, from, transfer.Options{User: "bert", Notice: func(text string) { t.Error(text) },
		Report: func(place string, err error) { t.Errorf("%s: %v", place, err) }})
	if err != nil || r.Stored != len(names) || r.Renamed != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	p.compare(want)
	p.read("bert", func(m *mailstore.Mail) {
		all, err := m.Mailboxes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			if slices.Contains(names, b.Name) && !b.Subscribed {
				t.Errorf("%.20s… is not subscribed", b.Name)
			}
		}
	})
	boxes := t.TempDir()
	if r := p.export("anna", boxes, Options{Format: Mbox}); r.Written != len(names) || r.Failed != 0 {
		t.Errorf("to mboxes: %+v", r)
	}
	for i, name := range names {
		if b, err := os.ReadFile(filepath.Join(boxes, mailboxPath(Mbox, name))); err != nil || !bytes.HasSuffix(b, fmt.Appendf(nil, "\n\n%d\n\n", i)) {
			t.Errorf("%.20s…: %v", name, err)
		}
	}
}

// TestCorpusComesBack: real mail, through a Maildir.
func TestCorpusComesBack(t *testing.T) {
	letters := corpus.Messages(t, "mime-torture")
	p := newPair(t)
	n := min(setting(t, "COUNT", 300), len(letters))
	p.load("anna", "", func(yield func(source.Item) bool) {
		for i, l := range letters[:n] {
			it := source.Item{Key: strconv.Itoa(i), Mailbox: "Corpus", Body: l.Raw}
			// The importer refuses a message of nothing but white space.
			if len(bytes.TrimSpace(it.Body)) > 0 && !yield(it) {
				return
			}
		}
	})
	want := p.holdings("anna")
	dir := t.TempDir()
	p.export("anna", dir, Options{})
	back, err := source.Open(dir, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.load("bert", "", back.Items(t.Context()))
	p.compare(want)
	if len(want) == 0 {
		t.Error("no mail in the corpus")
	}
}
