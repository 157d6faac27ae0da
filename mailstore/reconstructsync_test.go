package mailstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"teraslot/disk"
	"teraslot/mailbox"
)

// loseDatabase loses a slot's mail.db, and makes it anew: of its copy and the packs, or of the packs alone.
func (s *side) loseDatabase(t *testing.T, copied bool) {
	t.Helper()
	s.m.Release()
	o := s.s.o
	saved, err := s.s.savedPath(user1)
	if err = errors.Join(err, s.s.Close(), removeDatabase(disk.OS(), o.DatabaseFile(user1))); err == nil && !copied {
		err = removeDatabase(disk.OS(), saved)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.s, err = Open(t.Context(), o); err == nil {
		err = s.s.Reconstruct(t.Context(), user1, ReconstructOptions{}, func(string) {})
	}
	if err == nil {
		s.m, err = s.s.Acquire(t.Context(), user1)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// everywhere lists the live messages of a slot: mailbox, subject and flags.
func (s *side) everywhere(t *testing.T) (out []string) {
	t.Helper()
	all, err := s.m.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range all {
		v, err := s.m.View(t.Context(), st.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range v.Records {
			out = append(out, fmt.Sprintf("%s %.10q %s", st.Name, bytesOf(t, s.m, st.ID, r), r.Flags))
		}
	}
	slices.Sort(out)
	return out
}

// move moves a message of the INBOX to the archive.
func (s *side) move(t *testing.T, uid mailbox.UID) {
	t.Helper()
	if _, err := s.m.Move(t.Context(), "", named(t, s.m, Inbox).ID, mailbox.UIDs(uid), named(t, s.m, "Archive").ID); err != nil {
		t.Fatal(err)
	}
}

// TestReconstructedSlotIsSynced: a slot whose mail.db was made anew, of its copy or of the packs alone, has again what the other slot
// has, each message once and with its flags, in its mailbox. What was expunged does not come back, and what only
// this slot had is kept.
func TestReconstructedSlotIsSynced(t *testing.T) {
	for _, copied := range []bool{true, false} {
		for _, who := range []string{"master", "replica"} {
			t.Run(fmt.Sprintf("%s, copy %v", who, copied), func(t *testing.T) {
				a, b := newSide(t, "a", true), newSide(t, "b", false)
				lost := map[string]*side{"master": a, "replica": b}[who]
				for i := range 10 {
					a.deliver(t, fmt.Sprintf("Sub: %03d\r\n\r\n", i))
				}
				inbox := named(t, a.m, Inbox).ID
				mustConverge(t, a, b)
				if _, err := lost.m.SaveDatabase(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i := range 10 {
					a.deliver(t, fmt.Sprintf("Sub: 1%02d\r\n\r\n", i))
				}
				for _, first := range []mailbox.UID{1, 11} { // before the copy, and after it
					a.store(t, inbox, first, `\Seen`)
					a.remove(t, inbox, first+1)
					a.move(t, first+2)
				}
				mustConverge(t, a, b)
				want := a.everywhere(t)
				if who == "master" {
					a.deliver(t, "Sub: 200\r\n\r\n") // nobody else has it
				}
				lost.loseDatabase(t, copied)
				mustReconcile(t, a, b)
				mustReconcile(t, a, b)
				got := b.everywhere(t)
				if who == "master" {
					i := slices.IndexFunc(got, func(s string) bool { return strings.Contains(s, "Sub: 200") })
					if i < 0 {
						t.Errorf("what nobody else had is lost")
					} else {
						got = slices.Delete(got, i, i+1)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("there is\n%q, want\n%q", got, want)
				}
				if now := named(t, b.m, Inbox); now.ID != inbox {
					t.Errorf("INBOX is another one: %+v", now)
				}
			})
		}
	}
}

// TestBothSlotsMadeOfPacks: where both slots have nothing but their packs, neither gives up a message for the other's sake, and
// what a client has done with one since counts.
func TestBothSlotsMadeOfPacks(t *testing.T) {
	a, b := newSide(t, "a", true), newSide(t, "b", false)
	for i := range 4 {
		a.deliver(t, fmt.Sprintf("Sub: %03d\r\n\r\n", i))
	}
	inbox := named(t, a.m, Inbox).ID
	mustConverge(t, a, b)
	a.remove(t, inbox, 1) // b has not heard of it
	for _, s := range []*side{a, b} {
		s.loseDatabase(t, false)
	}
	mustReconcile(t, a, b)
	for i := range 4 {
		want := fmt.Sprintf("Sub: %03d", i)
		if got := a.everywhere(t); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s is nowhere: %q", want, got)
		}
	}
}

// TestRecoveredAndChanged: a message of packs that was expunged on the other slot stays, under another UID, once somebody has
// changed it here; the mailbox it lies in stays with it.
func TestRecoveredAndChanged(t *testing.T) {
	a, b := newSide(t, "a", true), newSide(t, "b", false)
	for i := range 3 {
		a.deliver(t, fmt.Sprintf("Sub: %03d\r\n\r\n", i))
	}
	inbox := named(t, a.m, Inbox).ID
	a.remove(t, inbox, 2)
	a.remove(t, inbox, 3)
	mustConverge(t, a, b)
	a.loseDatabase(t, false)
	box := named(t, a.m, Recovered+Separator+string(inbox))
	a.store(t, box.ID, 3, `\Flagged`)
	mustReconcile(t, a, b)
	want := []string{`INBOX "Sub: 000\r\n" `, box.Name + ` "Sub: 002\r\n" \Flagged`}
	if got := b.everywhere(t); !slices.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
}
