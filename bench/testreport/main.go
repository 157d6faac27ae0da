package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is what test2json writes (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

type key struct{ pkg, test string }

// report gathers the events of one run.
type report struct {
	out                     io.Writer
	output                  map[key][]string
	skips, proofs           []string
	passed, failed, skipped int
}

func main() {
	r := report{out: os.Stdout, output: map[key][]string{}}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	r.close()
	if r.failed > 0 || r.passed == 0 {
		os.Exit(1)
	}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(r.out, lines.Text()) // what the go command itself says
			continue
		}
		r.add(e)
	}
	return lines.Err()
}

func (r *report) add(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.failed++
	case "pass", "fail", "skip":
		r.end(k, e)
		delete(r.output, k)
	}
}

// end counts a test or, where Test is empty, prints a package's line.
func (r *report) end(k key, e event) {
	r.keepProofs(k)
	if k.test == "" {
		fmt.Fprintf(r.out, "%-5s %-24s %6.1fs\n", e.Action, strings.TrimPrefix(k.pkg, "teraslot/"), e.Elapsed)
		if e.Action == "fail" {
			r.failed++
			fmt.Fprint(r.out, strings.Join(r.output[k], ""))
		}
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		fmt.Fprintf(r.out, "FAIL  %s %s\n%s", k.pkg, k.test, strings.Join(r.output[k], ""))
	case "skip":
		r.skipped++
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", k.pkg, k.test, reason(r.output[k])))
	}
}

// keepProofs keeps the lines in which a test tells what it showed.
func (r *report) keepProofs(k key) {
	for _, line := range r.output[k] {
		if _, proof, ok := strings.Cut(line, "proof: "); ok {
			r.proofs = append(r.proofs, fmt.Sprintf("%s: %s", k.test, strings.TrimSpace(proof)))
		}
	}
}

// reason is the last line that a skipped test wrote before its verdict.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") {
			return line
		}
	}
	return "no reason given"
}

func (r *report) close() {
	for _, p := range r.proofs {
		fmt.Fprintln(r.out, "proof", p)
	}
	for _, s := range r.skips {
		fmt.Fprintln(r.out, "skipped", s)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}
