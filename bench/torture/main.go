package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	count := flag.Int("count", 0, "count for every proof; 0 takes each proof's full count")
	seed := flag.Int("seed", 1, "seed for every proof")
	only := flag.String("only", "", "run only proofs whose name contains this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed, err := run(ctx, *count, *seed, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, count, seed int, only string) (failed int, err error) {
	notes := filepath.Join("var", fmt.Sprintf("torture-%d-%d", seed, count))
	done, err := readNotes(notes)
	if err != nil {
		return 0, err
	}
	list := all(seed)
	for _, p := range list {
		if !strings.Contains(p.name, only) {
			continue
		}
		if i := slices.IndexFunc(done, func(l string) bool { return strings.HasPrefix(l, p.name+": ") }); i >= 0 {
			fmt.Println(done[i], "(before)")
			continue
		}
		line, ok := p.run(ctx, count)
		fmt.Println(line)
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
		if !ok {
			failed++
			continue
		}
		if err := note(notes, line); err != nil {
			return failed, err
		}
	}
	fmt.Printf("%d of %d proofs failed\n", failed, len(list))
	return failed, nil
}

func readNotes(name string) ([]string, error) {
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	return strings.Split(string(b), "\n"), err
}

func note(name, line string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, line)
	return err
}

// run runs one proof and returns its line, and whether it held. A proof of which
// no test ran, or any was skipped, did not hold.
func (p proof) run(ctx context.Context, count int) (string, bool) {
	if count == 0 {
		count = p.count
	} else if p.pieces > 0 {
		count = (count + p.pieces - 1) / p.pieces
	}
	start := time.Now()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=3h", "-v", "-run", "^("+p.test+")$", "./"+p.pkg)
	cmd.Env = append(os.Environ(), fmt.Sprintf("COUNT=%d", count), fmt.Sprintf("SEED=%d", p.seed))
	out, err := cmd.CombinedOutput()
	took := time.Since(start).Round(time.Second)
	said, passed, skipped := read(string(out))
	if err != nil || passed == 0 || skipped > 0 {
		return fmt.Sprintf("%s: FAILED after %s (COUNT=%d SEED=%d go test -run '^(%s)$' ./%s)\n%s", p.name, took, count, p.seed, p.test, p.pkg, tail(out)), false
	}
	return fmt.Sprintf("%s: ok in %s, count %d, seed %d, %d tests: %s", p.name, took, count, p.seed, passed, strings.Join(said, "; ")), true
}

// read finds in a test's output what it tells of its work.
func read(out string) (said []string, passed, skipped int) {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		_, proof, told := strings.Cut(line, "proof: ")
		if !told {
			_, proof, told = strings.Cut(line, "[rapid] OK, ")
		}
		switch {
		case told:
			said = append(said, proof)
		case strings.HasPrefix(line, "--- PASS"):
			passed++
		case strings.HasPrefix(line, "--- SKIP"):
			skipped++
		}
	}
	return said, passed, skipped
}

// tail is the end of a failed proof's output.
func tail(out []byte) string {
	const most = 4000
	return string(out[max(0, len(out)-most):])
}
