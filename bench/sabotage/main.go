package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
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
	c, err := newTree(ctx, ".")
	if err != nil {
		return err
	}
	defer c.remove()
	red, failed := 0, 0
	for _, name := range patches {
		if !strings.Contains(name, only) {
			continue
		}
		start := time.Now()
		verdict, err := c.try(ctx, name)
		fmt.Printf("%-40s %s (%s)\n", strings.TrimSuffix(filepath.Base(name), ".patch"), verdict, time.Since(start).Round(time.Second))
		if err != nil {
			fmt.Println("   ", err)
			failed++
		} else {
			red++
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	fmt.Printf("%d passed, %d failed\n", red, failed)
	if failed > 0 || red == 0 {
		return errors.New("a damage went unnoticed or could not be done: see above")
	}
	return nil
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
