package mailstore

import (
	"errors"
	"testing"

	"teraslot/mailbox"
)

// TestNothingIsAdoptedAfterRenewal: a UIDVALIDITY that was taken over after the copy, by a
// mailbox to which messages were only copied, is in no pack and in no copy. Since it
// may have been any, none is taken over any more; a mailbox that had it in the copy
// goes on.
func TestNothingIsAdoptedAfterRenewal(t *testing.T) {
	for _, withCopy := range []bool{true, false} {
		p := newPatient(t)
		ctx := t.Context()
		adopt := func(name string, v mailbox.UIDValidity) error {
			t.Helper()
			st, err := p.m.MailboxNamed(ctx, name)
			if errors.Is(err, ErrNoMailbox) {
				st, err = p.m.Create(ctx, "", name, "")
			}
			if err != nil {
				t.Fatal(err)
			}
			could := p.m.Adoptable(ctx, st.ID, Origin{UIDValidity: v})
			_, err = p.m.Adopt(ctx, "", st.ID, Origin{UIDValidity: v})
			if (could == nil) != (err == nil) {
				t.Errorf("%s could adopt: %v, did: %v", name, could, err)
			}
			return err
		}
		if err := adopt("Before", 77); err != nil {
			t.Fatal(err)
		}
		if _, err := p.m.SaveDatabase(ctx); err != nil {
			t.Fatal(err)
		}
		if err := adopt("After", 78); err != nil {
			t.Fatal(err)
		}
		if _, err := p.m.Copy(ctx, "", p.inbox, mailbox.UIDs(1, 2), named(t, p.m, "After").ID); err != nil {
			t.Fatal(err)
		}
		lost := []string{p.s.databasePath(user1)}
		if !withCopy {
			lost = append(lost, savedOf(t, p.s))
		}
		p.lose(t, lost...)
		if err := p.s.Reconstruct(ctx, user1, ReconstructOptions{}, func(string) {}); err != nil {
			t.Fatal(err)
		}
		p.m = acquireUnreleased(t, p.s)
		for name, v := range map[string]mailbox.UIDValidity{"After": 78, "Other": 79} {
			if err := adopt(name, v); !errors.Is(err, ErrUIDValidity) {
				t.Errorf("copy %v: %s took over %d: %v", withCopy, name, v, err)
			}
		}
		if withCopy {
			if err := adopt("Before", 77); err != nil {
				t.Errorf("what had it in the copy does not go on: %v", err)
			}
		}
		verify(t, p.s, user1)
	}
}

// acquireUnreleased is acquire for whoever releases it himself.
func acquireUnreleased(t *testing.T, s *Store) *Mail {
	t.Helper()
	m, err := s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
