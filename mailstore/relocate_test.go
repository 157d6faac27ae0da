package mailstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"teraslot/mailbox"
)

// nomad is a store of one user with two places to be.
type nomad struct {
	*Store
	t     *testing.T
	sites []Roots
	at    int
	o     Options
}

func newNomad(t *testing.T) *nomad {
	t.Helper()
	dir := memoryDir(t)
	n := &nomad{t: t}
	for _, name := range []string{"a", "b"} {
		r := Roots{filepath.Join(dir, name, "spool"), filepath.Join(dir, name, "archive")}
		mkdir(t, r.Spool)
		mkdir(t, r.Archive)
		n.sites = append(n.sites, r)
	}
	n.o = Options{Conf: filepath.Join(dir, "conf"), Spool: n.sites[0].Spool, Archive: n.sites[0].Archive, ArchiveSize: 4000, PackSize: 20000,
		Partitions: n.sites[1:], Roots: func(mailbox.User) (Roots, error) { return n.sites[n.at], nil }}
	mkdir(t, n.o.Conf)
	s, err := Open(t.Context(), n.o)
	if err != nil {
		t.Fatal(err)
	}
	n.Store = s
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.CreateUser(t.Context(), user1, UserOptions{}); err != nil {
		t.Fatal(err)
	}
	return n
}

// with runs fn on the user's mail.
func (n *nomad) with(fn func(m *Mail, inbox mailbox.ID)) {
	n.t.Helper()
	m, err := n.Acquire(n.t.Context(), user1)
	if err != nil {
		n.t.Fatal(err)
	}
	defer m.Release()
	fn(m, named(n.t, m, "INBOX").ID)
}

// add appends messages, every third of which is for the archive.
func (n *nomad) add(rng *rand.Rand, count int) {
	n.t.Helper()
	n.with(func(m *Mail, inbox mailbox.ID) {
		for i := range count {
			appendText(n.t, m, inbox, fmt.Sprintf("Subject: %d\r\n\r\n%s", rng.Int64(), strings.Repeat("x", 100+i%3*2500)))
		}
	})
}

// texts are all messages by UID.
func (n *nomad) texts(s *Store) map[mailbox.UID]string {
	n.t.Helper()
	m, err := s.Acquire(n.t.Context(), user1)
	if err != nil {
		n.t.Fatal(err)
	}
	defer m.Release()
	inbox := named(n.t, m, "INBOX").ID
	view, err := m.View(n.t.Context(), inbox)
	if err != nil {
		n.t.Fatal(err)
	}
	out := map[mailbox.UID]string{}
	for _, r := range view.Records {
		out[r.UID] = bytesOf(n.t, m, inbox, r)
	}
	return out
}

// files are the names below a site, with their roots.
func (n *nomad) files(site int) (out []string) {
	n.t.Helper()
	for _, root := range n.sites[site].list() {
		entries, err := os.ReadDir(filepath.Join(root, user1.Dir()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			n.t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, filepath.Join(filepath.Base(root), e.Name()))
		}
	}
	return out
}

// TestRelocate moves a user to and fro while mail comes, goes, is repacked, archived and
// saved between the two halves of each move, and a reader from another process reads on.
func TestRelocate(t *testing.T) {
	n := newNomad(t)
	rng := rand.New(rand.NewPCG(1, 2))
	n.add(rng, 30)
	beside := n.o
	beside.ReadOnly = true
	reader, err := Open(t.Context(), beside)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	held, err := reader.Acquire(t.Context(), user1) // as it was before all moves
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		to := 1 - n.at
		r := n.Relocate(user1, n.sites[to])
		if err := r.Copy(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.unrest(rng)
		before := n.texts(n.Store)
		err := r.Switch(t.Context(), func() error { n.at = to; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Vacate(user1, n.sites[1-to]); err != nil {
			t.Fatal(err)
		}
		if left := n.files(1 - to); left != nil {
			t.Errorf("left behind: %q", left)
		}
		if after := n.texts(n.Store); !mapsEqual(before, after) {
			t.Fatalf("%d messages became %d, or others", len(before), len(after))
		}
		if beside := n.texts(reader); !mapsEqual(before, beside) {
			t.Fatal("a reader beside the owner does not find what has moved")
		}
		verify(t, n.Store, user1)
		n.add(rng, 5)
	}
	held.Release()
	if err := n.RemoveUser(t.Context(), user1); err != nil {
		t.Fatal(err)
	}
	if left := append(n.files(0), n.files(1)...); left != nil {
		t.Errorf("of a user who was removed there is %q", left)
	}
}

func mapsEqual(a, b map[mailbox.UID]string) bool {
	if len(a) != len(b) {
		return false
	}
	for uid, text := range a {
		if b[uid] != text {
			return false
		}
	}
	return true
}

// unrest changes what packs there are.
func (n *nomad) unrest(rng *rand.Rand) {
	n.t.Helper()
	n.add(rng, 6)
	n.with(func(m *Mail, inbox mailbox.ID) {
		view, err := m.View(n.t.Context(), inbox)
		if err != nil {
			n.t.Fatal(err)
		}
		var some mailbox.UIDSet
		for _, r := range view.Records {
			if rng.IntN(5) == 0 {
				some.AddRange(r.UID, r.UID)
			}
		}
		if _, err := m.StoreFlags(n.t.Context(), "", inbox, some, AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			n.t.Fatal(err)
		}
		if _, _, err := m.Expunge(n.t.Context(), "", inbox, &some); err != nil {
			n.t.Fatal(err)
		}
		if _, err := m.Forget(n.t.Context(), n.Store.o.Now().AddDate(0, 0, 1)); err != nil {
			n.t.Fatal(err)
		}
		if _, err := m.Repack(n.t.Context(), RepackOptions{All: true}); err != nil {
			n.t.Fatal(err)
		}
		if _, err := m.SaveDatabase(n.t.Context()); err != nil {
			n.t.Fatal(err)
		}
	})
}

// TestRelocateRefused: who is in use, is not whole, or has one directory for both kinds of
// packs does not move; and what is the user's is never vacated.
func TestRelocateRefused(t *testing.T) {
	n := newNomad(t)
	rng := rand.New(rand.NewPCG(3, 4))
	n.add(rng, 20)
	to := n.sites[1]
	never := func() error { t.Error("the move was committed"); return nil }
	n.with(func(m *Mail, _ mailbox.ID) {
		if err := n.Relocate(user1, to).Switch(t.Context(), never); !errors.Is(err, ErrBusy) {
			t.Errorf("while the mail is open: %v", err)
		}
	})
	if err := n.Relocate(user1, Roots{to.Spool, to.Spool}).Switch(t.Context(), never); !errors.Is(err, errOneRoot) {
		t.Errorf("to one directory: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Relocate(user1, to).Switch(ended, never); !errors.Is(err, context.Canceled) {
		t.Errorf("when nobody waits any longer: %v", err)
	}
	before := n.texts(n.Store)
	pack := filepath.Join(n.sites[0].Spool, user1.Dir(), "1.pack")
	whole, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func() error{
		"a short pack": func() error { return os.Truncate(pack, int64(len(whole)-1)) },
		"a lost pack":  func() error { return os.Remove(pack) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if err := n.Relocate(user1, to).Switch(t.Context(), never); err == nil || !strings.Contains(err.Error(), "slotctl verify") {
			t.Errorf("with %s: %v", what, err)
		}
		if err := os.WriteFile(pack, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	failed := errors.New("no commit")
	if err := n.Relocate(user1, to).Switch(t.Context(), func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a commit that fails: %v", err)
	}
	files := n.files(0)
	if err := n.Vacate(user1, n.sites[0]); err != nil || !slices.Equal(files, n.files(0)) {
		t.Errorf("what is the user's: %v; %q of %q", err, n.files(0), files)
	}
	if err := n.Vacate(user1, to); err != nil || n.files(1) != nil {
		t.Errorf("what did not become the user's: %v; %q", err, n.files(1))
	}
	if !mapsEqual(before, n.texts(n.Store)) {
		t.Error("the mail is not what it was")
	}
	verify(t, n.Store, user1)
}
