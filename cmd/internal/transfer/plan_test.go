package transfer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
	"teraslot/slot"
)

func message(uid mailbox.UID, date int64, flags ...string) Message {
	return Message{UID: uid, Date: time.Unix(date, 0), Size: 100, Flags: mailbox.MakeFlags(flags...), Key: fmt.Sprint(uid)}
}

func known(uid mailbox.UID, date int64, flags ...string) slot.Known {
	return slot.Known{UID: uid, Date: date, Saved: date + 1_000_000, Size: 100, Flags: flags}
}

// TestCompare has one of each case.
func TestCompare(t *testing.T) {
	delivered := known(14, 5000)
	delivered.Saved = delivered.Date + 3
	deleted := known(6, 600)
	deleted.Deleted = true
	other := known(5, 999) // another message has the UID
	p := compare(Mailbox{UIDNext: 30},
		[]Message{
			message(1, 100), message(2, 200, `\Seen`), message(3, 300, "a"), message(5, 500), message(6, 600),
			message(7, 700), message(20, 2000), message(25, 2500), {Key: "no UID"},
		},
		slot.Prepared{Kept: true, UIDNext: 18},
		[]slot.Known{known(1, 100), known(2, 200), known(3, 300, "A"), known(4, 400), other, deleted, known(13, 1300), delivered, known(40, 1)})
	uids := func(list []Message) (out []mailbox.UID) {
		for _, m := range list {
			out = append(out, m.UID)
		}
		return out
	}
	if got := uids(p.keep); !slices.Equal(got, []mailbox.UID{20, 25}) {
		t.Errorf("keep %v", got)
	}
	if got := uids(p.stray); !slices.Equal(got, []mailbox.UID{5, 7, 0}) {
		t.Errorf("strays %v", got)
	}
	if p.same != 3 || p.changed < 1 || p.deleted != 1 || p.unsure != 1 || p.expunged.String() != "4,13" {
		t.Errorf("%+v", p)
	}
	if !slices.ContainsFunc(p.flags, func(s slot.FlagSet) bool { return s.UIDs == "2" && slices.Equal(s.Flags, []string{`\Seen`}) }) {
		t.Errorf("%+v", p.flags)
	}
}

// TestCompareLosesNothing: each message of the source is here, or carried over, or was
// deleted here; nothing that the source has is expunged.
func TestCompareLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uids := rapid.SliceOfNDistinct(rapid.Uint32Range(1, 40), 0, 20, rapid.ID[uint32])
		there, here := uids.Draw(t, "there"), uids.Draw(t, "here")
		slices.Sort(there)
		slices.Sort(here)
		var messages []Message
		for _, u := range there {
			messages = append(messages, message(mailbox.UID(u), int64(u)))
		}
		var list []slot.Known
		next := mailbox.UID(1)
		for _, u := range here {
			k := known(mailbox.UID(u), int64(u)+int64(rapid.IntRange(0, 9).Draw(t, "other")/9))
			k.Deleted = rapid.IntRange(0, 4).Draw(t, "deleted") == 0
			list = append(list, k)
			next = k.UID + 1
		}
		p := compare(Mailbox{UIDNext: 41}, messages, slot.Prepared{Kept: true, UIDNext: next}, list)
		if got := len(p.keep) + len(p.stray) + p.same + p.deleted; got != len(messages) {
			t.Fatalf("%d messages of %d: %+v", got, len(messages), p)
		}
		for _, m := range p.keep {
			if m.UID < next {
				t.Fatalf("UID %d is to be kept, the next is %d", m.UID, next)
			}
		}
		for _, u := range there {
			if p.expunged.Contains(mailbox.UID(u)) {
				t.Fatalf("UID %d is there, and to be expunged", u)
			}
		}
	})
}

// TestParts: every message is in one part, in order; large ones are alone.
func TestParts(t *testing.T) {
	var all []Message
	for i := range 1000 {
		m := message(mailbox.UID(i+1), 1)
		if i%100 == 0 {
			m.Size = groupBytes + 1
		}
		all = append(all, m)
	}
	var joined []Message
	for _, p := range parts(all) {
		size := int64(0)
		for _, m := range p {
			size += m.Size
		}
		if len(p) == 0 || len(p) > groupMessages || len(p) > 1 && size > groupBytes {
			t.Errorf("%d messages of %d octets", len(p), size)
		}
		joined = append(joined, p...)
	}
	if !slices.Equal(joined, all) {
		t.Error("messages are missing, or in another order")
	}
}
