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
		n := 0
		add := func() error { n++; appendText(t, m, id, mailText(n)); return nil }
		uids := func() mailbox.UIDSet {
			lo := mailbox.UID(rapid.IntRange(1, n+1).Draw(rt, "from"))
			return mailbox.UIDRange(lo, lo+mailbox.UID(rapid.IntRange(0, 2).Draw(rt, "more")))
		}
		steps := []func() error{
			add, add,
			func() error {
				_, err := m.StoreFlags(ctx, "", id, uids(), AddFlags, mailbox.MakeFlags(rapid.SampledFrom([]string{`\Deleted`, `\Seen`, "$Work"}).Draw(rt, "flag")), nil)
				return err
			},
			func() error { _, _, err := m.Expunge(ctx, "", id, nil); return err },
			func() error { _, err := m.View(ctx, id); return err },
			func() error { _, _, err := m.UIDs(ctx, id); return err },
			func() error { s.views.forget(user1); return nil },
		}
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
