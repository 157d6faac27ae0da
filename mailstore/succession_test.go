package mailstore

import (
	"fmt"
	"math"
	"testing"
	"time"

	"teraslot/mailbox"
)

// TestSpans: a slot goes on in its own spans alone, above whatever was given, and the marks of a store's
// slots are not the same.
func TestSpans(t *testing.T) {
	const ofB, ofC = "b's", "c's"
	if markOf(ofB) == markOf(ofC) || markOf("") == markOf(ofB) {
		t.Fatal("two slots have one mark")
	}
	founder := Lineage{{"a's", 90}}
	first := nextSpan(90, ofB) + 1
	for _, test := range []struct {
		of   Lineage
		slot string
		next mailbox.ModSeq
		want bool
	}{
		{nil, "a's", 1, true}, {founder, "a's", 91, true}, {founder, ofB, 91, false}, {founder, ofB, first, true}, {founder, ofC, first, false},
		{founder, "a's", 1 << spanBits, false}, {nil, "a's/1", 1, false}, {Lineage{{"a's/1", 90}}, "a's/1", 91, false}, {Lineage{{"a's", 90}, {"a's/1", 95}}, "a's/1", 96, false},
		{founder, ofB, first + 1<<markBase - 1, false}, // as many as a span has
	} {
		if got := test.of.gives(test.slot, test.next); got != test.want {
			t.Errorf("%v: %s gives %#x: %v", test.of, test.slot, test.next, got)
		}
	}
	for m := mailbox.ModSeq(1); m < math.MaxInt64/8; m = m*5 + 3 {
		for _, slot := range []string{ofB, ofC, ""} {
			next := nextSpan(m, slot)
			n, mark := span(next + 1)
			if was, _ := span(m); next <= m || n != was+1 || mark != markOf(slot) || sameSpan(m, next+1) || !sameSpan(next+1, next+1<<markBase-1) {
				t.Fatalf("after %#x %s gives %#x", m, slot, next+1)
			}
		}
	}
}

// TestLeaps: UIDs leap where mod-sequences pass into another span, as long as there are any, and what others may have
// given is where they leapt to.
func TestLeaps(t *testing.T) {
	b, c := nextSpan(5, "b")+1, nextSpan(5, "c")+1
	for _, test := range []struct {
		next     mailbox.UID
		was, now mailbox.ModSeq
		leaps    bool
	}{
		{1, 0, b, false}, {1, 5, b, true}, {9, 5, 6, false}, {9, b, b + 7, false}, {9, b, c, true}, {9, b, nextSpan(b, "b") + 1, true},
		{math.MaxUint32 - 2*leapUIDs, 5, b, true}, {math.MaxUint32 - leapUIDs, 5, b, false}, {math.MaxUint32, 5, b, false},
	} {
		got := leap(test.next, test.was, test.now)
		if uint64(got) >= uint64(test.next)+leapUIDs != test.leaps || got < test.next || !test.leaps && got != test.next {
			t.Errorf("%+v: %d", test, got)
		}
		if others := strangers(test.next, test.was, test.now); got > test.next && !others.Contains(got) || others.Contains(math.MaxUint32) || others.Contains(test.next-1) {
			t.Errorf("%+v: others may have given %s", test, others)
		}
	}
	last := nextSpan(b, "b") + 1
	more, less := leap(leap(9, 5, b), b, last), leap(9, 5, last) // one was in a span in which the other never gave anything
	if others := strangers(less, last, last); more <= less || !others.Contains(more) {
		t.Errorf("others may have given %s, and gave %d", others, more)
	}
	if leap(9, 5, b) == leap(9, 5, c) {
		t.Error("two slots go on from one UID")
	}
}

// TestReached: of a mod-sequence is known whether this mail had it, whoever gave it.
func TestReached(t *testing.T) {
	b := nextSpan(50, "b")
	c, d := nextSpan(b+9, "c"), nextSpan(50, "d")
	image := Image{Lineage: Lineage{{"a", 50}, {"b", b + 9}, {"c", c + 3}}, Seen: []Tenure{{"a", 70}, {"d", d + 4}}}
	for m, want := range map[mailbox.ModSeq]bool{0: true, 1: true, 50: true, 70: true, 71: false, b + 1: true, b + 9: true, b + 10: false,
		c + 3: true, c + 4: false, d + 4: true, d + 5: false, nextSpan(50, "e") + 1: false, math.MaxInt64: false} {
		if got := image.reached(m); got != want {
			t.Errorf("%#x was reached: %v", m, got)
		}
	}
	if made := (Image{Lineage: Lineage{{"a/1", 50}}}); made.reached(1) || !made.reached(0) {
		t.Error("mail made anew of packs tells the writes of another such from its own")
	}
	if empty := (Image{}); empty.reached(1) || !empty.reached(0) {
		t.Error("a replica that has heard of nothing has something")
	}
}

// lost is a store whose master a is lost with its last writes: a message, flags, an expunging, a mailbox. A client
// knows them.
func lost(t *testing.T) (a, b *side, box mailbox.ID, known, work cacheOf) {
	t.Helper()
	clock := time.Unix(1_800_000_000, 0) // one second for all
	now := func() time.Time { return clock }
	a, b = newSideAt(t, "a", true, now), newSideAt(t, "b", false, now)
	box = named(t, a.m, Inbox).ID
	for i := range 4 {
		a.deliver(t, fmt.Sprintf("Subject: %d\r\n\r\n", i))
	}
	mustConverge(t, a, b)
	a.store(t, box, 1, `\Seen`)
	a.remove(t, box, 2)
	a.deliver(t, "Subject: lost\r\n\r\n")
	if _, err := a.m.Create(t.Context(), "", "Work", ""); err != nil {
		t.Fatal(err)
	}
	a.put(t, "Work", "Subject: lost work\r\n\r\n")
	return a, b, box, a.cached(t, Inbox), a.cached(t, "Work")
}

// cached is what a client of a slot has of a mailbox.
func (s *side) cached(t *testing.T, name string) cacheOf {
	t.Helper()
	k := know(t, s.m, named(t, s.m, name).ID)
	return cacheOf{named(t, s.m, name).UIDValidity, k.upTo, k.flags}
}

// TestClientOfALostMaster: a client that knows what a master wrote last comes to the replica that is the master now,
// before that has written, and after: it has then what is there, and no UID, or UIDVALIDITY, means anything else than it
// did. The same holds on its way back, and when all is merged.
func TestClientOfALostMaster(t *testing.T) {
	for _, writes := range []int{0, 1, 9} {
		a, b, box, known, work := lost(t)
		var given []mailbox.UID
		for i := range writes { // nothing that is said of the records which the client knows
			given = append(given, b.deliver(t, fmt.Sprintf("Subject: on b, %d\r\n\r\n", i)).UID)
		}
		come := func(s *side) {
			t.Helper()
			missed, err := s.m.Missed(t.Context(), box, known.highest)
			if err != nil {
				t.Fatal(err)
			}
			k := knowledge{known.highest, known.flags}.with(missed)
			now := know(t, s.m, box)
			if !k.equal(now) {
				t.Errorf("%d writes: a client that knew %v has %v of slot %s, which has %v", writes, known.flags, k.flags, s.s.o.Slot, now.flags)
			}
			known.highest, known.flags = now.upTo, now.flags
		}
		come(b)
		for _, uid := range given {
			if uid <= named(t, a.m, Inbox).UIDNext {
				t.Errorf("slot b gives UID %d, as a did", uid)
			}
		}
		if writes > 0 {
			if st, err := b.m.Create(t.Context(), "", "Work", ""); err != nil || st.UIDValidity == work.validity {
				t.Errorf("UIDVALIDITY %d of a mailbox of that name once more, %v", st.UIDValidity, err)
			}
		}
		come(a)
		a.deliver(t, "Subject: again on a\r\n\r\n")
		come(b)
		mustReconcile(t, b, a)
		come(a)
		come(b)
	}
}

// TestLeapIsNotNews: a mailbox of which a session was told all has no recent messages because its UIDs leap.
func TestLeapIsNotNews(t *testing.T) {
	_, b, box, _, _ := lost(t)
	if err := b.m.Announce(t.Context(), box, named(t, b.m, Inbox).UIDNext-1); err != nil {
		t.Fatal(err)
	}
	r := b.deliver(t, "Subject: on b\r\n\r\n")
	if known, err := b.m.Announced(t.Context(), box); err != nil || known != r.UID-1 {
		t.Errorf("messages above UID %d are recent, %v, of %d", known, err, r.UID)
	}
}

// TestUIDsKeptAcrossAFailover: what comes from another server keeps its UIDs in a mailbox that was adopted, or is refused as a whole
// before anything is stored; other mail of its batch is not.
func TestUIDsKeptAcrossAFailover(t *testing.T) {
	_, b, box, _, _ := lost(t)
	next := named(t, b.m, Inbox).UIDNext
	if _, err := b.m.Append(t.Context(), "", mustSpool(t, b, box, next)); err == nil {
		t.Errorf("UID %d is given, which may have been another's", next)
	}
	if r := b.deliver(t, "Subject: another\r\n\r\n"); r.UID < next+leapUIDs {
		t.Errorf("UID %d is given", r.UID)
	}
	empty := named(t, b.m, "Sent").ID
	o := Origin{UIDValidity: 77, HighestModSeq: 1 << 50}
	if _, err := b.m.Adopt(t.Context(), "", empty, o); err != nil {
		t.Fatal(err)
	}
	if _, err := b.m.Append(t.Context(), "", mustSpool(t, b, empty, 5)); err != nil {
		t.Errorf("a UID of the other server is not kept: %v", err)
	}
	if missed, err := b.m.Missed(t.Context(), empty, named(t, b.m, "Sent").HighestModSeq); err != nil || missed.Strange {
		t.Errorf("%+v, %v", missed, err)
	}
}

// mustSpool is a message that is to have a UID.
func mustSpool(t *testing.T, s *side, box mailbox.ID, uid mailbox.UID) Append {
	t.Helper()
	return Append{Mailbox: box, UID: uid, Message: spool(t, s.s, "Subject: of another server\r\n\r\n")}
}
