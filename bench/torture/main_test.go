package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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

// TestPieces: the pieces of a proof have all of its count, names and seeds of their own.
func TestPieces(t *testing.T) {
	counts, names, seeds := map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, p := range all(7) {
		counts[p.pkg+p.test] += p.count
		seed := p.pkg + p.test + strconv.Itoa(p.seed)
		if names[p.name] || p.pieces > 0 && seeds[seed] {
			t.Errorf("%s, seed %d, comes twice", p.name, p.seed)
		}
		names[p.name], seeds[seed] = true, true
	}
	for _, p := range proofs {
		if got := counts[p.pkg+p.test]; got < p.count || got > p.count+p.pieces {
			t.Errorf("%s: the pieces have %d of %d", p.name, got, p.count)
		}
	}
}

// TestRunGoesOn: what is noted is not done again, and what failed is.
func TestRunGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "var", "notes")
	for _, line := range []string{"one: ok in 1s", "two: ok in 2s"} {
		if err := note(file, line); err != nil {
			t.Fatal(err)
		}
	}
	done, err := readNotes(file)
	if err != nil || !slices.Contains(done, "one: ok in 1s") || !slices.Contains(done, "two: ok in 2s") {
		t.Errorf("noted %q, %v", done, err)
	}
	if done, err := readNotes(file + ".none"); err != nil || len(done) > 0 {
		t.Errorf("nothing was noted, and %q is there, %v", done, err)
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
