package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/search"
	"teraslot/text"
	"teraslot/tiers"
)

// corpus returns the messages of an archive in the directory CORPUS.
func corpus(t testing.TB, archive string) [][]byte {
	t.Helper()
	dir := os.Getenv("CORPUS")
	if dir == "" {
		t.Skip("CORPUS is not set: no real mail to test with")
	}
	xz, err := exec.LookPath("xz")
	if err != nil {
		t.Skip("xz is not installed: the corpora cannot be unpacked")
	}
	data, err := exec.CommandContext(t.Context(), xz, "-dc", filepath.Join(dir, archive+".tar.xz")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		// An mbox line is none of the message.
		if bytes.HasPrefix(raw, []byte("From ")) {
			_, raw, _ = bytes.Cut(raw, []byte("\n"))
		}
		if h.Typeflag == tar.TypeReg && len(raw) > 0 {
			out = append(out, raw)
		}
	}
}

// library is a corpus in brong's INBOX, with its text as the oracle sees it.
type library struct {
	*fixture
	inbox    mailbox.ID
	records  []mailbox.Record
	units    [][]text.Unit
	tiers    *tiers.Set
	searcher *search.Searcher
}

func newLibrary(t *testing.T, archive string, most int) *library {
	t.Helper()
	messages := corpus(t, archive)
	if step := (len(messages) + most - 1) / most; step > 1 {
		all := messages
		messages = nil
		for i := 0; i < len(all); i += step {
			messages = append(messages, all[i])
		}
	}
	l := &library{fixture: newFixture(t, "")}
	mail, err := l.store.Acquire(t.Context(), l.ids["brong"])
	l.must(err)
	defer mail.Release()
	state, err := mail.MailboxNamed(t.Context(), "INBOX")
	l.must(err)
	l.inbox = state.ID
	start := time.Now()
	for part := range slices.Chunk(messages, 200) {
		var items []mailstore.Append
		for _, raw := range part {
			m, err := l.store.Spool(t.Context(), bytes.NewReader(raw))
			l.must(err)
			defer m.Close()
			items = append(items, mailstore.Append{Mailbox: l.inbox, Message: m})
			x, err := message.Extract(t.Context(), bytes.NewReader(raw), int64(len(raw)), message.Limits{})
			l.must(err)
			l.units = append(l.units, x.Units)
		}
		records, err := mail.Append(t.Context(), "", items...)
		l.must(err)
		l.records = append(l.records, records...)
	}
	t.Logf("%d messages stored and extracted in %v", len(messages), time.Since(start).Round(time.Millisecond))
	l.tiers, err = tiers.New(l.config.TiersOptions())
	l.must(err)
	t.Cleanup(func() { l.must(l.tiers.Close()) })
	l.searcher = search.New(search.Options{Store: l.store, Tiers: l.tiers})
	return l
}

// sample is a key with the oracle's answer.
type sample struct {
	key  text.Key
	want []mailbox.UID
}

// samples cuts n keys out of the corpus: words, parts of words, phrases.
func (l *library) samples(n int) []sample {
	rng := rand.New(rand.NewPCG(7, uint64(len(l.units))))
	var out []sample
	for len(out) < n {
		units := l.units[rng.IntN(len(l.units))]
		if len(units) == 0 {
			continue
		}
		u := units[rng.IntN(len(units))]
		runes := []rune(u.Value())
		if len(runes) == 0 {
			continue
		}
		from := rng.IntN(len(runes))
		pattern := string(runes[from:min(len(runes), from+1+rng.IntN(14))])
		k := text.NewKey(text.InText, "", pattern)
		switch {
		case u.Kind == text.Header && rng.IntN(3) > 0:
			k = text.NewKey(text.InHeader, u.Name, pattern)
		case u.Kind == text.Body && rng.IntN(3) > 0:
			k = text.NewKey(text.InBody, "", pattern)
		}
		s := sample{key: k, want: []mailbox.UID{}}
		for i, units := range l.units {
			if k.Match(units) {
				s.want = append(s.want, l.records[i].UID)
			}
		}
		out = append(out, s)
	}
	return out
}

// ask searches for all samples and compares; it returns what it took.
func (l *library) ask(what string, samples []sample) search.Stats {
	l.t.Helper()
	var sum search.Stats
	var took []time.Duration
	for _, s := range samples {
		start := time.Now()
		res, err := l.searcher.Search(l.t.Context(), search.Request{User: l.ids["brong"], Mailbox: l.inbox, Query: search.Text{Key: s.key}})
		took = append(took, time.Since(start))
		l.must(err)
		if !slices.Equal(res.UIDs, s.want) {
			l.t.Fatalf("%s: %+v: got %d, want %d", what, s.key, len(res.UIDs), len(s.want))
		}
		sum.Indexed += res.Stats.Indexed
		sum.Verified += res.Stats.Verified
		sum.Scanned += res.Stats.Scanned
	}
	slices.Sort(took)
	l.t.Logf("%s: %d searches, half within %v, 95 %% within %v, all within %v; indexed %d, verified %d, scanned %d", what,
		len(took), took[len(took)/2], took[len(took)*95/100], took[len(took)-1], sum.Indexed, sum.Verified, sum.Scanned)
	return sum
}

// words measures one-word BODY searches.
func (l *library) words() {
	l.t.Helper()
	var words []string
	for i := 0; len(words) < 200; i++ {
		for _, u := range l.units[(i*37)%len(l.units)] {
			if f := strings.FieldsFunc(u.Text, func(r rune) bool { return !unicode.IsLetter(r) }); u.Kind == text.Body && len(f) > 3 {
				words = append(words, f[len(f)/2])
				break
			}
		}
	}
	var took []time.Duration
	for _, w := range words {
		start := time.Now()
		_, err := l.searcher.Search(l.t.Context(), search.Request{User: l.ids["brong"], Mailbox: l.inbox, Query: search.Body(w)})
		took = append(took, time.Since(start))
		l.must(err)
	}
	slices.Sort(took)
	l.t.Logf("one-word BODY over %d messages: half within %v, 95 %% within %v", len(l.records), took[len(took)/2], took[len(took)*95/100])
}

// compactTo runs squatter -z in the command.
func (l *library) compactTo(dest string, sources string) {
	l.t.Helper()
	start := time.Now()
	out, _ := l.squatter(exitOK, "-v", "-z", dest, "-t", sources, "-u", "brong")
	wants(l.t, out, `compressing .*`, `finished compact of user\.brong .*`)
	l.t.Logf("compacted to %s in %v, %.1f MB of %.1f MB of mail", dest, time.Since(start).Round(time.Millisecond),
		float64(size(l.t, l.config.Tiers.Roots()[dest]))/1e6, float64(size(l.t, l.config.Spool))/1e6)
}

func size(t testing.TB, root string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCorpus takes real mail through the whole life of an index: scanned,
// indexed, compacted from temp to data to archive, temp lost; the answers are
// those of a plain scan all the time. With COUNT, that many keys are asked about
// all messages; without, a sample.
func TestCorpus(t *testing.T) {
	archives := strings.Fields(os.Getenv("ARCHIVES"))
	if len(archives) == 0 {
		archives = []string{"spamassassin"}
	}
	n, most := 60, 600 // searches, and messages from all over an archive
	if s := os.Getenv("COUNT"); s != "" {
		var err error
		most = math.MaxInt32
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, archive := range archives {
		t.Run(archive, func(t *testing.T) { corpusRound(t, archive, n, most) })
	}
}

func corpusRound(t *testing.T, archive string, n, most int) {
	l := newLibrary(t, archive, most)
	samples := l.samples(n)
	if s := l.ask("not indexed", samples[:3]); s.Indexed+s.Verified > 0 || s.Scanned == 0 {
		t.Errorf("without an index: %+v", s)
	}
	start := time.Now()
	l.squatter(exitOK, "-i", "-u", "brong")
	t.Logf("indexed in %v, %.1f MB", time.Since(start).Round(time.Millisecond), float64(size(t, l.config.Tiers.Temp))/1e6)
	l.indexed("temp", samples)
	l.compactTo("data", "temp,meta")
	l.indexed("data", samples)
	l.compactTo("archive", "temp,data")
	l.indexed("archive", samples)
	l.words()
	l.must(os.RemoveAll(filepath.Join(l.config.Tiers.Archive, "users")))
	if s := l.ask("archive lost", samples[:3]); s.Scanned == 0 {
		t.Errorf("with the archive tier lost: %+v", s)
	}
	l.squatter(exitOK, "-i", "-u", "brong")
	if _, errs := l.squatter(exitTempFail, "-A", "-u", "brong"); !strings.Contains(errs, "run squatter -A --repair") {
		t.Errorf("what is lost is still on the list, and the audit says %q", errs)
	}
	l.squatter(exitOK, "-A", "--repair", "-u", "brong") // takes it off
	l.indexed("restored", samples[:n/3])
	t.Logf("proof: %d keys over %d messages agree with a plain scan in temp, data, archive and restored", n, len(l.records))
}

// indexed searches for all samples, and expects the index to know all messages.
func (l *library) indexed(what string, samples []sample) {
	l.t.Helper()
	if s := l.ask("in "+what, samples); s.Scanned > 0 || s.Indexed == 0 {
		l.t.Errorf("in %s: %+v", what, s)
	}
	if out, errs := l.squatter(exitOK, "-A", "-u", "brong"); out+errs != "" {
		l.t.Errorf("in %s, the audit says:\n%s%s", what, out, errs)
	}
}
