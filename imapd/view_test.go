package imapd

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
	"teraslot/mailbox"
)

// client keeps sequence numbers as RFC 9051 tells clients to: by what it is told
// and nothing else.
type client struct{ messages []mailbox.UID }

func (c *client) hear(t *rapid.T, n news) {
	for i, number := range n.numbers {
		if int(number) > len(c.messages) || c.messages[number-1] != n.expunged[i] {
			t.Fatalf("expunge of %d names number %d of %v", n.expunged[i], number, c.messages)
		}
		c.messages = slices.Delete(c.messages, int(number-1), int(number))
	}
	c.messages = append(c.messages, n.arrived...)
}

// mailboxModel is a mailbox with its history of one record a message.
type mailboxModel struct {
	records []mailbox.Record
	modSeq  mailbox.ModSeq
}

func (m *mailboxModel) change(t *rapid.T) {
	m.modSeq++
	i := rapid.IntRange(0, len(m.records)).Draw(t, "message")
	if i == len(m.records) {
		m.records = append(m.records, mailbox.Record{UID: mailbox.UID(i + 1), ModSeq: m.modSeq})
		return
	}
	r := &m.records[i]
	r.ModSeq = m.modSeq
	if rapid.IntRange(0, 2).Draw(t, "expunge") == 0 {
		r.Expunged = true
	}
}

func (m *mailboxModel) since(modSeq mailbox.ModSeq) (out []mailbox.Record) {
	for _, r := range m.records {
		if r.ModSeq > modSeq {
			out = append(out, r)
		}
	}
	return out
}

func (m *mailboxModel) live() (out []mailbox.UID) {
	for _, r := range m.records {
		if !r.Expunged {
			out = append(out, r.UID)
		}
	}
	return out
}

// A client that follows what it is told counts the messages as the view does,
// and after a point where expunges may be told, as the store does.
func TestViewAgreesWithClient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m mailboxModel
		var v view
		var c client
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			for range rapid.IntRange(0, 4).Draw(t, "changes") {
				m.change(t)
			}
			expunge := rapid.Bool().Draw(t, "expunge")
			before := len(v.uids)
			n := v.take(m.since(v.modSeq), m.modSeq, expunge)
			if !expunge && len(v.uids) < before {
				t.Fatal("messages were renumbered under a command that names them")
			}
			c.hear(t, n)
			if !slices.Equal(c.messages, v.uids) {
				t.Fatalf("client counts %v, view %v", c.messages, v.uids)
			}
			if live := m.live(); expunge && !slices.Equal(c.messages, live) {
				t.Fatalf("client counts %v, store holds %v", c.messages, live)
			} else if v.live() != uint64(len(live)) {
				t.Fatalf("%d live in view, %d in store", v.live(), len(live))
			}
		}
	})
}

func TestViewMissing(t *testing.T) {
	v := view{uids: []mailbox.UID{1, 3, 5, 7, 9}}
	v.missing([]mailbox.UID{3, 4, 9, 10}, len(v.uids))
	uids, numbers := v.expunge()
	if !slices.Equal(uids, []mailbox.UID{1, 5, 7}) || !slices.Equal(numbers, []uint32{1, 2, 2}) {
		t.Errorf("expunged %v by numbers %v", uids, numbers)
	}
	if !slices.Equal(v.uids, []mailbox.UID{3, 9}) {
		t.Errorf("left %v", v.uids)
	}
}

func TestViewDoesNotChangeSharedList(t *testing.T) {
	shared := make([]mailbox.UID, 3, 10)
	copy(shared, []mailbox.UID{1, 2, 3})
	v := view{uids: shared}
	v.take([]mailbox.Record{{UID: 2, Expunged: true, ModSeq: 1}, {UID: 4, ModSeq: 2}}, 2, true)
	if !slices.Equal(v.uids, []mailbox.UID{1, 3, 4}) {
		t.Errorf("view has %v", v.uids)
	}
	if !slices.Equal(shared[:4], []mailbox.UID{1, 2, 3, 0}) {
		t.Errorf("the store's list became %v", shared[:4])
	}
}

func TestViewKnowsOwnChanges(t *testing.T) {
	v := view{uids: []mailbox.UID{1, 2, 3}, modSeq: 10}
	v.knows(11, mailbox.UIDs(1, 2))
	n := v.take([]mailbox.Record{
		{UID: 1, ModSeq: 11}, // own
		{UID: 2, ModSeq: 12}, // changed again by another
		{UID: 3, ModSeq: 11},
	}, 12, false)
	if len(n.changed) != 2 || n.changed[0].UID != 2 || n.changed[1].UID != 3 {
		t.Errorf("told of %v", n.changed)
	}
	if n := v.take([]mailbox.Record{{UID: 1, ModSeq: 13}}, 13, false); len(n.changed) != 1 {
		t.Error("an old change of its own hid a new one")
	}
}

func TestWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := func(name string) (s mailbox.UIDSet) {
			for range rapid.IntRange(0, 5).Draw(t, name) {
				lo := rapid.Uint32Range(1, 20).Draw(t, "lo")
				s.AddRange(mailbox.UID(lo), mailbox.UID(lo+rapid.Uint32Range(0, 6).Draw(t, "n")))
			}
			return s
		}
		a, b := set("a"), set("b")
		got := without(a, b)
		for u := mailbox.UID(1); u < 30; u++ {
			if got.Contains(u) != (a.Contains(u) && !b.Contains(u)) {
				t.Fatalf("%v without %v = %v", a, b, got)
			}
		}
	})
	whole := mailbox.UIDRange(1, 4294967295)
	if got := without(whole, whole); !got.IsEmpty() {
		t.Errorf("all without all = %v", got)
	}
}
