package mailstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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

// lostBoth makes two slots that have the same messages, and lose mail.db and its copies, both.
func lostBoth(t *testing.T) (a, b *side) {
	t.Helper()
	a, b = newSide(t, "a", true), newSide(t, "b", false)
	a.deliver(t, "Sub: 000\r\n\r\n")
	mustConverge(t, a, b)
	for _, s := range []*side{a, b} {
		s.loseDatabase(t, false)
	}
	return a, b
}

// hasSubject checks that a slot has one message, once or up to most times.
func (s *side) hasSubject(t *testing.T, want string, most int) {
	t.Helper()
	n := 0
	for _, line := range s.everywhere(t) {
		if strings.Contains(line, want) {
			n++
		}
	}
	if n < 1 || n > most {
		t.Errorf("%q is there %d times, want once up to %d times: %q", want, n, most, s.everywhere(t))
	}
}

// TestRecoveredOnBothCrosswise: each of two slots that have nothing but packs merges what the other has, or had before its own
// merge, and neither hears of the other's: both give up the same one of the two records, so that one is left.
func TestRecoveredOnBothCrosswise(t *testing.T) {
	for _, earlier := range []bool{false, true} {
		a, b := lostBoth(t)
		of := a
		if earlier {
			of = newSide(t, "c", false)
			mustReconcile(t, a, of)
		}
		for _, pair := range [][2]*side{{a, b}, {b, of}} {
			if _, _, err := mergeOnly(t.Context(), pair[0], pair[1]); err != nil {
				t.Fatal(err)
			}
			pair[0].hasSubject(t, "Sub: 000", 1)
		}
		mustReconcile(t, a, b)
		b.hasSubject(t, "Sub: 000", 1)
	}
}

// TestRecoveredOnThree: two slots that have nothing but packs meet by a third: whichever comes first, and which ever merges, one of the
// records is left.
func TestRecoveredOnThree(t *testing.T) {
	for _, order := range [][3][2]int{{{0, 2}, {1, 2}, {0, 1}}, {{1, 2}, {0, 2}, {1, 0}}, {{0, 2}, {2, 1}, {1, 0}}, {{2, 0}, {1, 2}, {0, 1}}} {
		a, b := lostBoth(t)
		sides := []*side{a, b, newSide(t, "c", false)}
		for _, pair := range order {
			mustReconcile(t, sides[pair[0]], sides[pair[1]])
		}
		sides[order[2][1]].hasSubject(t, "Sub: 000", 1)
	}
}

// TestRecoveredForWhatGoes: a message of packs does not give way to a record that goes in the same merge: it was delivered once
// more after that was expunged.
func TestRecoveredForWhatGoes(t *testing.T) {
	a, b := newSide(t, "a", true), newSide(t, "b", false)
	a.put(t, "Archive", "Sub: 000\r\n\r\n")
	mustConverge(t, a, b)
	if err := a.m.Delete(t.Context(), "", named(t, a.m, "Archive").ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.m.Forget(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.m.SaveDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.deliver(t, "Sub: 000\r\n\r\n")
	b.deliver(t, "Sub: 001\r\n\r\n")
	a.loseDatabase(t, true)
	a.hasSubject(t, "Sub: 000", 1)
	mustReconcile(t, a, b)
	b.hasSubject(t, "Sub: 000", 1)
}

// TestRecoveredWhereMailboxWent: the other slot deleted the mailbox in which a message of packs lies, of which it
// never heard: mailbox and message stay.
func TestRecoveredWhereMailboxWent(t *testing.T) {
	a, b := newSide(t, "a", true), newSide(t, "b", false)
	a.put(t, "Archive", "Sub: 000\r\n\r\n")
	mustConverge(t, a, b)
	if _, err := a.m.SaveDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.put(t, "Archive", "Sub: 001\r\n\r\n")
	if err := b.m.Delete(t.Context(), "", named(t, b.m, "Archive").ID); err != nil {
		t.Fatal(err)
	}
	a.loseDatabase(t, true)
	a.hasSubject(t, "Sub: 001", 1)
	mustReconcile(t, a, b)
	b.hasSubject(t, "Sub: 001", 1)
}

// TestRecoveredAndChangedElsewhere: that a message of packs gave way in a merge is no later than what a third slot has done with
// it before, whatever mod-sequence the merge has.
func TestRecoveredAndChangedElsewhere(t *testing.T) {
	a, b, c, d := newSide(t, "a", true), newSide(t, "b", false), newSide(t, "c", false), newSide(t, "d", false)
	a.deliver(t, "Sub: 000\r\n\r\n")
	mustConverge(t, a, b)
	a.deliver(t, "Sub: 001\r\n\r\n") // nobody else has it: so the mailbox of both stays
	for range 3 {                    // so that the merge with b has a high mod-sequence
		mustReconcile(t, b, d)
		d.put(t, "Sent", "Sub: 002\r\n\r\n")
		mustReconcile(t, d, b)
		b.put(t, "Sent", "Sub: 003\r\n\r\n")
	}
	inbox := named(t, a.m, Inbox).ID
	a.loseDatabase(t, false)
	mustReconcile(t, a, c)
	box := named(t, c.m, Recovered+Separator+string(inbox))
	v, err := c.m.View(t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range v.Records {
		c.store(t, box.ID, r.UID, `\Flagged`)
	}
	if _, _, err := mergeOnly(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	if got, want := a.everywhere(t), []string{`INBOX "Sub: 000\r\n" `, box.Name + ` "Sub: 001\r\n" `}; !slices.Equal(got[:2], want) {
		t.Fatalf("there is %q, want %q", got, want)
	}
	mustReconcile(t, a, c)
	if got, want := c.everywhere(t), box.Name+` "Sub: 000\r\n" \Flagged`; !slices.Contains(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
}
