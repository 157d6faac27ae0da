package candidates

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"teraslot/bench/corpus"
	"teraslot/bench/queries"
	"teraslot/bench/sample"
	"teraslot/mailbox"
	"teraslot/message"
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
func mail(t testing.TB) map[string][]corpus.Message {
	t.Helper()
	out := map[string][]corpus.Message{}
	if os.Getenv("CORPUS") == "" {
		for m := range sample.Messages(sample.Options{Seed: 7, Count: few}) {
			out["sample"] = append(out["sample"], corpus.Message{Raw: m.Raw})
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
		out[name] = messages
	}
	return out
}

// library is mail in a compacted index.
type library struct {
	snap   *tiers.Snapshot
	mail   []corpus.Message // each once
	octets int
}

// open indexes mail. A message that is there twice is taken once.
func open(t testing.TB, mail []corpus.Message) *library {
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
	known := map[mailbox.GUID]bool{}
	for batch := range slices.Chunk(mail, 1000) {
		var docs []tiers.Doc
		for _, m := range batch {
			x, err := message.Extract(t.Context(), bytes.NewReader(m.Raw), int64(len(m.Raw)), message.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if g := mailbox.GUIDOf(m.Raw); !known[g] {
				known[g] = true
				docs = append(docs, tiers.Doc{GUID: g, Complete: x.Complete, Units: x.Units})
				l.mail = append(l.mail, m)
				l.octets += len(m.Raw)
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
	return l
}

// all yields the mail that is indexed.
func (l *library) all(yield func(corpus.Message, error) bool) {
	for _, m := range l.mail {
		if !yield(m, nil) {
			return
		}
	}
}

// shares are the parts of the queries with few messages to verify, at least; the sample is
// small, and each of its queries counts for more.
var shares = map[string]float64{"sample": 0.98, "spamassassin": 0.99, "kernel-list": 0.99}

// TestVerifiedAreFew holds that for most queries at most twice as many messages are
// verified as are found, and twenty. The queries are those that are timed over the wire.
func TestVerifiedAreFew(t *testing.T) {
	for name, messages := range mail(t) {
		t.Run(name, func(t *testing.T) {
			l := open(t, messages)
			seed := uint64(environ(t, "SEED", 1))
			lexicon, err := queries.Read(l.all, seed, 1)
			if err != nil {
				t.Fatal(err)
			}
			var answers []Answer
			for _, kind := range Kinds {
				for _, q := range lexicon.Draw(kind, seed, environ(t, "COUNT", 520)/len(Kinds)) {
					a, err := Ask(t.Context(), l.snap, q)
					if err != nil {
						t.Fatal(err)
					}
					answers = append(answers, a)
				}
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
var worst = []queries.Key{
	{Scope: queries.Body, Value: "of the"}, {Scope: queries.Body, Value: "of the following"}, {Scope: queries.Body, Value: "about the"},
	{Scope: queries.Body, Value: "e"}, {Scope: queries.Body, Value: "->"}, {Scope: queries.Body, Value: "."},
	{Scope: queries.Body, Value: "e. "}, {Scope: queries.Body, Value: "t, a"}, {Scope: queries.Body, Value: "s "}, {Scope: queries.Body, Value: "th"}, {Scope: queries.Body, Value: "ing"},
	{Scope: queries.Text, Value: "received: from"}, {Scope: queries.Text, Value: "e. "}, {Scope: queries.Header, Name: "received", Value: "from "}, {Scope: queries.Header, Name: "subject", Value: "re: "},
	{Scope: queries.Body, Value: "there and"}, {Scope: queries.Body, Value: "is it the"}, {Scope: queries.Text, Value: "is is of"}, {Scope: queries.Text, Value: "the "},
	{Scope: queries.Body, Value: "http://"}, {Scope: queries.Body, Value: ", the"}, {Scope: queries.Text, Value: ", the"}, {Scope: queries.Body, Value: " (the"}, {Scope: queries.Body, Value: ". it is"},
	{Scope: queries.Body, Value: "drivers/"}, {Scope: queries.Body, Value: "the,"}, {Scope: queries.Body, Value: "it. "}, {Scope: queries.Body, Value: ", because"},
	{Scope: queries.Body, Value: "and, "}, {Scope: queries.Text, Value: "that."}, {Scope: queries.Body, Value: " di"}, {Scope: queries.Body, Value: "your "}, {Scope: queries.Body, Value: "before "},
	{Scope: queries.Body, Value: " because"}, {Scope: queries.Text, Value: " ma"}, {Scope: queries.Body, Value: "dev_"}, {Scope: queries.Text, Value: "com "},
}

// TestWorst lists what the worst queries cost, and that they are right.
func TestWorst(t *testing.T) {
	for name, messages := range mail(t) {
		t.Run(name, func(t *testing.T) {
			l := open(t, messages)
			var list []queries.Query
			for _, k := range worst {
				list = append(list, queries.Query{Kind: queries.Worst, Keys: []queries.Key{k}})
			}
			want, err := queries.Answers(l.all, list)
			if err != nil {
				t.Fatal(err)
			}
			for i, q := range list {
				a, err := Ask(t.Context(), l.snap, q)
				if err != nil {
					t.Fatal(err)
				}
				again, err := Ask(t.Context(), l.snap, q)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%v; again %.2f ms", a, ms(again.Index+again.Verify))
				if a.Hits != want[i].Hits {
					t.Errorf("%v: %d hits where %d match", a, a.Hits, want[i].Hits)
				}
			}
		})
	}
}
