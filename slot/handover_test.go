package slot

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// copySlot copies what a slot has on its disk to the place of another, as a kill would leave it.
func copySlot(from, to *Config) error {
	src, dst := filepath.Dir(from.Conf), filepath.Dir(to.Conf)
	return filepath.WalkDir(src, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil || e.Type()&fs.ModeSocket != 0 {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(dst, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // a temporary file
			return nil
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dst, rel), b, 0o600)
		}
		return err
	})
}

// owners are the users who have a mailbox, and its live records.
func owners(t *testing.T, s *Slot, id mailbox.ID) (names []string, records []mailbox.Record) {
	t.Helper()
	for _, name := range []string{"anna", "brong"} {
		err := s.withMail(t.Context(), name, func(m *mailstore.Mail) error {
			v, err := m.View(t.Context(), id)
			if errors.Is(err, mailstore.ErrNoMailbox) {
				return nil
			}
			names, records = append(names, name), v.Records
			for _, r := range v.Records {
				c, err2 := m.Open(t.Context(), id, r)
				if err2 == nil {
					err2 = c.Close()
				}
				err = errors.Join(err, err2)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		err = s.verify(t.Context(), name, func(f Finding) { t.Errorf("verify: %+v", f) })
		if err != nil {
			t.Error(err)
		}
	}
	return names, records
}

// TestGiveMailbox: a mailbox goes to another user, searches find its messages there and no longer here, and a kill at any
// step leaves it with one of the two, whole.
func TestGiveMailbox(t *testing.T) {
	var c *Config
	var copies []*Config
	var at []string
	on := false
	c = newConfig(t, "")
	c.Hooks.Step = func(step string) {
		if !on || !strings.HasPrefix(step, "mailstore: ") && !strings.HasPrefix(step, "slot: ") {
			return
		}
		to := newConfig(t, "")
		if err := copySlot(c, to); err != nil {
			t.Error(err)
		}
		copies, at = append(copies, to), append(at, step)
	}
	r := start(t, c, Options{})
	r.addUser("anna")
	r.addUser("brong")
	for n := range 5 {
		if err := r.deliver(letterOf(n), "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	var id mailbox.ID
	err := r.withMail(t.Context(), "anna", func(m *mailstore.Mail) error {
		ctx := t.Context()
		inbox, err := m.MailboxNamed(ctx, "INBOX")
		if err != nil {
			return err
		}
		work, err := m.Create(ctx, "", "work", "")
		if err != nil {
			return err
		}
		id = work.ID
		_, err = m.Copy(ctx, "", inbox.ID, mailbox.UIDRange(1, 5), work.ID)
		_, err2 := m.Move(ctx, "", work.ID, mailbox.UIDRange(2, 2), inbox.ID)
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, before := owners(t, r.Slot, id)
	on = true
	err = r.client.GiveMailbox(t.Context(), GiveMailbox{User: "anna", Mailbox: "work", To: "brong", Name: "shared"})
	on = false
	if err != nil {
		t.Fatal(err)
	}
	alike := func(a, b mailbox.Record) bool {
		a.ModSeq, a.CreatedModSeq, a.Num = b.ModSeq, b.CreatedModSeq, b.Num
		return a == b
	}
	if names, now := owners(t, r.Slot, id); !slices.Equal(names, []string{"brong"}) || !slices.EqualFunc(before, now, alike) {
		t.Errorf("%q have it, with %+v, which was %+v", names, now, before)
	}
	r.indexAll()
	brong, err := r.login("brong", "secret")
	if err != nil {
		t.Fatal(err)
	}
	defer brong.Close()
	if _, err := brong.Select("shared", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := brong.UIDSearch(&imap.SearchCriteria{Text: []string{"heron"}}, nil).Wait()
	if err != nil || len(found.AllUIDs()) != 4 {
		t.Errorf("%v are found, %v, of 4", found, err)
	}
	if _, err := os.Stat(c.HandoverFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file that names what is on its way: %v", err)
	}
	for _, step := range []string{"slot: " + stepHandoverBegun, "mailstore: " + mailstore.StepTaken, "slot: " + stepHandedOver, "mailstore: " + mailstore.StepCommitted} {
		if !slices.Contains(at, step) {
			t.Errorf("there was no step %q among %q", step, at)
		}
	}
	for i, killed := range copies {
		afterKill(t, at[i], killed, id, before)
	}
}

// afterKill opens what a kill has left, looks, and gives the mailbox away if the kill came too early for that.
func afterKill(t *testing.T, step string, c *Config, id mailbox.ID, before []mailbox.Record) {
	t.Helper()
	s, err := Open(context.Background(), c, Options{Offline: true})
	if err != nil {
		t.Fatalf("killed at %q: %v", step, err)
	}
	names, now := owners(t, s, id)
	if len(names) != 1 || len(now) != len(before) {
		t.Errorf("killed at %q, %q have it, with %d messages of %d", step, names, len(now), len(before))
	}
	if slices.Equal(names, []string{"anna"}) {
		if err := s.giveMailbox(t.Context(), GiveMailbox{User: "anna", Mailbox: "work", To: "brong"}); err != nil {
			t.Errorf("killed at %q, once more: %v", step, err)
		}
		if names, now = owners(t, s, id); !slices.Equal(names, []string{"brong"}) || len(now) != len(before) {
			t.Errorf("killed at %q, once more: %q have it, with %d messages", step, names, len(now))
		}
	}
	if _, err := os.Stat(c.HandoverFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("killed at %q, the file stays: %v", step, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestGiveMailboxRefused: to and of nobody, of what is not there, and by what is no file of ours.
func TestGiveMailboxRefused(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	r.addUser("brong")
	for name, g := range map[string]GiveMailbox{
		"of nobody":   {User: "carla", Mailbox: "Sent", To: "anna", Name: "x"},
		"to nobody":   {User: "anna", Mailbox: "Sent", To: "carla", Name: "x"},
		"no mailbox":  {User: "anna", Mailbox: "work", To: "brong"},
		"taken there": {User: "anna", Mailbox: "Sent", To: "brong"},
		"to himself":  {User: "anna", Mailbox: "Sent", To: "anna", Name: "x"},
		"the INBOX":   {User: "anna", Mailbox: "inbox", To: "brong", Name: "x"},
	} {
		if err := r.client.GiveMailbox(t.Context(), g); err == nil {
			t.Errorf("%s: given", name)
		}
		if _, err := os.Stat(c.HandoverFile()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the file stays: %v", name, err)
		}
	}
	if err := os.WriteFile(c.HandoverFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.client.GiveMailbox(t.Context(), GiveMailbox{User: "anna", Mailbox: "Sent", To: "brong", Name: "x"}); err == nil || !strings.Contains(err.Error(), "handover") {
		t.Errorf("with a damaged file: %v", err)
	}
}

// TestGiveMailboxBesideRemoval: at whatever step of a hand-over the removal of one of both users begins, the mailbox is not lost with a
// user to whom it had not come yet, and goes with the giver only if it had not left him.
func TestGiveMailboxBesideRemoval(t *testing.T) {
	for _, leaves := range []string{"anna", "brong"} {
		for at := 0; ; at++ {
			n, begun := 0, false
			ends := make(chan error, 1)
			disabled := make(chan struct{})
			var r *running
			c := newConfig(t, "")
			on := false
			c.Hooks.Step = func(step string) {
				if step == "slot: "+stepAccountDisabled {
					close(disabled)
				}
				if !on || step != "mailstore: "+mailstore.StepCommitted && step != "mailstore: "+mailstore.StepTaken && step != "slot: "+stepHandoverBegun {
					return
				}
				begun = begun || step == "slot: "+stepHandoverBegun
				if n++; n != at+1 {
					return
				}
				on = false
				go func() { ends <- r.removeUser(context.Background(), leaves) }()
				if !begun {
					<-disabled // so far it comes at once
				}
				on = true
			}
			r = start(t, c, Options{})
			r.addUser("anna")
			r.addUser("brong")
			if err := r.deliver(letterOf(1), "anna@example.org"); err != nil {
				t.Fatal(err)
			}
			var id mailbox.ID
			err := r.withMail(t.Context(), "anna", func(m *mailstore.Mail) error {
				inbox, err := m.MailboxNamed(t.Context(), "INBOX")
				if err != nil {
					return err
				}
				work, err := m.Create(t.Context(), "", "work", "")
				if err != nil {
					return err
				}
				id = work.ID
				_, err = m.Copy(t.Context(), "", inbox.ID, mailbox.UIDRange(1, 1), work.ID)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			anna, err := r.accounts.Lookup(t.Context(), "anna")
			if err != nil {
				t.Fatal(err)
			}
			on = true
			given := r.giveMailbox(t.Context(), GiveMailbox{User: "anna", Mailbox: "work", To: "brong"})
			on = false
			if n <= at {
				if at < 3 {
					t.Errorf("%d steps", n)
				}
				break
			}
			if err := <-ends; err != nil {
				t.Errorf("removal of %s at step %d: %v", leaves, at, err)
			}
			stays := map[string]string{"anna": "brong", "brong": "anna"}[leaves]
			var has bool
			err = r.withMail(t.Context(), stays, func(m *mailstore.Mail) error {
				v, err := m.View(t.Context(), id)
				if errors.Is(err, mailstore.ErrNoMailbox) {
					return nil
				}
				has = len(v.Records) == 1
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			// The giver has it if it was not given, and the other one if it was.
			if has != ((given == nil) == (stays == "brong")) || given == nil && !begun {
				t.Errorf("removal of %s at step %d: given %v; %s has it: %v", leaves, at, given, stays, has)
			}
			if leaves == "anna" && given == nil {
				e, err := r.accounts.Entry(t.Context(), anna.ID)
				heirs, err2 := e.Heirs()
				if err := errors.Join(err, err2); err != nil || len(heirs) != 1 || heirs[0].Mailbox != id {
					t.Errorf("step %d: who got his mailbox: %v, %v", at, heirs, err)
				}
			}
			if _, err := os.Stat(c.HandoverFile()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("removal of %s at step %d: the file stays: %v", leaves, at, err)
			}
		}
	}
}
