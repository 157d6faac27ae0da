package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// watch reads the slot's log: what was done at which hour, and what went wrong. At
// each line it looks at temp.
type watch struct {
	now  func() time.Time
	temp func() (int64, error) // bytes in use

	mu      sync.Mutex // guards what follows
	news    chan struct{}
	indexed int // messages
	done    int // compactions
	peak    peak
	recent  int64 // the most in temp since recentPeak was asked for
	hours   [24]work
	rules   map[string]int
	trouble []string
}

// peak is the most that temp held.
type peak struct {
	bytes int64
	at    time.Time
}

// work is what was done in an hour of the day, over all days.
type work struct {
	compactions int
	bytes       int64         // of their sources
	took        time.Duration // by the machine's clock
	jobs        int           // on users' mail, that had something to do
}

func newWatch(now func() time.Time, temp func() (int64, error)) *watch {
	return &watch{now: now, temp: temp, news: make(chan struct{}, 1), rules: make(map[string]int)}
}

// expected are the warnings of a slot that is well.
var expected = []string{"no tls.cert is configured"}

// Enabled is for slog.
func (w *watch) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs is for slog; the slot's own attributes are enough.
func (w *watch) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup is for slog.
func (w *watch) WithGroup(string) slog.Handler { return w }

// Handle takes a line.
func (w *watch) Handle(_ context.Context, r slog.Record) error {
	at := make(map[string]slog.Value)
	r.Attrs(func(a slog.Attr) bool {
		at[a.Key] = a.Value
		return true
	})
	w.look()
	w.mu.Lock()
	defer w.mu.Unlock()
	hour := &w.hours[w.now().Hour()]
	switch {
	case r.Level >= slog.LevelWarn:
		w.warn(r, at)
	case r.Message == "indexed":
		w.indexed += int(at["messages"].Int64())
	case r.Message == "compaction" && at["outcome"].String() == "done":
		w.done++
		w.rules[at["rule"].String()]++
		hour.compactions++
		hour.bytes += at["bytes"].Int64()
		hour.took += time.Duration(at["seconds"].Float64() * float64(time.Second))
	case r.Message == "job done":
		hour.jobs++
	}
	select {
	case w.news <- struct{}{}:
	default:
	}
	return nil
}

// warn notes a trouble. mu is held.
func (w *watch) warn(r slog.Record, at map[string]slog.Value) {
	for _, text := range expected {
		if strings.Contains(r.Message, text) {
			return
		}
	}
	w.trouble = append(w.trouble, fmt.Sprintf("%s: %s: %s %v", w.now().Format(time.DateTime), r.Level, r.Message, at))
}

// look notes what temp holds.
func (w *watch) look() {
	bytes, err := w.temp()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.trouble = append(w.trouble, fmt.Sprintf("looking at temp: %v", err))
		return
	}
	w.recent = max(w.recent, bytes)
	if bytes > w.peak.bytes {
		w.peak = peak{bytes, w.now()}
	}
}

// recentPeak is the most that temp held since the last call.
func (w *watch) recentPeak() int64 {
	w.look()
	w.mu.Lock()
	defer w.mu.Unlock()
	bytes := w.recent
	w.recent = 0
	return bytes
}

// compactions is how many were done.
func (w *watch) compactions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}

// await waits until so many messages were indexed in all.
func (w *watch) await(ctx context.Context, messages int) error {
	stuck := time.NewTimer(patience)
	defer stuck.Stop()
	for {
		w.mu.Lock()
		indexed, trouble := w.indexed, w.troubles()
		w.mu.Unlock()
		switch {
		case trouble != nil:
			return trouble
		case indexed == messages:
			return nil
		case indexed > messages:
			return fmt.Errorf("%d messages were indexed, of %d", indexed, messages)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.news:
		case <-stuck.C:
			return fmt.Errorf("after %s only %d of %d messages are indexed", patience, indexed, messages)
		}
	}
}

// troubles is an error with the first of them, if there are any. mu is held.
func (w *watch) troubles() error {
	if len(w.trouble) == 0 {
		return nil
	}
	return fmt.Errorf("%d troubles in the log, the first: %s", len(w.trouble), w.trouble[0])
}
