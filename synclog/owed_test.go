package synclog

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"teraslot/disk"
	"teraslot/mailbox"
)

// TestKeptThroughCrashes: where the power is cut while a list is written, the list before or
// the new one is there; once it is written, the new one.
func TestKeptThroughCrashes(t *testing.T) {
	one := Note{User: "00112233445566778899aabbccddeeff"}
	two := Note{User: one.User, Mailbox: mailbox.ID("0123456789abcdef01234567")}
	for _, list := range []struct {
		step string
		keep func(*Log, []Note) error
		kept func(*Log) ([]Note, error)
	}{
		{"owed", (*Log).Owe, (*Log).Owed},
		{"skipped", (*Log).Skip, (*Log).Skipped},
	} {
		m := disk.NewMemory()
		var before, now []Note
		cuts := 0
		holds := func(at string, want ...[]Note) {
			t.Helper()
			for _, seed := range []uint64{disk.LoseUnsynced, disk.KeepUnsynced + uint64(cuts)} {
				cuts++
				l, err := Open(Options{Dir: channelDir, FS: m.Crashed(seed), Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				got, err := list.kept(l)
				if err != nil || !slices.ContainsFunc(want, func(w []Note) bool { return slices.Equal(got, w) }) {
					t.Errorf("%s, cut at %s, seed %d: %v, %v; want one of %v", list.step, at, seed, got, err, want)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		cut := func(op disk.Op, name string) {
			if op.Changes() {
				holds(string(op)+" "+name, before, now)
			}
		}
		l, err := Open(Options{Dir: channelDir, FS: disk.WithFaults(m, disk.Faults{Done: cut}), Step: func(step string) {
			if step == list.step {
				holds("its step", now)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, now = range [][]Note{{one, two}, {two}, nil, {one}} {
			if err := list.keep(l, now); err != nil {
				t.Fatal(err)
			}
			before = now
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if cuts < 4*2*4 {
			t.Errorf("%s: %d cuts", list.step, cuts)
		}
	}
}

// TestOwed: what is owed is what was last said, also after a start.
func TestOwed(t *testing.T) {
	dir := t.TempDir()
	open := func() *Log {
		t.Helper()
		l, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	if got, err := l.Owed(); err != nil || got != nil {
		t.Fatalf("a new log owes %v, %v", got, err)
	}
	l.Compared()
	one := Note{User: "00112233445566778899aabbccddeeff"}
	two := Note{User: one.User, Mailbox: mailbox.ID("0123456789abcdef01234567")}
	for _, want := range [][]Note{{one, two}, {two}, nil, {one}} {
		if err := l.Owe(want); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Owed(); err != nil || !slices.Equal(got, want) {
			t.Fatalf("owed %v, %v; want %v", got, err, want)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Owe(nil); err == nil {
		t.Fatal("a closed log took a list")
	}
	l = open()
	defer l.Close()
	if !l.Clean() {
		t.Fatal("not clean after a clean stop")
	}
	if got, err := l.Owed(); err != nil || !slices.Equal(got, []Note{one}) {
		t.Fatalf("after a start owed %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, owedName), []byte("1 nonsense - 00000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Owed(); err != nil || got != nil {
		t.Fatalf("of a damaged list %v, %v", got, err)
	}
	if l.Clean() {
		t.Fatal("clean although a line of what is owed cannot be read")
	}
}
