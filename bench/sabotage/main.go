package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "apply only patches whose name contains this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) error {
	patches, err := filepath.Glob("bench/sabotage/patches/*.patch")
	if err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	red, failed := 0, 0
	for _, name := range patches {
		if !strings.Contains(name, only) {
			continue
		}
		start := time.Now()
		verdict, err := try(ctx, root, name)
		fmt.Printf("%-40s %s (%s)\n", strings.TrimSuffix(filepath.Base(name), ".patch"), verdict, time.Since(start).Round(time.Second))
		if err != nil {
			fmt.Println("   ", err)
			failed++
		} else {
			red++
		}
	}
	fmt.Printf("%d passed, %d failed\n", red, failed)
	if failed > 0 || red == 0 {
		return errors.New("a damage went unnoticed or could not be done: see above")
	}
	return nil
}

// try applies one patch to a copy of the tree and expects its test to fail.
func try(ctx context.Context, root, name string) (string, error) {
	pkg, test, err := target(name)
	if err != nil {
		return "unreadable", err
	}
	dir, err := os.MkdirTemp("", "sabotage")
	if err != nil {
		return "no copy", err
	}
	defer os.RemoveAll(dir)
	if out, err := exec.CommandContext(ctx, "sh", "-c", `git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$1" 2>/dev/null; true`, "sh", dir).CombinedOutput(); err != nil {
		return "no copy", fmt.Errorf("copy the tree: %w: %s", err, out)
	}
	apply := exec.CommandContext(ctx, "patch", "-p1", "-s", "-i", filepath.Join(root, name))
	apply.Dir = dir
	if out, err := apply.CombinedOutput(); err != nil {
		return "does not apply", fmt.Errorf("patch: %w: %s", err, out)
	}
	build := exec.CommandContext(ctx, "go", "vet", "./"+pkg)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "does not build", fmt.Errorf("go vet ./%s: %w: %s", pkg, err, out)
	}
	check := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=10m", "-run", test, "./"+pkg)
	check.Dir = dir
	out, err := check.CombinedOutput()
	if err == nil {
		return "GREEN", fmt.Errorf("go test -run %q ./%s did not notice", test, pkg)
	}
	if ctx.Err() != nil {
		return "stopped", ctx.Err()
	}
	if !strings.Contains(string(out), "--- FAIL") && !strings.Contains(string(out), "panic:") {
		return "no verdict", fmt.Errorf("go test -run %q ./%s: %w: %s", test, pkg, err, out)
	}
	return "red", nil
}

// target reads the package and the tests that a patch names.
func target(name string) (pkg, test string, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "test: "); ok {
			if f := strings.Fields(rest); len(f) == 2 {
				return f[0], f[1], nil
			}
		}
	}
	return "", "", fmt.Errorf("%s: no line \"test: <package> <tests>\"", name)
}
