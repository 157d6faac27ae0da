package mailstore

import (
	"errors"
	"os"
	"testing"
	"time"

	"teraslot/mailbox"
)

// repackedAround saves mail.db while a repack is under way, lets the repack finish, and
// returns the messages, which are in the pack that the copy takes for half written.
func repackedAround(t *testing.T, o Options) (inbox mailbox.ID, texts []string) {
	t.Helper()
	var m *Mail
	saved := false
	o.Step = func(step string) {
		if step == StepRepackWritten && !saved {
			saved = true
			if _, err := m.SaveDatabase(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	s, m2 := openFor(t, o)
	m = m2
	inbox = named(t, m, Inbox).ID
	var gone []mailbox.UID
	for n := range 6 {
		r := appendText(t, m, inbox, sized(n, 1500))
		if n%2 == 0 {
			gone = append(gone, r.UID)
		} else {
			texts = append(texts, sized(n, 1500))
		}
	}
	if _, err := m.StoreFlags(t.Context(), "", inbox, mailbox.UIDs(gone...), AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Expunge(t.Context(), "", inbox, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Forget(t.Context(), o.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Repack(t.Context(), RepackOptions{All: true}); err != nil || got.Packs != 1 || !saved {
		t.Fatalf("repacked %+v, saved %v: %v", got, saved, err)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return inbox, texts
}

// TestReconstructFromCopyOfRepack: a copy of mail.db that was made during a repack takes the
// new pack for one that was never finished. By now it has the only copy of the mail.
func TestReconstructFromCopyOfRepack(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := partitions(t, &now)
	inbox, texts := repackedAround(t, o)
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := os.Remove(s.databasePath(user1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Reconstruct(t.Context(), user1, ReconstructOptions{}, func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
	m := acquire(t, s, user1)
	v, err := m.View(t.Context(), inbox)
	if err != nil || len(v.Records) != len(texts) {
		t.Fatalf("%d messages of %d: %v", len(v.Records), len(texts), err)
	}
	for i, r := range v.Records {
		if got := bytesOf(t, m, inbox, r); got != texts[i] {
			t.Errorf("UID %d is %.40q", r.UID, got)
		}
	}
	verify(t, s, user1)
}

// TestPackRowDamage: a row of a pack that is wrong makes no message be removed, neither
// when the mail is opened nor by the next delivery; the check finds it, and it is mended.
func TestPackRowDamage(t *testing.T) {
	for _, tc := range []struct{ name, sql string }{
		{"marked as dropped", `UPDATE pack SET state = 2`},
		{"marked as being written", `UPDATE pack SET state = 3`},
		{"ends within a message", `UPDATE pack SET "end" = "end" - 300`},
		{"ends where a message ends", `UPDATE pack SET "end" = (SELECT start FROM content ORDER BY start DESC LIMIT 1)`},
		{"ends at once", `UPDATE pack SET "end" = 0`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDamaged(t, 4)
			d.exec(t, tc.sql)
			d.with(t, func(s *Store, m *Mail, err error) {
				if err != nil {
					t.Fatal(err)
				}
				found := 0
				if err := s.Verify(t.Context(), user1, func(Finding) { found++ }); err != nil || found == 0 {
					t.Errorf("verify: %d findings, %v", found, err)
				}
				d.text[5] = sized(77, 500)
				appendText(t, m, d.inbox, d.text[5])
				d.whole(t, m)
				if err := s.Repair(t.Context(), user1, func(string) {}); err != nil {
					t.Fatal(err)
				}
				d.whole(t, m)
				verify(t, s, user1)
			})
		})
	}
}

// whole reads all messages of INBOX.
func (d damaged) whole(t *testing.T, m *Mail) {
	t.Helper()
	v, err := m.View(t.Context(), d.inbox)
	if err != nil || len(v.Records) != len(d.text) {
		t.Fatalf("%d records of %d, %v", len(v.Records), len(d.text), err)
	}
	for _, r := range v.Records {
		if got := bytesOf(t, m, d.inbox, r); got != d.text[r.UID] {
			t.Errorf("UID %d is %.40q", r.UID, got)
		}
	}
}

// TestReconstructFromOlderSchema: a copy of mail.db by the program before this one is as
// good as any; one by a later program, and another user's, are not.
func TestReconstructFromOlderSchema(t *testing.T) {
	for _, tc := range []struct {
		version int64
		owner   mailbox.User
		want    error
	}{{2, user1, nil}, {schemaVersion, user1, nil}, {schemaVersion + 1, user1, ErrVersion}, {2, "ffffffffffffffffffffffffffffffff", errOwner}} {
		p := newPatient(t)
		p.m.Release()
		p.m = nil
		age(t, savedOf(t, p.s), tc.version)
		if err := checkSaved(savedOf(t, p.s), tc.owner); !errors.Is(err, tc.want) {
			t.Errorf("version %d of %s: %v", tc.version, tc.owner, err)
		}
		if tc.want != nil {
			continue
		}
		if err := p.s.Reconstruct(t.Context(), user1, ReconstructOptions{Force: true}, func(string) {}); err != nil {
			t.Fatal(err)
		}
		st := named(t, acquire(t, p.s, user1), Inbox)
		if st.ID != p.inbox || st.Counts.Exists != 12 {
			t.Errorf("version %d: INBOX is %+v", tc.version, st)
		}
		verify(t, p.s, user1)
	}
}
