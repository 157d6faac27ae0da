package search_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/search"
	"teraslot/text"
	"teraslot/tiers"
)

// tally counts what the queries of a run were like.
type tally struct {
	queries, hits, inside, across int
	stats                         search.Stats
}

func (c *tally) add(q asked, hits int, s search.Stats) {
	c.queries++
	if hits > 0 {
		c.hits++
	}
	if q.shape.inside {
		c.inside++
	}
	if q.shape.across {
		c.across++
	}
	c.stats.Indexed += s.Indexed
	c.stats.Verified += s.Verified
	c.stats.Scanned += s.Scanned
}

// asked is a query with the oracle's answer.
type asked struct {
	query search.Query
	shape shape
	want  []mailbox.UID
}

// questions makes queries about the fixture's mail.
func (f *fixture) questions(g generator, n int) []asked {
	out := make([]asked, n)
	for i := range out {
		q, s := g.query(f.mails, func(m *mail) []text.Unit { return m.text(f.t) }, 2)
		out[i] = asked{q, s, f.expect(q)}
	}
	return out
}

// ask searches and compares with the oracle.
func (f *fixture) ask(what string, qs []asked, c *tally) {
	f.t.Helper()
	for _, q := range qs {
		res, err := f.find(q.query)
		if err != nil {
			f.t.Fatalf("%s: %+v: %v", what, q.query, err)
		}
		if !slices.Equal(res.UIDs, q.want) {
			f.t.Fatalf("%s: %s\n got %v\nwant %v\n%s", what, describe(q.query), res.UIDs, q.want,
				f.difference(res.UIDs, q.want))
		}
		c.add(q, len(q.want), res.Stats)
	}
}

// describe writes a query so that it can be asked again.
func describe(q search.Query) string { return fmt.Sprintf("%#v", q) }

// difference shows the text of the first message about which the two disagree.
func (f *fixture) difference(got, want []mailbox.UID) string {
	for _, m := range f.mails {
		if slices.Contains(got, m.uid) != slices.Contains(want, m.uid) {
			return fmt.Sprintf("UID %d: %q", m.uid, m.text(f.t))
		}
	}
	return ""
}

// randomMail makes n messages, some of them with the content of an earlier one.
func randomMail(g generator, n int, before []*mail) []*mail {
	var out []*mail
	for i := range n {
		zone := time.FixedZone("", (g.IntN(27)-12)*3600)
		m := &mail{internal: testNow.Add(-time.Duration(g.IntN(40*24*3600)) * time.Second).In(zone)}
		if all := slices.Concat(before, out); len(all) > 0 && g.IntN(12) == 0 {
			twin := pick(g, all)
			m.raw, m.dated, m.sent = twin.raw, twin.dated, twin.sent
		} else {
			m.raw, m.sent = g.message(i, m.internal)
			m.dated = !m.sent.IsZero()
		}
		for _, flag := range []string{`\Seen`, `\Flagged`, `\Answered`, `\Deleted`, `\Draft`, "$Forwarded", "work"} {
			if g.IntN(4) == 0 {
				m.flags = append(m.flags, flag)
			}
		}
		if !m.dated {
			m.sent = m.internal
		}
		out = append(out, m)
	}
	return out
}

// TestSearchAgreesWithTheOracle is invariant 3 of the design: the answer is the
// same with no index, half an index, a full one, during a compaction, after the
// temp tier was lost, and with a damaged database.
func TestSearchAgreesWithTheOracle(t *testing.T) {
	var all tally
	rounds := envInt(t, "COUNT", 3)
	for round := range rounds {
		g := newGenerator(uint64(envInt(t, "SEED", 1) + round))
		oracleRound(t, g, &all)
	}
	t.Logf("proof: %d queries: %d %% with hits, %d %% inside a word, %d %% across separators; %+v", all.queries,
		100*all.hits/all.queries, 100*all.inside/all.queries, 100*all.across/all.queries, all.stats)
	if all.hits*100 < 60*all.queries || all.inside*100 < 20*all.queries || all.across*100 < 15*all.queries {
		t.Error("the queries are too easy: want 60 % with hits, 20 % inside a word, 15 % across separators")
	}
}

func oracleRound(t *testing.T, g generator, all *tally) {
	const questions = 40
	f := newFixture(t, search.Options{Workers: 3})
	state := func(name string) tally {
		var c tally
		f.ask(name, f.questions(g, questions), &c)
		all.merge(c)
		return c
	}
	f.deliver(randomMail(g, 40, nil)...)
	if c := state("no index"); c.stats.Indexed+c.stats.Verified > 0 || c.stats.Scanned == 0 {
		t.Errorf("without an index, %+v", c.stats)
	}
	some := slices.Clone(f.mails)
	g.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	f.index(some[:7]...)
	f.index(some[7:15]...)
	if c := state("part of an index"); c.stats.Indexed == 0 || c.stats.Scanned == 0 {
		t.Errorf("with part of an index, %+v", c.stats)
	}
	f.index(some[12:]...)
	if c := state("a full index"); c.stats.Scanned > 0 || c.stats.Indexed == 0 || c.stats.Verified == 0 {
		t.Errorf("with a full index, %+v", c.stats)
	}
	f.askDuringCompaction(g, "data", all)
	f.deliver(randomMail(g, 12, f.mails)...)
	state("new mail after a compaction")
	f.index(f.mails[40:]...)
	f.expunge(g)
	if c := state("two databases, some mail gone"); c.stats.Scanned > 0 {
		t.Errorf("with two databases, %+v", c.stats)
	}
	f.askDuringCompaction(g, "archive", all)
	f.deliver(randomMail(g, 8, f.mails)...)
	f.index(f.mails[len(f.mails)-8:]...)
	f.must(os.RemoveAll(filepath.Join(f.dir, "temp", "users")))
	if c := state("temp lost"); c.stats.Scanned == 0 || c.stats.Indexed == 0 {
		t.Errorf("with temp lost, %+v", c.stats)
	}
	f.damage(g)
	state("damaged files")
	f.must(f.tiers.User(user).Remove(t.Context()))
	if c := state("index deleted"); c.stats.Scanned == 0 {
		t.Errorf("with the index deleted, %+v", c.stats)
	}
}

func (c *tally) merge(d tally) {
	c.queries += d.queries
	c.hits += d.hits
	c.inside += d.inside
	c.across += d.across
	c.stats.Indexed += d.stats.Indexed
	c.stats.Verified += d.stats.Verified
	c.stats.Scanned += d.stats.Scanned
}

// askDuringCompaction searches over and over while the index is compacted, at
// least once between any two steps that hold no lock against it.
func (f *fixture) askDuringCompaction(g generator, dest string, all *tally) {
	f.t.Helper()
	qs := f.questions(g, 40)
	searched, done := make(chan struct{}), make(chan error, 1)
	f.step = func(string) {
		select {
		case <-searched:
		case <-time.After(20 * time.Millisecond): // the step holds a lock that the search waits for
		}
	}
	go func() { done <- f.compact(dest) }()
	for i := 0; ; i++ {
		f.ask("during a compaction to "+dest, qs[i%len(qs):i%len(qs)+1], all)
		select {
		case searched <- struct{}{}:
		case err := <-done:
			f.step = nil
			f.must(err)
			f.ask("after a compaction to "+dest, qs, all)
			return
		default:
		}
	}
}

// compact merges all databases into one of tier dest.
func (f *fixture) compact(dest string) error {
	ctx := context.Background()
	_, err := f.tiers.User(user).Compact(ctx, tiers.CompactOptions{
		Sources: []string{"temp", "data", "archive"}, Dest: dest,
		Held: func() (func(mailbox.GUID) bool, error) { return f.mail.Held(ctx) },
	})
	return err
}

// expunge removes some messages from INBOX.
func (f *fixture) expunge(g generator) {
	f.t.Helper()
	var gone mailbox.UIDSet
	var left []*mail
	for _, m := range f.mails {
		if g.IntN(5) == 0 && slices.Contains(m.flags, `\Deleted`) {
			gone.Add(m.uid)
			continue
		}
		left = append(left, m)
	}
	_, _, err := f.mail.Expunge(f.t.Context(), "", f.inbox, &gone)
	f.must(err)
	f.mails = left
}

// damage changes octets in the files of the databases, each file in some way.
func (f *fixture) damage(g generator) {
	f.t.Helper()
	for _, root := range []string{"temp", "data", "old"} {
		f.must(filepath.WalkDir(filepath.Join(f.dir, root), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || g.IntN(3) == 0 {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil || len(data) == 0 {
				return err
			}
			for range 1 + g.IntN(4) {
				data[g.IntN(len(data))] ^= byte(1 + g.IntN(255))
			}
			// As a rotten disk would: in place, under whoever has it open.
			return os.WriteFile(path, data, 0o600)
		}))
	}
}
