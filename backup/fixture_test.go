package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	anna  = mailbox.User("0123456789abcdef0123456789abcdef")
	brong = mailbox.User("fedcba9876543210fedcba9876543210")
)

// world is a slot's mail and a directory of backups.
type world struct {
	t      testing.TB
	dir    string
	slot   mailstore.Options
	store  *mailstore.Store
	repo   string
	now    time.Time
	told   []string                // what the repository reported
	logins map[mailbox.User]string // of the accounts
	gone   mailbox.User            // whose account was removed since they were listed
	n      int                     // messages made
}

// memoryDir is a new directory in memory: these tests sync often.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "backup")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := memoryDir(t)
	w := &world{t: t, dir: dir, repo: filepath.Join(dir, "backups"), now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	w.slot = slotBelow(filepath.Join(dir, "slot"))
	w.logins = map[mailbox.User]string{anna: "anna", brong: "brong"}
	w.slot.Now = func() time.Time { return w.now }
	for _, root := range []string{w.slot.Conf, w.slot.Spool, w.slot.Archive} {
		w.check(os.MkdirAll(root, 0o700))
	}
	w.open()
	for _, u := range []mailbox.User{anna, brong} {
		w.check(w.store.CreateUser(t.Context(), u, mailstore.UserOptions{}))
	}
	t.Cleanup(w.close)
	return w
}

func slotBelow(dir string) mailstore.Options {
	return mailstore.Options{Conf: filepath.Join(dir, "conf"), Spool: filepath.Join(dir, "spool"), Archive: filepath.Join(dir, "archive"),
		ArchiveSize: 4000, PackSize: 10_000}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open() {
	w.t.Helper()
	var err error
	w.store, err = mailstore.Open(context.Background(), w.slot)
	w.check(err)
}

func (w *world) close() {
	if w.store != nil {
		w.check(w.store.Close())
		w.store = nil
	}
}

// mail runs fn on a user's mail.
func (w *world) mail(u mailbox.User, fn func(m *mailstore.Mail)) {
	w.t.Helper()
	m, err := w.store.Acquire(context.Background(), u)
	w.check(err)
	defer m.Release()
	fn(m)
}

// add delivers messages of rising size, some to the archive.
func (w *world) add(u mailbox.User, name string, count int, flags ...string) {
	w.t.Helper()
	w.mail(u, func(m *mailstore.Mail) {
		b, err := m.MailboxNamed(context.Background(), name)
		if errors.Is(err, mailstore.ErrNoMailbox) {
			b, err = m.Create(context.Background(), "", name, "")
		}
		w.check(err)
		for range count {
			w.n++
			text := fmt.Sprintf("Subject: message %d\r\n\r\n%s\r\n", w.n, strings.Repeat("text ", w.n*77%1500))
			msg, err := w.store.Spool(context.Background(), strings.NewReader(text))
			w.check(err)
			_, err = m.Append(context.Background(), "", mailstore.Append{Mailbox: b.ID, Message: msg, Flags: mailbox.MakeFlags(flags...),
				InternalDate: mailbox.DateOf(w.now.Add(-time.Duration(w.n) * time.Minute))})
			w.check(errors.Join(err, msg.Close()))
		}
	})
}

// remove expunges messages.
func (w *world) remove(u mailbox.User, name string, uids ...mailbox.UID) {
	w.t.Helper()
	w.mail(u, func(m *mailstore.Mail) {
		b, err := m.MailboxNamed(context.Background(), name)
		w.check(err)
		set := mailbox.UIDs(uids...)
		_, err = m.StoreFlags(context.Background(), "", b.ID, set, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
		w.check(err)
		_, _, err = m.Expunge(context.Background(), "", b.ID, &set)
		w.check(err)
	})
}

// repack frees all that was expunged.
func (w *world) repack(u mailbox.User) {
	w.t.Helper()
	w.mail(u, func(m *mailstore.Mail) {
		_, err := m.Forget(context.Background(), w.now.Add(time.Hour))
		w.check(err)
		_, err = m.Repack(context.Background(), mailstore.RepackOptions{All: true})
		w.check(err)
	})
}

func (w *world) options() Options {
	return Options{Now: func() time.Time { return w.now }, Report: func(place string, err error) {
		w.told = append(w.told, fmt.Sprintf("%s: %v", place, err))
	}}
}

func (w *world) repository(o Options) *Repository {
	w.t.Helper()
	r, err := Create(w.repo, o)
	w.check(err)
	return r
}

// accountsText stands for slot.db.
const accountsText = "the accounts"

func (w *world) source() Source {
	return Source{Store: w.store, Names: w.logins,
		Exists:   func(_ context.Context, u mailbox.User) (bool, error) { return u != w.gone, nil },
		Accounts: func(_ context.Context, path string) error { return os.WriteFile(path, []byte(accountsText), 0o600) }}
}

// backup makes a generation, an hour after what was before.
func (w *world) backup() (Result, *Generation) {
	w.t.Helper()
	w.now = w.now.Add(time.Hour)
	r := w.repository(w.options())
	result, err := r.Run(context.Background(), w.source())
	w.check(err)
	g, err := r.Generation("")
	w.check(err)
	if g.Name != result.Generation {
		w.t.Fatalf("the latest is %s, made was %s", g.Name, result.Generation)
	}
	return result, g
}

// sound verifies all generations in a directory.
func sound(t testing.TB, repo string, generations int) {
	t.Helper()
	r, err := Open(repo, Options{Scratch: filepath.Join(t.TempDir(), "scratch"), Report: func(place string, err error) { t.Errorf("%s: %v", place, err) }})
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.Generations()
	if err != nil || len(all) != generations {
		t.Fatalf("%d generations instead of %d, %v", len(all), generations, err)
	}
	for _, g := range all {
		if c, err := r.Verify(context.Background(), g, nil); err != nil || c.Findings > 0 || c.Users != len(g.Users) {
			t.Errorf("%s: %+v, %v", g.Name, c, err)
		}
	}
}

// state is all of a user's mail that a client can see, but mod-sequences and the
// counters that a restore renews.
func state(t testing.TB, m *mailstore.Mail) string {
	t.Helper()
	var b strings.Builder
	boxes, err := m.Mailboxes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range boxes {
		fmt.Fprintf(&b, "%s %s V%d %+v %q %v\n", s.Name, s.ID, s.UIDValidity, s.Counts, s.SpecialUse, s.Subscribed)
		v, err := m.View(context.Background(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range m.OpenAll(context.Background(), s.ID, v.Records) {
			r := v.Records[i]
			if o.Err != nil {
				fmt.Fprintf(&b, "  %d %v\n", r.UID, o.Err)
				continue
			}
			h := mailbox.NewGUIDHash()
			_, err := io.Copy(h, io.NewSectionReader(o.Content, 0, o.Content.Size))
			if err = errors.Join(err, o.Content.Close()); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "  %d %s %v %v %d %x\n", r.UID, r.GUID, r.Flags, r.InternalDate, r.SaveDate, h.Sum(nil))
		}
	}
	names, err := m.Subscriptions(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return b.String() + fmt.Sprint(names)
}

// states are those of all users.
func (w *world) states() map[mailbox.User]string {
	w.t.Helper()
	out := map[mailbox.User]string{}
	users, err := w.store.Users(context.Background())
	w.check(err)
	for _, u := range users {
		w.mail(u, func(m *mailstore.Mail) { out[u] = state(w.t, m) })
	}
	return out
}

// statesIn are those that a generation has.
func statesIn(t testing.TB, repo string, g *Generation) map[mailbox.User]string {
	t.Helper()
	r, err := Open(repo, Options{Scratch: filepath.Join(t.TempDir(), "scratch")})
	if err != nil {
		t.Fatal(err)
	}
	out := map[mailbox.User]string{}
	for _, u := range g.Users {
		if err := r.inLook(context.Background(), u, func(l *Look) error {
			out[u.ID] = state(t, l.Mail)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// verifyMail checks the slot's own mail.
func (w *world) verifyMail() {
	w.t.Helper()
	users, err := w.store.Users(context.Background())
	w.check(err)
	for _, u := range users {
		w.check(w.store.Verify(context.Background(), u, func(f mailstore.Finding) {
			if !f.Harmless { // such as packs with mail that came after a generation
				w.t.Errorf("user %s: %v", u, f)
			}
		}))
	}
}

// files are the names of a user's files in the directory.
func (w *world) files(u mailbox.User) []string {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.repo, u.Dir()))
	w.check(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

// pack is where a pack of a user lies.
func (w *world) pack(u mailbox.User, p mailstore.Pack) string {
	w.t.Helper()
	path, err := w.slot.PackFile(u, p)
	w.check(err)
	return path
}
