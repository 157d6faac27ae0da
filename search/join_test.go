package search_test

import (
	"fmt"
	"testing"

	"teraslot/search"
)

// TestSearchWhileMailComesAndGoes: what one search knows of the mailbox's rows and of the
// index's documents serves the next, whatever came, went, changed its flags or was indexed
// and compacted between them. Each message has a word of its own.
func TestSearchWhileMailComesAndGoes(t *testing.T) {
	f := newFixture(t, search.Options{})
	g := newGenerator(5)
	n := 0
	deliver := func(count int) {
		var mails []*mail
		for range count {
			m := plain(fmt.Sprintf("number %d", n), fmt.Sprintf("all have this; own%dword", n))
			m.flags = []string{`\Deleted`}
			mails = append(mails, m)
			n++
		}
		f.deliver(mails...)
		if g.IntN(3) > 0 {
			f.index(mails...)
		}
	}
	deliver(40)
	var all tally
	for range 60 {
		before := len(f.mails)
		switch g.IntN(4) {
		case 0: // as many as before, and others
			f.expunge(g)
			deliver(before - len(f.mails))
		case 1:
			f.expunge(g)
		case 2:
			f.index(f.mails...)
			f.must(f.compact("data"))
		default:
			deliver(1 + g.IntN(5))
		}
		if len(f.mails) == 0 {
			deliver(20)
		}
		own := fmt.Sprintf("own%dword", g.IntN(n))
		for _, q := range []search.Query{
			search.Body(own),
			search.Body("this"),
			search.Body("none of them"),
		} {
			f.ask("while mail comes and goes", []asked{{query: q, want: f.expect(q)}}, &all)
		}
	}
	if all.hits < 60 || all.stats.Indexed == 0 || all.stats.Scanned == 0 {
		t.Errorf("%+v", all)
	}
}
