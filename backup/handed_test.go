package backup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// give gives a mailbox of one user to another.
func (w *world) give(from, to mailbox.User, id mailbox.ID) {
	w.t.Helper()
	w.mail(to, func(theirs *mailstore.Mail) {
		w.mail(from, func(ours *mailstore.Mail) {
			st, err := ours.Mailbox(context.Background(), id)
			w.check(err)
			w.check(ours.HandOver(context.Background(), id, theirs, st.Name, func(*mailstore.Handover) error { return nil }))
		})
	})
}

// whose are the users who have a mailbox of a store, and how many messages it has with the last of them.
func whose(t *testing.T, o mailstore.Options, id mailbox.ID) (out []mailbox.User, messages int) {
	t.Helper()
	s, err := mailstore.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	users, err := s.Users(context.Background())
	for _, u := range users {
		if err != nil {
			break
		}
		m, err2 := s.Acquire(context.Background(), u)
		if err = err2; err != nil {
			break
		}
		v, err2 := m.View(context.Background(), id)
		if err2 == nil {
			out, messages = append(out, u), len(v.Records)
			for _, o := range m.OpenAll(context.Background(), id, v.Records) {
				if err = errors.Join(err, o.Err); o.Content != nil {
					err = errors.Join(err, o.Content.Close())
				}
			}
		} else if !errors.Is(err2, mailstore.ErrNoMailbox) {
			err = err2
		}
		m.Release()
	}
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return out, messages
}

// restored puts the latest generation back as a slot of its own.
func (w *world) restored() mailstore.Options {
	w.t.Helper()
	r := w.repository(w.options())
	g, err := r.Generation("")
	w.check(err)
	to := slotBelow(filepath.Join(w.dir, fmt.Sprintf("restored%d", w.n)))
	to.Now = w.slot.Now
	w.n++
	_, err = r.RestoreSlot(context.Background(), g, to, filepath.Join(to.Conf, "slot.db"), nil)
	w.check(err)
	return to
}

// shared makes a mailbox of three messages.
func (w *world) shared(u mailbox.User) (id mailbox.ID) {
	w.t.Helper()
	w.add(u, "shared", 3)
	w.mail(u, func(m *mailstore.Mail) {
		st, err := m.MailboxNamed(context.Background(), "shared")
		w.check(err)
		id = st.ID
	})
	return id
}

// TestBackupBesideHandOver: mailboxes that change their owner at any step of a backup, once or several times, are restored
// with one user and whole.
func TestBackupBesideHandOver(t *testing.T) {
	other := map[mailbox.User]mailbox.User{anna: brong, brong: anna}
	for _, first := range []mailbox.User{anna, brong} {
		for _, times := range []int{1, 2} {
			for step := 0; ; step++ {
				w := newWorld(t)
				w.add(anna, "INBOX", 2)
				w.add(brong, "INBOX", 2)
				id := w.shared(first)
				w.backup() // whose copies the next goes on with
				w.add(brong, "INBOX", 1)
				n, owner := 0, first
				o := w.options()
				o.Step = func(at string) {
					if at != StepRecordsWritten && at != StepUserDone {
						return
					}
					if n++; n > step && n <= step+times {
						w.give(owner, other[owner], id)
						owner = other[owner]
					}
				}
				_, err := w.repository(o).Run(t.Context(), w.source())
				w.check(err)
				if got, messages := whose(t, w.restored(), id); len(got) != 1 || messages != 3 {
					t.Errorf("given %d times by %s.. from step %d of %d: %q have it, with %d messages", times, first[:4], step, n, got, messages)
				}
				if times == 1 {
					sound(t, w.repo, 2)
				}
				w.close()
				if step > n {
					break
				}
			}
		}
	}
}

// TestBackupWithinHandOver: a backup of another process at any step of a hand-over, and one that a crash leaves between its two
// transactions, is restored with one owner.
func TestBackupWithinHandOver(t *testing.T) {
	for _, from := range []mailbox.User{anna, brong} {
		w := newWorld(t)
		id := w.shared(from)
		w.close()
		steps, on := 0, false
		w.slot.Step = func(step string) {
			if !on {
				return
			}
			on = false // of what is done now, no step
			defer func() { on = true }()
			steps++
			o := w.slot
			o.Step, o.ReadOnly = nil, true
			s, err := mailstore.Open(context.Background(), o)
			w.check(err)
			src := w.source()
			src.Store = s
			w.now = w.now.Add(1e9)
			_, err = w.repository(w.options()).Run(context.Background(), src)
			w.check(errors.Join(err, s.Close()))
			if got, messages := whose(t, w.restored(), id); len(got) != 1 || messages != 3 {
				t.Errorf("given by %s.., copied at step %d, %q: %q have it, with %d messages", from[:4], steps, step, got, messages)
			}
		}
		w.open()
		on = true
		w.give(from, map[mailbox.User]mailbox.User{anna: brong, brong: anna}[from], id)
		on = false
		if steps < 3 {
			t.Errorf("%d steps", steps)
		}
		w.close()
	}
}

// TestRestoreUserAroundHandOver: where one of two users is put back from before a mailbox changed its owner, it is with the one who
// has it as it was, with both if it has changed since, and told of if nobody has it.
func TestRestoreUserAroundHandOver(t *testing.T) {
	for name, tc := range map[string]struct {
		back           mailbox.User // who is put back
		changed        bool         // by the new owner
		want           []mailbox.User
		twice, nowhere []Stray
	}{
		"the giver":                        {back: anna, want: []mailbox.User{brong}},
		"the giver, and it has changed":    {back: anna, changed: true, want: []mailbox.User{anna, brong}, twice: []Stray{{"", brong}}},
		"the one who got it":               {back: brong, nowhere: []Stray{{"", anna}}},
		"the one who got it, with changes": {back: brong, changed: true, nowhere: []Stray{{"", anna}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.shared(anna)
			_, g := w.backup()
			w.give(anna, brong, id)
			if tc.changed {
				w.add(brong, "shared", 1)
			}
			w.close()
			r := w.repository(w.options())
			u, err := g.User(string(tc.back))
			w.check(err)
			got, err := r.RestoreUser(t.Context(), u, w.slot)
			w.check(err)
			for _, all := range [][]Stray{tc.twice, tc.nowhere} {
				for i := range all {
					all[i].Mailbox = id
				}
			}
			if !slices.Equal(got.Twice, tc.twice) || !slices.Equal(got.Nowhere, tc.nowhere) {
				t.Errorf("twice %v, nowhere %v", got.Twice, got.Nowhere)
			}
			if have, _ := whose(t, w.slot, id); !slices.Equal(have, tc.want) {
				t.Errorf("%q have it", have)
			}
			if name, err := r.NameOf(t.Context(), g, anna, id); err != nil || name != "shared" {
				t.Errorf("it was called %q, %v", name, err)
			}
		})
	}
}
