package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// TestChosen: a run that was stopped goes on with the patch that it was at, and a
// name that no patch has is told, not taken for all or none.
func TestChosen(t *testing.T) {
	all := []string{"patches/lock.patch", "patches/merge.patch", "patches/merge-twice.patch", "patches/swap.patch"}
	for _, c := range []struct {
		only, from string
		want       []string
	}{
		{"", "", []string{"lock", "merge", "merge-twice", "swap"}},
		{"", "merge-twice", []string{"merge-twice", "swap"}},
		{"merge", "", []string{"merge", "merge-twice"}},
		{"^merge$|swap", "merge", []string{"merge", "swap"}},
		{"^lock$", "merge", nil},
		{"patch", "", nil},
	} {
		got, err := chosen(all, c.only, c.from)
		for i := range got {
			got[i] = called(got[i])
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("only %q from %q: %v %v, want %v", c.only, c.from, got, err, c.want)
		}
	}
	for _, c := range [][2]string{{"", "merge-thrice"}, {"(", ""}} {
		if got, err := chosen(all, c[0], c[1]); err == nil {
			t.Errorf("only %q from %q: %v, want an error", c[0], c[1], got)
		}
	}
}
