package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"teraslot/mailstore"
)

// TestRestoreUserAsDuringRepack: a generation that was made while a pack was rewritten takes
// the new pack for one that was never finished. In the slot it holds mail by now, also
// that of the mail.db that the restore sets aside, and must stay.
func TestRestoreUserAsDuringRepack(t *testing.T) {
	w := newWorld(t)
	var g *Generation
	w.close()
	w.slot.Step = func(step string) {
		if step == mailstore.StepRepackWritten && g == nil {
			_, g = w.backup()
		}
	}
	w.open()
	w.add(anna, "INBOX", 9)
	w.remove(anna, "INBOX", 1, 3, 5)
	var before, after string
	w.mail(anna, func(m *mailstore.Mail) { before = state(t, m) })
	w.repack(anna)
	w.mail(anna, func(m *mailstore.Mail) { after = state(t, m) })
	if g == nil || before != after {
		t.Fatal("no generation was made during the repack")
	}
	w.close()
	u, err := g.User(string(anna))
	w.check(err)
	done, err := w.repository(w.options()).RestoreUser(context.Background(), u, w.slot)
	w.check(err)
	w.open()
	w.mail(anna, func(m *mailstore.Mail) {
		if got := state(t, m); got != before {
			t.Errorf("restored:\n%s\nwant\n%s", got, before)
		}
	})
	w.verifyMail()
	// What was there is there under its other names, and would serve again.
	w.close()
	path := w.slot.DatabaseFile(anna)
	for _, name := range done.Aside {
		if filepath.Dir(name) == filepath.Dir(path) {
			base := filepath.Base(name)
			w.check(os.Rename(name, filepath.Join(filepath.Dir(path), base[:len(base)-len(".before-20060102T150405Z")])))
		}
	}
	w.open()
	w.mail(anna, func(m *mailstore.Mail) {
		if got := state(t, m); got != before {
			t.Errorf("the mail.db that was set aside lost mail:\n%s\nwant\n%s", got, before)
		}
	})
}

// TestSameClockTwice: mail that is restored twice, with the clock set back in between,
// and goes on in two ways is told apart by the backup.
func TestSameClockTwice(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 3)
	_, g := w.backup()
	u, err := g.User(string(anna))
	w.check(err)
	at := w.now
	seen := map[string]bool{}
	for range 3 {
		w.close()
		w.now = at // the clock says the same each time
		_, err := w.repository(w.options()).RestoreUser(context.Background(), u, w.slot)
		w.check(err)
		w.check(aside(w, at))
		w.open()
		w.mail(anna, func(m *mailstore.Mail) {
			now, err := m.Look(context.Background())
			w.check(err)
			seen[fingerprint(now)] = true
		})
	}
	if len(seen) != 3 {
		t.Errorf("%d of 3 states are told apart", len(seen))
	}
}

// aside removes what a restore of that moment set aside.
func aside(w *world, at time.Time) error {
	var errs []error
	for _, root := range []string{w.slot.Conf, w.slot.Spool, w.slot.Archive} {
		names, err := filepath.Glob(filepath.Join(root, anna.Dir(), "*.before-"+at.UTC().Format(timeLayout)))
		errs = append(errs, err)
		for _, name := range names {
			errs = append(errs, os.Remove(name))
		}
	}
	return errors.Join(errs...)
}

// TestClockAhead: a clock that runs ahead for a while takes no generations away but those
// that go by number, and backups go on when it is right again.
func TestClockAhead(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		w.add(anna, "INBOX", 1)
		w.backup()
	}
	right := w.now
	w.now = w.now.AddDate(10, 0, 0)
	w.add(anna, "INBOX", 1)
	w.backup()
	if p := w.prune(Keep{Age: 30 * 24 * time.Hour}); p.Generations != 3 {
		t.Errorf("%+v", p)
	}
	sound(t, w.repo, 3)
	w.now = right
	w.add(anna, "INBOX", 1)
	_, g := w.backup()
	if !g.Time.Equal(w.now) {
		t.Errorf("made at %v: %v", w.now, g.Time)
	}
	w.prune(Keep{Age: 30 * 24 * time.Hour})
	sound(t, w.repo, 4)
	if got := statesIn(t, w.repo, g)[anna]; got != w.states()[anna] {
		t.Errorf("the generation after the clock was set back has\n%s", got)
	}
}
