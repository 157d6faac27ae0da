package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"teraslot/disk"
)

func (w *world) prune(k Keep) Pruned {
	w.t.Helper()
	p, err := w.repository(w.options()).Prune(context.Background(), k)
	w.check(err)
	return p
}

func (w *world) names() (out []string) {
	w.t.Helper()
	names, err := w.repository(w.options()).generationNames()
	w.check(err)
	for _, name := range names {
		out = append(out, name[9:11])
	}
	return out
}

// TestKeep: which generations stay.
func TestKeep(t *testing.T) {
	for _, c := range []struct {
		keep Keep
		want string
	}{
		{Keep{}, "10 11 12 13 14"},
		{Keep{Count: 2}, "13 14"},
		{Keep{Count: 9}, "10 11 12 13 14"},
		{Keep{Age: 2 * time.Hour}, "12 13 14"},
		{Keep{Age: time.Nanosecond}, "12 13 14"}, // as if the clock ran ahead
		{Keep{Count: 1, Age: time.Nanosecond}, "14"},
		{Keep{Count: 2, Age: 3 * time.Hour}, "11 12 13 14"},
		{Keep{Count: 4, Age: time.Hour}, "11 12 13 14"},
	} {
		t.Run(fmt.Sprint(c.keep), func(t *testing.T) {
			w := newWorld(t)
			for range 5 {
				w.backup()
			}
			p := w.prune(c.keep)
			if got := strings.Join(w.names(), " "); got != c.want || p.Generations != 5-len(w.names()) {
				t.Errorf("%+v, left %s, want %s", p, got, c.want)
			}
		})
	}
}

// TestPruneRemovesWhatNobodyNeeds, and nothing else: packs that were repacked, records
// of generations that are gone, users who are gone, the leavings of interrupted runs.
func TestPruneRemovesWhatNobodyNeeds(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 20)
	w.add(brong, "INBOX", 1)
	w.backup()
	w.remove(anna, "INBOX", 1, 2, 3)
	w.repack(anna)
	w.check(w.store.RemoveUser(t.Context(), brong))
	delete(w.logins, brong)
	w.backup()
	before := len(w.files(anna))
	stray := filepath.Join(w.repo, anna.Dir(), "999.pack")
	w.check(os.WriteFile(stray, []byte("half a pack"), 0o600))
	foreign := filepath.Join(w.repo, anna.Dir(), "notes.txt")
	w.check(os.WriteFile(foreign, []byte("not ours"), 0o600))
	if p := w.prune(Keep{Count: 2}); p.Generations != 0 || p.Files != 1 || p.Bytes != 11 {
		t.Errorf("%+v", p)
	}
	sound(t, w.repo, 2)
	p := w.prune(Keep{Count: 1})
	if p.Generations != 1 || p.Files < 4 || p.Bytes == 0 {
		t.Errorf("%+v", p)
	}
	if left := w.files(anna); len(left) >= before+1 || !slices.Contains(left, "notes.txt") {
		t.Errorf("%q is left", left)
	}
	if _, err := os.Stat(filepath.Join(w.repo, brong.Dir())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a user who is gone: %v", err)
	}
	sound(t, w.repo, 1)
	if p := w.prune(Keep{Count: 1}); p != (Pruned{}) {
		t.Errorf("again: %+v", p)
	}
}

// TestPruneNotDurable: manifests of which nobody knows whether they are removed for good are there for the next run, which removes them,
// and no file goes that they name.
func TestPruneNotDurable(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.backup()
	}
	o := w.options()
	fails := true
	var removed []string
	o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if op == disk.OpSyncDir && filepath.Base(name) == generationsDir && fails {
			fails = false
			return syscall.EIO
		}
		if op == disk.OpRemove && filepath.Base(filepath.Dir(name)) != generationsDir {
			removed = append(removed, name)
		}
		return nil
	}})
	if _, err := w.repository(o).Prune(t.Context(), Keep{Count: 1}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if len(w.names()) != 3 || len(removed) > 0 {
		t.Errorf("generations %q are left, files are removed: %q", w.names(), removed)
	}
	if p := w.prune(Keep{Count: 1}); p.Generations != 2 || len(w.names()) != 1 {
		t.Errorf("again: %+v, %q", p, w.names())
	}
}

// TestPruneStopsAtDamage: what a manifest names that cannot be read is not known, so
// nothing is removed, and the other generations are there.
func TestPruneStopsAtDamage(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 3)
	w.backup()
	_, g := w.backup()
	w.backup()
	flip(t, filepath.Join(w.repo, generationsDir, g.Name), 20)
	files := w.files(anna)
	if _, err := w.repository(w.options()).Prune(t.Context(), Keep{Count: 2}); !errors.Is(err, ErrManifest) {
		t.Errorf("%v", err)
	}
	if got := w.files(anna); !slices.Equal(got, files) {
		t.Errorf("%q, before %q", got, files)
	}
	all, err := w.repository(w.options()).Generations()
	if err != nil || len(all) == 0 || len(w.told) != 1 {
		t.Errorf("%d generations, reported %q, %v", len(all), w.told, err)
	}
}

// TestPruneReadsAllFirst: where the latest manifest cannot be read, the others are all
// that is left, and stay.
func TestPruneReadsAllFirst(t *testing.T) {
	w := newWorld(t)
	w.add(anna, "INBOX", 3)
	w.backup()
	w.backup()
	_, g := w.backup()
	flip(t, filepath.Join(w.repo, generationsDir, g.Name), 20)
	p, err := w.repository(w.options()).Prune(t.Context(), Keep{Count: 1})
	if !errors.Is(err, ErrManifest) || p != (Pruned{}) {
		t.Errorf("%+v: %v", p, err)
	}
	if all, err := w.repository(w.options()).Generations(); err != nil || len(all) != 2 {
		t.Errorf("%d generations can be restored from, %v", len(all), err)
	}
}

// FuzzManifest: nothing that a manifest says leads out of the directory.
func FuzzManifest(f *testing.F) {
	sum := strings.Repeat("0", 64)
	good := &Generation{Version: 1, Name: "20261122T100000Z", Users: []User{{ID: anna, Records: Object{File: "a/b", SHA256: sum},
		Packs: []Pack{{N: 1, File: "1.pack", End: 48}}}}}
	b, err := good.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, false)
	for _, change := range []string{`"../../etc"`, `"/etc"`, `"x"`} {
		f.Add([]byte(strings.Replace(string(b[:len(b)-13]), `"1.pack"`, change, 1)), true)
		f.Add([]byte(strings.Replace(string(b[:len(b)-13]), `"a/b"`, change, 1)), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal { // the checksum keeps the rest from being reached
			b = sealed(b)
		}
		g, err := decodeManifest(good.Name, b)
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Errorf("%v", err)
			}
			return
		}
		for _, u := range g.Users {
			if !filepath.IsLocal(u.Records.File) {
				t.Errorf("records %q", u.Records.File)
			}
			for _, p := range u.Packs {
				if strings.ContainsAny(p.File, "/\\") || !filepath.IsLocal(p.File) {
					t.Errorf("pack %q", p.File)
				}
			}
		}
		again, err := g.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(good.Name, again); err != nil {
			t.Error(err)
		}
	})
}

func sealed(b []byte) []byte {
	if len(b) == 0 || b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	return fmt.Appendf(b, "crc %08x\n", crcOf(b))
}
