package tiers

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"teraslot/activefile"
	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/text"
)

// Each operation on the disk fails once, or the disk is full from there on. What
// was acknowledged is there, and with a disk that works again all goes on.
func TestDiskFaults(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	changes := []disk.Op{disk.OpCreate, disk.OpWrite, disk.OpTruncate, disk.OpSync, disk.OpRename, disk.OpRemove, disk.OpMkdir, disk.OpSyncDir}
	cases := 0
	for _, kind := range []struct {
		name string
		fail func(n int, err error, ops ...disk.Op) func(disk.Op, string) error
		err  error
		step int
	}{{"once", disk.FailAt, syscall.EIO, 5}, {"full", disk.FailFrom, syscall.ENOSPC, 11}} {
		for n := 1; ; n += kind.step {
			dir := filepath.Join(root, fmt.Sprint(kind.name, n))
			failed := false
			fail := kind.fail(n, kind.err, changes...)
			o := testOptions(dir)
			o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
				err := fail(op, name)
				failed = failed || err != nil
				return err
			}})
			acked := faultyRun(t, newSet(t, o).User(testUser), kind.err)
			afterFault(t, dir, acked)
			cases++
			if !failed {
				break
			}
		}
	}
	t.Logf("proof: %d runs on a disk that fails", cases)
}

// faultyRun commits and compacts, and returns the messages whose commit succeeded.
func faultyRun(t *testing.T, x *Index, want error) (acked []int) {
	t.Helper()
	ctx := context.Background()
	for i := range 4 {
		err := x.Commit(ctx, docsOf(3*i, 3*i+3))
		if err == nil {
			acked = append(acked, numbers(3*i, 3*i+3)...)
		}
		if i%2 == 1 {
			_, compactErr := x.Compact(ctx, CompactOptions{Sources: []string{"temp", "data"}, Dest: "data",
				Again: []string{"data"}, Renew: renewed})
			err = errors.Join(err, compactErr)
		}
		if err != nil && !errors.Is(err, want) {
			t.Errorf("the disk said %v, the index says %v", want, err)
		}
	}
	return acked
}

// renewed makes the documents of docsOf anew, in batches of two.
func renewed(_ context.Context, guids []mailbox.GUID, add func([]Doc) error) error {
	for part := range slices.Chunk(guids, 2) {
		var docs []Doc
		for _, g := range part {
			n := int(binary.BigEndian.Uint64(g[:]))
			docs = append(docs, docsOf(n, n+1)...)
		}
		if err := add(docs); err != nil {
			return err
		}
	}
	return nil
}

// afterFault looks at an index through a disk that works.
func afterFault(t *testing.T, dir string, acked []int) {
	t.Helper()
	x := newSet(t, testOptions(dir)).User(testUser)
	defer x.set.Close()
	got := find(t, x, text.NewKey(text.InBody, "", "common"))
	for _, n := range acked {
		if !slices.Contains(got, n) {
			t.Errorf("%s: message %d was acknowledged and is not found, only %v", dir, n, got)
		}
	}
	commit(t, x, docsOf(50, 53)...)
	compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "archive"})
	if again := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(again, append(got, 50, 51, 52)) {
		t.Errorf("%s: found %v, then %v", dir, got, again)
	}
	verify(t, x)
	noLeftovers(t, x)
}

// When the last sync of a publication fails, nobody knows which activefile a power
// cut would leave: the sources stay until the next one who compacts has synced it.
func TestPublicationOfWhichNobodyKnows(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(dir)
	swapped := false
	o.Step = func(step string) { swapped = swapped || step == "swapped" }
	o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if swapped && op == disk.OpSyncDir && strings.HasPrefix(name, o.Conf) {
			swapped = false
			return syscall.EIO
		}
		return nil
	}})
	x := newSet(t, o).User(testUser)
	commit(t, x, docsOf(0, 3)...)
	active := filepath.Join(x.dir, "index.active")
	var before []byte
	if _, err := x.Compact(t.Context(), CompactOptions{Sources: []string{"temp"}, Dest: "data", Held: func() (func(mailbox.GUID) bool, error) {
		var err error
		before, err = os.ReadFile(active)
		return func(mailbox.GUID) bool { return true }, err
	}}); !errors.Is(err, syscall.EIO) {
		t.Fatalf("compact: %v, want %v", err, syscall.EIO)
	}
	after, err := os.ReadFile(active)
	if err != nil || bytes.Equal(before, after) {
		t.Fatalf("the activefile has not changed, %v", err)
	}
	for _, content := range [][]byte{after, before, after} {
		if err := os.WriteFile(active, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 3)) {
			t.Errorf("with the activefile\n%sfound %v", content, got)
		}
	}
	if err := x.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	noLeftovers(t, x)
	verify(t, x)
}

// A machine that has run out of something for a moment is no reason to give a
// database up.
func TestPassingErrors(t *testing.T) {
	dir := t.TempDir()
	good := newSet(t, testOptions(dir)).User(testUser)
	commit(t, good, docsOf(0, 3)...)
	compact(t, good, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, good, docsOf(3, 6)...)
	for _, e := range []error{syscall.EMFILE, syscall.EACCES} {
		o := testOptions(dir)
		o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
			if op == disk.OpOpen && filepath.Base(name) == manifestName {
				return e
			}
			return nil
		}})
		x := newSet(t, o).User(testUser)
		if err := x.Commit(context.Background(), docsOf(6, 9)); !errors.Is(err, e) {
			t.Errorf("commit: %v, want %v", err, e)
		}
		if _, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"data"}, Dest: "archive"}); !errors.Is(err, e) {
			t.Errorf("compact: %v, want %v", err, e)
		}
		if s := snapshot(t, x); s.Docs() != 0 || len(s.Damaged()) != 2 {
			t.Errorf("%d documents, damaged %v", s.Docs(), s.Damaged())
		}
	}
	if got := activeOf(t, good); got != "temp:2 data:1" {
		t.Errorf("active is %q", got)
	}
	if got := find(t, good, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 6)) {
		t.Errorf("found %v", got)
	}
}

// Stats tells what is there, and what is not.
func TestStats(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 3)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, append(docsOf(3, 6), Doc{GUID: guid(99)})...)
	stats, err := x.Stats(context.Background())
	if err != nil || len(stats) != 2 {
		t.Fatalf("%+v, %v", stats, err)
	}
	temp, data := stats[0], stats[1]
	if temp.Docs != 4 || temp.Complete != 3 || temp.Segments != 1 || temp.State != "" || temp.Bytes <= temp.Terms+temp.Text {
		t.Errorf("%+v", temp)
	}
	if (data.Database != activefile.Database{Tier: "data", Generation: 1}) || data.Docs != 3 {
		t.Errorf("%+v", data)
	}
}

// Verify notices an index whose files are whole but do not belong together.
func TestVerifyContent(t *testing.T) {
	for name, spoil := range map[string]func(a, b *built){
		"text of others": func(a, b *built) { a.text = b.text },
		"terms missing":  func(a, b *built) { a.lists, a.terms = b.lists, b.terms },
		"other terms":    func(a, b *built) { a.terms = b.terms },
		"other lists":    func(a, b *built) { a.lists = b.lists },
	} {
		ctx := context.Background()
		x := newSet(t, testOptions(t.TempDir())).User(testUser)
		commit(t, x, docsOf(0, 1)...)
		var parts []*built
		for _, body := range []string{"one two three", "one two"} {
			b, err := x.set.build(ctx, []Doc{plain(7, body)})
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, b...)
		}
		spoil(parts[0], parts[1])
		if _, _, err := x.commit(ctx, parts[:1]); err != nil {
			t.Fatal(err)
		}
		reported := 0
		if err := x.Verify(ctx, func(*Damage) { reported++ }); err != nil || reported != 1 {
			t.Errorf("%s: %d damages reported, %v", name, reported, err)
		}
	}
}

// TestPublicationNotDurable: databases that the activefile no longer names go only after it was published anew, if the last sync of its
// publication failed.
func TestPublicationNotDurable(t *testing.T) {
	o := testOptions(t.TempDir())
	swapped, failed := false, false
	var asked []string
	o.Step = func(step string) { swapped = swapped || step == "swapped" }
	o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if failed && op.Changes() {
			asked = append(asked, string(op)+" "+filepath.Base(name))
		}
		if swapped && !failed && op == disk.OpSyncDir && strings.HasPrefix(name, o.Conf) {
			failed = true
			return syscall.EIO
		}
		return nil
	}})
	x := newSet(t, o).User(testUser)
	commit(t, x, docsOf(0, 3)...)
	if _, err := x.Compact(t.Context(), CompactOptions{Sources: []string{"temp"}, Dest: "data"}); !errors.Is(err, syscall.EIO) {
		t.Fatalf("compact: %v", err)
	}
	asked = nil
	if err := x.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	anew, removed := slices.Index(asked, "rename index.active.new"), slices.Index(asked, "remove manifest")
	if anew < 0 || removed < anew || !strings.HasPrefix(asked[anew+1], "syncdir") {
		t.Errorf("the disk was asked to %q", asked)
	}
	if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("found %v", got)
	}
	verify(t, x)
}

// TestCommitToDeleted: what was to go to a database that another process has compacted, and deleted, goes to the next one.
func TestCommitToDeleted(t *testing.T) {
	o := testOptions(t.TempDir())
	other := newSet(t, o).User(testUser)
	armed := false
	o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if armed && op == disk.OpCreate && strings.HasPrefix(name, o.Roots["temp"]) && strings.HasSuffix(name, listsExt) {
			armed = false
			if _, err := other.Compact(t.Context(), CompactOptions{Sources: []string{"temp"}, Dest: "data"}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}})
	x := newSet(t, o).User(testUser)
	commit(t, x, docsOf(0, 3)...)
	armed = true
	commit(t, x, docsOf(3, 6)...)
	if got := activeOf(t, x); armed || got != "temp:2 data:1" {
		t.Errorf("active is %q", got)
	}
	if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 6)) {
		t.Errorf("found %v", got)
	}
	verify(t, x)
}
