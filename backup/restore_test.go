package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// uidnexts are the UIDNEXTs of a user's mailboxes, by name.
func (w *world) uidnexts(u mailbox.User) map[string]mailbox.UID {
	w.t.Helper()
	out := map[string]mailbox.UID{}
	w.mail(u, func(m *mailstore.Mail) {
		boxes, err := m.Mailboxes(context.Background())
		w.check(err)
		for _, b := range boxes {
			out[b.Name] = b.UIDNext
		}
	})
	return out
}

// TestRestoreSlot: after the slot's directory is gone, every message, flag and UID is
// there again, and no UID that was given since the backup is given to another message.
func TestRestoreSlot(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 25, `\Seen`, "keyword")
	w.add(anna, "Lists/Go", 3, `\Flagged`)
	w.add(brong, "INBOX", 2)
	w.remove(anna, "INBOX", 4, 5)
	want := w.states()
	_, g := w.backup()
	w.add(anna, "INBOX", 7) // lost with the disk, and known to clients
	given := w.uidnexts(anna)
	w.close()
	w.check(os.RemoveAll(filepath.Join(w.dir, "slot")))

	r := w.repository(w.options())
	accounts := filepath.Join(w.slot.Conf, "slot.db")
	got, err := r.RestoreSlot(t.Context(), g, w.slot, accounts, nil)
	if err != nil || got.Users != 2 || got.Damaged != 0 || got.Bytes != g.Bytes() {
		t.Fatalf("%+v, %v", got, err)
	}
	if b, err := os.ReadFile(accounts); err != nil || string(b) != accountsText {
		t.Errorf("accounts %q, %v", b, err)
	}
	w.open()
	w.verifyMail()
	if now := w.states(); !maps.Equal(now, want) {
		t.Errorf("%v\nwant\n%v", now, want)
	}
	for name, next := range w.uidnexts(anna) {
		if next < given[name] {
			t.Errorf("%s: UIDNEXT is %d, and %d was given before", name, next, given[name])
		}
	}
	w.add(anna, "INBOX", 10)
	w.verifyMail()
	want = w.states()
	_, g = w.backup()
	if now := statesIn(t, w.repo, g); !maps.Equal(now, want) {
		t.Errorf("the next backup has\n%v\nwant\n%v", now, want)
	}
	sound(t, w.repo, 2)
	if len(w.told) > 0 {
		t.Errorf("reported: %q", w.told)
	}
}

// TestRestoreSlotRefuses what is there, and goes on with its own.
func TestRestoreSlotRefuses(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 12)
	want := w.states()
	_, g1 := w.backup()
	_, g2 := w.backup()
	r := w.repository(w.options())
	accounts := func(o mailstore.Options) string { return filepath.Join(o.Conf, "slot.db") }
	if _, err := r.RestoreSlot(t.Context(), g1, w.slot, accounts(w.slot), nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a slot with mail: %v", err)
	}
	to := slotBelow(filepath.Join(w.dir, "new"))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := r.RestoreSlot(ctx, g1, to, accounts(to), func(Restored) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if _, err := os.Stat(accounts(to)); err == nil {
		t.Error("there are accounts before all mail is there")
	}
	if _, err := r.RestoreSlot(t.Context(), g2, to, accounts(to), nil); !errors.Is(err, ErrOtherRestore) {
		t.Errorf("another generation: %v", err)
	}
	got, err := r.RestoreSlot(t.Context(), g1, to, accounts(to), nil)
	if err != nil || got.Users != 2 || got.Bytes >= g1.Bytes() {
		t.Errorf("%+v, %v", got, err)
	}
	w.close()
	w.slot = to
	w.open()
	w.verifyMail()
	if now := w.states(); !maps.Equal(now, want) {
		t.Errorf("%v\nwant\n%v", now, want)
	}
}

// TestRestoreFaults: a restore that fails at any operation is done again, and then all
// is there.
func TestRestoreFaults(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 12)
	want := w.states()
	_, g := w.backup()
	w.close()
	for n := 1; ; n += 5 {
		to := slotBelow(filepath.Join(w.dir, fmt.Sprint("new", n)))
		o := w.options()
		o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func() func(disk.Op, string) error {
			fail := disk.FailFrom(n, errKilled, disk.OpCreate, disk.OpWrite, disk.OpSync, disk.OpRename, disk.OpMkdir, disk.OpSyncDir, disk.OpRemove)
			return func(op disk.Op, name string) error {
				if strings.HasPrefix(name, w.repo) {
					return nil
				}
				return fail(op, name)
			}
		}()})
		accounts := filepath.Join(to.Conf, "slot.db")
		r, err := Open(w.repo, o)
		w.check(err)
		_, err = r.RestoreSlot(t.Context(), g, to, accounts, nil)
		if err == nil {
			return
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		again := err
		if _, err := w.repository(w.options()).RestoreSlot(t.Context(), g, to, accounts, nil); errors.Is(err, ErrNotEmpty) {
			// All was done but the sync of the marker's removal.
			if !strings.Contains(again.Error(), "syncdir "+to.Conf) {
				t.Fatalf("after a fault at %d, %v: %v", n, again, err)
			}
		} else if err != nil {
			t.Fatalf("after a fault at %d: %v", n, err)
		}
		w.slot = to
		w.open()
		w.verifyMail()
		if now := w.states(); !maps.Equal(now, want) {
			t.Errorf("after a fault at %d: %v\nwant\n%v", n, now, want)
		}
		w.close()
	}
}

// TestRestoreUser puts one user's mail in place of what is left of it.
func TestRestoreUser(t *testing.T) {
	for _, lost := range []string{"nothing", "mail.db", "the packs", "all"} {
		t.Run(lost, func(t *testing.T) {
			w := newWorld(t)
			w.add(anna, "INBOX", 12, `\Seen`)
			w.add(brong, "INBOX", 2)
			want := w.states()
			_, g := w.backup()
			w.add(anna, "INBOX", 4)
			w.add(brong, "INBOX", 1)
			given := w.uidnexts(anna)
			want[brong] = w.states()[brong]
			r := w.repository(w.options())
			u, err := g.User("anna")
			w.check(err)
			if _, err := r.RestoreUser(t.Context(), u, w.slot); !errors.Is(err, mailstore.ErrBusy) {
				t.Errorf("beside a daemon: %v", err)
			}
			w.close()
			if lost == "mail.db" || lost == "all" {
				w.check(os.Remove(w.slot.DatabaseFile(anna)))
			}
			if lost == "the packs" || lost == "all" {
				w.check(os.RemoveAll(filepath.Join(w.slot.Spool, anna.Dir())))
				w.check(os.RemoveAll(filepath.Join(w.slot.Archive, anna.Dir())))
			}
			got, err := r.RestoreUser(t.Context(), u, w.slot)
			if err != nil || got.Users != 1 {
				t.Fatalf("%+v, %v", got, err)
			}
			if aside := lost == "nothing" || lost == "the packs"; aside != (len(got.Aside) > 0) {
				t.Errorf("%+v", got)
			}
			w.open()
			if now := w.states(); !maps.Equal(now, want) {
				t.Errorf("%v\nwant\n%v", now, want)
			}
			for name, next := range w.uidnexts(anna) {
				if next < given[name] {
					t.Errorf("%s: UIDNEXT is %d, and %d was given before", name, next, given[name])
				}
			}
			w.add(anna, "INBOX", 3)
			w.verifyMail()
		})
	}
}

// TestRestoreUserDamagedPack: a pack that was damaged in the slot is replaced, and
// kept under another name.
func TestRestoreUserDamagedPack(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 4)
	want := w.states()
	_, g := w.backup()
	w.close()
	u := g.Users[0]
	flip(t, w.pack(anna, u.Packs[0].of()), 150)
	got, err := w.repository(w.options()).RestoreUser(t.Context(), u, w.slot)
	if err != nil || !slices.ContainsFunc(got.Aside, func(name string) bool { return strings.Contains(name, ".pack.before-") }) {
		t.Errorf("%+v, %v", got, err)
	}
	w.open()
	if now := w.states(); !maps.Equal(now, want) {
		t.Errorf("%v\nwant\n%v", now, want)
	}
	w.verifyMail()
}

// collect returns what a search yields: mailbox, UID and flags, sorted.
func collect(t *testing.T, run func(fn func(Message) error) error) []string {
	t.Helper()
	var out []string
	err := run(func(m Message) error {
		if m.Err != nil {
			t.Errorf("%s: %v", m.Place, m.Err)
			return nil
		}
		h := mailbox.NewGUIDHash()
		if _, err := io.Copy(h, io.NewSectionReader(m.Content, 0, m.Content.Size)); err != nil || mailbox.GUID(h.Sum(nil)) != m.Record.GUID {
			t.Errorf("%s: other octets, %v", m.Place, err)
		}
		out = append(out, fmt.Sprintf("%s %d %v", m.Mailbox, m.Record.UID, m.Record.Flags))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	slices.Sort(out)
	return out
}

// TestMessages yields all of a user, or of mailboxes with what is below.
func TestMessages(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 2, `\Seen`)
	w.add(anna, "Work", 1)
	w.add(anna, "Work/Plans", 1)
	w.add(anna, "Workshop", 1)
	_, g := w.backup()
	r := w.repository(w.options())
	for _, c := range []struct {
		names []string
		want  []string
	}{
		{nil, []string{`INBOX 1 \Seen`, `INBOX 2 \Seen`, "Work 1 ", "Work/Plans 1 ", "Workshop 1 "}},
		{[]string{"Work"}, []string{"Work 1 ", "Work/Plans 1 "}},
		{[]string{"Work/Plans", "inbox", "Work"}, []string{`INBOX 1 \Seen`, `INBOX 2 \Seen`, "Work 1 ", "Work/Plans 1 "}},
	} {
		got := collect(t, func(fn func(Message) error) error { return r.Messages(t.Context(), g, g.Users[0], c.names, fn) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.names, got, c.want)
		}
	}
	for _, name := range []string{"None", ""} {
		err := r.Messages(t.Context(), g, g.Users[0], []string{name}, func(Message) error { return nil })
		if !errors.Is(err, mailstore.ErrNoMailbox) && !errors.Is(err, mailstore.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	stop := errors.New("stop")
	if err := r.Messages(t.Context(), g, g.Users[0], nil, func(Message) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// TestDeletedMailbox: mail that came after the last generation, into a mailbox that was
// deleted with it, in the order of its UIDs.
func TestDeletedMailbox(t *testing.T) {
	w := newWorld(t)
	w.close()
	w.slot.RetainDeleted = true
	w.open()
	w.add(anna, "INBOX", 1)
	w.backup()
	before := w.now
	w.now = w.now.Add(time.Hour)
	w.add(anna, "Archive", 4, `\Seen`)
	w.remove(anna, "Archive", 2)
	w.mail(anna, func(m *mailstore.Mail) {
		b, err := m.MailboxNamed(t.Context(), "Archive")
		w.check(err)
		w.check(m.Delete(t.Context(), "", b.ID))
	})
	since := func(moment time.Time) (places []string) {
		w.mail(anna, func(m *mailstore.Mail) {
			w.check(w.repository(w.options()).Deleted(t.Context(), m, anna, moment, func(msg Message) error {
				w.check(msg.Err)
				places = append(places, msg.Place)
				return nil
			}))
		})
		return places
	}
	want := []string{"the slot: Archive, UID 1", "the slot: Archive, UID 2", "the slot: Archive, UID 3", "the slot: Archive, UID 4"}
	if got := since(before); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := since(w.now.Add(time.Hour)); len(got) != 0 {
		t.Errorf("since later: %q", got)
	}
}

// TestDeleted: what was there since a moment and is nowhere now, once for each mailbox.
func TestDeleted(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 6, `\Seen`)
	w.remove(anna, "INBOX", 1) // before any generation, and forgotten
	w.repack(anna)
	w.backup()                 // 10:00
	w.remove(anna, "INBOX", 2) // forgotten below
	w.mail(anna, func(m *mailstore.Mail) {
		b, err := m.MailboxNamed(t.Context(), "INBOX")
		w.check(err)
		archive, err := m.MailboxNamed(t.Context(), "Archive")
		w.check(err)
		_, err = m.Move(t.Context(), "", b.ID, mailbox.UIDs(3), archive.ID) // moved is not deleted
		w.check(err)
	})
	w.add(anna, "INBOX", 1) // UID 7
	w.backup()              // 11:00
	noon := w.now.Add(time.Minute)
	w.remove(anna, "INBOX", 7)
	w.repack(anna)
	w.now = w.now.Add(2 * time.Hour)
	w.add(anna, "INBOX", 1) // UID 8, came and went between generations
	w.remove(anna, "INBOX", 8, 4)
	w.backup() // 14:00
	r := w.repository(w.options())
	since := func(moment time.Time, with bool) []string {
		return collect(t, func(fn func(Message) error) (err error) {
			if !with {
				return r.Deleted(t.Context(), nil, anna, moment, fn)
			}
			w.mail(anna, func(m *mailstore.Mail) { err = r.Deleted(t.Context(), m, anna, moment, fn) })
			return err
		})
	}
	late := []string{`INBOX 4 \Seen \Deleted`, "INBOX 7 ", `INBOX 8 \Deleted`}
	if got := since(noon, true); !slices.Equal(got, late) {
		t.Errorf("since 11:01: %q, want %q", got, late)
	}
	all := append([]string{`INBOX 2 \Seen`}, late...)
	if got := since(w.now.Add(-24*time.Hour), true); !slices.Equal(got, all) {
		t.Errorf("since yesterday: %q, want %q", got, all)
	}
	if got := since(w.now.Add(time.Hour), true); len(got) != 0 {
		t.Errorf("since tomorrow: %q", got)
	}
	// Without a user today, all that the backup has.
	if got := since(w.now.Add(-24*time.Hour), false); len(got) != 7 {
		t.Errorf("%q", got)
	}
}
