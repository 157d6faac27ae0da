package search_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/search"
	"teraslot/text"
)

// ranked returns the UIDs that a query finds, the most relevant first.
func (f *fixture) ranked(q search.Query) []mailbox.UID {
	f.t.Helper()
	res, err := f.s.Search(f.t.Context(), search.Request{User: user, Mailbox: f.inbox, Query: q, Relevance: true})
	f.must(err)
	if len(res.Relevance) != len(res.UIDs) {
		f.t.Fatalf("%d hits, %d of them ranked", len(res.UIDs), len(res.Relevance))
	}
	order := make([]int, len(res.UIDs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(res.Relevance[b], res.Relevance[a]) })
	uids := make([]mailbox.UID, len(order))
	for i, at := range order {
		uids[i] = res.UIDs[at]
	}
	return uids
}

// The best are ranked by their text on several goroutines as they are on one: each row has a
// score of its own, by how close together its words stand.
func TestRelevanceOfManyWorkers(t *testing.T) {
	var first []float32
	for _, workers := range []int{1, 4} {
		f := newFixture(t, search.Options{Workers: workers})
		var mails []*mail
		for i := range 70 {
			mails = append(mails, plain("news", "harvest "+filler(4*(i*37%70), "festival")))
		}
		f.deliver(mails...)
		f.index(f.mails...)
		res, err := f.s.Search(t.Context(), search.Request{User: user, Mailbox: f.inbox, Relevance: true,
			Query: search.Fuzzy{Key: search.Anywhere("harvest festival")}})
		f.must(err)
		if len(res.Relevance) != len(mails) {
			t.Fatalf("%d of %d are ranked", len(res.Relevance), len(mails))
		}
		for i := range mails {
			for j := range mails {
				if closer := i*37%70 < j*37%70; closer && res.Relevance[i] <= res.Relevance[j] {
					t.Fatalf("with %d workers: of message %d, whose words stand closer, the score is %v, of %d it is %v",
						workers, i+1, res.Relevance[i], j+1, res.Relevance[j])
				}
			}
		}
		if first == nil {
			first = res.Relevance
		}
		if !slices.Equal(first, res.Relevance) {
			t.Errorf("%d workers rank otherwise: %v, want %v", workers, res.Relevance, first)
		}
	}
}

func filler(words int, last string) string {
	return strings.Repeat("and with the others ", words/4) + last
}

// What is more relevant stands further up, with an index and without one.
func TestRelevance(t *testing.T) {
	old := func(m *mail) *mail { m.internal = m.internal.AddDate(-3, 0, 0); return m }
	for _, c := range []struct {
		what string
		key  string
		mail []*mail
		want []mailbox.UID
	}{
		{"the subject before the body", "harvest", []*mail{plain("news", "the harvest"), plain("harvest", "news")}, []mailbox.UID{2, 1}},
		{"often before once", "harvest", []*mail{plain("a", filler(40, "harvest")), plain("b", filler(40, "harvest harvest harvest"))}, []mailbox.UID{2, 1}},
		{"new before old", "harvest", []*mail{old(plain("a", "harvest")), plain("b", "harvest")}, []mailbox.UID{2, 1}},
		{"the word before its forms, forms before typos", "harvest",
			[]*mail{plain("a", "harvast"), plain("b", "harvests"), plain("c", "harvest")}, []mailbox.UID{3, 2, 1}},
		{"what was mistyped", "harvset", []*mail{plain("a", "nothing"), plain("b", "harvest"), plain("c", "harvest time")}, []mailbox.UID{2, 3}},
		{"the rarer word", "harvest festival", []*mail{
			plain("harvest festival", "x"), plain("a", filler(60, "harvest")+filler(60, "festival"))}, []mailbox.UID{1, 2}},
		{"side by side before far apart", "harvest festival", []*mail{
			plain("a", "harvest "+filler(80, "festival")), plain("b", filler(80, "harvest festival"))}, []mailbox.UID{2, 1}},
		{"inside of words last", "arves", []*mail{plain("a", "harvest harvest"), plain("b", "arves")}, []mailbox.UID{2, 1}},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFixture(t, search.Options{})
			f.deliver(c.mail...)
			q := search.Fuzzy{Key: search.Anywhere(c.key)}
			for _, state := range []string{"no index", "indexed"} {
				if got := f.ranked(q); !slices.Equal(got, c.want) {
					t.Errorf("%s: got %v, want %v", state, got, c.want)
				}
				f.index(f.mails...)
			}
		})
	}
}

// Words in a language that the mail is not in count less than those in its own.
func TestLanguagesOfTheMail(t *testing.T) {
	f := newFixture(t, search.Options{})
	for range 10 {
		f.deliver(plain("a", "the house and the garden with the tree"))
	}
	f.deliver(plain("b", "the cases and the others with them"), plain("c", "the casos and the others with them"), plain("d", "one case"))
	f.index(f.mails...)
	if got, want := f.ranked(search.Fuzzy{Key: search.Body("case")}), []mailbox.UID{13, 11, 12}; !slices.Equal(got[:2], want[:2]) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// FUZZY finds whatever the key finds without it.
func TestFuzzyFindsWhatIsExact(t *testing.T) {
	g := newGenerator(uint64(envInt(t, "SEED", 31)))
	f := newFixture(t, search.Options{})
	f.deliver(randomMail(g, 30, nil)...)
	f.index(f.mails[:20]...)
	more := 0
	for range envInt(t, "COUNT", 150) {
		q, _ := g.query(f.mails, func(m *mail) []text.Unit { return m.text(t) }, 2)
		exact, err := f.find(q)
		f.must(err)
		fuzzy, err := f.find(search.Fuzzy{Key: q})
		f.must(err)
		for _, uid := range exact.UIDs {
			if !slices.Contains(fuzzy.UIDs, uid) {
				t.Fatalf("%s finds %v, FUZZY of it %v", describe(q), exact.UIDs, fuzzy.UIDs)
			}
		}
		if len(fuzzy.UIDs) > len(exact.UIDs) {
			more++
		}
	}
	if more == 0 {
		t.Error("no query found more with FUZZY")
	}
}

// Ranking does not change what matches, and each hit has a score.
func TestRankingDoesNotChangeTheMatches(t *testing.T) {
	g := newGenerator(uint64(envInt(t, "SEED", 37)))
	f := newFixture(t, search.Options{})
	f.deliver(randomMail(g, 30, nil)...)
	for _, indexed := range []int{0, 12, 30} {
		f.index(f.mails[:indexed]...)
		for range envInt(t, "COUNT", 60) {
			q, _ := g.query(f.mails, func(m *mail) []text.Unit { return m.text(t) }, 2)
			q = search.Or{q, g.fuzzyKey(pick(g, f.mails).text(t))}
			res, err := f.find(q)
			f.must(err)
			got := f.ranked(q)
			slices.Sort(got)
			if !slices.Equal(got, res.UIDs) {
				t.Fatalf("%s: ranked %v, not ranked %v", describe(q), got, res.UIDs)
			}
		}
	}
}

// FUZZY is bounded as every search is, and ends when the client goes away.
func TestFuzzyLimits(t *testing.T) {
	f := newFixture(t, search.Options{Limits: search.Limits{Messages: 2}})
	for i := range 3 {
		f.deliver(plain("a", fmt.Sprintf("word%c", 'a'+i)))
	}
	q := search.Fuzzy{Key: search.Body("wordd")}
	if _, err := f.find(q); !errors.Is(err, search.ErrLimit) {
		t.Errorf("three messages to read, two allowed: %v", err)
	}
	f.index(f.mails...)
	if res, err := f.find(q); err != nil || len(res.UIDs) != 3 {
		t.Errorf("with an index: %v, %v", res, err)
	}
	gone := errors.New("the client has gone")
	for _, relevance := range []bool{false, true} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		if _, err := f.s.Search(ctx, search.Request{User: user, Mailbox: f.inbox, Query: q, Relevance: relevance}); !errors.Is(err, gone) {
			t.Errorf("cancelled: %v", err)
		}
	}
	deep := search.Query(search.Body("a"))
	for range 600 {
		deep = search.Fuzzy{Key: search.And{deep}}
	}
	if _, err := f.find(deep); !errors.Is(err, search.ErrDepth) {
		t.Errorf("600 deep: %v", err)
	}
	if _, err := f.find(search.Fuzzy{}); err == nil {
		t.Error("FUZZY of nothing finds something")
	}
}

// Long keys and odd text take no more time than they may (RFC 6203 §8).
func TestFuzzyOfHostileText(t *testing.T) {
	f := newFixture(t, search.Options{Limits: search.Limits{Time: 20 * time.Second}})
	random := newGenerator(3).run(10_000)
	f.deliver(plain("a", random), plain("b", strings.Repeat("aaaaaaa ", 2000)), plain("c", strings.Repeat("\u0301", 5000)))
	for _, indexed := range []bool{false, true} {
		for _, key := range []string{random[:5000], strings.Repeat("aaaaaaab ", 5000), strings.Repeat(`"a b" `, 2000), strings.Repeat("\u0301", 500), `"aaaaaaa aaaaaaa aaaaaab"`} {
			q := search.Fuzzy{Key: search.Anywhere(key)}
			got := f.ranked(q)
			slices.Sort(got)
			if want := f.expect(q); !slices.Equal(got, want) {
				t.Errorf("indexed %v: %.20q finds %v, want %v", indexed, key, got, want)
			}
		}
		f.index(f.mails...)
	}
}
