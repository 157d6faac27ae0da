package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestLicencesListEveryModule: a dependency that comes, goes or changes its
// version has to be looked at again.
func TestLicencesListEveryModule(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("../../docs/licences.md")
	if err != nil {
		t.Fatal(err)
	}
	modules := regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`).FindAllStringSubmatch(string(mod), -1)
	if len(modules) < 20 {
		t.Fatalf("%d modules in go.mod", len(modules))
	}
	for _, m := range modules {
		if !strings.Contains(string(list), "| "+m[1]+" | "+m[2]+" | ") {
			t.Errorf("%s %s is not in docs/licences.md", m[1], m[2])
		}
	}
	if rows := len(regexp.MustCompile(`\| v\d`).FindAllString(string(list), -1)); rows != len(modules) {
		t.Errorf("docs/licences.md has %d modules, go.mod %d", rows, len(modules))
	}
}
