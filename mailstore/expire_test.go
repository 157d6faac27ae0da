package mailstore

import (
	"errors"
	"slices"
	"testing"
	"time"

	"teraslot/mailbox"
)

// TestExpire expunges what is older than its mailbox allows, and no more.
func TestExpire(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var told []mailbox.Event
	o := partitions(t, &now)
	o.Notify = func(e mailbox.Event) {
		if e.Kind == mailbox.Expunged {
			told = append(told, e)
		}
	}
	s, m := newStore(t, o)
	inbox, junk := named(t, m, Inbox).ID, named(t, m, "Junk").ID
	appendText(t, m, inbox, mailText(1))
	appendText(t, m, junk, mailText(2))
	appendText(t, m, junk, mailText(3), `\Flagged`)
	now = now.Add(20 * 24 * time.Hour)
	appendText(t, m, junk, mailText(4))
	if n, err := m.Expire(t.Context()); err != nil || n != 0 {
		t.Errorf("without settings %d: %v", n, err)
	}
	age := Age{After: 30 * 24 * time.Hour}
	if err := m.SetSetting(t.Context(), junk, SettingExpire, &age); err != nil {
		t.Fatal(err)
	}
	now = now.Add(10 * 24 * time.Hour)
	if n, err := m.Expire(t.Context()); err != nil || n != 2 {
		t.Errorf("expired %d: %v", n, err)
	}
	if len(told) != 1 || told[0].Mailbox != junk || told[0].UIDs.String() != "1:2" {
		t.Errorf("told %+v", told)
	}
	if st := named(t, m, "Junk"); st.Counts.Exists != 1 || named(t, m, Inbox).Counts.Exists != 1 {
		t.Errorf("left %+v", st.Counts)
	}
	verify(t, s, user1)
}

// TestUnexpunge brings back what was expunged, once, with flags, under new UIDs.
func TestUnexpunge(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	s, m := newStore(t, o)
	id := named(t, m, Inbox).ID
	for n := range 5 {
		appendText(t, m, id, mailText(n), "$Work", `\Deleted`)
	}
	before := named(t, m, Inbox).HighestModSeq
	if _, _, err := m.Expunge(t.Context(), "", id, nil); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	appendText(t, m, id, mailText(2)) // came again meanwhile
	list, err := m.ExpungedMessages(t.Context(), id)
	if err != nil || len(list) != 5 || !list[0].At.Equal(time.Unix(1_700_000_000, 0)) {
		t.Fatalf("expunged: %+v: %v", list, err)
	}
	none, err := m.Unexpunge(t.Context(), "", id, mailbox.UIDSet{}, now)
	if err != nil || len(none.To) != 0 {
		t.Errorf("none was expunged since: %+v: %v", none, err)
	}
	got, err := m.Unexpunge(t.Context(), "", id, mailbox.UIDs(2, 77), time.Time{})
	if err != nil || !slices.Equal(got.From, []mailbox.UID{2}) || !slices.Equal(got.To, []mailbox.UID{7}) {
		t.Errorf("one: %+v: %v", got, err)
	}
	got, err = m.Unexpunge(t.Context(), "", id, mailbox.UIDSet{}, now.Add(-2*time.Hour))
	if err != nil || !slices.Equal(got.From, []mailbox.UID{1, 4, 5}) || !slices.Equal(got.To, []mailbox.UID{8, 9, 10}) {
		t.Errorf("the others: %+v: %v", got, err)
	}
	if got, err := m.Unexpunge(t.Context(), "", id, mailbox.UIDSet{}, time.Time{}); err != nil || len(got.To) != 0 {
		t.Errorf("twice: %+v: %v", got, err)
	}
	v, err := m.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{2, 1, 0, 3, 4} {
		r := v.Records[i]
		if bytesOf(t, m, id, r) != mailText(n) || r.ModSeq <= before || i > 0 && r.Flags.String() != "$Work" {
			t.Errorf("UID %d is %+v", r.UID, r)
		}
	}
	verify(t, s, user1)
	if n, err := m.Forget(t.Context(), now); err != nil || n != 5 {
		t.Errorf("forgot %d: %v", n, err)
	}
	verify(t, s, user1)
	if bytesOf(t, m, id, v.Records[1]) != mailText(1) {
		t.Error("what was brought back went with the expunged record")
	}
	if err := m.SetQuota(t.Context(), Quota{Messages: 5}); err != nil {
		t.Fatal(err)
	}
	appendAndExpunge(t, m, id)
	if err := m.SetQuota(t.Context(), Quota{Messages: 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Unexpunge(t.Context(), "", id, mailbox.UIDSet{}, time.Time{}); !errors.Is(err, ErrOverQuota) {
		t.Errorf("over quota: %v", err)
	}
}

// appendAndExpunge expunges UID 7 for another message to come and go.
func appendAndExpunge(t *testing.T, m *Mail, id mailbox.ID) {
	t.Helper()
	all := mailbox.UIDs(7)
	if _, err := m.StoreFlags(t.Context(), "", id, all, AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Expunge(t.Context(), "", id, &all); err != nil {
		t.Fatal(err)
	}
}

// TestUnearthForgotten: what was forgotten while its mailbox was deleted is not kept from a
// client that comes back for it.
func TestUnearthForgotten(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	o.RetainDeleted = true
	s, m := newStore(t, o)
	box, err := m.Create(t.Context(), "", "Work", "")
	if err != nil {
		t.Fatal(err)
	}
	appendText(t, m, box.ID, mailText(1), `\Deleted`)
	appendText(t, m, box.ID, mailText(2))
	known := named(t, m, "Work").HighestModSeq
	if _, _, err := m.Expunge(t.Context(), "", box.ID, nil); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	if err := m.Delete(t.Context(), "", box.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Forget(t.Context(), now); err != nil || n != 1 {
		t.Fatalf("forgot %d: %v", n, err)
	}
	if _, err := m.Unearth(t.Context(), "", box.ID, ""); err != nil {
		t.Fatal(err)
	}
	if h, err := m.Horizon(t.Context(), box.ID); err != nil || h <= known {
		t.Errorf("the horizon is %d, the client knows %d and a message that is gone: %v", h, known, err)
	}
	verify(t, s, user1)
}

// TestUnearth deletes mailboxes, brings them back as they were, and forgets them.
func TestUnearth(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	o.RetainDeleted = true
	s, m := newStore(t, o)
	box, err := m.Create(t.Context(), "", "Work/Old", "")
	if err != nil {
		t.Fatal(err)
	}
	rec := appendText(t, m, box.ID, mailText(1), "$Work")
	appendText(t, m, box.ID, mailText(2), `\Deleted`)
	if _, _, err := m.Expunge(t.Context(), "", box.ID, nil); err != nil {
		t.Fatal(err)
	}
	before := named(t, m, "Work/Old")
	_, used, err := m.Quota(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(t.Context(), "", box.ID); err != nil {
		t.Fatal(err)
	}
	verify(t, s, user1)
	if _, now, err := m.Quota(t.Context()); err != nil || now.Messages != used.Messages-1 {
		t.Errorf("a deleted mailbox counts: %+v: %v", now, err)
	}
	if _, err := m.View(t.Context(), box.ID); !errors.Is(err, ErrNoMailbox) {
		t.Errorf("a deleted mailbox can be read: %v", err)
	}
	again, err := m.Create(t.Context(), "", "Work/Old", "")
	if err != nil || again.UIDValidity <= before.UIDValidity {
		t.Fatalf("made anew: %+v: %v", again, err)
	}
	list, err := m.DeletedMailboxes(t.Context())
	if err != nil || len(list) != 1 || list[0].State.ID != box.ID || list[0].State.Counts.Exists != 1 {
		t.Fatalf("deleted: %+v: %v", list, err)
	}
	if _, err := m.Unearth(t.Context(), "", box.ID, ""); !errors.Is(err, ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	back, err := m.Unearth(t.Context(), "", box.ID, "Found/Again")
	if err != nil || back.UIDValidity != before.UIDValidity || back.UIDNext != before.UIDNext || back.Counts != before.Counts || back.Checksum != before.Checksum {
		t.Errorf("back: %+v, was %+v: %v", back, before, err)
	}
	if bytesOf(t, m, box.ID, rec) != mailText(1) {
		t.Error("other bytes")
	}
	verify(t, s, user1)
	if _, err := m.Unearth(t.Context(), "", box.ID, ""); !errors.Is(err, ErrNoMailbox) {
		t.Errorf("twice: %v", err)
	}

	if err := m.Delete(t.Context(), "", box.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Forget(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if list, err := m.DeletedMailboxes(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("forgotten too early: %+v: %v", list, err)
	}
	now = now.Add(time.Minute)
	if _, err := m.Forget(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	verify(t, s, user1)
	if list, err := m.DeletedMailboxes(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("deleted: %+v: %v", list, err)
	}
	if got, err := m.Repack(t.Context(), RepackOptions{All: true}); err != nil || got.Bytes == 0 {
		t.Errorf("the bytes of forgotten mailboxes stay: %+v: %v", got, err)
	}
	verify(t, s, user1)
}

// TestTendingKilled kills a store at each step of what tends it: the check finds nothing
// wrong, no message is lost that was not forgotten, and the same can be done again.
func TestTendingKilled(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	o.RetainDeleted = true
	var on func(string)
	o.Step = func(s string) {
		if on != nil {
			on(s)
		}
	}
	s, m := newStore(t, o)
	inbox, junk := named(t, m, Inbox).ID, named(t, m, "Junk").ID
	for n := range 6 {
		appendText(t, m, inbox, sized(n, 800))
		appendText(t, m, junk, sized(100+n, 800))
	}
	if err := m.SetSetting(t.Context(), junk, SettingExpire, &Age{}); err != nil {
		t.Fatal(err)
	}
	tend := func(m *Mail) error {
		_, err := m.Expire(t.Context())
		if err == nil {
			_, err = m.Unexpunge(t.Context(), "", junk, mailbox.UIDs(1, 2), time.Time{})
		}
		if err == nil {
			err = m.Delete(t.Context(), "", junk)
		}
		if err == nil {
			_, err = m.Unearth(t.Context(), "", junk, "Back")
		}
		if err == nil {
			_, err = m.Archive(t.Context(), ArchiveOptions{All: true})
		}
		if err == nil {
			_, err = m.SaveDatabase(t.Context())
		}
		return err
	}
	states := killAtSteps(t, o, &on, func() {
		if err := tend(m); err != nil {
			t.Error(err)
		}
		if err := s.Repair(t.Context(), user1, func(line string) { t.Errorf("repair of whole mail: %s", line) }); err != nil {
			t.Error(err)
		}
	})
	for _, k := range states {
		s, m := openFor(t, k.o)
		verify(t, s, user1)
		for n := range 12 {
			body := sized(n%6+n/6*100, 800)
			c, err := m.OpenGUID(t.Context(), mailbox.GUIDOf([]byte(body)))
			if err != nil {
				t.Fatalf("killed at %q: message %d: %v", k.step, n, err)
			}
			c.Close()
		}
		if err := tend(m); err != nil && !errors.Is(err, ErrNoMailbox) && !errors.Is(err, ErrExists) {
			t.Errorf("killed at %q: again: %v", k.step, err)
		}
		verify(t, s, user1)
		m.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(states) < 20 {
		t.Errorf("only %d states", len(states))
	}
	t.Logf("%d states", len(states))
}
