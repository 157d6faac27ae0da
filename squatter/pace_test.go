package squatter_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/mailstore"
	"teraslot/squatter"
)

// hand is an alarm clock that rings at once and moves the fixture's time instead.
type hand struct {
	f      *fixture
	waited []time.Duration
	then   func() // after each, if set
}

func (h *hand) After(d time.Duration) <-chan time.Time {
	h.f.now = h.f.now.Add(d)
	h.waited = append(h.waited, d)
	if h.then != nil {
		h.then()
	}
	c := make(chan time.Time, 1)
	c <- h.f.now
	return c
}

func (h *hand) total() (sum time.Duration) {
	for _, d := range h.waited {
		sum += d
	}
	return sum
}

// bulk delivers and indexes messages whose texts make a database of some MB that does
// not compress away.
func (f *fixture) bulk(messages int) {
	f.t.Helper()
	for n := range messages {
		var b strings.Builder
		fmt.Fprintf(&b, "Subject: bulk %d\r\n\r\n", n)
		x := uint64(n + 1)
		for range 1500 {
			x = x*6364136223846793005 + 1442695040888963407
			fmt.Fprintf(&b, "w%x\r\n", x>>30)
		}
		msg, err := f.store.Spool(f.t.Context(), strings.NewReader(b.String()))
		f.must(err)
		defer msg.Close()
		_, err = f.mail.Append(f.t.Context(), "", mailstore.Append{Mailbox: f.inbox, Message: msg})
		f.must(err)
	}
	f.index(messages, squatter.IndexOptions{})
}

// decision is the only one that the schedule has to do now.
func (f *fixture) decision(s *squatter.Schedule) squatter.Decision {
	f.t.Helper()
	plan, err := s.Plan(f.t.Context())
	f.must(err)
	if len(plan) != 1 {
		f.t.Fatalf("planned: %+v", plan)
	}
	return plan[0]
}

// TestPace: a compaction takes as long as its bytes need at the bandwidth, mostly while
// it writes and not in one rest at its end.
func TestPace(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.bulk(12)
	f.now = atNight
	h := &hand{f: f}
	const bandwidth = 100_000
	s := f.schedule(squatter.ScheduleOptions{Bandwidth: bandwidth, After: h.After})
	bytes := f.decision(s).Bytes
	f.round(s, 1)
	want := time.Duration(float64(bytes) / bandwidth * float64(time.Second))
	if got := h.total(); got < want-time.Millisecond || got > want+want/10 {
		t.Errorf("%d bytes at %d a second took %v, want %v", bytes, bandwidth, got, want)
	}
	if len(h.waited) < 4 || h.waited[len(h.waited)-1] > want/2 {
		t.Errorf("the waits of a compaction of %d bytes are %v", bytes, h.waited)
	}
}

// TestPaceOfMany: the rest after one compaction comes before the next, and what waits
// for the quiet hours ends with them.
func TestPaceOfMany(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.second()
	f.deliver(0, 3)
	f.index(3, squatter.IndexOptions{})
	f.now = atNight
	h := &hand{f: f}
	s := f.schedule(squatter.ScheduleOptions{Bandwidth: 1000, After: h.After})
	plan, err := s.Plan(t.Context())
	f.must(err)
	first := time.Duration(plan[0].Bytes) * time.Millisecond
	h.then = func() {
		if h.total() >= first {
			f.now = f.now.Add(4 * time.Hour)
		}
	}
	done, err := s.Round(t.Context())
	f.must(err)
	if done.Planned != 2 || done.Compacted != 1 || done.Bytes != plan[0].Bytes {
		t.Errorf("the quiet hours ended: %+v", done)
	}
	if got := h.total(); got < first || got > first+time.Second {
		t.Errorf("waited %v in all for %v", got, first)
	}
}

// TestPauseWithin: searches that become slow while a compaction writes make it wait there
// and then; afterwards it goes on at its pace and makes up for nothing.
func TestPauseWithin(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, squatter.Options{})
	f.bulk(12)
	f.now = atNight
	h := &hand{f: f}
	slow, merging := 0, false
	f.step = func(step string) {
		if step == "compact: frozen" {
			merging, slow = true, 7
		}
		if step == "compact: merged" {
			merging = false
		}
	}
	inside := 0
	s := f.schedule(squatter.ScheduleOptions{Bandwidth: 100_000, After: h.After, Registerer: registry, Slow: func() bool {
		if slow--; slow >= 0 && merging {
			inside++
		}
		return slow >= 0
	}})
	bytes := f.decision(s).Bytes
	f.round(s, 1)
	if inside != 7 {
		t.Errorf("it waited %d times while it wrote, of 7", inside)
	}
	if got, want := h.total(), 7*5*time.Second+time.Duration(bytes)*10*time.Microsecond; got < want-time.Millisecond || got > want+want/10 {
		t.Errorf("took %v, want %v: what the pause cost must not be made up for", got, want)
	}
	if got := gauge(t, registry, "teraslot_compaction_pauses_total"); got != 1 {
		t.Errorf("%v pauses in the metrics", got)
	}
}

// TestSlowPatience: with a full temp, slow searches are waited for so long in all and no
// longer; at night as long as they are.
func TestSlowPatience(t *testing.T) {
	for _, full := range []bool{true, false} {
		f := newFixture(t, squatter.Options{})
		f.deliver(0, 3)
		f.index(3, squatter.IndexOptions{})
		h := &hand{f: f}
		slow := 100
		o := squatter.ScheduleOptions{After: h.After, PatienceSlow: time.Minute, Slow: func() bool { slow--; return slow >= 0 }}
		want := 100 * 5 * time.Second
		if f.now = atNight; full {
			f.now, o.Policy.TempSize, want = byDay, 1, time.Minute
		}
		s := f.schedule(o)
		f.round(s, 1)
		if got := h.total(); got != want {
			t.Errorf("full %v: waited %v, want %v", full, got, want)
		}
	}
}

// TestLeave: a compaction ends where its user is to be removed, and leaves the index
// as it was; another user's is not disturbed.
func TestLeave(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.bulk(4)
	f.now = atNight
	h := &hand{f: f}
	s := f.schedule(squatter.ScheduleOptions{Bandwidth: 100_000, After: h.After})
	h.then = func() { s.Leave(other) }
	f.round(s, 1)
	if got := f.active(); got != "temp data" {
		t.Errorf("another user's leave ended it: %s", got)
	}
	f.must(f.q.Moved(user))
	h.then = func() { s.Leave(user) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done, err := s.Round(ctx)
	if err != nil || done.Compacted != 0 || f.active() != "temp data" {
		t.Errorf("left: %+v, %v, %s", done, err, f.active())
	}
	h.then = nil
	f.round(s, 1)
	if got := f.active(); !strings.HasSuffix(got, "archive") || strings.Contains(got, "data") {
		t.Errorf("the next round: %s", got)
	}
	s.Leave(user) // nothing is under way
}
