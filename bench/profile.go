package main

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// profiled are the benchmarks whose processor time is taken apart.
var profiled = []struct{ what, pkg, benchmark string }{
	{"indexing", "./squatter", "Bulk"},
	{"searching", "./search", "Search"},
	{"compacting", "./tiers", "Compact"},
}

// profile runs Go benchmarks of the three under the profiler, in processes of their
// own, and prints where the time goes: by function, and by what calls it.
func profile(b *bench) {
	dir := b.TempDir()
	for _, p := range profiled {
		file := filepath.Join(dir, p.what)
		cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^Benchmark"+p.benchmark+"$", "-o", file+".test", "-cpuprofile", file, p.pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%s: %v: %s", p.what, err, out)
		}
		for _, sorted := range [][]string{{"-top", "-nodecount=14"}, {"-top", "-cum", "-show=^teraslot/", "-nodecount=22"}} {
			args := append(append([]string{"tool", "pprof"}, sorted...), file+".test", file)
			out, err := exec.Command("go", args...).Output()
			b.must(err)
			b.table.note("%s, %s", p.what, strings.Join(sorted, " "))
			for line := range strings.Lines(string(out)) {
				b.table.note("  %s", strings.TrimRight(line, "\n"))
			}
		}
	}
}
