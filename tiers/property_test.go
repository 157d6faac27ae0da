package tiers

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/text"

	"pgregory.net/rapid"
)

// model is what a user's index has to know: the texts of the messages indexed as
// complete, less those that a tier lost.
type model struct {
	dir   string
	set   *Set
	x     *Index
	texts map[mailbox.GUID][]text.Unit // of every message that ever was
	tiers map[mailbox.GUID]map[string]bool
	held  map[mailbox.GUID]bool
	keys  int
	hits  int
}

func (m *model) reopen(t *rapid.T) {
	if m.set != nil {
		m.set.Close()
	}
	s, err := New(testOptions(m.dir))
	if err != nil {
		t.Fatal(err)
	}
	m.set, m.x = s, s.User(testUser)
}

// claimed are the messages that must be in the index.
func (m *model) claimed() map[mailbox.GUID]bool {
	out := map[mailbox.GUID]bool{}
	for g, tiers := range m.tiers {
		if len(tiers) > 0 {
			out[g] = true
		}
	}
	return out
}

var pieces = []string{"alpha", "Beta", "gämma", "日本語", "c++", "->", " ", "  ", "\n", ".", "ก็า", "が", strings.Repeat("x", 33),
	strings.Repeat("long", 17), strings.Repeat("=", 66), "42", "\u0301"}

func genBody(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(t, "body"), "")
}

func (m *model) commit(t *rapid.T) {
	var docs []Doc
	for range rapid.IntRange(1, 12).Draw(t, "docs") {
		g := guid(rapid.IntRange(0, 60).Draw(t, "n"))
		if m.texts[g] == nil {
			m.texts[g] = []text.Unit{
				text.HeaderUnit("Subject", genBody(t)),
				text.HeaderUnit(rapid.SampledFrom([]string{"To", "X-Odd", "Cc"}).Draw(t, "field"), genBody(t)),
				text.BodyUnit(genBody(t)), text.BodyUnit(genBody(t)),
			}
		}
		d := Doc{GUID: g, Complete: rapid.IntRange(0, 5).Draw(t, "complete") > 0, Units: m.texts[g]}
		docs = append(docs, d)
		m.held[g] = true
		if d.Complete {
			if m.tiers[g] == nil {
				m.tiers[g] = map[string]bool{}
			}
			m.tiers[g]["temp"] = true
		}
	}
	if err := m.x.Commit(context.Background(), docs); err != nil {
		t.Fatal(err)
	}
}

// expunge makes some messages held no longer.
func (m *model) expunge(t *rapid.T) {
	for _, g := range slices.SortedFunc(maps.Keys(m.held), func(a, b mailbox.GUID) int { return slices.Compare(a[:], b[:]) }) {
		if rapid.IntRange(0, 9).Draw(t, "expunge") == 0 {
			delete(m.held, g)
		}
	}
}

func (m *model) compact(t *rapid.T) {
	sources := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"temp", "data", "archive"}), 1, 3, rapid.ID).Draw(t, "sources")
	dest := rapid.SampledFrom([]string{"temp", "data", "archive"}).Draw(t, "dest")
	held := func() (func(mailbox.GUID) bool, error) {
		return func(g mailbox.GUID) bool { return m.held[g] }, nil
	}
	res, err := m.x.Compact(context.Background(), CompactOptions{Sources: sources, Dest: dest, Held: held, Force: rapid.Bool().Draw(t, "force")})
	if err != nil {
		t.Fatal(err)
	}
	if res.Nothing {
		return
	}
	for g, tiers := range m.tiers {
		moved := false
		for _, s := range sources {
			if tiers[s] {
				moved = true
				delete(tiers, s)
			}
		}
		if moved && m.held[g] {
			tiers[dest] = true
		}
	}
}

// wipe empties a tier, as a restart does to one in memory.
func (m *model) wipe(t *rapid.T) {
	tier := rapid.SampledFrom([]string{"temp", "temp", "data"}).Draw(t, "tier")
	if err := os.RemoveAll(filepath.Join(m.dir, tier)); err != nil {
		t.Fatal(err)
	}
	for _, tiers := range m.tiers {
		delete(tiers, tier)
	}
}

// genKey draws a key, mostly from a message's text.
func (m *model) genKey(t *rapid.T) text.Key {
	scope := rapid.SampledFrom([]text.Scope{text.InText, text.InBody, text.InHeader}).Draw(t, "scope")
	name := rapid.SampledFrom([]string{"subject", "to", "x-odd"}).Draw(t, "name")
	if scope != text.InHeader {
		name = ""
	}
	k := text.NewKey(scope, name, strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 3).Draw(t, "pattern"), ""))
	if len(m.texts) > 0 && rapid.IntRange(0, 3).Draw(t, "from a message") > 0 {
		g := rapid.SampledFrom(slices.SortedFunc(maps.Keys(m.texts), func(a, b mailbox.GUID) int { return slices.Compare(a[:], b[:]) })).Draw(t, "message")
		u := []rune(rapid.SampledFrom(m.texts[g]).Draw(t, "unit").Text)
		from := rapid.IntRange(0, len(u)).Draw(t, "from")
		k.Pattern = string(u[from:rapid.IntRange(from, len(u)).Draw(t, "to")])
	}
	return k
}

func (m *model) check(t *rapid.T) {
	ctx := context.Background()
	s, err := m.x.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.Damaged()) > 0 || len(s.Outdated()) > 0 {
		t.Fatalf("damaged %v, outdated %v", s.Damaged(), s.Outdated())
	}
	claimed := m.claimed()
	for g := range claimed {
		doc, ok := s.Lookup(g)
		if !ok || !s.Complete(doc) || s.GUID(doc) != g {
			t.Fatalf("message %v is not indexed", g)
		}
	}
	for range 5 {
		m.checkKey(t, s, claimed, m.genKey(t))
	}
}

func (m *model) checkKey(t *rapid.T, s *Snapshot, claimed map[mailbox.GUID]bool, k text.Key) {
	ctx := context.Background()
	sure, maybe, err := s.Match(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	m.keys++
	texts := s.Texts()
	for doc := range s.Docs() {
		g := s.GUID(doc)
		if !s.Complete(doc) {
			if sure.Contains(doc) || maybe.Contains(doc) {
				t.Fatalf("an incomplete document is said to match %+v", k)
			}
			continue
		}
		if !claimed[g] {
			t.Fatalf("message %v is claimed, though it was lost or dropped", g)
		}
		match := k.Match(m.texts[g])
		units, ok, err := s.Units(ctx, doc)
		if err != nil || !ok || !slices.Equal(units, m.texts[g]) {
			t.Fatalf("kept text of %v is %+v, %v, %v; want %+v", g, units, ok, err, m.texts[g])
		}
		if got, ok, err := texts.Match(ctx, doc, k); got != match || !ok || err != nil {
			t.Fatalf("%+v matches kept text %+v: %v, %v, %v", k, units, got, ok, err)
		}
		switch {
		case match && !sure.Contains(doc) && !maybe.Contains(doc):
			t.Fatalf("%+v is not found in %+v", k, m.texts[g])
		case !match && sure.Contains(doc):
			t.Fatalf("%+v is sure to match %+v, but does not", k, m.texts[g])
		case match:
			m.hits++
		}
	}
}

// Whatever happens to an index, it finds what its documents contain.
func TestProperty(t *testing.T) {
	t.Parallel()
	keys, hits := 0, 0
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{dir: dir, texts: map[mailbox.GUID][]text.Unit{}, tiers: map[mailbox.GUID]map[string]bool{}, held: map[mailbox.GUID]bool{}}
		m.reopen(t)
		defer func() { m.set.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"commit":  m.commit,
			"commit2": m.commit,
			"compact": m.compact,
			"expunge": m.expunge,
			"reopen":  m.reopen,
			"wipe":    m.wipe,
			"":        m.check,
		})
		err = m.x.Verify(context.Background(), func(d *Damage) { t.Fatal(d) })
		if err != nil {
			t.Fatal(err)
		}
		keys += m.keys
		hits += m.hits
	})
	t.Logf("proof: %d keys, %d hits", keys, hits)
	if keys == 0 || hits == 0 {
		t.Error("nothing was looked for or found")
	}
}
