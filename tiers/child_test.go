package tiers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/text"
)

// runChild is what another process of a test does: its role, its directory and
// its arguments, separated by line feeds. It prints what it has acknowledged.
func runChild(spec string) int {
	args := strings.Split(spec, "\n")
	o := testOptions(args[1])
	kill := ""
	if args[0] == "die" {
		kill = args[2]
	}
	o.Step = func(step string) {
		if step == kill {
			p, _ := os.FindProcess(os.Getpid())
			p.Kill()
			select {}
		}
	}
	s, err := New(o)
	if err == nil {
		defer s.Close()
		switch args[0] {
		case "commit":
			err = childCommit(s.User(testUser), args[2], args[3])
		case "compact":
			err = childCompact(s.User(testUser), args[2])
		case "search":
			err = childSearch(s.User(testUser), args[2])
		case "die":
			err = childDie(s.User(testUser), args[3])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// childCommit commits the messages from n on, count of them in small batches, and
// looks at once whether they are found.
func childCommit(x *Index, from, count string) error {
	n, _ := strconv.Atoi(from)
	left, _ := strconv.Atoi(count)
	for left > 0 {
		size := min(left, 1+rand.IntN(5))
		if err := x.Commit(context.Background(), docsOf(n, n+size)); err != nil {
			return err
		}
		snap, err := x.Snapshot(context.Background())
		if err != nil {
			return err
		}
		for i := n; i < n+size; i++ {
			if doc, ok := snap.Lookup(guid(i)); !ok || !snap.Complete(doc) {
				snap.Close()
				return fmt.Errorf("message %d is not there after its commit", i)
			}
		}
		snap.Close()
		fmt.Println(n + size)
		n, left = n+size, left-size
	}
	return nil
}

func childCompact(x *Index, times string) error {
	n, _ := strconv.Atoi(times)
	for i := range n {
		dest := []string{"data", "archive", "data", "temp"}[i%4]
		_, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"temp", "data", "archive"}[:1+i%3], Dest: dest, Force: i%5 == 0})
		if err != nil && !errors.Is(err, ErrHeld) {
			return err
		}
		fmt.Println(i)
	}
	return nil
}

// childSearch searches until its standard input ends. What was found once must be
// found for ever.
func childSearch(x *Index, _ string) error {
	done := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(done) }()
	seen := map[mailbox.GUID]bool{}
	for n := 0; ; n++ {
		snap, err := x.Snapshot(context.Background())
		if err != nil {
			return err
		}
		if d := snap.Damaged(); len(d) > 0 {
			return d[0]
		}
		sure, _, err := snap.Match(context.Background(), text.NewKey(text.InBody, "", "commo"))
		if err != nil {
			return err
		}
		now := map[mailbox.GUID]bool{}
		for _, doc := range sure.ToArray() {
			now[snap.GUID(doc)] = true
		}
		for g := range seen {
			if !now[g] {
				return fmt.Errorf("message %v was found and no longer is (active %s)", g, snap.Active())
			}
		}
		seen = now
		if err := snap.Close(); err != nil {
			return err
		}
		select {
		case <-done:
			fmt.Println(n+1, "searches")
			return nil
		default:
		}
	}
}

// childDie commits and compacts until it is killed at a step.
func childDie(x *Index, from string) error {
	n, _ := strconv.Atoi(from)
	for i := range 30 {
		if err := x.Commit(context.Background(), docsOf(n, n+2)); err != nil {
			return err
		}
		n += 2
		fmt.Println(n)
		if i%10 == 9 {
			if _, err := x.Compact(context.Background(), CompactOptions{Sources: []string{"temp", "data"}, Dest: "data"}); err != nil {
				return err
			}
		}
	}
	return nil
}

func child(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "TIERS_CHILD="+strings.Join(args, "\n"))
	return cmd
}

// Several processes commit, search and compact one user's index at once.
func TestProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := newSet(t, testOptions(dir)).User(testUser)
	var cmds []*exec.Cmd
	var outs []*bytes.Buffer
	var inputs []io.Closer
	start := func(args ...string) *exec.Cmd {
		cmd := child(t, args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds, outs, inputs = append(cmds, cmd), append(outs, &out), append(inputs, in)
		return cmd
	}
	const each = 60
	for i := range 3 {
		start("commit", dir, strconv.Itoa(i*1000), strconv.Itoa(each))
	}
	start("compact", dir, "15")
	start("compact", dir, "15")
	start("search", dir, "")
	start("search", dir, "")
	for i, cmd := range cmds[:5] {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v\n%s", i, err, outs[i])
		}
	}
	for i := 5; i < 7; i++ {
		inputs[i].Close()
		if err := cmds[i].Wait(); err != nil {
			t.Errorf("searching process %d: %v\n%s", i, err, outs[i])
		}
		t.Logf("process %d: %s", i, outs[i])
	}
	want := append(append(numbers(0, each), numbers(1000, 1000+each)...), numbers(2000, 2000+each)...)
	got := find(t, x, text.NewKey(text.InBody, "", "common"))
	for i := range got {
		got[i] &= 0xffff
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %d messages, want %d: %v", len(got), len(want), got)
	}
	verify(t, x)
	noLeftovers(t, x)
}

// noLeftovers cleans and looks whether there is nothing on disk but what is live.
func noLeftovers(t *testing.T, x *Index) {
	t.Helper()
	if err := x.Clean(context.Background()); err != nil {
		t.Fatal(err)
	}
	a, err := x.read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	there, err := x.directories()
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range there {
		if !a.Contains(db) {
			t.Errorf("%s is on disk, active is %s", db, a)
		}
		if extra, _, err := x.unnamed(db); len(extra) > 0 || err != nil {
			t.Errorf("%s has %q besides its segments, %v", db, extra, err)
		}
	}
}

// A process is killed at each step there is. What it acknowledged is there, the
// next run mends the rest, and no repair is needed.
func TestKill(t *testing.T) {
	steps := []string{"commit: built", "commit: written", "commit: published", "commit: merged", "front: made",
		"compact: frozen", "compact: merged", "staged", "compact: locked", "swapped", "published", "compact: published", "clean: removed", "marked"}
	for _, step := range steps {
		t.Run(strings.ReplaceAll(step, ": ", "-"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			x := newSet(t, testOptions(dir)).User(testUser)
			from := 0
			if step != "marked" { // which only a first commit comes to
				commit(t, x, docsOf(0, 4)...)
				from = 4
			}
			acked := runToDeath(t, child(t, "die", dir, step, strconv.Itoa(from)), from)
			got := find(t, x, text.NewKey(text.InBody, "", "common"))
			if len(got) < acked || !slices.Equal(got, numbers(0, len(got))) {
				t.Errorf("%d messages were acknowledged, %v are found", acked, got)
			}
			commit(t, x, docsOf(100, 103)...)
			compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "data"})
			if again := find(t, x, text.NewKey(text.InBody, "", "common")); !slices.Equal(again, append(got, 100, 101, 102)) {
				t.Errorf("after a compaction %v are found, before %v", again, got)
			}
			verify(t, x)
			noLeftovers(t, x)
			if files, _ := filepath.Glob(filepath.Join(x.dir, "*staged*")); len(files) > 0 {
				t.Logf("left: %q", files) // the next compaction overwrites it
			}
		})
	}
}

// runToDeath returns how many messages the process acknowledged before it died.
func runToDeath(t *testing.T, cmd *exec.Cmd, acked int) int {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			acked = n
		}
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the process ended with %v: the step was not met", err)
	}
	return acked
}
