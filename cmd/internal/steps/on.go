//go:build steps

package steps

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"teraslot/disk"
	"teraslot/slot"
)

// Load is slot.Load, and hooks what the environment says into the configuration.
func Load(file string) (*slot.Config, error) {
	c, err := slot.Load(file)
	order := os.Getenv("TERASLOT_STEPS")
	if err != nil || order == "" {
		return c, err
	}
	if order == "passwords" {
		c.Hooks.Passwords = slot.CheapPasswords
		return c, nil
	}
	if file, ok := strings.CutPrefix(order, "clock-of:"); ok {
		c.Hooks.Now = func() time.Time { return time.Now().Add(skewIn(file)) }
		return c, nil
	}
	if skew, ok := strings.CutPrefix(order, "clock:"); ok {
		d, err := time.ParseDuration(skew)
		c.Hooks.Now = func() time.Time { return time.Now().Add(d) }
		return c, err
	}
	w, err := newWatch(order)
	if err != nil {
		return nil, err
	}
	c.Hooks.Step = w.met
	c.Hooks.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, _ string) error {
		if op.Changes() {
			w.met("disk: " + string(op) + " by " + caller())
		}
		return nil
	}})
	return c, nil
}

// skewIn is the duration that a file says at this moment, which steps a clock while it runs.
func skewIn(file string) time.Duration {
	b, err := os.ReadFile(file)
	if err != nil {
		panic(err) // the test's own file
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(b)))
	if err != nil {
		panic(err)
	}
	return d
}

// watch looks for one step, or notes all.
type watch struct {
	mu     sync.Mutex // guards what follows
	record *os.File
	step   string
	left   int
}

func newWatch(order string) (*watch, error) {
	what, rest, _ := strings.Cut(order, ":")
	if what == "record" {
		f, err := os.OpenFile(rest, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		return &watch{record: f}, err
	}
	nth, step, ok := strings.Cut(rest, ":")
	n, err := strconv.Atoi(nth)
	if what != "kill" || !ok || err != nil {
		return nil, fmt.Errorf("TERASLOT_STEPS=%q: none of clock:DURATION, clock-of:FILE, passwords, record:FILE, kill:N:STEP", order)
	}
	return &watch{step: step, left: n}, nil
}

// met is called at each step, by any goroutine.
func (w *watch) met(step string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.record != nil {
		fmt.Fprintln(w.record, step)
		return
	}
	if step != w.step {
		return
	}
	if w.left--; w.left == 0 {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// caller names the function that has the disk do something: the innermost one
// that is not of package disk.
func caller() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		name, ours := strings.CutPrefix(f.Function, "teraslot/")
		if ours && !strings.HasPrefix(name, "disk.") && !strings.HasPrefix(name, "cmd/internal/steps.") {
			return name
		}
		if !more {
			return "nobody"
		}
	}
}
