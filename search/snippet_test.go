package search_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/search"
)

func (f *fixture) snippets(q search.Query, o search.SnippetOptions) []search.Snippet {
	f.t.Helper()
	res, err := f.find(q)
	f.must(err)
	out, err := f.s.Snippets(f.t.Context(), search.Request{User: user, Mailbox: f.inbox, Query: q}, res.View, res.UIDs, o)
	f.must(err)
	return out
}

// A snippet shows what was written, whatever the index has of it.
func TestSnippets(t *testing.T) {
	f := newFixture(t, search.Options{Workers: 3})
	f.deliver(plain("Müllers Käse & mehr", "Sehr geehrter Herr Muller,\r\n\r\nder Käse ist <b>da</b>."), plain("no", "nothing"),
		plain("lunch", strings.Repeat("words and words\r\n", 1000)+"mueller again"))
	q := search.Fuzzy{Key: search.Anywhere("mueller")}
	first := search.Snippet{UID: 1, Subject: "<mark>Müllers</mark> Käse &amp; mehr",
		Body: "Sehr geehrter Herr <mark>Muller</mark>, der Käse ist &lt;b&gt;da&lt;/b&gt;."}
	for _, state := range []string{"no index", "indexed"} {
		got := f.snippets(q, search.SnippetOptions{})
		if len(got) != 2 || got[0] != first {
			t.Fatalf("%s: got %+v", state, got)
		}
		if s := got[1]; s.UID != 3 || s.Subject != "lunch" || len(s.Body) > 255 || !strings.HasSuffix(s.Body, "words and words <mark>mueller</mark> again") {
			t.Errorf("%s: got %+v", state, s)
		}
		f.index(f.mails...)
	}
}

// A UID that the view does not have has an empty snippet.
func TestSnippetsOfWhatIsNotThere(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.deliver(plain("one", "needle"))
	q := search.Body("needle")
	res, err := f.find(q)
	f.must(err)
	got, err := f.s.Snippets(t.Context(), search.Request{User: user, Mailbox: f.inbox, Query: q}, res.View,
		[]mailbox.UID{7, 1}, search.SnippetOptions{Bytes: 40})
	if err != nil || len(got) != 2 || got[0] != (search.Snippet{UID: 7}) || got[1].Body != "<mark>needle</mark>" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSnippetsAreCancelled(t *testing.T) {
	f := newFixture(t, search.Options{})
	f.deliver(plain("one", "needle"))
	res, err := f.find(search.Body("needle"))
	f.must(err)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the reader has gone")
	cancel(gone)
	_, err = f.s.Snippets(ctx, search.Request{User: user, Mailbox: f.inbox, Query: search.Body("needle")}, res.View, res.UIDs, search.SnippetOptions{})
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
