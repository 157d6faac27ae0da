package mailstore

import (
	"slices"
	"testing"

	"teraslot/mailbox"
)

// TestMergeTwice: the line may break between a merge and the moment at which the other side
// takes it over. The next merge of the same mail doubles nothing.
func TestMergeTwice(t *testing.T) {
	a, b := newSide(t, "a", true), newSide(t, "b", false)
	a.deliver(t, "Subject: before\r\n\r\n")
	mustConverge(t, a, b)
	a.deliver(t, "Subject: on a\r\n\r\n")
	b.deliver(t, "Subject: on b\r\n\r\n")
	b.deliver(t, "Subject: on b, too\r\n\r\n")
	for range 3 {
		theirs, err := b.m.Image(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		entries, all := map[mailbox.ID][]Entry{}, &Change{}
		for i := range theirs.Mailboxes {
			id := theirs.Mailboxes[i].ID
			if entries[id], err = b.m.Entries(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			all.Boxes = append(all.Boxes, BoxChange{ID: id, Entries: entries[id]})
		}
		if err := supply(t.Context(), b, a, all); err != nil {
			t.Fatal(err)
		}
		if _, err := a.m.Merge(t.Context(), &theirs, entries); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := reconcile(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	same(t, a, b)
	got := b.subjects(t)
	slices.Sort(got)
	want := []string{"Subject: before\r\n\r\n", "Subject: on a\r\n\r\n", "Subject: on b\r\n\r\n", "Subject: on b, too\r\n\r\n"}
	if !slices.Equal(got, want) {
		t.Errorf("INBOX has %q, want %q", got, want)
	}
}
