package powercut

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func hexed(s string) string {
	var b strings.Builder
	for i := range len(s) {
		const digits = "0123456789abcdef"
		b.WriteString(`\x` + string(digits[s[i]>>4]) + string(digits[s[i]&15]))
	}
	return b.String()
}

// trace is a recording of two processes, with calls that overlap.
var trace = strings.ReplaceAll(strings.Join([]string{
	`7  openat(AT_FDCWD<` + hexed("/r") + `>, "` + hexed("/r/f") + `", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 5<` + hexed("/r/f") + `>`,
	`7  write(5<` + hexed("/r/f") + `>, "` + hexed("hello") + `", 5) = 5`,
	`8  pwrite64(5<` + hexed("/r/f") + `>, "` + hexed("J") + `", 1, 0 <unfinished ...>`,
	`7  fsync(5<` + hexed("/r/f") + `> <unfinished ...>`,
	`8  <... pwrite64 resumed>)         = 1`,
	`7  <... fsync resumed>)            = 0`,
	`7  fsync(3<` + hexed("/r") + `>)  = 0`,
	`7  write(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "` + hexed("250 ok\r\n") + `", 8) = 8`,
	`7  renameat(AT_FDCWD, "` + hexed("/r/f") + `", AT_FDCWD, "` + hexed("/r/g") + `") = 0`,
	`7  unlinkat(AT_FDCWD, "` + hexed("/r/none") + `", 0) = -1 ENOENT (No such file or directory)`,
	`7  open("` + hexed("/r/h") + `", O_RDWR|O_CREAT|O_NOFOLLOW, 0600) = 6<` + hexed("/r/h") + `>`,
	`7  mkdirat(AT_FDCWD, "` + hexed("/r/d") + `", 0700) = 0`,
	`7  fsync(3<` + hexed("/r/d") + `>)  = 0`,
	`7  copy_file_range(8<` + hexed("/r/g") + `>, NULL, 6<` + hexed("/r/h") + `>, NULL, 3, 0) = 3`,
	`7  copy_file_range(8<` + hexed("/r/g") + `>, NULL, 6<` + hexed("/r/h") + `>, NULL, 9, 0) = 2`,
	`7  copy_file_range(8<` + hexed("/r/g") + `>, NULL, 6<` + hexed("/r/h") + `>, NULL, 9, 0) = 0`,
	`7  +++ exited with 0 +++`,
}, "\n"), "TCP:", "TCP:") + "\n"

func TestRead(t *testing.T) {
	ops, err := Read(strings.NewReader(trace), func(p string) bool { return p == "/r" }, func(string) int64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	want := []Op{
		{Kind: Create, Path: "/r/f"}, {Kind: Write, Path: "/r/f", Data: []byte("hello")}, {Kind: Write, Path: "/r/f", Data: []byte("J")},
		{Kind: Sync, Path: "/r/f"}, {Kind: SyncDir, Path: "/r"}, {Kind: Reply, Path: "TCP:[127.0.0.1:1->127.0.0.1:2]", Data: []byte("250 ok\r\n")},
		{Kind: Rename, Path: "/r/f", Path2: "/r/g"}, {Kind: Create, Path: "/r/h"},
		{Kind: Mkdir, Path: "/r/d"}, {Kind: SyncDir, Path: "/r/d"},
		{Kind: Copy, Path: "/r/h", Path2: "/r/g", Length: 3}, {Kind: Copy, Path: "/r/h", Path2: "/r/g", Offset: 3, From: 3, Length: 2},
	}
	if len(ops) != len(want) {
		t.Fatalf("read %v", ops)
	}
	for i, op := range ops {
		if w := want[i]; op.Kind != w.Kind || op.Path != w.Path || op.Path2 != w.Path2 || op.Offset != w.Offset || op.From != w.From || op.Length != w.Length || !bytes.Equal(op.Data, w.Data) {
			t.Errorf("operation %d is %v %q, want %v", i, op, op.Data, w)
		}
	}
}

func TestReadRefusesWhatItCannotReplay(t *testing.T) {
	for _, line := range []string{
		`7  copy_file_range(5</r/f>, [0] => [10], 6</r/g>, NULL, 10, 0) = 10`,
		`7  sendfile(6</dev/shm/g>, 5</dev/shm/f>, NULL, 10) = 10`,
		`7  write(5</r/f>, "` + hexed("abc") + `"..., 5000) = 5000`,
	} {
		if _, err := Read(strings.NewReader(line+"\n"), func(string) bool { return false }, func(string) int64 { return 0 }); err == nil {
			t.Errorf("%s was taken", line)
		}
	}
}

// state plays ops on an empty disk and returns what one fate leaves.
func state(t *testing.T, ops []Op, fate Fate) map[string]string {
	t.Helper()
	base, out := t.TempDir(), t.TempDir()
	d, err := NewDisk(base, "/r")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		if err := d.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Cut(func(int, Op) Fate { return fate }, rand.New(rand.NewPCG(1, 1))).Write(filepath.Join(out, "state")); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	names, err := filepath.Glob(out + "/state/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if isDir(name) {
			files[filepath.Base(name)] = ""
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = string(b)
	}
	return files
}

func TestDisk(t *testing.T) {
	create, write := Op{Kind: Create, Path: "/r/f"}, Op{Kind: Write, Path: "/r/f", Data: []byte("hello")}
	sync, syncDir := Op{Kind: Sync, Path: "/r/f"}, Op{Kind: SyncDir, Path: "/r"}
	rename := Op{Kind: Rename, Path: "/r/f", Path2: "/r/g"}
	tests := []struct {
		name            string
		ops             []Op
		absent, present string // files as "name=content", sorted
	}{
		{"nothing synced", []Op{create, write}, "", "f=hello"},
		{"content synced, name not", []Op{create, write, sync}, "", "f=hello"},
		{"name synced, content not", []Op{create, write, syncDir}, "f=", "f=hello"},
		{"all synced", []Op{create, write, sync, syncDir}, "f=hello", "f=hello"},
		{"a synced overwrite", []Op{create, write, sync, syncDir, {Kind: Write, Path: "/r/f", Offset: 1, Data: []byte("u")}}, "f=hello", "f=hullo"},
		{"rename not synced", []Op{create, write, sync, syncDir, rename}, "f=hello", "g=hello"},
		{"rename synced", []Op{create, write, sync, syncDir, rename, syncDir}, "g=hello", "g=hello"},
		{"made, renamed, not synced", []Op{create, write, sync, rename}, "", "g=hello"},
		{"renamed over another", []Op{create, write, sync, syncDir, {Kind: Create, Path: "/r/g"}, rename}, "f=hello", "g=hello"},
		{"a directory not synced", []Op{{Kind: Mkdir, Path: "/r/d"}, {Kind: Create, Path: "/r/d/f"}, {Kind: SyncDir, Path: "/r/d"}}, "", "d="},
		{"remove not synced", []Op{create, write, sync, syncDir, {Kind: Remove, Path: "/r/f"}}, "f=hello", ""},
		{"truncate not synced", []Op{create, write, sync, syncDir, {Kind: Truncate, Path: "/r/f", Offset: 2}}, "f=hello", "f=he"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for fate, want := range map[Fate]string{Absent: tt.absent, Present: tt.present} {
				got := ""
				for name, content := range state(t, tt.ops, fate) {
					got += name + "=" + content
				}
				if got != want {
					t.Errorf("fate %d leaves %q, want %q", fate, got, want)
				}
			}
		})
	}
}

func TestCopiesAreReplayed(t *testing.T) {
	ops := []Op{
		{Kind: Create, Path: "/r/a"}, {Kind: Write, Path: "/r/a", Data: []byte("some text")}, {Kind: Create, Path: "/r/b"},
		{Kind: Copy, Path: "/r/b", Path2: "/r/a", From: 5, Length: 4}, {Kind: SyncDir, Path: "/r"},
	}
	if got := state(t, ops, Present); got["b"] != "text" {
		t.Errorf("a copy is %q", got)
	}
	if got := state(t, append(ops, Op{Kind: Sync, Path: "/r/a"}), Absent); got["a"] != "some text" || got["b"] != "" {
		t.Errorf("a copy that was not synced, and did not arrive, is %q", got)
	}
	d, err := NewDisk(t.TempDir(), "/r")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops[:3] {
		if err := d.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
	for _, op := range []Op{{Kind: Copy, Path: "/r/b", Path2: "/r/none", Length: 1}, {Kind: Copy, Path: "/r/b", Path2: "/r/a", From: 9, Length: 1}} {
		if err := d.Apply(op); err == nil {
			t.Errorf("%+v was taken", op)
		}
	}
}

func TestTearKeepsSectorsWhole(t *testing.T) {
	data := bytes.Repeat([]byte("n"), 3*sector)
	rng := rand.New(rand.NewPCG(2, 2))
	torn := 0
	for range 50 {
		dst := bytes.Repeat([]byte("o"), len(data))
		tear(dst, data, 0, rng)
		for i := 0; i < len(dst); i += sector {
			if s := dst[i : i+sector]; bytes.Contains(s, []byte("on")) || bytes.Contains(s, []byte("no")) {
				t.Fatal("a sector is half old and half new")
			}
		}
		if !bytes.Equal(dst, data) && bytes.Contains(dst, []byte("n")) {
			torn++
		}
	}
	if torn == 0 {
		t.Error("no write was torn")
	}
}
