package tiers

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"teraslot/disk"
)

// unsynced watches a disk: what of it a power cut could still take away.
type unsynced struct {
	roots []string // of the tiers
	mu    sync.Mutex
	files map[string]bool
	dirs  map[string]bool // with names that were made or replaced
	wrong []string
	seen  map[string]int // operations that were looked at
}

func watch(o *Options) *unsynced {
	u := &unsynced{files: map[string]bool{}, dirs: map[string]bool{}, seen: map[string]int{}}
	for _, root := range o.Roots {
		u.roots = append(u.roots, root)
	}
	o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: u.before, Done: u.after})
	return u
}

// below are the files and directories below dir that are not synced.
func (u *unsynced) below(dir string) (names []string) {
	for _, set := range []map[string]bool{u.files, u.dirs} {
		for name := range maps.Keys(set) {
			if strings.HasPrefix(name, dir+"/") {
				names = append(names, name)
			}
		}
	}
	return names
}

// before looks at renames and removals, before which what they rely on must be synced.
func (u *unsynced) before(op disk.Op, name string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch base := filepath.Base(name); {
	case op == disk.OpRename && base == manifestName+".new":
		u.seen["manifest"]++
		u.must("a manifest names", u.below(filepath.Dir(name)))
	case op == disk.OpRename && (base == "index.active.new" || base == "index.staged"):
		u.seen[base]++
		for _, root := range u.roots {
			u.must("an activefile names", u.below(root))
		}
	case op == disk.OpRemove && base == manifestName:
		u.seen["removal"]++
		for dir := range u.dirs {
			if strings.Contains(dir, "/conf/") {
				u.must("a database is removed before", []string{dir})
			}
		}
	}
	return nil
}

func (u *unsynced) must(what string, names []string) {
	if len(names) > 0 {
		u.wrong = append(u.wrong, fmt.Sprintf("%s what is not synced: %q", what, names))
	}
}

func (u *unsynced) after(op disk.Op, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch op {
	case disk.OpCreate:
		u.files[name], u.dirs[filepath.Dir(name)] = true, true
	case disk.OpWrite, disk.OpTruncate:
		u.files[name] = true
	case disk.OpSync, disk.OpRemove:
		delete(u.files, name)
	case disk.OpRename, disk.OpMkdir:
		u.dirs[filepath.Dir(name)] = true
	case disk.OpSyncDir:
		delete(u.dirs, name)
	}
}

// TestNamedWhenSynced: a manifest names files, and an activefile databases, that are on
// disk with their names; and a database is removed when the activefile without it is.
func TestNamedWhenSynced(t *testing.T) {
	o := testOptions(t.TempDir())
	u := watch(&o)
	x := newSet(t, o).User(testUser)
	for i := range 12 { // small segments, which are merged
		commit(t, x, docsOf(i, i+1)...)
	}
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, docsOf(12, 15)...)
	compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "data", Again: []string{"data"}, Renew: renewed})
	commit(t, x, docsOf(15, 18)...)
	compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "archive"})
	for _, w := range u.wrong {
		t.Error(w)
	}
	for _, want := range []string{"manifest", "index.active.new", "index.staged", "removal"} {
		if u.seen[want] == 0 {
			t.Errorf("no %s was met: %v", want, u.seen)
		}
	}
	verify(t, x)
}
