package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTry: a damage that a test sees is red, one that it does not see is green, one
// that does not build or apply is neither; and after each the copy is what it was,
// so that none is judged by the one before.
func TestTry(t *testing.T) {
	for _, command := range []string{"git", "patch", "go"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Skip(command, "is not installed")
		}
	}
	root := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(root, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	code := "package one\n\nfunc one() int {\n\treturn 1\n}\n"
	write("go.mod", "module one\n\ngo 1.26\n")
	write("one.go", code)
	// A test that fails leaves a file, and would fail again because of it.
	write("one_test.go", `package one

import (
	"os"
	"testing"
)

func TestOne(t *testing.T) {
	_, err := os.Stat("left")
	if one() != 1 || err == nil {
		_ = os.WriteFile("left", nil, 0o600)
		t.Fatal("not one")
	}
}
`)
	if out, err := exec.Command("git", "init", "-q", root).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	damage := func(name, test, from, to string) string {
		return write(name, "# a damage\ntest: . "+test+"\n\n--- a/one.go\n+++ b/one.go\n@@ -3,3 +3,3 @@\n func one() int {\n-"+from+"\n+"+to+"\n }\n")
	}
	c, err := newTree(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	defer c.remove()
	red := damage("red.patch", "TestOne", "\treturn 1", "\treturn 2")
	for _, try := range []struct{ patch, want string }{
		{red, "red"},
		{damage("green.patch", "TestOne", "\treturn 1", "\treturn 2 - 1"), "GREEN"},
		{damage("build.patch", "TestOne", "\treturn 1", "\treturn two"), "does not build"},
		{damage("apply.patch", "TestOne", "\treturn 3", "\treturn 2"), "does not apply"},
		{damage("none.patch", "", "\treturn 1", "\treturn 2"), "unreadable"},
		{red, "red"},
	} {
		got, err := c.try(t.Context(), try.patch)
		if got != try.want || (err == nil) != (got == "red") {
			t.Errorf("%s: %s (%v), want %s", filepath.Base(try.patch), got, err, try.want)
		}
		if b, err := os.ReadFile(filepath.Join(c.work, "one.go")); err != nil || string(b) != code {
			t.Errorf("%s has stayed in the copy: %s %v", filepath.Base(try.patch), b, err)
		}
	}
}
