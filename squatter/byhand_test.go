package squatter_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/disk"
	"teraslot/squatter"
	"teraslot/tiers"
)

// TestByHand: a compaction by hand takes as long as its bytes need at the bandwidth, waits
// for slow searches before it begins and while it writes, and is told of in one line of
// the log and in the metrics.
func TestByHand(t *testing.T) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	f := newFixture(t, squatter.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	f.bulk(12)
	f.now = byDay
	h := &hand{f: f}
	slow := 3
	f.step = func(step string) {
		if step == "compact: frozen" {
			slow = 4
		}
	}
	const bandwidth = 100_000
	s := f.schedule(squatter.ScheduleOptions{Bandwidth: bandwidth, After: h.After, Registerer: registry,
		Slow: func() bool { slow--; return slow >= 0 }})
	stats, err := f.tiers.User(user).Stats(t.Context())
	f.must(err)
	f.must(s.ByHand(t.Context(), user, squatter.CompactOptions{Sources: []string{"temp"}, Dest: "data"}))
	want := 7*5*time.Second + time.Duration(float64(stats[0].Bytes)/bandwidth*float64(time.Second))
	if got := h.total(); got < want-time.Millisecond || got > want+want/10 {
		t.Errorf("%d bytes at %d a second, with 7 pauses, took %v, want %v", stats[0].Bytes, bandwidth, got, want)
	}
	if got := f.active(); got != "temp data" {
		t.Errorf("afterwards: %s", got)
	}
	if n := strings.Count(log.String(), "msg=compaction "); n != 1 || !strings.Contains(log.String(), "outcome=done from=[temp] to=data") || !strings.Contains(log.String(), "rule=hand") {
		t.Errorf("%d lines:\n%s", n, &log)
	}
	if got := counted(t, registry, "teraslot_compactions_total", "hand", "done", "data"); got != 1 {
		t.Errorf("%v compactions by hand in the metrics", got)
	}
	if a := f.audit(); !a.Whole() {
		t.Errorf("the index: %+v", a)
	}
	log.Reset()
	f.must(s.ByHand(t.Context(), user, squatter.CompactOptions{Sources: []string{"meta"}, Dest: "data"}))
	if log.Len() > 0 {
		t.Errorf("with nothing to do:\n%s", &log)
	}
}

// TestByHandIsRefused: what keeps a compaction by hand from being done is an error, as it
// is not for the schedule, and leaves the index as it was.
func TestByHandIsRefused(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.bulk(4)
	s := f.schedule(squatter.ScheduleOptions{})
	o := squatter.CompactOptions{Sources: []string{"temp"}, Dest: "data"}
	held, err := disk.Lock(t.Context(), disk.OS(), f.path("conf", user.Dir(), "index.compact"), disk.Exclusive)
	f.must(err)
	if err := s.ByHand(t.Context(), user, o); !errors.Is(err, tiers.ErrHeld) {
		t.Errorf("beside another: %v", err)
	}
	f.must(held.Close())
	if err := s.ByHand(t.Context(), other, o); err == nil {
		t.Error("nobody was compacted")
	}
	slow := f.schedule(squatter.ScheduleOptions{Slow: func() bool { return true }, After: func(time.Duration) <-chan time.Time { return nil }})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := slow.ByHand(ctx, user, o); !errors.Is(err, context.Canceled) {
		t.Errorf("ended while it waits: %v", err)
	}
	if got := f.active(); got != "temp" {
		t.Errorf("afterwards: %s", got)
	}
	// Whoever ends a compaction under way is told so; it counts as stopped, and as no failure.
	registry := prometheus.NewRegistry()
	ctx, cancel = context.WithCancel(t.Context())
	f.step = func(step string) {
		if step == "compact: frozen" {
			cancel()
		}
	}
	s = f.schedule(squatter.ScheduleOptions{Registerer: registry})
	if err := s.ByHand(ctx, user, o); !errors.Is(err, context.Canceled) {
		t.Errorf("ended under way: %v", err)
	}
	for outcome, want := range map[string]float64{"stopped": 1, "failed": 0} {
		if got := counted(t, registry, "teraslot_compactions_total", "hand", outcome, "data"); got != want {
			t.Errorf("%v %s, want %v", got, outcome, want)
		}
	}
	f.step = nil
	if a := f.audit(); !a.Whole() {
		t.Errorf("the index: %+v", a)
	}
}

// TestByHandTriesAgain: a compaction that loses the race is begun three times.
func TestByHandTriesAgain(t *testing.T) {
	for lost, want := range map[int]error{2: nil, 3: tiers.ErrLostRace} {
		f := newFixture(t, squatter.Options{})
		f.deliver(0, 3)
		f.index(3, squatter.IndexOptions{})
		times := 0
		manifest := f.path("temp", user.Dir(), "1", "manifest")
		f.step = func(step string) { // the source goes while it is merged
			if step == "compact: merged" && times < lost {
				times++
				f.must(os.Rename(manifest, manifest+".away"))
			}
		}
		back := func(line string) {
			if strings.Contains(line, "lost the race") {
				f.must(os.Rename(manifest+".away", manifest))
			}
		}
		err := f.schedule(squatter.ScheduleOptions{Lines: back}).ByHand(t.Context(), user, squatter.CompactOptions{Sources: []string{"temp"}, Dest: "data"})
		if !errors.Is(err, want) || times != lost {
			t.Errorf("lost %d times of %d: %v", times, lost, err)
		}
		f.step = nil
		if a := f.audit(); !a.Whole() {
			t.Errorf("the index: %+v", a)
		}
	}
}

// counted is the value of a counter whose labels have these values, in any order.
func counted(t *testing.T, g prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			have := make(map[string]bool)
			for _, l := range m.GetLabel() {
				have[l.GetValue()] = true
			}
			match := f.GetName() == name && len(have) == len(labels)
			for _, l := range labels {
				match = match && have[l]
			}
			if match {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
