package mailstore

import (
	"errors"
	"slices"
	"testing"

	"teraslot/mailbox"
)

// A few records of many are read without the others, and are what View shows.
func TestRecordsOfLargeMailbox(t *testing.T) {
	s, m, id := filled(t, t.TempDir(), 400)
	if _, err := m.StoreFlags(t.Context(), "", id, mailbox.UIDs(7, 200), AddFlags, mailbox.MakeFlags(`\Seen`, "$Work"), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Expunge(t.Context(), "", id, nil); err != nil {
		t.Fatal(err)
	}
	sets := []mailbox.UIDSet{{}, mailbox.UIDs(7), mailbox.UIDs(1, 7, 200, 400, 401), mailbox.UIDRange(190, 201), mailbox.UIDRange(1, 1<<32-1)}
	var got [][]mailbox.Record
	for i, set := range sets {
		recs, err := m.Records(t.Context(), id, set)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, recs)
		known := s.views.get(viewKey{user1, id})
		if i < len(sets)-1 && known.records != nil {
			t.Errorf("set %v read all records", set)
		}
	}
	v, err := m.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for i, set := range sets {
		if want := within(v.Records, set); !slices.Equal(got[i], want) {
			t.Errorf("set %v: %d records, want %d", set, len(got[i]), len(want))
		}
	}
	if _, err := m.Records(t.Context(), "000000000000000000000000", mailbox.UIDs(1)); !errors.Is(err, ErrNoMailbox) {
		t.Errorf("no mailbox: %v", err)
	}
}

// A damaged record is left out and named; its neighbours are served.
func TestRecordsDamaged(t *testing.T) {
	d := newDamaged(t, 40)
	d.exec(t, `UPDATE message SET system = 9 WHERE id & 0xFFFFFFFF = 2`)
	d.with(t, func(_ *Store, m *Mail, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if recs, err := m.Records(t.Context(), d.inbox, mailbox.UIDs(2)); err != nil || len(recs) != 0 {
			t.Errorf("damaged record: %+v, %v", recs, err)
		}
		if bad, err := m.Damaged(t.Context(), d.inbox, mailbox.UIDRange(1, 3)); err != nil || bad.String() != "2" {
			t.Errorf("damaged are %v: %v", bad, err)
		}
		if recs, err := m.Records(t.Context(), d.inbox, mailbox.UIDs(3)); err != nil || len(recs) != 1 {
			t.Errorf("its neighbour: %v", err)
		}
	})
}
