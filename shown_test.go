package teraslot

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commandOfTests finds a package and what -run names in a command of docs/shown.md.
var commandOfTests = regexp.MustCompile(`go test (?:-v )?\./([a-z/]+) (?:-v )?-run (?:'([^']+)'|([A-Za-z/]+))`)

// TestShownIsThere: the tests that docs/shown.md names are there.
func TestShownIsThere(t *testing.T) {
	text, err := os.ReadFile("docs/shown.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := commandOfTests.FindAllStringSubmatch(string(text), -1)
	if len(commands) < 40 {
		t.Fatalf("%d commands in docs/shown.md", len(commands))
	}
	for _, c := range commands {
		tests := testsOf(t, c[1])
		for name := range strings.SplitSeq(strings.ReplaceAll(c[2]+c[3], `\|`, "|"), "|") {
			name, _, _ = strings.Cut(name, "/")
			if name != "xx" && !regexp.MustCompile(name).MatchString(tests) {
				t.Errorf("%s: no test %s", c[0], name)
			}
		}
	}
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testsOf are the names of a package's tests, one after another.
func testsOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests: %v", dir, err)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range testFunction.FindAllStringSubmatch(string(text), -1) {
			names = append(names, f[1])
		}
	}
	return strings.Join(names, " ")
}
