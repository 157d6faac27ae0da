package mailstore

import (
	"context"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// TestChangesFromMemory: Changes says the same from a cached view, whatever it
// missed, as from mail.db.
func TestChangesFromMemory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		s, m := newStore(t, Options{Conf: t.TempDir()})
		id := named(t, m, Inbox).ID
		steps := append(arrivalsAndLosses(t, rt, s, m, id),
			func() error { _, err := m.View(ctx, id); return err },
			func() error { _, _, err := m.UIDs(ctx, id); return err })
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			if err := rapid.SampledFrom(steps).Draw(rt, "step")(); err != nil {
				rt.Fatal(err)
			}
			since := mailbox.ModSeq(rapid.IntRange(0, 30).Draw(rt, "since"))
			got, err := m.Changes(ctx, id, since)
			if err != nil {
				rt.Fatal(err)
			}
			fresh := newViewCache(1 << 20)
			fresh, s.views = s.views, fresh
			want, err := m.Changes(ctx, id, since)
			s.views = fresh
			if err != nil || len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				rt.Fatalf("since %d from memory %+v, from mail.db %+v, %v", since, got, want, err)
			}
		}
	})
}

// drawUIDs draws up to three UIDs in a row that a mailbox has given, or gives next.
func drawUIDs(t *testing.T, rt *rapid.T, m *Mail, id mailbox.ID) mailbox.UIDSet {
	box, err := m.Mailbox(t.Context(), id)
	if err != nil {
		rt.Fatal(err)
	}
	lo := mailbox.UID(rapid.IntRange(1, int(box.UIDNext)).Draw(rt, "from"))
	return mailbox.UIDRange(lo, lo+mailbox.UID(rapid.IntRange(0, 2).Draw(rt, "more")))
}

// arrivalsAndLosses are steps of which one is drawn: messages that come, flags, expunges, and the cached
// view forgotten.
func arrivalsAndLosses(t *testing.T, rt *rapid.T, s *Store, m *Mail, id mailbox.ID) []func() error {
	ctx, n := t.Context(), 0
	add := func() error { n++; appendText(t, m, id, mailText(n)); return nil }
	return []func() error{
		add, add,
		func() error {
			flag := rapid.SampledFrom([]string{`\Deleted`, `\Seen`, "$Work"}).Draw(rt, "flag")
			_, err := m.StoreFlags(ctx, "", id, drawUIDs(t, rt, m, id), AddFlags, mailbox.MakeFlags(flag), nil)
			return err
		},
		func() error { _, _, err := m.Expunge(ctx, "", id, nil); return err },
		func() error { s.views.forget(user1); return nil },
	}
}
