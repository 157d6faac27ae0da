package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "apply only patches whose name this regular expression matches")
	from := flag.String("from", "", "begin with the patch of this name: go on where a run was stopped")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *from); err != nil {
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, from string) error {
	patches, err := filepath.Glob("bench/sabotage/patches/*.patch")
	if err != nil {
		return err
	}
	if patches, err = chosen(patches, only, from); err != nil {
		return err
	}
	c, err := newTree(ctx, ".")
	if err != nil {
		return err
	}
	defer c.remove()
	red, failed := 0, 0
	for _, name := range patches {
		start := time.Now()
		verdict, err := c.try(ctx, name)
		fmt.Printf("%-40s %s (%s)\n", called(name), verdict, time.Since(start).Round(time.Second))
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

// chosen are the patches from the one called from on, or all, whose names only matches.
func chosen(patches []string, only, from string) ([]string, error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	if from != "" {
		i := slices.IndexFunc(patches, func(name string) bool { return called(name) == from })
		if i < 0 {
			return nil, fmt.Errorf("there is no patch %s", from)
		}
		patches = patches[i:]
	}
	return slices.DeleteFunc(slices.Clone(patches), func(name string) bool { return !match.MatchString(called(name)) }), nil
}

// called is the name of a patch.
func called(file string) string { return strings.TrimSuffix(filepath.Base(file), ".patch") }

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
