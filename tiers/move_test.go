package tiers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"teraslot/activefile"
	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/text"
)

// nomad is an index with two partitions to be on, of which the tier archive is one for both.
type nomad struct {
	*Index
	t     *testing.T
	dir   string
	sites []map[string]string
	at    int
}

func newNomad(t *testing.T, change func(*Options)) *nomad {
	n := &nomad{t: t, dir: t.TempDir()}
	o := testOptions(n.dir)
	n.sites = []map[string]string{o.Roots, {"temp": filepath.Join(n.dir, "b", "temp"), "data": filepath.Join(n.dir, "b", "data"), "archive": o.Roots["archive"]}}
	o.Partitions = n.sites[1:]
	o.RootsOf = func(mailbox.User) (map[string]string, error) { return n.sites[n.at], nil }
	if change != nil {
		change(&o)
	}
	n.Index = newSet(t, o).User(testUser)
	t.Cleanup(func() { verify(t, n.Index) })
	return n
}

// go moves the index to the other partition.
func (n *nomad) moveOn() error {
	to := 1 - n.at
	return n.Move(context.Background(), n.sites[to], func() error { n.at = to; return nil })
}

// onlyHere holds that the tiers' files are below the roots where the index is.
func (n *nomad) onlyHere() {
	n.t.Helper()
	for tier, root := range n.sites[1-n.at] {
		if root == n.sites[n.at][tier] {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, testUser.Dir())); !errors.Is(err, os.ErrNotExist) {
			n.t.Errorf("something is left in %s: %v", root, err)
		}
	}
}

// TestMove: an index in all tiers goes to and fro, with documents committed, compacted and
// found in between, also in a snapshot from before; generations go on rising.
func TestMove(t *testing.T) {
	var meanwhile func()
	n := newNomad(t, func(o *Options) {
		o.Step = func(step string) {
			if step == "move: copied" {
				meanwhile()
			}
		}
	})
	key := text.NewKey(text.InBody, "", "heron")
	count := 0
	meanwhile = func() {
		count++
		commit(t, n.Index, plain(count, "a heron that came while it was moved"))
	}
	given := map[activefile.Database]bool{}
	for round := range 6 {
		for range 5 {
			count++
			commit(t, n.Index, plain(count, fmt.Sprintf("a heron, number %d", count)))
		}
		switch round % 3 {
		case 1:
			compact(t, n.Index, CompactOptions{Sources: []string{"temp", "data"}, Dest: "data"})
		case 2:
			compact(t, n.Index, CompactOptions{Sources: []string{"temp", "data", "archive"}, Dest: "archive"})
		}
		before := snapshot(t, n.Index)
		if err := n.moveOn(); err != nil {
			t.Fatal(err)
		}
		n.onlyHere()
		if got := search(t, before, key); len(got) != count-1 {
			t.Errorf("round %d: a snapshot from before finds %d of %d", round, len(got), count-1)
		}
		before.Close()
		if got := find(t, n.Index, key); len(got) != count {
			t.Errorf("round %d: %d documents are found, of %d", round, len(got), count)
		}
		after := snapshot(t, n.Index)
		for _, db := range after.Active().Databases {
			given[db] = true
		}
		after.Close()
		verify(t, n.Index)
	}
	lock, err := n.file.Exclusive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tier := range []string{"temp", "data", "archive"} {
		if db, err := lock.Reserve(tier); err != nil || given[db] {
			t.Errorf("%v is given twice: %v", db, err)
		}
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := n.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := slices.DeleteFunc(tree(t, n.dir), func(name string) bool { return strings.HasPrefix(name, "conf/") }); len(left) > 0 {
		t.Errorf("of an index that was removed there is %q", left)
	}
}

// TestMoveFailsAnywhere: whichever operation of the disk fails, the index is here or there,
// whole, and the next Clean leaves nothing on the other side.
func TestMoveFailsAnywhere(t *testing.T) {
	var fail func(disk.Op, string) error
	n := newNomad(t, func(o *Options) {
		o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
			if fail == nil {
				return nil
			}
			return fail(op, name)
		}})
	})
	for i := range 12 {
		commit(t, n.Index, plain(i, "a heron"))
		if i == 8 {
			compact(t, n.Index, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
		}
	}
	broken := errors.New("broken disk")
	for at := 1; ; at++ {
		hit := false
		one := disk.FailAt(at, broken)
		fail = func(op disk.Op, name string) error {
			err := one(op, name)
			hit = hit || err != nil
			return err
		}
		err := n.moveOn()
		fail = nil
		if !hit {
			if at < 30 {
				t.Errorf("only %d operations could fail", at-1)
			}
			if err != nil {
				t.Error(err)
			}
			break
		}
		if err := n.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.onlyHere()
		if got := find(t, n.Index, text.NewKey(text.InBody, "", "heron")); len(got) != 12 {
			t.Fatalf("operation %d failed: %d documents are found, of 12", at, len(got))
		}
		verify(t, n.Index)
	}
}

// TestMoveHeld: an index that is being compacted does not move; neither does one whose
// activefile is damaged, or whose commit fails.
func TestMoveHeld(t *testing.T) {
	n := newNomad(t, nil)
	commit(t, n.Index, plain(1, "a heron"))
	held, err := n.file.TryCompact()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.moveOn(); !errors.Is(err, ErrHeld) {
		t.Errorf("%v", err)
	}
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no commit")
	if err := n.Move(t.Context(), n.sites[1], func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if err := n.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.onlyHere()
	if got := find(t, n.Index, text.NewKey(text.InBody, "", "heron")); len(got) != 1 {
		t.Errorf("%d documents are found", len(got))
	}
	path := filepath.Join(n.Index.dir, "index.active")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.moveOn(); !errors.Is(err, activefile.ErrDamaged) {
		t.Errorf("with a damaged activefile: %v", err)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
}
