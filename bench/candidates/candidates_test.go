package candidates

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"teraslot/bench/corpus"
	"teraslot/bench/sample"
	"teraslot/mailbox"
	"teraslot/message"
	"teraslot/text"
	"teraslot/tiers"
)

const owner = mailbox.User("0123456789abcdef0123456789abcdef")

// environ is a number from the environment, for longer runs.
func environ(t testing.TB, name string, otherwise int) int {
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

// few are the messages of each corpus that are asked about where COUNT asks for no more.
const few = 1500

// mail is the messages to ask about, by the name of where they come from.
func mail(t testing.TB) map[string][][]byte {
	t.Helper()
	out := map[string][][]byte{}
	if os.Getenv("CORPUS") == "" {
		for m := range sample.Messages(sample.Options{Seed: 7, Count: few}) {
			out["sample"] = append(out["sample"], m.Raw)
		}
		return out
	}
	for _, name := range []string{"spamassassin", "kernel-list"} {
		if only := os.Getenv("ONLY"); only != "" && only != name {
			continue
		}
		messages := corpus.Messages(t, name)
		if environ(t, "COUNT", 0) == 0 {
			messages = messages[:min(few, len(messages))]
		}
		for _, m := range messages {
			out[name] = append(out[name], m.Raw)
		}
	}
	return out
}

// library is mail in a compacted index.
type library struct {
	snap    *tiers.Snapshot
	lexicon *Lexicon
	octets  int
}

// open indexes mail. A message that is there twice is taken once.
func open(t testing.TB, mail [][]byte) *library {
	t.Helper()
	dir := t.TempDir()
	roots := map[string]string{}
	for _, name := range []string{"conf", "temp", "data"} {
		roots[name] = filepath.Join(dir, name)
		if err := os.Mkdir(roots[name], 0o700); err != nil {
			t.Fatal(err)
		}
	}
	conf := roots["conf"]
	delete(roots, "conf")
	set, err := tiers.New(tiers.Options{Conf: conf, Roots: roots, ExtractVersion: message.ExtractVersion})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	if err := os.MkdirAll(filepath.Join(conf, owner.Dir()), 0o700); err != nil {
		t.Fatal(err)
	}
	index := set.User(owner)
	l := &library{}
	var units [][]text.Unit
	known := map[mailbox.GUID]bool{}
	for batch := range slices.Chunk(mail, 1000) {
		var docs []tiers.Doc
		for _, raw := range batch {
			x, err := message.Extract(t.Context(), bytes.NewReader(raw), int64(len(raw)), message.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if g := mailbox.GUIDOf(raw); !known[g] {
				known[g] = true
				docs = append(docs, tiers.Doc{GUID: g, Complete: x.Complete, Units: x.Units})
				units = append(units, x.Units)
				l.octets += len(raw)
			}
		}
		if err := index.Commit(t.Context(), docs); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := index.Compact(t.Context(), tiers.CompactOptions{Sources: []string{"temp"}, Dest: "data"}); err != nil {
		t.Fatal(err)
	}
	stats, err := index.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		if s.Docs > 0 {
			t.Logf("%v: %d documents, %d octets (%.1f %% of the mail): terms %d, lists %d, kept text %d", s.Database, s.Docs, s.Bytes,
				100*float64(s.Bytes)/float64(l.octets), s.Terms, s.Bytes-s.Terms-s.Text, s.Text)
		}
	}
	if l.snap, err = index.Snapshot(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.snap.Close() })
	l.lexicon = Read(units)
	return l
}

// shares are the parts of the queries with few messages to verify, at least; the sample is
// small, and each of its queries counts for more.
var shares = map[string]float64{"sample": 0.98, "spamassassin": 0.99, "kernel-list": 0.99}

// TestVerifiedAreFew holds that for most queries at most twice as many messages are
// verified as are found, and twenty.
func TestVerifiedAreFew(t *testing.T) {
	for name, messages := range mail(t) {
		t.Run(name, func(t *testing.T) {
			l := open(t, messages)
			var answers []Answer
			for _, q := range l.lexicon.Draw(uint64(environ(t, "SEED", 1)), environ(t, "COUNT", 500)) {
				a, err := Ask(t.Context(), l.snap, q)
				if err != nil {
					t.Fatal(err)
				}
				answers = append(answers, a)
			}
			s := Summarize(answers)
			t.Logf("proof: %s: %d queries, %.2f %% with few to verify\n%s", name, s.Asked, 100*s.Share(), s)
			for _, a := range Worst(answers, environ(t, "WORST", 20)) {
				t.Log(a)
			}
			if s.Share() < shares[name] {
				t.Errorf("few messages are verified for %.2f %% of the queries only", 100*s.Share())
			}
		})
	}
}

// worst are keys that no index of words answers well.
var worst = []text.Key{
	text.NewKey(text.InBody, "", "of the"), text.NewKey(text.InBody, "", "of the following"), text.NewKey(text.InBody, "", "about the"),
	text.NewKey(text.InBody, "", "e"), text.NewKey(text.InBody, "", "->"), text.NewKey(text.InBody, "", "."),
	text.NewKey(text.InBody, "", "e. "), text.NewKey(text.InBody, "", "t, a"), text.NewKey(text.InBody, "", "s "), text.NewKey(text.InBody, "", "th"), text.NewKey(text.InBody, "", "ing"),
	text.NewKey(text.InText, "", "received: from"), text.NewKey(text.InText, "", "e. "), text.NewKey(text.InHeader, "received", "from "), text.NewKey(text.InHeader, "subject", "re: "),
	text.NewKey(text.InBody, "", "there and"), text.NewKey(text.InBody, "", "is it the"), text.NewKey(text.InText, "", "is is of"), text.NewKey(text.InText, "", "the "),
	text.NewKey(text.InBody, "", "http://"), text.NewKey(text.InBody, "", ", the"), text.NewKey(text.InText, "", ", the"), text.NewKey(text.InBody, "", " (the"), text.NewKey(text.InBody, "", ". it is"),
	text.NewKey(text.InBody, "", "drivers/"), text.NewKey(text.InBody, "", "the,"), text.NewKey(text.InBody, "", "it. "), text.NewKey(text.InBody, "", ", because"),
}

// TestWorst lists what the worst queries cost, and that they are right.
func TestWorst(t *testing.T) {
	for name, messages := range mail(t) {
		t.Run(name, func(t *testing.T) {
			l := open(t, messages)
			for _, k := range worst {
				a, err := Ask(t.Context(), l.snap, Query{"worst", k})
				if err != nil {
					t.Fatal(err)
				}
				want := 0
				for _, units := range l.lexicon.mail {
					if k.Match(units) {
						want++
					}
				}
				again, err := Ask(t.Context(), l.snap, a.Query)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%v; again %.2f ms", a, ms(again.Index+again.Verify))
				if a.Hits != want {
					t.Errorf("%v: %d hits where %d match", a, a.Hits, want)
				}
			}
		})
	}
}

func TestDraw(t *testing.T) {
	var units [][]text.Unit
	for i := range 300 {
		units = append(units, []text.Unit{text.HeaderUnit("From", fmt.Sprintf("Ann <ann%d@mail.example.org>", i)),
			text.HeaderUnit("Subject", fmt.Sprintf("number %d of the list", i)),
			text.BodyUnit(fmt.Sprintf("This is letter%d, and the text of it; %s end.", i, []string{"sometimes", "always"}[i%2]))})
	}
	l := Read(units)
	first, again := l.Draw(5, 200), l.Draw(5, 200)
	if !slices.Equal(first, again) || len(first) != 200 {
		t.Fatalf("%d queries, and %d others by the same seed", len(first), len(again))
	}
	if slices.Equal(first, l.Draw(6, 200)) {
		t.Error("another seed gives the same queries")
	}
	for _, q := range first {
		if !slices.ContainsFunc(units, q.Key.Match) {
			t.Errorf("%+v is drawn from no message", q)
		}
	}
}
