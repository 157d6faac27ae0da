package search_test

import (
	"testing"

	"teraslot/search"
)

// BenchmarkSnippets shows 50 results.
func BenchmarkSnippets(b *testing.B) {
	f := newFixture(b, search.Options{})
	g := newGenerator(9)
	var mails []*mail
	for range 50 {
		var words string
		for range 300 {
			words += pick(g, forms) + " and other words\r\n"[:g.IntN(18)] + " "
		}
		mails = append(mails, plain("meeting with Müller", words))
	}
	f.deliver(mails...)
	q := search.Fuzzy{Key: search.Anywhere("meeting mueller invoice")}
	res, err := f.find(q)
	f.must(err)
	if len(res.UIDs) != 50 {
		b.Fatalf("%d hits", len(res.UIDs))
	}
	for b.Loop() {
		_, err := f.s.Snippets(b.Context(), search.Request{User: user, Mailbox: f.inbox, Query: q}, res.View, res.UIDs, search.SnippetOptions{})
		f.must(err)
	}
}
