package squatter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/squatter"
)

const other = mailbox.User("fedcba9876543210fedcba9876543210")

var (
	byDay   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	atNight = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
)

// schedule makes a Schedule on the fixture's clock.
func (f *fixture) schedule(o squatter.ScheduleOptions) *squatter.Schedule {
	o.Now = func() time.Time { return f.now }
	return f.q.NewSchedule(o)
}

// round does one, and checks that the index is whole afterwards.
func (f *fixture) round(s *squatter.Schedule, want int) {
	f.t.Helper()
	done, err := s.Round(f.t.Context())
	f.must(err)
	if done.Compacted != want {
		f.t.Errorf("%d compactions of %d planned, want %d", done.Compacted, done.Planned, want)
	}
	if a := f.audit(); !a.Whole() {
		f.t.Errorf("after a round: %+v", a)
	}
}

// active is the activefile's first line, without generations.
func (f *fixture) active() string {
	f.t.Helper()
	stats, err := f.tiers.User(user).Stats(f.t.Context())
	f.must(err)
	var names []string
	for _, s := range stats {
		names = append(names, s.Database.Tier)
	}
	return strings.Join(names, " ")
}

// TestScheduleDays follows an index over days: into data at night, merged after a
// week, rid of what is dead, saved by a stop.
func TestScheduleDays(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, squatter.Options{})
	f.now = byDay
	s := f.schedule(squatter.ScheduleOptions{Registerer: registry})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.round(s, 0)
	f.now = atNight
	f.round(s, 1)
	if got := f.active(); got != "temp data" {
		t.Errorf("after the first night: %s", got)
	}
	f.round(s, 0)
	f.deliver(10, 20)
	f.index(10, squatter.IndexOptions{})
	f.round(s, 1)
	if got := f.active(); got != "temp data data" {
		t.Errorf("after more mail: %s", got)
	}
	f.now = time.Now().Add(8 * 24 * time.Hour)
	f.now = time.Date(f.now.Year(), f.now.Month(), f.now.Day(), 3, 0, 0, 0, time.UTC)
	f.round(s, 1)
	if got := f.active(); got != "temp data" {
		t.Errorf("after a week: %s", got)
	}
	f.expunge(mailbox.UIDRange(1, 10))
	_, err := f.mail.Forget(t.Context(), f.now.AddDate(1, 0, 0))
	f.must(err)
	f.now = f.now.AddDate(0, 0, 1)
	f.round(s, 1)
	if a := f.audit(); a.Dead != 0 || a.Indexed != 10 {
		t.Errorf("half was dead: %+v", a)
	}
	f.round(s, 0)

	f.deliver(20, 25)
	f.index(5, squatter.IndexOptions{})
	saved, err := s.Save(t.Context())
	if err != nil || saved != 1 || f.active() != "temp meta data" {
		t.Errorf("a stop saved %d users, leaving %s: %v", saved, f.active(), err)
	}
	f.round(s, 1)
	if got := f.active(); got != "temp data" { // the other database of data is old, by the fixture's clock
		t.Errorf("the night after the stop: %s", got)
	}
	f.must(f.q.Moved(user))
	f.round(s, 1)
	if got := f.active(); got != "temp archive" && got != "archive" {
		t.Errorf("after a move: %s", got)
	}
	f.round(s, 0)
	if got := gauge(t, registry, "teraslot_tier_databases"); got == 0 {
		t.Error("no databases in the metrics")
	}
}

// TestMovedIsRemembered: that a user was moved outlives the process that knows it, a plan
// tells it and changes nothing, and one who has nothing to go to archive is forgotten.
func TestMovedIsRemembered(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.now = byDay
	f.must(f.q.Moved(user))
	f.round(f.schedule(squatter.ScheduleOptions{}), 0)
	f.deliver(0, 3)
	f.index(3, squatter.IndexOptions{})
	f.round(f.schedule(squatter.ScheduleOptions{}), 0) // it was about what there was
	f.must(f.q.Moved(user))
	for range 2 {
		plan, err := f.schedule(squatter.ScheduleOptions{}).Plan(t.Context())
		f.must(err)
		if len(plan) != 1 || plan[0].Rule != squatter.RuleMoved || plan[0].Dest != "archive" {
			t.Fatalf("planned after a move: %+v", plan)
		}
	}
	f.round(f.schedule(squatter.ScheduleOptions{}), 1)
	if got := f.active(); got != "temp archive" {
		t.Errorf("after a move: %s", got)
	}
	f.deliver(3, 5)
	f.index(2, squatter.IndexOptions{})
	f.round(f.schedule(squatter.ScheduleOptions{}), 0)
}

// second makes another user with an index.
func (f *fixture) second() {
	f.t.Helper()
	f.must(f.store.CreateUser(f.t.Context(), other, mailstore.UserOptions{}))
	mail, err := f.store.Acquire(f.t.Context(), other)
	f.must(err)
	defer mail.Release()
	box, err := mail.MailboxNamed(f.t.Context(), "INBOX")
	f.must(err)
	msg, err := f.store.Spool(f.t.Context(), strings.NewReader(raw(1)))
	f.must(err)
	defer msg.Close()
	_, err = mail.Append(f.t.Context(), "", mailstore.Append{Mailbox: box.ID, Message: msg})
	f.must(err)
	_, err = f.q.IndexUser(f.t.Context(), other, squatter.IndexOptions{})
	f.must(err)
}

// TestScheduleGoesOn: who fails keeps nobody from being compacted, and is named.
func TestScheduleGoesOn(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.second()
	f.deliver(0, 3)
	f.index(3, squatter.IndexOptions{})
	f.must(os.WriteFile(filepath.Join(f.path("conf"), other.Dir(), "index.active"), []byte("temp:1\n#9 later\n"), 0o600))
	f.now = atNight
	done, err := f.schedule(squatter.ScheduleOptions{Name: func(u mailbox.User) string { return "name-" + string(u[:2]) }}).Round(t.Context())
	if err == nil || !strings.Contains(err.Error(), "name-fe") || done.Compacted != 1 {
		t.Errorf("%+v: %v", done, err)
	}
	if got := f.active(); got != "temp data" {
		t.Errorf("the other user has %s", got)
	}
}

// TestScheduleRun does rounds at the hours of an injected clock, and ends with its context.
func TestScheduleRun(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 3)
	f.index(3, squatter.IndexOptions{})
	f.now = time.Date(2026, 11, 22, 22, 30, 0, 0, time.UTC)
	ctx, cancel := context.WithCancel(t.Context())
	hours := 0
	s := f.schedule(squatter.ScheduleOptions{After: func(d time.Duration) <-chan time.Time {
		c := make(chan time.Time, 1)
		if hours++; hours > 5 {
			cancel()
			return nil
		}
		f.now = f.now.Add(d)
		c <- f.now
		return c
	}})
	f.must(s.Run(ctx))
	if got := f.active(); got != "temp data" || hours != 6 {
		t.Errorf("after %d hours: %s", hours, got)
	}
	if _, err := s.Round(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// TestScheduleBesideOthers: whom another compacts at the moment is left alone.
func TestScheduleBesideOthers(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 3)
	f.index(3, squatter.IndexOptions{})
	f.now = atNight
	s := f.schedule(squatter.ScheduleOptions{})
	inner := 0
	f.step = func(step string) {
		if step != "compact: frozen" || inner > 0 {
			return
		}
		inner++
		done, err := s2round(f, s)
		if err != nil || done.Compacted != 0 {
			t.Errorf("beside another: %+v, %v", done, err)
		}
	}
	if _, err := f.q.Compact(t.Context(), user, squatter.CompactOptions{Sources: []string{"temp"}, Dest: "data"}); err != nil {
		t.Fatal(err)
	}
	f.step = nil
	if inner != 1 {
		t.Error("the compaction was not met under way")
	}
}

// s2round runs a round that must not wait for the slot's lock of disk compactions.
func s2round(f *fixture, s *squatter.Schedule) (squatter.Done, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
	defer cancel()
	done, err := s.Round(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // it waits for its turn: one compaction to disk at a time
	}
	return done, err
}

// TestTiersInMetrics: each tier is in the metrics from the start, those who scrape never see a part of
// the sum, and what a round has done is seen when it ends, not an hour later.
func TestTiersInMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, squatter.Options{})
	f.now = atNight
	s := f.schedule(squatter.ScheduleOptions{Registerer: registry})
	databases := func() string {
		t.Helper()
		families, err := registry.Gather()
		f.must(err)
		var out []string
		for _, family := range families {
			if family.GetName() != "teraslot_tier_databases" {
				continue
			}
			for _, m := range family.GetMetric() {
				out = append(out, fmt.Sprint(m.GetLabel()[0].GetValue(), " ", m.GetGauge().GetValue()))
			}
		}
		return strings.Join(out, ", ")
	}
	if got := databases(); got != "archive 0, data 0, meta 0, temp 0" {
		t.Errorf("at the start: %q", got)
	}
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.round(s, 1)
	if got := databases(); got != "archive 0, data 1, meta 0, temp 1" {
		t.Errorf("after a round: %q", got)
	}
}

// TestNothingHasNoDuration: a compaction with nothing to do makes no other look faster.
func TestNothingHasNoDuration(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, squatter.Options{})
	s := f.schedule(squatter.ScheduleOptions{Registerer: registry})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	for range 2 {
		f.must(s.ByHand(t.Context(), user, squatter.CompactOptions{Sources: []string{"temp"}, Dest: "data"}))
	}
	families, err := registry.Gather()
	f.must(err)
	for _, family := range families {
		if m := family.GetMetric(); family.GetName() == "teraslot_compaction_seconds" && (len(m) != 1 || m[0].GetHistogram().GetSampleCount() != 1) {
			t.Errorf("durations: %v", m)
		}
	}
}
