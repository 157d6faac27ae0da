package main

import (
	"errors"
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

// TestJudge: only what a test says against the damage is red.
func TestJudge(t *testing.T) {
	failed := errors.New("exit status 1")
	for _, c := range []struct {
		out  string
		err  error
		want string
	}{
		{"ok  \tone\t0.01s\n", nil, "GREEN"},
		{"--- FAIL: TestOne (0.00s)\n    one_test.go:9: not one\nFAIL\n", failed, "red"},
		{"panic: assignment to entry in nil map\n\ngoroutine 7 [running]:\n", failed, "red"},
		{"FAIL\tone [build failed]\n", failed, "does not build"},
		{"FAIL\tone [setup failed]\n", failed, "does not build"},
		{"panic: test timed out after 10m0s\n\trunning tests:\n\t\tTestOne (10m0s)\n", failed, "out of time"},
		{"signal: killed\nFAIL\tone\t3.1s\n", failed, "no verdict"},
	} {
		got, err := judge(c.out, c.err, "one", "TestOne")
		if got != c.want || (err == nil) != (got == "red") {
			t.Errorf("%q: %s (%v), want %s", c.out, got, err, c.want)
		}
	}
}
