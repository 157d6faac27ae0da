package squatter_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/mailbox"
	"teraslot/squatter"
)

// watched is a fixture whose squatter only looks, another that indexes, and the metrics of the first.
type watched struct {
	*fixture
	other    *squatter.Squatter
	schedule *squatter.Schedule
	registry *prometheus.Registry
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	registry := prometheus.NewRegistry()
	w := &watched{registry: registry}
	w.fixture = newFixture(t, squatter.Options{Look: true, Registerer: registry})
	w.schedule = w.q.NewSchedule(squatter.ScheduleOptions{})
	w.another()
	w.notify = w.q.Notify
	return w
}

// another begins a process that indexes.
func (w *watched) another() {
	w.other = squatter.New(squatter.Options{Store: w.store, Tiers: w.tiers, Conf: w.path("conf"), Leave: true})
}

// index has the other process index.
func (w *watched) index(want int) {
	w.t.Helper()
	n, err := w.other.IndexUser(w.t.Context(), user, squatter.IndexOptions{})
	if _, some := errors.AsType[*squatter.Skipped](err); n != want || err != nil && !some {
		w.t.Fatalf("%d indexed, %v", n, err)
	}
}

// scrape takes in what the other did, and lets looks end.
func (w *watched) scrape() {
	w.t.Helper()
	w.must(w.schedule.TakeIn(w.t.Context()))
	synctest.Wait()
}

func (w *watched) waits(t *testing.T, when string, messages int, lag time.Duration) {
	t.Helper()
	if n := gauge(t, w.registry, "teraslot_index_waiting_messages"); int(n) != messages {
		t.Errorf("%s: %v messages wait, want %d", when, n, messages)
	}
	if d := gauge(t, w.registry, "teraslot_index_lag_seconds"); d != lag.Seconds() {
		t.Errorf("%s: the lag is %v s, want %v", when, d, lag.Seconds())
	}
}

// TestWatch: where others index, what waits is counted from the mail and the index, by notices at once, and later
// also without any: it is indexed by nobody here.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t)
		stop := w.rolling(nil)
		defer stop()
		w.waits(t, "at first", 0, 0)
		w.deliver(0, 30)
		w.waits(t, "by notices", 30, 0)
		in(time.Hour)
		w.waits(t, "looked at", 30, time.Hour)
		if n := w.indexed(); n != 0 {
			t.Fatalf("%d were indexed by who only looks", n)
		}
		w.index(30)
		w.deliver(30, 32) // behind what the other has seen
		w.scrape()
		w.waits(t, "two came since", 2, 0)
		w.index(2)
		w.waits(t, "not told of yet", 2, 0)
		w.scrape()
		w.waits(t, "indexed", 0, 0)

		w.deliver(32, 33)
		in(10 * time.Second)
		w.index(1)
		w.must(os.Remove(filepath.Join(w.path("conf"), "squatter.did"))) // killed before it left anything
		in(10 * time.Minute)
		w.waits(t, "nobody told of it", 0, 0)

		w.q.Wake(user) // a search
		in(time.Hour)
		w.waits(t, "nothing waits", 0, 0)
		w.notify(mailbox.Event{User: "ffffffffffffffffffffffffffffffff", Kind: mailbox.Appended, UIDs: mailbox.UIDs(1)})
		in(time.Hour)
		w.waits(t, "there is no such user", 0, 0)
	})
}

// TestWatchBusy: of a user who gets mail all the time, and is indexed all the time, the lag does not grow.
func TestWatchBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t)
		stop := w.rolling(nil)
		defer stop()
		w.deliver(0, 1)
		for n := range 20 {
			in(time.Minute)
			w.index(1)
			w.deliver(n+1, n+2)
			w.scrape()
			w.waits(t, "one came since", 1, 0)
		}
	})
}

// TestWatchFinds: at its start who only looks finds what waits since before, and what was lost of an index.
func TestWatchFinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t)
		w.notify = nil
		w.deliver(0, 5)
		log := w.log()
		w.q = squatter.New(squatter.Options{Store: w.store, Tiers: w.tiers, Conf: w.path("conf"), Log: log, Look: true, Registerer: fresh(w)})
		w.schedule = w.q.NewSchedule(squatter.ScheduleOptions{})
		stop := w.rolling(log)
		in(time.Minute)
		w.waits(t, "after a start that lost notices", 5, time.Minute)
		w.spoil(2)
		w.index(4)
		w.scrape()
		w.waits(t, "one of them failed", 0, 0)
		stop()

		w.must(os.RemoveAll(w.path("temp", "users")))
		log = w.log()
		w.q = squatter.New(squatter.Options{Store: w.store, Tiers: w.tiers, Conf: w.path("conf"), Log: log, Look: true, Registerer: fresh(w)})
		w.schedule = w.q.NewSchedule(squatter.ScheduleOptions{})
		stop = w.rolling(log)
		in(time.Minute)
		w.waits(t, "after a reboot", 4, time.Minute)
		w.another()
		w.index(4)
		w.scrape()
		w.waits(t, "indexed again", 0, 0)
		stop()
		w.damaged = true
	})
}

// fresh gives w a registry of a new process.
func fresh(w *watched) *prometheus.Registry {
	w.registry = prometheus.NewRegistry()
	return w.registry
}
