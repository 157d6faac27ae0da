package slot

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/disk"
	"teraslot/mailbox"
)

// observed is the value of a counter, or the number of observations of a histogram,
// whose labels have these values.
func observed(t *testing.T, g prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetValue())
			}
			if strings.Join(have, " ") == strings.Join(labels, " ") {
				return m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// TestLockWaits: a lock that is free is not waited for; one that is not is, once, under
// the name of its file.
func TestLockWaits(t *testing.T) {
	o := newObservations()
	registry := prometheus.NewRegistry()
	o.register(registry)
	fs := watchedFS{disk.OS(), o}
	for _, c := range []struct{ file, label string }{
		{"index.lock", "index.lock"}, {"compact.lock", "compact.lock"}, {"slot.lock", lockOfOther},
	} {
		name := filepath.Join(t.TempDir(), c.file)
		held, err := disk.Lock(t.Context(), fs, name, disk.Exclusive)
		if err != nil {
			t.Fatal(err)
		}
		if n := observed(t, registry, "teraslot_lock_wait_seconds", c.label); n != 0 {
			t.Errorf("%s: %v waits for a free lock", c.file, n)
		}
		short, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := disk.Lock(short, fs, name, disk.Shared); err == nil {
			t.Error("a held lock was taken")
		}
		cancel()
		if n := observed(t, registry, "teraslot_lock_wait_seconds", c.label); n != 0 {
			t.Errorf("%s: a wait that was given up counts", c.file)
		}
		taken := make(chan error, 1)
		go func() {
			second, err := disk.Lock(t.Context(), tried{fs, func() { _ = held.Close() }}, name, disk.Exclusive)
			if err == nil {
				err = second.Close()
			}
			taken <- err
		}()
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
		if n := observed(t, registry, "teraslot_lock_wait_seconds", c.label); n != 1 {
			t.Errorf("%s: %v waits, want 1", c.file, n)
		}
	}
}

// tried calls then after each try that was in vain.
type tried struct {
	watchedFS
	then func()
}

// TryLock is for disk.Lock.
func (f tried) TryLock(name string, mode disk.LockMode) (io.Closer, error) {
	held, err := f.watchedFS.TryLock(name, mode)
	if err != nil {
		f.then()
	}
	return held, err
}

// TestCountingLog: warnings and errors are counted by what they say, also those that are
// not written; the rest is written as ever.
func TestCountingLog(t *testing.T) {
	o := newObservations()
	registry := prometheus.NewRegistry()
	o.register(registry)
	var out strings.Builder
	inner := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError})
	log := slog.New(countingLog{inner, o}).With("a", 1).WithGroup("g")
	log.Info("hello")
	log.Warn("beware", "b", 2)
	log.Error("broken", "b", 3)
	log.Error("broken", "b", 4)
	for what, want := range map[string]float64{"WARN beware": 1, "ERROR broken": 2, "INFO hello": 0} {
		if got := observed(t, registry, "teraslot_log_lines_total", strings.Fields(what)...); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	if got := out.String(); strings.Contains(got, "hello") || !strings.Contains(got, "a=1 g.b=4") || strings.Count(got, "\n") != 2 {
		t.Errorf("written:\n%s", got)
	}
}

// TestArrived counts messages that came, and nothing else.
func TestArrived(t *testing.T) {
	o := newObservations()
	registry := prometheus.NewRegistry()
	o.register(registry)
	o.arrived(mailbox.Event{Kind: mailbox.Appended, UIDs: mailbox.UIDRange(3, 7)})
	o.arrived(mailbox.Event{Kind: mailbox.Expunged, UIDs: mailbox.UIDRange(3, 7)})
	if got := observed(t, registry, "teraslot_appended_messages_total"); got != 5 {
		t.Errorf("%v messages, want 5", got)
	}
}
