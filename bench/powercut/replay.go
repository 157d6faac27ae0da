package powercut

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// sector is the unit that a disk writes as a whole.
const sector = 512

// Fate is what a cut did to one operation that was not synced.
type Fate uint8

// The fates.
const (
	Present Fate = iota
	Absent
	Torn // a write only: its first sectors, or its last, or every other one
)

// content is what happened to one file since its last sync.
type content struct {
	synced  []byte
	pending []Op
}

// Disk is the state of the files below a root while a trace is replayed: what
// is durable, and what is still pending.
type Disk struct {
	root  string
	files map[int]*content // by file, not name: a rename moves no content
	next  int
	// names that are durable and names as the running system sees them.
	durable, current map[string]int
	dirs             map[string]bool // as seen; a directory made is durable with its parent's sync
	durableDirs      map[string]bool
}

// NewDisk takes base, a directory as it was when the trace began (all of it
// synced), in the place of root, where the traced process saw it.
func NewDisk(base, root string) (*Disk, error) {
	d := &Disk{root: root, files: map[int]*content{}, durable: map[string]int{}, current: map[string]int{}, dirs: map[string]bool{}, durableDirs: map[string]bool{}}
	err := filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(base, path)
		if err != nil {
			return err
		}
		at := filepath.Join(root, rel)
		if e.IsDir() {
			d.dirs[at], d.durableDirs[at] = true, true
			return nil
		}
		if !e.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		d.files[d.next] = &content{synced: b}
		d.durable[at], d.current[at] = d.next, d.next
		d.next++
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("take base %s: %w", base, err)
	}
	return d, nil
}

// Apply lets one operation happen. Operations outside of the root do not matter.
func (d *Disk) Apply(op Op) error {
	if !within(d.root, op.Path) {
		return nil
	}
	switch op.Kind {
	case Mkdir:
		d.dirs[op.Path] = true
	case Create:
		if _, there := d.current[op.Path]; !there {
			d.files[d.next] = &content{}
			d.current[op.Path] = d.next
			d.next++
		}
	case Write, Truncate:
		n, there := d.current[op.Path]
		if !there {
			return nil // written through a descriptor whose name is gone
		}
		d.files[n].pending = append(d.files[n].pending, op)
	case Sync:
		if n, there := d.current[op.Path]; there {
			f := d.files[n]
			f.synced = played(f, func(Op) Fate { return Present }, nil)
			f.pending = nil
		}
	case SyncDir:
		d.syncDir(op.Path)
	case Rename:
		if n, there := d.current[op.Path]; there {
			delete(d.current, op.Path)
			d.current[op.Path2] = n
		}
	case Remove:
		delete(d.current, op.Path)
		delete(d.dirs, op.Path)
	}
	return nil
}

func (d *Disk) syncDir(dir string) {
	for name := range d.durable {
		if _, there := d.current[name]; !there && filepath.Dir(name) == dir {
			delete(d.durable, name)
		}
	}
	for name, n := range d.current {
		if filepath.Dir(name) == dir {
			d.durable[name] = n
		}
	}
	for name := range d.dirs {
		if filepath.Dir(name) == dir {
			d.durableDirs[name] = true
		}
	}
}

func within(root, path string) bool {
	return path == root || strings.HasPrefix(path, root+string(filepath.Separator))
}

// Pending is how many operations a cut at this moment may still undo or tear.
func (d *Disk) Pending() int {
	n := len(d.unsyncedNames())
	for _, f := range d.files {
		n += len(f.pending)
	}
	return n
}

// unsyncedNames are the directories whose names differ from what is durable.
func (d *Disk) unsyncedNames() []string {
	seen := map[string]bool{}
	for name, n := range d.current {
		if m, there := d.durable[name]; !there || m != n {
			seen[filepath.Dir(name)] = true
		}
	}
	for name := range d.durable {
		if _, there := d.current[name]; !there {
			seen[filepath.Dir(name)] = true
		}
	}
	var dirs []string
	for dir := range seen {
		dirs = append(dirs, dir)
	}
	return dirs
}

// Materialize writes into dir one state that a cut at this moment may leave.
// fate decides for every pending write and, by an Op of kind SyncDir, for every
// directory whose names are not synced.
func (d *Disk) Materialize(dir string, fate func(Op) Fate, rng *rand.Rand) error {
	names := map[string]int{}
	old := map[string]bool{}
	for _, p := range d.unsyncedNames() {
		old[p] = fate(Op{Kind: SyncDir, Path: p}) == Absent
	}
	for name, n := range d.durable {
		if old[filepath.Dir(name)] {
			names[name] = n
		}
	}
	for name, n := range d.current {
		if !old[filepath.Dir(name)] {
			names[name] = n
		}
	}
	for p := range d.dirs {
		if err := os.MkdirAll(d.place(dir, p), 0o700); err != nil {
			return err
		}
	}
	for name, n := range names {
		if err := os.WriteFile(d.place(dir, name), played(d.files[n], fate, rng), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) place(dir, path string) string {
	rel, err := filepath.Rel(d.root, path)
	if err != nil {
		return filepath.Join(dir, "outside")
	}
	return filepath.Join(dir, rel)
}

// played is a file's content after its pending operations met their fates.
func played(f *content, fate func(Op) Fate, rng *rand.Rand) []byte {
	b := append([]byte(nil), f.synced...)
	for _, op := range f.pending {
		what := fate(op)
		if what == Absent {
			continue
		}
		if op.Kind == Truncate {
			b = resize(b, op.Offset)
			continue
		}
		if end := op.Offset + int64(len(op.Data)); end > int64(len(b)) {
			b = resize(b, end)
		}
		if what == Present {
			copy(b[op.Offset:], op.Data)
		} else {
			tear(b[op.Offset:], op.Data, op.Offset, rng)
		}
	}
	return b
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

// tear writes only some of the sectors that the data covers.
func tear(dst, data []byte, offset int64, rng *rand.Rand) {
	for i := 0; i < len(data); {
		n := min(len(data)-i, sector-int(offset+int64(i))%sector)
		if rng.IntN(2) == 0 {
			copy(dst[i:i+n], data[i:i+n])
		}
		i += n
	}
}
