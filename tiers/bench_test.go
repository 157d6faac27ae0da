package tiers

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"teraslot/activefile"
	"teraslot/mailbox"
	"teraslot/text"
)

// benchDocs are n messages: those of a directory of messages that MAIL names, or
// made up, with words as frequent as in a language.
func benchDocs(b *testing.B, n int) []Doc {
	b.Helper()
	if dir := os.Getenv("MAIL"); dir != "" {
		return mailDocs(b, dir, n)
	}
	r := rand.New(rand.NewPCG(1, 2))
	words := rand.NewZipf(r, 1.1, 3, 200_000)
	docs := make([]Doc, n)
	for i := range docs {
		var s strings.Builder
		for range 150 + r.IntN(400) {
			fmt.Fprintf(&s, "w%x%c", words.Uint64()*2654435761%0xfffff, " \n,."[r.IntN(4)])
		}
		from := fmt.Sprintf("user%d@example.org", r.IntN(500))
		docs[i] = Doc{GUID: mailbox.GUIDOf([]byte{byte(i), byte(i >> 8), byte(i >> 16)}), Complete: true, Units: []text.Unit{
			text.HeaderUnit("From", from), text.HeaderUnit("To", fmt.Sprintf("user%d@example.org", r.IntN(50))),
			text.HeaderUnit("Subject", s.String()[:40]),
			text.HeaderUnit("Message-ID", fmt.Sprintf("<%x.%x@example.org>", r.Uint64(), r.Uint64())),
			text.HeaderUnit("Received", fmt.Sprintf("from a (1.2.3.4) by b with ESMTP id %x; Mon, 1 Jan 2024", r.Uint64())),
			text.BodyUnit(s.String()),
		}}
	}
	return docs
}

// mailDocs reads messages as they lie there: good enough for sizes and times.
func mailDocs(b *testing.B, dir string, n int) []Doc {
	b.Helper()
	var docs []Doc
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || len(docs) == n {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		doc := Doc{GUID: mailbox.GUIDOf(raw), Complete: true}
		if m, err := mail.ReadMessage(strings.NewReader(string(raw))); err == nil {
			for name, values := range m.Header {
				for _, v := range values {
					doc.Units = append(doc.Units, text.HeaderUnit(name, v))
				}
			}
			body, _ := io.ReadAll(m.Body)
			raw = body
		}
		doc.Units = append(doc.Units, text.BodyUnit(string(raw)))
		docs = append(docs, doc)
		return nil
	})
	if err != nil || len(docs) == 0 {
		b.Fatalf("%d messages in %s, %v", len(docs), dir, err)
	}
	return oneEach(docs)
}

// benchDir is in memory, where the temp tier is, if there is such a place.
func benchDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "teraslot-bench")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// cpu is the time that this process has had on all processors: unlike the time
// on the wall it says something on a machine with other work to do.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func textBytes(docs []Doc) (n int64) {
	for _, d := range docs {
		for _, u := range d.Units {
			n += int64(len(u.Text))
		}
	}
	return n
}

func BenchmarkCommit(b *testing.B) {
	docs := benchDocs(b, 4000)
	for _, size := range []int{1, 20, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			x := newSet(b, testOptions(benchDir(b))).User(testUser)
			n, before := 0, cpu()
			for b.Loop() {
				at := n * size % (len(docs) - size + 1)
				commit(b, x, docs[at:at+size]...)
				n++
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(n*size), "cpu-µs/msg")
		})
	}
}

// benchKeys are keys of several kinds, from the documents' own text.
func benchKeys(docs []Doc) map[string]text.Key {
	body := docs[len(docs)/2].Units[len(docs[len(docs)/2].Units)-1].Text
	word := strings.Fields(body)[5]
	phrase := strings.Join(strings.Fields(body)[5:8], " ")
	key := func(p string) text.Key { return text.Key{Scope: text.InText, Pattern: p} }
	return map[string]text.Key{
		"word": key(word), "inside": key(word[1 : len(word)-1]), "phrase": key(phrase), "absent": key("ZQXJKV"),
		"letter": key("E"), "from": text.NewKey(text.InHeader, "from", "user7@"),
	}
}

func BenchmarkMatch(b *testing.B) {
	x, docs := benchData(b)
	commit(b, x, docs[:20]...)
	commit(b, x, docs[20:40]...)
	stats, err := x.Stats(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d octets of text: %+v", textBytes(docs), stats)
	for name, k := range benchKeys(docs) {
		b.Run(name, func(b *testing.B) {
			var hits, candidates uint64
			for b.Loop() {
				s, err := x.Snapshot(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				sure, maybe, err := s.Match(context.Background(), k)
				if err != nil {
					b.Fatal(err)
				}
				hits, candidates = sure.GetCardinality(), maybe.GetCardinality()
				s.Close()
			}
			b.ReportMetric(float64(hits), "sure")
			b.ReportMetric(float64(candidates), "maybe")
		})
	}
}

// benchData is an index of 6,000 messages in one database.
func benchData(b *testing.B) (*Index, []Doc) {
	b.Helper()
	docs := benchDocs(b, 6000)
	x := newSet(b, testOptions(benchDir(b))).User(testUser)
	for at := 0; at < len(docs); at += 1000 {
		commit(b, x, docs[at:min(at+1000, len(docs))]...)
	}
	if _, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"temp"}, Dest: "data"}); err != nil {
		b.Fatal(err)
	}
	return x, docs
}

func BenchmarkPostings(b *testing.B) {
	x, _ := benchData(b)
	hits := 0
	for b.Loop() {
		s, err := x.Snapshot(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		docs, err := s.Postings(context.Background(), text.FieldBody, "THE")
		if err != nil {
			b.Fatal(err)
		}
		hits = len(docs)
		s.Close()
	}
	b.ReportMetric(float64(hits), "hits")
}

// BenchmarkVerify reads kept text and looks for a key in it.
func BenchmarkVerify(b *testing.B) {
	docs := benchDocs(b, 2000)
	x := newSet(b, testOptions(benchDir(b))).User(testUser)
	commit(b, x, docs...)
	s, err := x.Snapshot(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	k := text.NewKey(text.InText, "", "no such phrase")
	n := 0
	for b.Loop() {
		texts := s.Texts()
		for doc := range s.Docs() {
			units, ok, err := texts.Units(context.Background(), doc, AllParts)
			if !ok || err != nil || k.Match(units) {
				b.Fatal(ok, err)
			}
		}
		n += int(s.Docs())
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/msg")
}

func BenchmarkCompact(b *testing.B) {
	docs := benchDocs(b, 6000)
	x := newSet(b, testOptions(benchDir(b))).User(testUser)
	for at := 0; at < len(docs); at += 500 {
		commit(b, x, docs[at:min(at+500, len(docs))]...)
	}
	dest := []string{"data", "archive"}
	n := 0
	for b.Loop() {
		if _, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"temp", "data", "archive"}, Dest: dest[n%2], Force: true}); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(len(docs)*n)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkOpen opens a database of 6,000 messages that no handle is open for,
// checksums included the first time.
func BenchmarkOpen(b *testing.B) {
	docs := benchDocs(b, 6000)
	dir := benchDir(b)
	x := newSet(b, testOptions(dir)).User(testUser)
	commit(b, x, docs...)
	if _, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"temp"}, Dest: "data"}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s := newSet(b, testOptions(dir))
		snap, err := s.User(testUser).Snapshot(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if !snap.Active().Contains(activefile.Database{Tier: "data", Generation: 1}) {
			b.Fatal(snap.Active())
		}
		snap.Close()
		s.Close()
	}
}
