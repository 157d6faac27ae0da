package mailstore

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"teraslot/mailbox"
)

// spoilRecord changes the flags of a record behind the store's back.
func spoilRecord(t *testing.T, m *Mail, id mailbox.ID, uid mailbox.UID) {
	t.Helper()
	b := boxOf(t, m, id)
	if err := m.writer.exec(`UPDATE message SET system = system + 16 WHERE id = ?`, rowID(b.row, uid)); err != nil {
		t.Fatal(err)
	}
	m.s.views.forget(m.user)
	m.known.Store(nil)
}

func boxOf(t *testing.T, m *Mail, id mailbox.ID) (b *box) {
	t.Helper()
	err := m.read(t.Context(), func(c *conn) (err error) {
		b, err = loadBox(c, "id", string(id))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOneDamagedRecord: a record that does not match its CRC is named, and costs nobody
// anything but itself.
func TestOneDamagedRecord(t *testing.T) {
	s, m := openFor(t, Options{Conf: t.TempDir()})
	defer func() {
		m.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	id := named(t, m, Inbox).ID
	trash := named(t, m, "Trash").ID
	for n := range 40 {
		appendText(t, m, id, mailText(n))
	}
	spoilRecord(t, m, id, 7)
	check := func(when string, live int) {
		t.Helper()
		v, err := m.View(t.Context(), id)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if len(v.Records) != live-1 || !slices.Equal(v.Damaged, []mailbox.UID{7}) || int(v.State.Counts.Exists) != live {
			t.Errorf("%s: %d records of %d, damaged %v", when, len(v.Records), v.State.Counts.Exists, v.Damaged)
		}
		_, uids, err := m.UIDs(t.Context(), id)
		if err != nil || len(uids) != live || !slices.Contains(uids, 7) {
			t.Errorf("%s: %d UIDs: %v", when, len(uids), err)
		}
		for _, r := range v.Records {
			if got := bytesOf(t, m, id, r); got != mailText(int(r.UID-1)) {
				t.Errorf("%s: UID %d has other bytes", when, r.UID)
			}
		}
		if got, err := m.Damaged(t.Context(), id, mailbox.UIDRange(1, 100)); err != nil || got.String() != "7" {
			t.Errorf("%s: damaged are %v: %v", when, got, err)
		}
	}
	check("cold", 40)
	_, uids, err := m.UIDs(t.Context(), id)
	if err != nil || len(uids) != 40 {
		t.Errorf("%d UIDs: %v", len(uids), err)
	}
	appendText(t, m, id, mailText(40))
	check("after a delivery", 41)
	if _, err := m.StoreFlags(t.Context(), "", id, mailbox.UIDRange(1, 100), AddFlags, mailbox.MakeFlags("$Work"), nil); err != nil {
		t.Errorf("STORE of all: %v", err)
	}
	check("after a STORE", 41)
	if _, err := m.StoreFlags(t.Context(), "", id, mailbox.UIDs(6, 7, 8), AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		t.Errorf("STORE of some: %v", err)
	}
	if gone, _, err := m.Expunge(t.Context(), "", id, nil); err != nil || !slices.Equal(gone, []mailbox.UID{6, 8}) {
		t.Errorf("EXPUNGE: %v, %v", gone, err)
	}
	check("after an EXPUNGE", 39)
	if recs, err := m.Records(t.Context(), id, mailbox.UIDs(7, 9)); err != nil || len(recs) != 1 || recs[0].UID != 9 {
		t.Errorf("two records: %+v: %v", recs, err)
	}
	if changed, err := m.Changes(t.Context(), id, 0); err != nil || len(changed) != 40 { // 38 live, 2 expunged
		t.Errorf("%d changes: %v", len(changed), err)
	}
	// What would be left behind without a word is refused.
	for name, do := range map[string]func() (Copied, error){
		"COPY": func() (Copied, error) { return m.Copy(t.Context(), "", id, mailbox.UIDRange(5, 10), trash) },
		"MOVE": func() (Copied, error) { return m.Move(t.Context(), "", id, mailbox.UIDRange(5, 10), trash) },
	} {
		_, err := do()
		if d, ok := errors.AsType[*Damage](err); !ok || d.UID != 7 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Move(t.Context(), "", id, mailbox.UIDs(9), trash); err != nil {
		t.Errorf("MOVE of another: %v", err)
	}
	found := ""
	if err := s.Verify(t.Context(), user1, func(f Finding) { found += fmt.Sprintln(f) }); err != nil || found == "" {
		t.Errorf("verify finds %q: %v", found, err)
	}
}
