package slot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"teraslot/disk"
	"teraslot/mailbox"
)

// brokenMove moves anna's mail to the other partition while the sync of the directory fails after mail.partition said that it is there: n
// times, or always if n is 0. It returns that file as it was before, and what the disk was asked to do from the first failure on.
func brokenMove(t *testing.T, c *Config, u mailbox.User, n int) (before []byte, asked []string) {
	t.Helper()
	file := c.placementFile(u, mailPlacement)
	broken := *c
	renamed, failed := 0, 0
	broken.Hooks.FS = disk.WithFaults(disk.OS(), disk.Faults{
		Fail: func(op disk.Op, name string) error {
			if op == disk.OpRename && name == file+".new" {
				if renamed++; renamed == 2 { // the first one says that a move is under way
					before, _ = os.ReadFile(file)
				}
			}
			if failed > 0 {
				asked = append(asked, string(op)+" "+name)
			}
			if op == disk.OpSyncDir && name == filepath.Dir(file) && renamed >= 2 && (n == 0 || failed < n) {
				failed++
				return syscall.EIO
			}
			return nil
		},
	})
	s, err := Open(t.Context(), &broken, Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.moveUser(t.Context(), MoveUser{Name: "anna", To: "other", MailOnly: true}); !errors.Is(err, syscall.EIO) {
		t.Errorf("the move: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return before, asked
}

func withLetters(t *testing.T, n int) (*Config, mailbox.User) {
	t.Helper()
	c := newConfig(t, twoPartitions)
	c.Hooks.Passwords = CheapPasswords
	r := start(t, c, Options{})
	r.addUser("anna")
	for i := range n {
		if err := r.deliver(letterOf(i), "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	return c, a.ID
}

// TestMoveWritesAnew: where the sync failed that was to make durable where the mail is, that is written anew, and synced, before
// anything is removed from the partition where it was.
func TestMoveWritesAnew(t *testing.T) {
	c, u := withLetters(t, 3)
	_, asked := brokenMove(t, c, u, 1)
	file := c.placementFile(u, mailPlacement)
	anew := false
	for i, op := range asked {
		if op == "rename "+file+".new" {
			anew = i+1 < len(asked) && asked[i+1] == "syncdir "+filepath.Dir(file)
		}
		if strings.HasPrefix(op, "remove "+c.Spool) && !anew {
			t.Fatalf("%s, and %s is as a failed sync has left it:\n%s", op, file, strings.Join(asked[:i+1], "\n"))
		}
	}
	if !anew {
		t.Errorf("it was never written anew:\n%s", strings.Join(asked, "\n"))
	}
	s := start(t, c, Options{})
	if got := s.hits("anna", "heron"); got != 3 {
		t.Errorf("%d messages are found, of 3", got)
	}
	s.stop()
	onlyHis(t, c, u)
}

// TestMoveBroughtBack: the disk never says that it knows where the mail is, mail is delivered there, and a power cut brings back the file
// that says that it is where it was: all of it is found, and what lies there removed.
func TestMoveBroughtBack(t *testing.T) {
	for _, delivered := range []int{0, 1} {
		c, u := withLetters(t, 3)
		before, _ := brokenMove(t, c, u, 0)
		file := c.placementFile(u, mailPlacement)
		if p, err := c.placement(u, mailPlacement); err != nil || p != (placement{at: "other", other: DefaultPartition}) {
			t.Fatalf("after the failure: %+v, %v", p, err)
		}
		r := start(t, stubborn(c, file), Options{})
		for n := range delivered {
			if err := r.deliver(letterOf(3+n), "anna@example.org"); err != nil {
				t.Fatal(err)
			}
		}
		r.stop()
		if err := os.WriteFile(file, before, 0o600); err != nil {
			t.Fatal(err)
		}
		s := start(t, c, Options{})
		if got := s.hits("anna", "heron"); got != 3+delivered {
			t.Errorf("%d messages are found, of %d", got, 3+delivered)
		}
		if err := s.verify(t.Context(), "anna", func(f Finding) { t.Errorf("verify: %+v", f) }); err != nil {
			t.Error(err)
		}
		s.stop()
		onlyHis(t, c, u)
	}
}

// stubborn is a slot's configuration on a disk that does not make a file durable.
func stubborn(c *Config, file string) *Config {
	out := *c
	out.Hooks.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if op == disk.OpRename && name == file+".new" {
			return syscall.EIO
		}
		return nil
	}})
	return &out
}

// TestMoveOfIncomplete: where neither partition has all of the mail, none of it is removed.
func TestMoveOfIncomplete(t *testing.T) {
	c, u := withLetters(t, 3)
	brokenMove(t, c, u, 0)
	var packs []string
	for _, root := range []string{c.Spool, c.Partitions["other"].Spool} {
		found, err := filepath.Glob(filepath.Join(root, u.Dir(), "*.pack"))
		if err != nil || len(found) == 0 {
			t.Fatalf("%q, %v", found, err)
		}
		if err := os.Truncate(found[0], 100); err != nil {
			t.Fatal(err)
		}
		packs = append(packs, found...)
	}
	s, err := Open(t.Context(), c, Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, err := s.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.settle(t.Context(), a, mailPlacement); err == nil || !strings.Contains(err.Error(), "neither partition other nor default has all") {
		t.Errorf("settled: %v", err)
	}
	for _, name := range packs {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
