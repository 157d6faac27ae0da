package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	out := `=== RUN   TestX
    x_test.go:1: proof: 7 cuts
    x_test.go:2: [rapid] OK, passed 100 tests (1s)
--- PASS: TestX (0.00s)
    --- SKIP: TestX/sub (0.00s)
PASS
`
	said, passed, skipped := read(out)
	if !slices.Equal(said, []string{"7 cuts", "passed 100 tests (1s)"}) || passed != 1 || skipped != 1 {
		t.Errorf("read %q, %d passed, %d skipped", said, passed, skipped)
	}
}

// TestProofsExist holds that each proof names tests that are there.
func TestProofsExist(t *testing.T) {
	for _, p := range proofs {
		files, err := filepath.Glob(filepath.Join("..", "..", p.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var source strings.Builder
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(b)
		}
		for test := range strings.SplitSeq(p.test, "|") {
			if !regexp.MustCompile(`(?m)^func ` + test + `\(`).MatchString(source.String()) {
				t.Errorf("%s: no test %s in %s", p.name, test, p.pkg)
			}
		}
	}
}
