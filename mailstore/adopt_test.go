package mailstore

import (
	"errors"
	"math"
	"slices"
	"testing"

	"teraslot/mailbox"
)

// appendAs appends a message under a UID; 0 is the next.
func appendAs(t testing.TB, s *Store, m *Mail, id mailbox.ID, uids ...mailbox.UID) error {
	t.Helper()
	var items []Append
	for i, uid := range uids {
		items = append(items, Append{Mailbox: id, Message: spool(t, s, mailText(int(uid)*10+i)), UID: uid})
	}
	_, err := m.Append(t.Context(), "", items...)
	return err
}

func uidsIn(t testing.TB, m *Mail, id mailbox.ID) []mailbox.UID {
	t.Helper()
	_, uids, err := m.UIDs(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return uids
}

// TestAdopt: a mailbox goes on under another server's UIDVALIDITY and UIDs, and with
// mod-sequences above its.
func TestAdopt(t *testing.T) {
	s, m := newStore(t, Options{})
	inbox := named(t, m, Inbox)
	origin := Origin{UIDValidity: 77, HighestModSeq: 50_000}
	if err := m.Adoptable(t.Context(), inbox.ID, origin); err != nil {
		t.Fatal(err)
	}
	st, err := m.Adopt(t.Context(), "", inbox.ID, origin)
	if err != nil || st.UIDValidity != 77 || st.HighestModSeq <= 50_000 {
		t.Fatalf("%+v, %v", st, err)
	}
	if h, err := m.Horizon(t.Context(), inbox.ID); err != nil || h < 50_000 {
		t.Errorf("horizon %d, %v: who knew the other server would not be told what is gone", h, err)
	}
	if err := appendAs(t, s, m, inbox.ID, 5, 9, 0, 4000); err != nil {
		t.Fatal(err)
	}
	if got := uidsIn(t, m, inbox.ID); !slices.Equal(got, []mailbox.UID{5, 9, 10, 4000}) {
		t.Fatalf("UIDs %v", got)
	}
	if err := m.RaiseUIDNext(t.Context(), "", inbox.ID, 4100); err != nil {
		t.Fatal(err)
	}
	if err := m.RaiseUIDNext(t.Context(), "", inbox.ID, 1); err != nil {
		t.Fatal(err)
	}
	if err := appendAs(t, s, m, inbox.ID, 0); err != nil {
		t.Fatal(err)
	}
	if got := uidsIn(t, m, inbox.ID); got[len(got)-1] != 4100 {
		t.Errorf("UIDs %v", got)
	}
	// Later runs go on, above what the other server has reached by then.
	st, err = m.Adopt(t.Context(), "", inbox.ID, Origin{UIDValidity: 77, HighestModSeq: 90_000})
	if err != nil || st.HighestModSeq <= 90_000 {
		t.Errorf("%+v, %v", st, err)
	}
	before := st
	if st, err = m.Adopt(t.Context(), "", inbox.ID, Origin{UIDValidity: 77, HighestModSeq: 90_000}); err != nil || st != before {
		t.Errorf("adopting again changed %+v to %+v, %v", before, st, err)
	}
}

// TestAdoptUnknownModSeq: where the other server cannot be asked, it is taken to
// have counted far.
func TestAdoptUnknownModSeq(t *testing.T) {
	_, m := newStore(t, Options{})
	st, err := m.Adopt(t.Context(), "", named(t, m, Inbox).ID, Origin{UIDValidity: 77})
	if err != nil || st.HighestModSeq <= unknownOrigin {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestUIDsOnlyRise: a call with a UID that was given, or that does not rise within
// it, stores nothing, and the calls beside it are not concerned.
func TestUIDsOnlyRise(t *testing.T) {
	s, m := newStore(t, Options{})
	id := named(t, m, Inbox).ID
	if err := appendAs(t, s, m, id, 7); err != nil {
		t.Fatal(err)
	}
	for _, uids := range [][]mailbox.UID{{7}, {3}, {9, 9}, {10, 9}, {8, 0, 9}, {0, 8}, {math.MaxUint32}} {
		if err := appendAs(t, s, m, id, uids...); !errors.Is(err, ErrUID) {
			t.Errorf("%v: %v", uids, err)
		}
	}
	if got := uidsIn(t, m, id); !slices.Equal(got, []mailbox.UID{7}) {
		t.Errorf("UIDs %v", got)
	}
	if err := appendAs(t, s, m, id, 0, 9); err != nil {
		t.Error(err)
	}
}

// TestAdoptRefuses: a name, a UIDVALIDITY and a UID never stand for two messages.
func TestAdoptRefuses(t *testing.T) {
	s, m := newStore(t, Options{})
	ctx := t.Context()
	refused := func(name string, v mailbox.UIDValidity) {
		t.Helper()
		before := named(t, m, name)
		if err := m.Adoptable(ctx, before.ID, Origin{UIDValidity: v}); !errors.Is(err, ErrUIDValidity) {
			t.Errorf("Adoptable: %v", err)
		}
		if _, err := m.Adopt(ctx, "", before.ID, Origin{UIDValidity: v}); !errors.Is(err, ErrUIDValidity) {
			t.Errorf("Adopt: %v", err)
		}
		if after := named(t, m, name); after != before {
			t.Errorf("a refused adoption changed %+v to %+v", before, after)
		}
	}
	create := func(name string) mailbox.State {
		t.Helper()
		st, err := m.Create(ctx, "", name, "")
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	adopt := func(name string, v mailbox.UIDValidity) {
		t.Helper()
		if _, err := m.Adopt(ctx, "", named(t, m, name).ID, Origin{UIDValidity: v}); err != nil {
			t.Fatal(err)
		}
	}
	refused(Inbox, 0)
	if err := appendAs(t, s, m, named(t, m, Inbox).ID, 0); err != nil {
		t.Fatal(err)
	}
	refused(Inbox, 77)

	// Deleted and made again: clients know messages of Work under 77.
	create("Work")
	adopt("Work", 77)
	if err := appendAs(t, s, m, named(t, m, "Work").ID, 3); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(ctx, "", named(t, m, "Work").ID); err != nil {
		t.Fatal(err)
	}
	create("Work")
	refused("Work", 77)
	adopt("Work", 78)

	// Renamed away: the name gave it up, and so do the names below.
	create("A/B")
	adopt("A/B", 90)
	if err := appendAs(t, s, m, named(t, m, "A/B").ID, 1); err != nil {
		t.Fatal(err)
	}
	if err := m.Rename(ctx, "", "A", "C"); err != nil {
		t.Fatal(err)
	}
	create("A/B")
	refused("A/B", 90)
	// Another name may have the same: some servers count by the clock.
	create("D")
	adopt("D", 90)
	// An empty one gave up nothing.
	create("E")
	adopt("E", 91)
	if err := m.Delete(ctx, "", named(t, m, "E").ID); err != nil {
		t.Fatal(err)
	}
	create("E")
	adopt("E", 91)
}

// TestNewUIDValidityPassesOver: a value that a name adopted from a server whose clock
// was ahead is not given to the name again when ours gets there.
func TestNewUIDValidityPassesOver(t *testing.T) {
	s, m := newStore(t, Options{})
	ctx := t.Context()
	st, err := m.Create(ctx, "", "Ahead", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Adopt(ctx, "", st.ID, Origin{UIDValidity: st.UIDValidity + 1}); err != nil {
		t.Fatal(err)
	}
	if err := appendAs(t, s, m, st.ID, 1); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(ctx, "", st.ID); err != nil {
		t.Fatal(err)
	}
	again, err := m.Create(ctx, "", "Ahead", "")
	if err != nil || again.UIDValidity == st.UIDValidity+1 {
		t.Errorf("%+v, %v: the UIDVALIDITY that the name had", again, err)
	}
}
