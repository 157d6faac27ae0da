package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testNames = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

// TestPatches: each patch says what it damages and for whom, applies to the code as
// it is, and names a test that there is.
func TestPatches(t *testing.T) {
	root := filepath.Join("..", "..")
	patches, err := filepath.Glob("patches/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatal("no patches", err)
	}
	_, err = exec.LookPath("patch")
	if err != nil {
		t.Skip("no patch is installed: whether the damages still apply is not looked at")
	}
	for _, name := range patches {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(b), "# ") {
			t.Errorf("%s does not begin with what it damages", name)
		}
		pkg, test, err := target(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if !someTest(t, filepath.Join(root, pkg), test) {
			t.Errorf("%s: package %s has no test %s", name, pkg, test)
		}
		apply := exec.Command("patch", "-p1", "-s", "--dry-run", "-d", root)
		apply.Stdin = strings.NewReader(string(b))
		if out, err := apply.CombinedOutput(); err != nil {
			t.Errorf("%s does not apply: %s", name, out)
		}
	}
}

// someTest reports whether each of the alternatives of -run names a test in dir.
func someTest(t *testing.T, dir, run string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testNames.FindAllStringSubmatch(string(b), -1) {
			names = append(names, m[1])
		}
	}
	run, _, _ = strings.Cut(run, "/")
	for _, one := range strings.Split(run, "|") {
		re, err := regexp.Compile(one)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, name := range names {
			found = found || re.MatchString(name)
		}
		if !found {
			return false
		}
	}
	return true
}
