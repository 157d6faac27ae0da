package powercut

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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
	sum     [sha256.Size]byte // of synced, once it was asked for
	summed  bool
	pending []change
}

// change is an operation that a cut may still undo or tear, with its number.
type change struct {
	Op
	number int
	file   int // what a Create or a Rename to its directory puts under the name
}

// Disk is the state of the files below a root while a trace is replayed: what
// is durable, and what is still pending.
type Disk struct {
	root  string
	files map[int]*content // by file, not name: a rename moves no content
	next  int
	// Names that are durable, names as the running system sees them, and by
	// directory what parts the two, in order. A directory's name stands for file 0.
	durable, current map[string]int
	pending          map[string][]change
	numbers          int
}

// directory is what a directory's name stands for in place of a file.
const directory = 0

// NewDisk takes base, a directory as it was when the trace began (all of it
// synced), in the place of root, where the traced process saw it.
func NewDisk(base, root string) (*Disk, error) {
	d := &Disk{root: root, files: map[int]*content{}, next: directory + 1, durable: map[string]int{}, current: map[string]int{}, pending: map[string][]change{}}
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
			d.durable[at], d.current[at] = directory, directory
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
		d.change(op, op.Path, directory)
	case Create:
		if _, there := d.current[op.Path]; !there {
			d.files[d.next] = &content{}
			d.change(op, op.Path, d.next)
			d.next++
		}
	case Copy:
		n, there := d.current[op.Path2]
		if !there {
			return fmt.Errorf("%s was copied, and is not known", op.Path2)
		}
		all := played(d.files[n], func(int, Op) Fate { return Present }, nil)
		if int64(len(all)) < op.From+op.Length {
			return fmt.Errorf("%s has %d bytes, of which %d from %d on were copied", op.Path2, len(all), op.Length, op.From)
		}
		return d.Apply(Op{Kind: Write, Path: op.Path, Offset: op.Offset, Data: all[op.From : op.From+op.Length]})
	case Write, Truncate:
		n, there := d.current[op.Path]
		if !there {
			return nil // written through a descriptor whose name is gone
		}
		d.files[n].pending = append(d.files[n].pending, d.numbered(op, n))
	case Sync:
		if n, there := d.current[op.Path]; there && n != directory {
			f := d.files[n]
			f.synced = played(f, func(int, Op) Fate { return Present }, nil)
			f.pending, f.summed = nil, false
		}
	case SyncDir:
		for _, c := range d.pending[op.Path] {
			c.happen(d.durable)
		}
		delete(d.pending, op.Path)
	case Rename:
		return d.rename(op)
	case Remove:
		d.change(op, op.Path, directory)
	}
	return nil
}

func (d *Disk) numbered(op Op, file int) change {
	d.numbers++
	return change{op, d.numbers, file}
}

// change lets a change of a directory happen that is not durable yet.
func (d *Disk) change(op Op, name string, file int) {
	c := d.numbered(op, file)
	c.happen(d.current)
	dir := filepath.Dir(name)
	d.pending[dir] = append(d.pending[dir], c)
}

// rename within one directory is one change: it happens as a whole, or not. Between
// two, each directory's part is a change of its own.
func (d *Disk) rename(op Op) error {
	n, there := d.current[op.Path]
	switch {
	case !there:
		return nil
	case n == directory:
		return fmt.Errorf("rename of the directory %s is not replayed", op.Path)
	case filepath.Dir(op.Path) == filepath.Dir(op.Path2):
		d.change(op, op.Path, n)
	default:
		d.change(Op{Kind: Create, Path: op.Path2}, op.Path2, n)
		d.change(Op{Kind: Remove, Path: op.Path}, op.Path, n)
	}
	return nil
}

// happen changes names as c does. What c needs may not have happened: then
// nothing does.
func (c change) happen(names map[string]int) {
	switch c.Kind {
	case Create, Mkdir:
		names[c.Path] = c.file
	case Rename:
		if names[c.Path] == c.file {
			delete(names, c.Path)
			names[c.Path2] = c.file
		}
	case Remove:
		delete(names, c.Path)
	}
}

func within(root, path string) bool {
	return path == root || strings.HasPrefix(path, root+string(filepath.Separator))
}

// Pending are the numbers, rising, of the operations that a cut at this moment may
// still undo or tear.
func (d *Disk) Pending() []int {
	var numbers []int
	for _, list := range d.pending {
		for _, c := range list {
			numbers = append(numbers, c.number)
		}
	}
	for _, f := range d.files {
		for _, c := range f.pending {
			numbers = append(numbers, c.number)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// State is what a cut may leave: the files below the root, and their names.
type State struct {
	Dirs  []string // sorted: each after the one that it is in
	Files map[string][]byte
	sums  map[string][sha256.Size]byte
}

// Cut returns one state that a cut at this moment may leave. fate decides for every
// pending operation, by its number; rng chooses the sectors of what is torn, which
// of changes of names means that they did not happen.
func (d *Disk) Cut(fate func(number int, op Op) Fate, rng *rand.Rand) State {
	names := maps.Clone(d.durable)
	for _, dir := range slices.Sorted(maps.Keys(d.pending)) {
		for _, c := range d.pending[dir] {
			if fate(c.number, c.Op) == Present {
				c.happen(names)
			}
		}
	}
	s := State{Files: map[string][]byte{}, sums: map[string][sha256.Size]byte{}}
	lost := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if _, there := names[filepath.Dir(name)]; name != d.root && (!there || lost[filepath.Dir(name)]) {
			lost[name] = true // with the directory it is in
			continue
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(name, d.root), string(filepath.Separator))
		f := d.files[names[name]]
		switch {
		case f == nil:
			s.Dirs = append(s.Dirs, rel)
		case len(f.pending) == 0:
			s.Files[rel], s.sums[rel] = f.synced, f.hash()
		default:
			s.Files[rel] = played(f, fate, rng)
			s.sums[rel] = sha256.Sum256(s.Files[rel])
		}
	}
	return s
}

func (f *content) hash() [sha256.Size]byte {
	if !f.summed {
		f.sum, f.summed = sha256.Sum256(f.synced), true
	}
	return f.sum
}

// Sum is the same for equal states and no others, of the names that matter.
func (s State) Sum(matters func(name string) bool) [sha256.Size]byte {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s.sums)) {
		if matters(name) {
			fmt.Fprintf(h, "%s %x\n", name, s.sums[name])
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Write writes the state into dir, which must not be there.
func (s State) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range s.Dirs {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	for name, b := range s.Files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// played is a file's content after its pending operations met their fates.
func played(f *content, fate func(int, Op) Fate, rng *rand.Rand) []byte {
	b := append([]byte(nil), f.synced...)
	for _, op := range f.pending {
		what := fate(op.number, op.Op)
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
