package mailstore

import (
	"context"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// knowledge is what somebody knows of a mailbox as of a mod-sequence.
type knowledge struct {
	upTo  mailbox.ModSeq
	flags map[mailbox.UID]mailbox.Flags
}

func know(t testing.TB, m *Mail, id mailbox.ID) knowledge {
	t.Helper()
	view, err := m.View(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	k := knowledge{view.State.HighestModSeq, map[mailbox.UID]mailbox.Flags{}}
	for i := range view.Records {
		k.flags[view.Records[i].UID] = view.Records[i].Flags
	}
	return k
}

// with is k with what was missed.
func (k knowledge) with(missed Missed) knowledge {
	out := knowledge{missed.State.HighestModSeq, map[mailbox.UID]mailbox.Flags{}}
	for uid, flags := range k.flags {
		if !missed.Vanished.Contains(uid) {
			out.flags[uid] = flags
		}
	}
	for i := range missed.Changed {
		out.flags[missed.Changed[i].UID] = missed.Changed[i].Flags
	}
	return out
}

func (k knowledge) equal(other knowledge) bool {
	if k.upTo != other.upTo || len(k.flags) != len(other.flags) {
		return false
	}
	for uid, flags := range k.flags {
		if f, there := other.flags[uid]; !there || !f.Equal(flags) {
			return false
		}
	}
	return true
}

// TestMissed: whoever knew a mailbox at any time knows it by what Missed says, whatever happened since, what
// was forgotten of it, and whether its records are in memory.
func TestMissed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		s, m := newStore(t, Options{Conf: t.TempDir()})
		id := named(t, m, Inbox).ID
		steps := append(arrivalsAndLosses(t, rt, s, m, id),
			func() error { _, err := m.Move(ctx, "", id, drawUIDs(t, rt, m, id), id); return err },
			func() error { _, err := m.Forget(ctx, time.Now().Add(time.Hour)); return err },
			func() error { return m.Renew(ctx) })
		past := []knowledge{know(t, m, id)}
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			if err := rapid.SampledFrom(steps).Draw(rt, "step")(); err != nil {
				rt.Fatal(err)
			}
			old := rapid.SampledFrom(past).Draw(rt, "known")
			missed, err := m.Missed(ctx, id, old.upTo)
			if err != nil {
				rt.Fatal(err)
			}
			horizon, err := m.Horizon(ctx, id)
			if err != nil || missed.Forgot != (old.upTo < horizon) {
				rt.Fatalf("since %d with the horizon at %d: forgot %v, %v", old.upTo, horizon, missed.Forgot, err)
			}
			now := know(t, m, id)
			if got := old.with(missed); !got.equal(now) {
				rt.Fatalf("%+v and %+v make %+v, it is %+v", old, missed, got, now)
			}
			for uid := range now.flags {
				if missed.Vanished.Contains(uid) {
					rt.Fatalf("UID %d vanished and is there", uid)
				}
			}
			past = append(past, now)
		}
	})
}

// TestMissedBeyond: of a mod-sequence that a mailbox has not reached it is not known what was so then: every UID that is not there has
// vanished, also those above, and every message has changed. Where the record of an expunge is damaged, it is not known
// what vanished.
func TestMissedBeyond(t *testing.T) {
	ctx := context.Background()
	_, m := newStore(t, Options{Conf: t.TempDir()})
	id := named(t, m, Inbox).ID
	for n := range 6 {
		appendText(t, m, id, mailText(n), `\Deleted`)
	}
	first, second := mailbox.UIDs(2), mailbox.UIDs(4, 6)
	if _, _, err := m.Expunge(ctx, "", id, &first); err != nil {
		t.Fatal(err)
	}
	known := named(t, m, Inbox).HighestModSeq
	if _, _, err := m.Expunge(ctx, "", id, &second); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		since    mailbox.ModSeq
		vanished string
		strange  bool
	}{{known, "4,6", false}, {named(t, m, Inbox).HighestModSeq, "", false}, {known + 2, "2,4,6:524294", true}, {math.MaxInt64, "2,4,6:4294967294", true}} {
		missed, err := m.Missed(ctx, id, test.since)
		if err != nil || missed.Vanished.String() != test.vanished || missed.Forgot != test.strange || missed.Strange != test.strange || len(missed.Changed) > 0 != test.strange {
			t.Errorf("since %d: %+v, %v", test.since, missed, err)
		}
	}
	b := boxOf(t, m, id)
	spoil := func(by string) {
		err := m.write(ctx, "", func(t *txn) error {
			return t.c.exec(`UPDATE expunged SET system = system `+by+` WHERE id = ?`, rowID(b.row, 4))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	spoil("+ 1")
	if missed, err := m.Missed(ctx, id, known); err != nil || missed.Vanished.String() != "2,4,6" || !missed.Forgot {
		t.Errorf("with a damaged record: %+v, %v", missed, err)
	}
	spoil("- 1")
}
