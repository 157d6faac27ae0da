package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	tests := []struct {
		name, in              string
		want                  []string
		passed, failed, skips int
	}{
		{"pass with a proof",
			`{"Action":"output","Package":"teraslot/a","Test":"TestX","Output":"    a_test.go:1: proof: 7 cuts\n"}
{"Action":"pass","Package":"teraslot/a","Test":"TestX"}
{"Action":"pass","Package":"teraslot/a","Elapsed":1.5}`,
			[]string{"proof TestX: 7 cuts", "pass  a", "1 passed, 0 failed, 0 skipped"}, 1, 0, 0},
		{"a failure shows its output",
			`{"Action":"output","Package":"teraslot/a","Test":"TestX","Output":"boom\n"}
{"Action":"fail","Package":"teraslot/a","Test":"TestX"}
{"Action":"fail","Package":"teraslot/a"}`,
			[]string{"FAIL  teraslot/a TestX\nboom", "2 failed"}, 0, 2, 0},
		{"a skip shows its reason",
			`{"Action":"output","Package":"teraslot/a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"teraslot/a","Test":"TestX","Output":"    a_test.go:1: CORPUS is not set\n"}
{"Action":"output","Package":"teraslot/a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}
{"Action":"skip","Package":"teraslot/a","Test":"TestX"}`,
			[]string{"skipped teraslot/a TestX: a_test.go:1: CORPUS is not set", "1 skipped"}, 0, 0, 1},
		{"a package that does not build",
			`{"Action":"build-output","ImportPath":"teraslot/a","Output":"a.go:1: no\n"}
{"Action":"build-fail","ImportPath":"teraslot/a"}`,
			[]string{"a.go:1: no", "0 passed, 1 failed"}, 0, 1, 0},
		{"words of the go command pass through", "go: cannot find module", []string{"go: cannot find module"}, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			r := report{out: &out, output: map[key][]string{}}
			if err := r.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			r.close()
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output %q lacks %q", out.String(), want)
				}
			}
			if r.passed != tt.passed || r.failed != tt.failed || r.skipped != tt.skips {
				t.Errorf("counted %d, %d, %d", r.passed, r.failed, r.skipped)
			}
		})
	}
}
