package tiers

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRoom: what Stats says of a database's room is what a file system in memory counts,
// and is free again as soon as a compaction or a merge of small segments is over, though
// handles of the deleted files were kept open.
func TestRoom(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Roots["temp"] = filepath.Join("/dev/shm", filepath.Base(filepath.Dir(o.Conf))+"-room")
	if err := os.Mkdir(o.Roots["temp"], 0o700); err != nil {
		t.Skipf("no file system in memory: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(o.Roots["temp"]) })
	x := newSet(t, o).User(testUser)
	for n := range 20 { // more than a pile of small segments
		commit(t, x, docsOf(10*n, 10*n+10)...)
		snapshot(t, x).Close() // opens all segments
		stats, err := x.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := stats[0].Room, blocks(t, o.Roots["temp"]); got != want {
			t.Fatalf("after %d commits, room %d, the file system counts %d", n+1, got, want)
		}
		if open := openBelow(t, o.Roots["temp"]); open > 0 {
			t.Fatalf("after %d commits, %d deleted files are open", n+1, open)
		}
	}
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	if open := openBelow(t, o.Roots["temp"]); open > 0 {
		t.Errorf("after a compaction, %d deleted files are open", open)
	}
	if got := blocks(t, o.Roots["temp"]); got != pageSize { // of the new front's manifest
		t.Errorf("after a compaction, temp takes %d bytes", got)
	}
}

// blocks is what the files below a directory take.
func blocks(t *testing.T, root string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(root, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// openBelow counts the deleted files below a directory that this process has open or
// mapped: their room is not free.
func openBelow(t *testing.T, root string) (n int) {
	t.Helper()
	maps, err := os.ReadDir("/proc/self/map_files")
	if err != nil {
		t.Skipf("what is mapped cannot be told: %v", err)
	}
	for _, m := range maps {
		target, err := os.Readlink("/proc/self/map_files/" + m.Name())
		if err != nil {
			continue // unmapped meanwhile
		}
		if strings.HasPrefix(target, root) && strings.HasSuffix(target, " (deleted)") {
			n++
		}
	}
	return n
}
