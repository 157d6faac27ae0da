package tiers

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/text"
)

// Select gives of all terms those that are wanted, in order, and asks about each.
func TestSelect(t *testing.T) {
	x := newIndex(t)
	docs := append(docsOf(0, 43), plain(43, "common common zebra"))
	commit(t, x, docs[:40]...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, docs[40:43]...)
	commit(t, x, docs[43])
	s := snapshot(t, x)
	for _, field := range append(s.Fields(), "none") {
		for _, prefix := range []string{"", "W", "WORD1", "ZZZ"} {
			odd := func(term []byte) bool { return term[len(term)-1]%2 == 1 }
			want := map[string]map[mailbox.GUID]bool{}
			for _, d := range docs {
				for f, term := range text.Terms(d.Units) {
					if f != field || !strings.HasPrefix(term, prefix) || !odd([]byte(term)) {
						continue
					}
					if want[term] == nil {
						want[term] = map[mailbox.GUID]bool{}
					}
					want[term][d.GUID] = true
				}
			}
			got, err := s.Select(t.Context(), field, prefix, odd)
			if err != nil || len(got) != len(want) {
				t.Errorf("%s, %q: %d terms, want %d; %v", field, prefix, len(got), len(want), err)
			}
			for i, term := range got {
				if int(term.Docs) != len(want[string(term.Text)]) || i > 0 && bytes.Compare(got[i-1].Text, term.Text) >= 0 {
					t.Errorf("%s, %q: %q has %d documents, want %d", field, prefix, term.Text, term.Docs, len(want[string(term.Text)]))
				}
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := s.Select(ctx, s.Fields()[0], "", anyTerm); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
