package tiers

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/text"
)

// rooms is what a test says that is free.
type rooms map[string]int64 // by the last element of the root

func (r rooms) of(root string) (free, all int64, err error) {
	free, ok := r[filepath.Base(root)]
	if !ok {
		return 0, 0, errors.New("not asked for")
	}
	return free, 64 << 20, nil
}

// TestFrontTier: where the next commit goes.
func TestFrontTier(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct {
		name  string
		rooms rooms
		now   string
		bytes int64
		want  string
	}{
		{"room", rooms{"temp": 10 * mib, "data": 10 * mib}, "temp", mib, "temp"},
		{"none yet", rooms{"temp": 10 * mib, "data": 10 * mib}, "", mib, "temp"},
		{"none yet, and full", rooms{"temp": 10, "data": 10 * mib}, "", mib, "data"},
		{"full", rooms{"temp": 1*mib + 1000, "data": 10 * mib}, "temp", mib, "data"},
		{"both full", rooms{"temp": 1000, "data": 1000}, "temp", mib, "temp"},
		{"both full, in data", rooms{"temp": 1000, "data": 1000}, "data", mib, "temp"},
		{"a little room again", rooms{"temp": 5 * mib, "data": 10 * mib}, "data", mib, "data"},
		{"room again", rooms{"temp": 9 * mib, "data": 30 * mib}, "data", mib, "temp"},
		{"room again, not for so much", rooms{"temp": 9 * mib, "data": 90 * mib}, "data", 3 * mib, "data"},
		{"tmpfs gone", rooms{"data": 10 * mib}, "temp", mib, "temp"},
		{"in another tier", rooms{"temp": 10, "data": 10 * mib}, "archive", mib, "archive"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := testOptions(t.TempDir())
			o.Room = tc.rooms.of
			if got := newSet(t, o).User(testUser).frontTier(tc.now, tc.bytes); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// TestFullTemp: with no room in temp, documents go to data and are found; with room again
// they go to temp, and all of it is compacted as ever.
func TestFullTemp(t *testing.T) {
	o := testOptions(t.TempDir())
	r := rooms{"temp": 32 << 20, "data": 32 << 20, "archive": 32 << 20}
	o.Room = r.of
	x := newSet(t, o).User(testUser)
	n := 0
	add := func(want string) {
		t.Helper()
		commit(t, x, docsOf(n, n+3)...)
		n += 3
		if got := activeOf(t, x); got != want {
			t.Errorf("active is %q, want %q", got, want)
		}
		if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, n)) {
			t.Errorf("found %v of %d", got, n)
		}
		verify(t, x)
	}
	add("temp:1")
	r["temp"] = 4 << 10
	add("data:1 temp:1")
	add("data:1 temp:1")
	r["temp"] = 32 << 20
	add("temp:2 data:1 temp:1")
	add("temp:2 data:1 temp:1")
	r["temp"], r["data"] = 0, 0
	add("temp:2 data:1 temp:1") // what the file systems say may be wrong
	r["data"] = 32 << 20
	compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "data"})
	if got := activeOf(t, x); got != "data:3 data:2" && !strings.HasPrefix(got, "data:") {
		t.Errorf("compacted with a full temp: active is %q", got)
	}
	add(activeOf(t, x))
	noLeftovers(t, x)
}

// TestTempSaysFull: a tier that has room, as it says, and takes nothing, is left for a
// while. Nothing half written is left in it.
func TestTempSaysFull(t *testing.T) {
	o := testOptions(t.TempDir())
	now := time.Unix(1_700_000_000, 0)
	full := false
	o.Room = func(string) (free, all int64, err error) { return 1 << 30, 1 << 30, nil }
	o.Now = func() time.Time { return now }
	temp := o.Roots["temp"]
	o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if full && op == disk.OpWrite && strings.HasPrefix(name, temp) && strings.HasSuffix(name, textExt) {
			return syscall.EDQUOT
		}
		return nil
	}})
	o.Room = func(string) (free, all int64, err error) { return 1 << 30, 1 << 30, nil } // as statfs says, which knows no quotas
	x := newSet(t, o).User(testUser)
	commit(t, x, docsOf(0, 3)...)
	before := tree(t, temp)
	full = true
	commit(t, x, docsOf(3, 6)...)
	if got := activeOf(t, x); got != "data:1 temp:1" {
		t.Errorf("active is %q", got)
	}
	if after := tree(t, temp); !slices.Equal(before, after) {
		t.Errorf("temp had %q and has %q", before, after)
	}
	full = false
	commit(t, x, docsOf(6, 9)...)
	if got := activeOf(t, x); got != "data:1 temp:1" {
		t.Errorf("at once: active is %q", got)
	}
	now = now.Add(2 * fullFor)
	commit(t, x, docsOf(9, 12)...)
	if got := activeOf(t, x); got != "temp:2 data:1 temp:1" {
		t.Errorf("later: active is %q", got)
	}
	if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 12)) {
		t.Errorf("found %v", got)
	}
	verify(t, x)
}

// TestAllFull: with no room anywhere the commit says so, and nothing is lost of what is
// there; with room again it works.
func TestAllFull(t *testing.T) {
	o := testOptions(t.TempDir())
	full := false
	o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if full && op.Changes() && op != disk.OpRemove {
			return syscall.ENOSPC
		}
		return nil
	}})
	x := newSet(t, o).User(testUser)
	commit(t, x, docsOf(0, 3)...)
	full = true
	if err := x.Commit(t.Context(), docsOf(3, 6)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("commit: %v", err)
	}
	if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("found %v", got)
	}
	full = false
	commit(t, x, docsOf(3, 6)...)
	if got := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 6)) {
		t.Errorf("found %v", got)
	}
	verify(t, x)
}
