package synclog

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"teraslot/mailbox"
)

// TestOwed: what is owed is there after a crash, whole or as it was before.
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
