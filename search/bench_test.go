package search_test

import (
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/search"
)

// benchLibrary is 6,000 indexed messages of some 2 kB, of an everyday vocabulary.
func benchLibrary(b *testing.B) *fixture {
	b.Helper()
	f := newFixture(b, search.Options{})
	g := newGenerator(5)
	words := make([]string, 20_000)
	for i := range words {
		for n := i*31 + 1000; n > 0; n /= 26 {
			words[i] += string(rune('a' + n%26))
		}
	}
	var mails []*mail
	for range 6000 {
		var body strings.Builder
		for i := range 300 {
			// Frequent words are frequent: squared uniform numbers.
			u := g.Float64() * g.Float64()
			body.WriteString(words[int(u*float64(len(words)))])
			body.WriteString(" \n"[i%12/11 : i%12/11+1])
		}
		mails = append(mails, plain(words[g.IntN(len(words))], body.String()))
	}
	f.deliver(mails...)
	f.index(mails...)
	f.must(f.compact("data"))
	return f
}

// BenchmarkSearch is one search of a warm process, as imapd does it.
func BenchmarkSearch(b *testing.B) {
	f := benchLibrary(b)
	units := f.mails[2000].text(b)
	body := units[len(units)-1].Text
	word := strings.Fields(body)[100]
	for _, c := range []struct {
		name string
		q    search.Query
	}{
		{"word", search.Body(word)},
		{"inside", search.Body(word[1:3])},
		{"notword", search.Not{Key: search.Body(word)}},
		{"phrase", search.Body(strings.Join(strings.Fields(body)[100:103], " "))},
		{"twoletters", search.Body(body[150:152] + " " + body[3:4])},
		{"subject", search.Header("Subject", "ab")},
		{"flag", search.SystemFlag{Flags: mailbox.Seen}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				res, err := f.find(c.q)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(res.UIDs)), "hits")
				b.ReportMetric(float64(res.Stats.Verified), "verified")
			}
		})
	}
}
