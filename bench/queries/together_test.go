package queries

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"teraslot/text"
)

func TestSpans(t *testing.T) {
	for s, want := range map[string][]string{
		"": nil, ".,": nil, "one": {"one"}, " one-two ": {"one", "two"}, "a/b.c": {"a", "b", "c"},
		"it's 9.5 é": {"it", "s", "9", "5", "é"}, "नमस्ते जी": {"नमस्ते", "जी"}, "x\xffy": {"x", "y"},
	} {
		var got []string
		for _, w := range spansOf(s) {
			got = append(got, s[w.from:w.to])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	const s = "aé日"
	for n, want := range map[int]string{0: "", 1: "a", 2: "a", 3: "aé", 5: "aé", 6: s, 9: s} {
		if got := cut(s, n); got != want {
			t.Errorf("%d octets: %q, want %q", n, got, want)
		}
	}
}

// TestTogether: each is a text of whole code points that stands so in the mail, some of them
// across symbols, and the bands take turns as far as there are words.
func TestTogether(t *testing.T) {
	l := lexicon(t, 1200, 1)
	across, bandsOf := 0, map[string]int{}
	for _, q := range l.Draw(Together, 1, 200) {
		v := q.Keys[0].Value
		if !utf8.ValidString(v) || v != strings.ToLower(text.Normalize(v)) {
			t.Errorf("%q is not as mail is folded, in small letters", v)
		}
		if strings.ContainsFunc(v, func(r rune) bool { return !inWord(r) && r != ' ' }) {
			across++
		}
		bandsOf[q.Band]++
	}
	if across < 20 || len(bandsOf) < 3 {
		t.Errorf("%d of 200 across symbols, bands %v", across, bandsOf)
	}
}

// TestPart: a part is inside of a word, and all of none.
func TestPart(t *testing.T) {
	d := &drawer{rand: lexicon(t, 1, 1).rand}
	seen := map[string]bool{}
	for range 400 {
		p := d.part("abcde")
		if utf8.RuneCountInString(p) < 3 || p == "abcde" || !strings.Contains("abcde", p) {
			t.Fatalf("%q", p)
		}
		seen[p] = true
	}
	if len(seen) != 5 {
		t.Errorf("of five parts %v", seen)
	}
	if p := d.part("abc"); p != "" {
		t.Errorf("a part of three letters: %q", p)
	}
}

// TestAddress: whole addresses and their parts, and nothing of a field that has none.
func TestAddress(t *testing.T) {
	d := &drawer{rand: lexicon(t, 1, 1).rand}
	seen := map[string]bool{}
	for range 400 {
		seen[d.address(`ann "b" <ann@mail.example.org>, bob@x (bob)`)] = true
	}
	for _, want := range []string{"ann@mail.example.org", "ann", "mail.example.org", "example.org", "bob@x", "bob", "x"} {
		if !seen[want] {
			t.Errorf("never %q", want)
		}
		delete(seen, want)
	}
	if len(seen) > 0 {
		t.Errorf("also %v", seen)
	}
	if got := d.address("undisclosed recipients:; @ a@ @b"); got != "" {
		t.Errorf("%q of a field without an address", got)
	}
}

// TestFolded: the index is asked for what the query means, said by scan.
func TestFolded(t *testing.T) {
	raw := []byte("From: Ann <ann@x.example>\r\nSubject: Caf\xc3\xa9 at Ten\r\nX-Odd: ten\r\n\r\nThe BODY of it.\r\n")
	units := []text.Unit{text.HeaderUnit("From", "Ann <ann@x.example>"), text.HeaderUnit("Subject", "Café at Ten"),
		text.HeaderUnit("X-Odd", "ten"), text.BodyUnit("The BODY of it.")}
	for _, k := range []Key{
		{Scope: Body, Value: "Body"}, {Scope: Body, Value: "ten"}, {Scope: Text, Value: "ten"}, {Scope: From, Value: "ANN@"}, {Scope: From, Value: "from"},
		{Scope: Subject, Value: "cafe at"}, {Scope: Subject, Value: "ann"}, {Scope: Header, Name: "X-Odd", Value: "TEN"}, {Scope: Header, Name: "x-even", Value: "ten"},
	} {
		if got, want := k.Folded().Match(units), scan(Query{Keys: []Key{k}}, raw); got != want {
			t.Errorf("%v: %v, a scan says %v", Query{Keys: []Key{k}}, got, want)
		}
	}
}
