package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A tree is one copy of the project in which one patch after another is applied,
// tested and taken back: in one place, so that a patch costs compiling what it
// changes and not the whole project. Git remembers what was copied, in a directory
// beside the copy: inside it, commands that build there would take it for a
// repository.
type tree struct {
	dir, work string // a directory of its own, and the copy in it
}

// newTree copies the files of a repository, with what is changed and not committed.
func newTree(ctx context.Context, root string) (*tree, error) {
	dir, err := os.MkdirTemp("", "sabotage")
	if err != nil {
		return nil, err
	}
	c := &tree{dir: dir, work: filepath.Join(dir, "tree")}
	if err := c.fill(ctx, root); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the tree: %w", err), c.remove())
	}
	return c, nil
}

func (c *tree) fill(ctx context.Context, root string) error {
	if err := os.Mkdir(c.work, 0o700); err != nil {
		return err
	}
	// Files that are deleted and not committed are listed, too.
	cp := exec.CommandContext(ctx, "sh", "-c", `git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$1" 2>/dev/null; true`, "sh", c.work)
	cp.Dir = root
	if out, err := cp.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := c.git(ctx, "init", "-q"); err != nil {
		return err
	}
	return c.git(ctx, "add", "-f", "-A", ".")
}

func (c *tree) remove() error { return os.RemoveAll(c.dir) }

// restore takes a patch back, and takes away what tests have left, such as the
// failures that rapid keeps to begin with next time.
func (c *tree) restore(ctx context.Context) error {
	return errors.Join(c.git(ctx, "checkout", "-q", "--", "."), c.git(ctx, "clean", "-q", "-ffdx"))
}

func (c *tree) git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir=" + filepath.Join(c.dir, "kept"), "--work-tree=" + c.work}, args...)...)
	cmd.Dir = c.work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return nil
}

// try applies one patch, expects its test to fail, and takes it back.
func (c *tree) try(ctx context.Context, name string) (verdict string, err error) {
	pkg, test, err := target(name)
	if err != nil {
		return "unreadable", err
	}
	patch, err := filepath.Abs(name)
	if err != nil {
		return "unreadable", err
	}
	defer func() {
		if e := c.restore(context.WithoutCancel(ctx)); e != nil {
			verdict, err = "not taken back", errors.Join(err, e)
		}
	}()
	apply := exec.CommandContext(ctx, "patch", "-p1", "-s", "-i", patch)
	apply.Dir = c.work
	if out, err := apply.CombinedOutput(); err != nil {
		return "does not apply", fmt.Errorf("patch: %w: %s", err, out)
	}
	check := exec.CommandContext(ctx, "go", "test", "-count=1", "-vet=off", "-timeout=10m", "-run", test, "./"+pkg)
	check.Dir = c.work
	out, err := check.CombinedOutput()
	if ctx.Err() != nil {
		return "stopped", ctx.Err()
	}
	return judge(string(out), err, pkg, test)
}

// judge tells a test that has failed from one that has not, from one that could not be
// made, and from one that the machine was too busy for.
func judge(out string, err error, pkg, test string) (string, error) {
	told := fmt.Errorf("go test -run %q ./%s: %w: %s", test, pkg, err, out)
	switch {
	case err == nil:
		return "GREEN", fmt.Errorf("go test -run %q ./%s did not notice", test, pkg)
	case strings.Contains(out, " [build failed]") || strings.Contains(out, " [setup failed]"):
		return "does not build", told
	case strings.Contains(out, "panic: test timed out"):
		return "out of time", told
	case !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic:"):
		return "no verdict", told
	}
	return "red", nil
}
