package tiers

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// TestOneCompactionToDisk: while a user is compacted to a disk, another waits for his turn
// there, goes to other tiers at once, and has it when it is free.
func TestOneCompactionToDisk(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Roots["meta"] = t.TempDir()
	second := mailbox.User("00000000000000000000000000000002")
	var s *Set
	met := 0
	o.Step = func(step string) {
		if step != "compact: frozen" || met > 0 {
			return
		}
		met++
		x := s.User(second)
		turn, err := disk.OS().TryLock(filepath.Join(o.Conf, lockName), disk.Exclusive)
		if err == nil {
			err = turn.Close()
		}
		if !errors.Is(err, disk.ErrLocked) {
			t.Errorf("beside a compaction to a disk, the turn for another: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if res, err := x.Compact(short, CompactOptions{Sources: []string{"temp"}, Dest: "archive"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second compaction to a disk: %+v, %v", res, err)
		}
		if res, err := x.Compact(t.Context(), CompactOptions{Sources: []string{"temp"}, Dest: "meta"}); err != nil || res.Docs != 3 {
			t.Errorf("beside it, to meta: %+v, %v", res, err)
		}
	}
	s = newSet(t, o)
	for _, u := range []mailbox.User{testUser, second} {
		commit(t, s.User(u), docsOf(0, 3)...)
	}
	compact(t, s.User(testUser), CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	if met != 1 {
		t.Fatal("the first compaction was not met under way")
	}
	if res, _ := compact(t, s.User(second), CompactOptions{Sources: []string{"meta"}, Dest: "data"}); res.Docs != 3 {
		t.Errorf("afterwards: %+v", res)
	}
	for _, u := range []mailbox.User{testUser, second} {
		verify(t, s.User(u))
	}
}
