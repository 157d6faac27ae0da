package mailstore

import (
	"slices"
	"testing"

	"teraslot/mailbox"
)

func TestLineageBase(t *testing.T) {
	for _, c := range []struct {
		a, b Lineage
		base mailbox.ModSeq
		over bool // a may take the place of b
	}{
		{nil, nil, 0, true},
		{Lineage{{"A", 5}}, nil, 0, true},
		{nil, Lineage{{"A", 5}}, 0, false},
		{Lineage{{"A", 9}}, Lineage{{"A", 5}}, 5, true},
		{Lineage{{"A", 5}}, Lineage{{"A", 9}}, 5, false},
		{Lineage{{"A", 5}, {"B", 9}}, Lineage{{"A", 5}}, 5, true},
		{Lineage{{"A", 5}, {"B", 9}}, Lineage{{"A", 7}}, 5, false}, // A went on by itself
		{Lineage{{"A", 5}, {"B", 9}, {"A", 12}}, Lineage{{"A", 5}, {"B", 9}}, 9, true},
		{Lineage{{"A", 5}, {"B", 9}, {"A", 12}}, Lineage{{"A", 5}, {"B", 11}}, 9, false},
		{Lineage{{"A", 5}}, Lineage{{"B", 5}}, 0, false},
	} {
		if got := c.a.Base(c.b); got != c.base || c.b.Base(c.a) != got {
			t.Errorf("base of %v and %v is %d, want %d", c.a, c.b, got, c.base)
		}
		if got := c.a.Descends(c.b); got != c.over {
			t.Errorf("%v descends from %v: %v", c.a, c.b, got)
		}
	}
	l := Lineage{{"A", 5}}
	if got := l.with("A", 7); !slices.Equal(got, Lineage{{"A", 7}}) || l[0].UpTo != 5 {
		t.Errorf("with the same slot: %v, of %v", got, l)
	}
	if got := l.with("B", 7); !slices.Equal(got, Lineage{{"A", 5}, {"B", 7}}) {
		t.Errorf("with another slot: %v", got)
	}
	if got := l.with("B", 5); !slices.Equal(got, l) {
		t.Errorf("without a write: %v", got)
	}
}

// TestDigestCoversAll: no field that a client can tell may differ unseen.
func TestDigestCoversAll(t *testing.T) {
	plain := func() Image {
		return Image{Mailboxes: []BoxImage{{State: mailbox.State{ID: "a", Name: "n"}, Settings: []Setting{{"x", "y"}}}}, Subscriptions: []string{"s"},
			Retired: []Retired{{"r", 1, "a"}}}
	}
	base := plain()
	seen := map[Digest]string{base.Digest(): "base"}
	for name, change := range map[string]func(*Image){
		"modseq": func(i *Image) { i.ModSeq++ }, "uidvalidity": func(i *Image) { i.UIDValidity++ },
		"quota": func(i *Image) { i.Quota.Bytes++ }, "quota messages": func(i *Image) { i.Quota.Messages++ },
		"subscription": func(i *Image) { i.Subscriptions = nil }, "retired": func(i *Image) { i.Retired = nil },
		"holder": func(i *Image) { i.Retired[0].Holder = "b" }, "id": func(i *Image) { i.Mailboxes[0].ID = "b" },
		"name": func(i *Image) { i.Mailboxes[0].Name = "m" }, "special": func(i *Image) { i.Mailboxes[0].SpecialUse = `\Sent` },
		"validity": func(i *Image) { i.Mailboxes[0].UIDValidity++ }, "next": func(i *Image) { i.Mailboxes[0].UIDNext++ },
		"highest": func(i *Image) { i.Mailboxes[0].HighestModSeq++ }, "created": func(i *Image) { i.Mailboxes[0].CreatedModSeq++ },
		"exists": func(i *Image) { i.Mailboxes[0].Counts.Exists++ }, "sum": func(i *Image) { i.Mailboxes[0].Checksum.B++ },
		"setting": func(i *Image) { i.Mailboxes[0].Settings[0].Value = "z" }, "none": func(i *Image) { i.Mailboxes = nil },
	} {
		i := plain()
		change(&i)
		if other, had := seen[i.Digest()]; had {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[i.Digest()] = name
	}
	i := plain()
	i.Mailboxes[0].Horizon, i.Mailboxes[0].Recent, i.Lineage = 5, 5, Lineage{{"A", 1}}
	if i.Digest() != base.Digest() {
		t.Error("what is each slot's own matter changes the digest")
	}
}
