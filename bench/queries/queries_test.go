package queries

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"teraslot/bench/corpus"
	"teraslot/bench/synthetic"
)

// mail is a synthetic corpus.
func mail(count int) iter.Seq2[corpus.Message, error] {
	return func(yield func(corpus.Message, error) bool) {
		i := 0
		for m := range synthetic.Messages(synthetic.Options{Seed: 2, Count: count}) {
			if i++; !yield(corpus.Message{Name: fmt.Sprint(i), Raw: m.Raw}, nil) {
				return
			}
		}
	}
}

func lexicon(t *testing.T, count, every int) *Lexicon {
	t.Helper()
	l, err := Read(mail(count), 1, every)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestDraw: queries of a kind are distinct, as many as asked, the same for the same seed and
// others for another, and what a band says of a word is so.
func TestDraw(t *testing.T) {
	const count = 400
	l := lexicon(t, count, 1)
	for _, kind := range append(slices.Clone(Kinds), Worst) {
		a, b, c := l.Draw(kind, 1, 40), l.Draw(kind, 1, 40), l.Draw(kind, 2, 40)
		if len(a) < 40 && kind != Most && kind != Frequent && kind != Sender || len(a) == 0 || len(a) > 40 {
			t.Errorf("%s: %d queries", kind, len(a))
		}
		seen := map[string]bool{}
		for i, q := range a {
			if seen[q.String()] || q.Kind != kind {
				t.Errorf("%s: %v twice, or of kind %s", kind, q, q.Kind)
			}
			seen[q.String()] = true
			if q.String() != b[i].String() {
				t.Fatalf("%s: the same seed gave %v and %v", kind, q, b[i])
			}
		}
		if kind != Most && slices.EqualFunc(a, c, func(x, y Query) bool { return x.String() == y.String() }) {
			t.Errorf("%s: another seed gave the same", kind)
		}
	}
}

// TestBands: the words drawn come evenly from the bands, and each is in so many messages.
func TestBands(t *testing.T) {
	l := lexicon(t, 1200, 1)
	got := map[string]int{}
	for _, q := range l.Draw(Word, 1, 100) {
		got[q.Band]++
		if n := l.body[q.Keys[0].Value]; bandOf(n) != q.Band {
			t.Errorf("%v is in %d messages, not %s", q, n, q.Band)
		}
	}
	for _, b := range bands {
		if n := got[b.name]; b.least < 1000 && n < 15 {
			t.Errorf("%d words of %s messages: %v", n, b.name, got)
		}
	}
	for _, q := range l.Draw(Most, 1, 20) {
		if 3*l.body[q.Keys[0].Value] < l.Messages {
			t.Errorf("%v is not in most messages", q)
		}
	}
}

// TestReadEvery: each message read stands for several.
func TestReadEvery(t *testing.T) {
	l := lexicon(t, 100, 10)
	if l.Messages != 10 {
		t.Errorf("%d messages read", l.Messages)
	}
	for _, q := range l.Draw(Word, 1, 50) {
		if q.Band == "1" {
			t.Errorf("%v: nothing is known to be in one message only", q)
		}
	}
}

func TestReadFails(t *testing.T) {
	broken := func(yield func(corpus.Message, error) bool) { yield(corpus.Message{}, fmt.Errorf("no disk")) }
	if _, err := Read(broken, 1, 1); err == nil {
		t.Error("no error")
	}
	if _, err := Answers(broken, nil); err == nil {
		t.Error("no error")
	}
	if _, err := Answers(mail(1), []Query{{Fuzzy: true}}); err == nil {
		t.Error("a fuzzy query has an answer")
	}
}

func TestString(t *testing.T) {
	for want, q := range map[string]Query{
		`BODY "of the"`:                           {Keys: []Key{{Scope: Body, Value: "of the"}}},
		`BODY "x" NOT SUBJECT "y" SMALLER 9`:      {Keys: []Key{{Scope: Body, Value: "x"}, {Scope: Subject, Value: "y", Not: true}}, Smaller: 9},
		`HEADER x-mailer "m"`:                     {Keys: []Key{{Scope: Header, Name: "x-mailer", Value: "m"}}},
		`FUZZY TEXT "a"`:                          {Fuzzy: true, Keys: []Key{{Scope: Text, Value: "a"}}},
		"CHARSET UTF-8 BODY {4+}\r\nгд":           {Keys: []Key{{Scope: Body, Value: "гд"}}},
		"BODY {3+}\r\na\"b":                       {Keys: []Key{{Scope: Body, Value: `a"b`}}},
		`TEXT "a"`:                                {Keys: []Key{{Scope: Text, Value: "a"}}},
		"CHARSET UTF-8 BODY {2+}\r\né FROM \"b\"": {Keys: []Key{{Scope: Body, Value: "é"}, {Scope: From, Value: "b"}}},
	} {
		if got := q.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestAnswers compares the answers to all kinds with a slow scan of each message.
func TestAnswers(t *testing.T) {
	const count = 60
	l := lexicon(t, count, 1)
	var list []Query
	for _, kind := range Kinds {
		if kind != Ranked {
			list = append(list, l.Draw(kind, 3, 8)...)
		}
	}
	got, err := Answers(mail(count), list)
	if err != nil {
		t.Fatal(err)
	}
	none := 0
	for i, q := range list {
		var want Answer
		place := 0
		for m := range mail(count) {
			if scan(q, m.Raw) {
				want.Add(place)
			}
			place++
		}
		if got[i] != want {
			t.Errorf("%v: %+v, want %+v", q, got[i], want)
		}
		if want.Hits == 0 {
			if none++; q.Kind != Absent && q.Kind != Both && q.Kind != Without && q.Kind != Small {
				t.Errorf("%v was drawn from the mail and finds nothing", q)
			}
		}
	}
	if none < 8 {
		t.Errorf("%d queries without hits", none)
	}
}

// TestAnswerKnowsWhich: two answers with as many hits in other messages differ.
func TestAnswerKnowsWhich(t *testing.T) {
	var a, b, c Answer
	a.Add(1)
	a.Add(5)
	b.Add(5)
	b.Add(1)
	c.Add(2)
	c.Add(4)
	if a != b || a == c || a.Hits != c.Hits {
		t.Errorf("%+v %+v %+v", a, b, c)
	}
}

// TestAutomaton compares with strings.Index over a small alphabet, where patterns
// overlap and contain one another.
func TestAutomaton(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		word := rapid.StringOfN(rapid.SampledFrom([]rune("abé")), 1, 4, -1)
		a := newAutomaton()
		patterns := rapid.SliceOfN(word, 1, 8).Draw(r, "patterns")
		for _, p := range patterns {
			if id := a.add(p); a.patterns[id] != p {
				r.Fatalf("%q has number %d", p, id)
			}
		}
		a.finish()
		s := rapid.StringOfN(rapid.SampledFrom([]rune("abé")), 0, 30, -1).Draw(r, "text")
		got := map[string]int{}
		for id, end := range a.matches(s) {
			p := a.patterns[id]
			if s[end-len(p):end] != p {
				r.Fatalf("%q does not end at %d of %q", p, end, s)
			}
			got[p]++
		}
		for _, p := range patterns {
			want := 0
			for i := range len(s) {
				if strings.HasPrefix(s[i:], p) {
					want++
				}
			}
			if got[p] != want {
				r.Errorf("%q occurs %d times in %q, found %d", p, want, s, got[p])
			}
		}
	})
}

func TestIsWord(t *testing.T) {
	for s, want := range map[string]bool{"a": false, "ab": true, "a1": true, "1a": false, "a-b": false, strings.Repeat("a", 21): false, "日本": true, "": false} {
		if isWord(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
