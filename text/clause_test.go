package text

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// clausesOf are the terms of a header field that are no tokens.
func clausesOf(name, value string) (all []string) {
	for field, term := range Terms([]Unit{HeaderUnit(name, value)}) {
		if field == HeaderField(strings.ToLower(name)) && !IsToken(term) {
			all = append(all, term)
		}
	}
	return all
}

func TestClauses(t *testing.T) {
	long := strings.Repeat("a", clauseWord+1)
	for _, c := range []struct {
		name, value string
		want        []string
	}{
		{"X-Mailer", "", nil},
		{"X-Mailer", "Mutt", []string{"\xffMUTT"}},
		{"X-Mailer", "mutt 1.5.20", []string{"\xffMUTT 1."}},
		{"MIME-Version", "1.0", []string{"\xff1.0"}},
		{"X-Mailer", long, []string{"\xffAAAA"}},
		{"X-Mailer", "a8d7f6a5 x", []string{"\xffA8D7"}},
		{"Content-Type", "text/plain; charset=utf-8", []string{"\xffTEXT/PLAIN; CHARSET=UTF-", "TEXT/PLAIN; CHARSET=UTF"}},
		{"Received", "from mx1.example.org (192.0.2.1) with ESMTP id 8aJ for <list@example.org>", []string{"\xffFROM ", "FROM MX1", "WITH ESMTP ID", "FOR <LIST"}},
		{"List-Id", "<list.example.org>", []string{"\xff<LIST.EXAMPLE.ORG>", "<LIST.EXAMPLE.ORG>"}},
		{"X-To", "a@b2.example.org, 12345@b.org, a-b", []string{"\xffA@B2.EXAMPLE.ORG, ", "ORG, A-B", "A@B2.EXAMPLE.ORG"}},
		{"To", "Ann Lee <ann@example.org>", []string{"<ANN@EXAMPLE.ORG>"}},
		{"Subject", "Re: [my list] [PATCH 1234567/2] [x", []string{"\xffRE: [", "[MY LIST]", "[PATCH ", "[X"}},
		{"Subject", "[] [a-b] [", []string{"\xff[] [A", "[A"}},
		{"Subject", "Re: one two", []string{"\xffRE: O"}},
		{"Date", "Mon, 1 Jan 2001 00:00:00 +0000", []string{"\xffMON, "}},
		{"Message-ID", "<a.b@example.org>", nil},
		{"DKIM-Signature", "v=1; a=rsa-sha256", nil},
		{"Odd name", "a b", []string{"A B"}},
	} {
		if got := clausesOf(c.name, c.value); !slices.Equal(got, c.want) {
			t.Errorf("the clauses of %s: %s are %q, want %q", c.name, c.value, got, c.want)
		}
	}
}

// A long chain is in pieces, in one of which each short stretch of it lies.
func TestLongChain(t *testing.T) {
	value := strings.TrimSpace(strings.Repeat("some more words ", 20))
	all := clausesOf("Comments", value)
	folded := Normalize(value)
	for i := 0; i+window <= len(folded); i++ {
		if !slices.ContainsFunc(all, func(c string) bool { return strings.Contains(c, folded[i:i+window]) }) {
			t.Fatalf("%q is in no clause", folded[i:i+window])
		}
	}
}

// headerWords are of what values of header fields are made of.
var headerWords = []string{"from", "mail", "mail2", "mx1", "by", "esmtp", "id", "20aF7", "for", "re", "1", "0", "plain", "a", "é", "日本", strings.Repeat("long", 6), "ann@a.org", "a.b.org", "x" + strings.Repeat("1", 70) + "@a.b"}

// Keys on header lines of words that most of them have: what is sure matches, what matches
// is a candidate, and much is sure.
func TestClausesProperty(t *testing.T) {
	sure, matches := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"Received", "X-Mailer", "To", "Subject", "Message-ID", "odd name", "X-Received"}
		var units []Unit
		for range rapid.IntRange(1, 3).Draw(t, "lines") {
			var b strings.Builder
			for range rapid.IntRange(1, 8).Draw(t, "words") {
				b.WriteString(rapid.SampledFrom(headerWords).Draw(t, "word"))
				b.WriteString(rapid.SampledFrom([]string{" ", " ", " ", "; ", " <", "> ", ".", "/", "=", " (", "-", " - - "}).Draw(t, "gap"))
			}
			units = append(units, HeaderUnit(rapid.SampledFrom(names).Draw(t, "name"), b.String()))
		}
		x := indexOf(units)
		for range 10 {
			u := rapid.SampledFrom(units).Draw(t, "unit")
			rs := []rune(u.Text)
			from := rapid.IntRange(0, len(rs)-1).Draw(t, "from")
			k := Key{Scope: InText, Pattern: string(rs[from:rapid.IntRange(from+1, len(rs)).Draw(t, "to")])}
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				k = NewKey(InText, "", u.Name+": "+rapid.SampledFrom(headerWords).Draw(t, "first"))
			case 1, 2:
				k.Scope, k.Name = InHeader, strings.ToLower(rapid.SampledFrom(names).Draw(t, "asked"))
			}
			match, p := k.Match(units), k.Plan()
			if match && !x.candidate(p) {
				t.Fatalf("%+v matches %q but is no candidate by %+v", k, units, p)
			}
			if x.sure(p) && !match {
				t.Fatalf("%+v does not match %q but is sure by %+v", k, units, p)
			}
			if match {
				matches++
			}
			if x.sure(p) {
				sure++
			}
		}
	})
	if 3*sure < matches {
		t.Errorf("of %d matches %d were sure", matches, sure)
	}
}
