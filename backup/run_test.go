package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// TestIncremental: only new octets are copied, nothing of a user without changes,
// and each generation stays what it was.
func TestIncremental(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 20, `\Seen`)
	w.add(brong, "Work/Plans", 5, "keyword")
	var gens []*Generation
	var want []map[mailbox.User]string
	first, g := w.backup()
	gens, want = append(gens, g), append(want, w.states())
	if first.Users != 2 || first.Unchanged != 0 || first.Bytes != g.Bytes() || first.Bytes == 0 {
		t.Errorf("%+v, %d octets of packs", first, g.Bytes())
	}
	if again, g := w.backup(); again.Unchanged != 2 || again.Bytes != 0 {
		t.Errorf("nothing changed, and %+v", again)
	} else {
		gens, want = append(gens, g), append(want, w.states())
	}
	w.add(anna, "INBOX", 1)
	next, g := w.backup()
	gens, want = append(gens, g), append(want, w.states())
	if next.Unchanged != 1 || next.Bytes != g.Bytes()-first.Bytes || next.Bytes > 10_000 {
		t.Errorf("one message more, and %+v", next)
	}
	w.remove(anna, "INBOX", 3, 7)
	w.repack(anna)
	_, g = w.backup()
	gens, want = append(gens, g), append(want, w.states())
	for i, g := range gens {
		if got := statesIn(t, w.repo, g); !maps.Equal(got, want[i]) {
			t.Errorf("generation %d:\n%v\nwant\n%v", i, got, want[i])
		}
	}
	sound(t, w.repo, 4)
	if len(w.told) > 0 {
		t.Errorf("reported: %q", w.told)
	}
}

// TestRepackMeanwhile removes packs at each step of a run.
func TestRepackMeanwhile(t *testing.T) {
	for _, step := range []string{StepPackWritten, StepPackSynced, StepRecordsWritten} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			w.add(anna, "INBOX", 30)
			w.remove(anna, "INBOX", 1, 2, 12, 20)
			want := w.states()
			o := w.options()
			times := 0
			o.Step = func(s string) {
				if s == step && times < 3 {
					times++
					w.remove(anna, "INBOX", mailbox.UID(20+times))
					w.repack(anna)
				}
			}
			if _, err := w.repository(o).Run(t.Context(), w.source()); err != nil {
				t.Fatal(err)
			}
			if times == 0 {
				t.Fatal("the step was not reached")
			}
			sound(t, w.repo, 1)
			if len(w.told) > 0 {
				t.Errorf("reported: %q", w.told)
			}
			if now := w.states(); maps.Equal(now, want) {
				t.Error("nothing was expunged meanwhile")
			}
		})
	}
}

// TestWhileMailComesAndGoes makes generations as fast as it can while everything
// happens to the mail; each has to be consistent in itself.
func TestWhileMailComesAndGoes(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 10)
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() {
		for ctx.Err() == nil {
			w.add(anna, "INBOX", 3)
		}
	})
	working.Go(func() {
		for ctx.Err() == nil {
			w.mail(anna, func(m *mailstore.Mail) {
				b, err := m.MailboxNamed(ctx, "INBOX")
				if err != nil {
					return
				}
				v, err := m.View(context.Background(), b.ID)
				if err != nil || len(v.Records) < 10 {
					return
				}
				w.remove(anna, "INBOX", v.Records[len(v.Records)/2].UID, v.Records[0].UID)
				w.repack(anna)
			})
		}
	})
	const generations = 8
	r := w.repository(Options{Report: func(place string, err error) { t.Errorf("%s: %v", place, err) }})
	for range generations {
		if _, err := r.Run(t.Context(), w.source()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	working.Wait()
	sound(t, w.repo, generations)
}

// TestDamageInTheSlot: what is damaged is reported and copied as it is; all else is
// there.
func TestDamageInTheSlot(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 10)
	var pack mailstore.Pack
	w.mail(anna, func(m *mailstore.Mail) {
		l, err := m.Look(t.Context())
		w.check(err)
		pack = l.Packs[0]
	})
	flip(t, w.pack(anna, pack), 200)
	result, g := w.backup()
	if result.Damaged != 1 || len(w.told) != 1 || !strings.Contains(w.told[0], fmt.Sprintf("pack %d at 48", pack.N)) {
		t.Errorf("%+v, reported %q", result, w.told)
	}
	if got := statesIn(t, w.repo, g); !maps.Equal(got, w.states()) {
		t.Errorf("%v", got)
	}
	// Again: it is not copied once more.
	w.add(anna, "Work", 1)
	if result, _ := w.backup(); result.Damaged != 0 || result.Bytes > 10_000 {
		t.Errorf("%+v", result)
	}
}

func flip(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x20
	_, err = f.WriteAt(b[:], at)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestLostPack: what the slot has lost of a pack that was backed up, each later
// generation has all the same; what was not is reported, and new mail is backed up.
func TestLostPack(t *testing.T) {
	for what, lose := range map[string]func(path string, end int64) error{
		"gone":    func(path string, _ int64) error { return os.Remove(path) },
		"shorter": func(path string, end int64) error { return os.Truncate(path, end-10) },
	} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprint(what, known), func(t *testing.T) {
				w := newWorld(t)
				w.add(anna, "INBOX", 20)
				if known {
					w.backup()
				}
				w.add(anna, "Work", 1)
				want := w.states()
				var p mailstore.Pack
				w.mail(anna, func(m *mailstore.Mail) {
					l, err := m.Look(t.Context())
					w.check(err)
					p = l.Packs[0]
				})
				w.check(lose(w.pack(anna, p), p.End))
				result, g := w.backup()
				if result.Users != 2 || result.Kept > 0 || result.Failed > 0 {
					t.Errorf("%+v", result)
				}
				got := statesIn(t, w.repo, g)[anna]
				if known && got != want[anna] {
					t.Errorf("the backup has lost what it had:\n%s\nwant\n%s", got, want[anna])
				}
				if known != (len(w.told) == 0) || known != (result.Damaged == 0) || !known && !strings.Contains(w.told[0], fmt.Sprintf("pack %d at ", p.N)) {
					t.Errorf("%+v, reported %q", result, w.told)
				}
				_, work, _ := strings.Cut(want[anna], "\nWork ")
				if !strings.Contains(got, work) {
					t.Errorf("what is not lost is missing:\n%s", got)
				}
			})
		}
	}
}

// TestLostRecords: a user whose mail.db cannot be read stays as he was.
func TestLostRecords(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 3)
	want := w.states()
	_, before := w.backup()
	w.close()
	w.check(os.WriteFile(w.slot.DatabaseFile(anna), []byte(strings.Repeat("no database", 1000)), 0o600))
	w.open()
	result, g := w.backup()
	if result.Kept != 1 || result.Users != 2 || len(w.told) != 1 {
		t.Errorf("%+v, reported %q", result, w.told)
	}
	if got := statesIn(t, w.repo, g); got[anna] != want[anna] || g.Users[0].Records != before.Users[0].Records {
		t.Errorf("%v", got)
	}
	// And one whom no generation has is left out.
	w.repo += "2"
	result, g = w.backup()
	if result.Failed != 1 || len(g.Users) != 1 {
		t.Errorf("%+v", result)
	}
}

// TestLostMail: an account without mail is told of, and its mail stays as the generation
// before has it, however many come after; one that was removed goes.
func TestLostMail(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 3)
	want := w.states()
	w.backup()
	w.close()
	w.check(os.Remove(w.slot.DatabaseFile(anna)))
	w.open()
	for range 3 {
		w.told = nil
		result, g := w.backup()
		if result.Kept != 1 || result.Users != 2 || len(w.told) != 1 || !strings.Contains(w.told[0], string(anna)) {
			t.Errorf("%+v, reported %q", result, w.told)
		}
		w.prune(Keep{Count: 1})
		if got := statesIn(t, w.repo, g); got[anna] != want[anna] || got[brong] != want[brong] {
			t.Errorf("%v", got)
		}
	}
	sound(t, w.repo, 1)

	// Who has an account and is in no generation is told of, too.
	repo := w.repo
	w.repo, w.told = repo+"2", nil
	if result, g := w.backup(); result.Failed != 1 || len(g.Users) != 1 || len(w.told) != 1 {
		t.Errorf("%+v, reported %q", result, w.told)
	}
	// Whose account went since the names were listed is not.
	w.repo, w.told = repo, nil
	w.gone = anna
	if result, g := w.backup(); result.Kept+result.Failed > 0 || len(g.Users) != 1 || len(w.told) > 0 {
		t.Errorf("%+v, reported %q", result, w.told)
	}
}

// TestPackNumbersComeAgain: a slot that was put back by other means gives the numbers
// of packs again; both are kept.
func TestPackNumbersComeAgain(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 2)
	w.close()
	old := filepath.Join(w.dir, "old")
	w.check(os.CopyFS(old, os.DirFS(filepath.Join(w.dir, "slot"))))
	w.open()
	w.add(anna, "INBOX", 20)
	want := []map[mailbox.User]string{w.states()}
	_, g1 := w.backup()
	w.close()
	w.check(os.RemoveAll(filepath.Join(w.dir, "slot")))
	w.check(os.Rename(old, filepath.Join(w.dir, "slot")))
	w.open()
	w.add(anna, "INBOX", 25)
	want = append(want, w.states())
	_, g2 := w.backup()
	w.add(anna, "INBOX", 1)
	want = append(want, w.states())
	_, g3 := w.backup()
	for i, g := range []*Generation{g1, g2, g3} {
		if got := statesIn(t, w.repo, g); !maps.Equal(got, want[i]) {
			t.Errorf("generation %d:\n%v\nwant\n%v", i, got, want[i])
		}
	}
	sound(t, w.repo, 3)
	again := slices.DeleteFunc(w.files(anna), func(name string) bool { return !strings.Contains(name, "-1.pack") })
	if len(again) == 0 {
		t.Errorf("no number came again: %v", w.files(anna))
	}
}

// TestBackupDamaged: a copy that is cut short is made anew by the next run.
func TestBackupDamaged(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 10)
	_, g := w.backup()
	w.check(os.Truncate(filepath.Join(w.repo, anna.Dir(), g.Users[0].Packs[0].File), 100))
	r := w.repository(w.options())
	if c, err := r.Verify(t.Context(), g, nil); err != nil || c.Findings == 0 {
		t.Errorf("%+v, %v", c, err)
	}
	want := w.states()
	_, g = w.backup()
	if got := statesIn(t, w.repo, g); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	// A flipped octet is found by reading.
	flip(t, filepath.Join(w.repo, anna.Dir(), g.Users[0].Packs[0].File), 150)
	if c, err := r.Verify(t.Context(), g, nil); err != nil || c.Findings == 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := r.Verify(t.Context(), g, func(u User) bool { return u.ID == brong }); err != nil || c.Findings > 0 || c.Users != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestDirectories: only directories of backups are taken, one run at a time.
func TestDirectories(t *testing.T) {
	w := newWorld(t)
	if _, err := Open(w.repo, Options{}); !errors.Is(err, ErrForeign) {
		t.Errorf("a directory that is not there: %v", err)
	}
	if _, err := Create(w.slot.Conf, Options{}); !errors.Is(err, ErrForeign) {
		t.Errorf("the conf root: %v", err)
	}
	r := w.repository(w.options())
	if _, err := r.Generation(""); !errors.Is(err, ErrNoGeneration) {
		t.Errorf("no generation: %v", err)
	}
	held, err := r.lock(disk.Shared)
	w.check(err)
	if _, err := r.Run(t.Context(), w.source()); !errors.Is(err, ErrInUse) {
		t.Errorf("beside a restore: %v", err)
	}
	if _, err := r.Prune(t.Context(), Keep{}); !errors.Is(err, ErrInUse) {
		t.Errorf("beside a restore: %v", err)
	}
	w.check(held.Close())
	_, g := w.backup()
	if _, err := g.User("nobody"); !errors.Is(err, mailstore.ErrNoUser) {
		t.Errorf("%v", err)
	}
	if u, err := g.User("anna"); err != nil || u.ID != anna {
		t.Errorf("%+v, %v", u, err)
	}
	if found, err := r.At(w.now); err != nil || found.Name != g.Name {
		t.Errorf("%v", err)
	}
	if _, err := r.At(w.now.Add(-time.Second)); !errors.Is(err, ErrNoGeneration) {
		t.Errorf("%v", err)
	}
	// The clock is set back, and stands still: names rise all the same.
	w.now = w.now.Add(-90 * time.Minute)
	for range 3 {
		if _, err := r.Run(t.Context(), w.source()); err != nil {
			t.Fatal(err)
		}
	}
	all, err := r.Generations()
	if err != nil || len(all) != 4 || all[3].Name != g.Name+"-004" {
		t.Errorf("%d generations, %v", len(all), err)
	}
}

// TestInterrupted: a run that is told to stop leaves no generation, and the next goes
// on with what it has copied.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 30)
	ctx, cancel := context.WithCancel(t.Context())
	o := w.options()
	synced := 0
	o.Step = func(s string) {
		if s == StepPackSynced {
			if synced++; synced == 2 {
				cancel()
			}
		}
	}
	r := w.repository(o)
	result, err := r.Run(ctx, w.source())
	if !errors.Is(err, context.Canceled) || result.Generation != "" {
		t.Fatalf("%+v, %v", result, err)
	}
	next, g := w.backup()
	if next.Bytes+result.Bytes != g.Bytes() {
		t.Errorf("copied %d, then %d of %d octets", result.Bytes, next.Bytes, g.Bytes())
	}
	sound(t, w.repo, 1)
}
