package squatter_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/squatter"
)

// TestQuarantine lets one message fail until nobody tries it any longer. The others
// go on, also after a restart, and squatter -i tries it all the same.
func TestQuarantine(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, squatter.Options{Registerer: registry})
	f.deliver(1, 6)
	f.spoil(3)
	tries := 0
	for ; tries < 50; tries++ {
		_, err := f.q.IndexUser(t.Context(), user, squatter.IndexOptions{})
		skipped, some := errors.AsType[*squatter.Skipped](err)
		if !some {
			t.Fatalf("try %d: %v", tries, err)
		}
		if skipped.Tried == 0 {
			break
		}
		if f.indexed() != 4 {
			t.Fatalf("%d of the 4 whole messages are indexed", f.indexed())
		}
		f.now = f.now.Add(48 * time.Hour)
	}
	if tries != 9 {
		t.Errorf("it was tried %d times", tries)
	}
	check := func(when string) {
		t.Helper()
		if all := f.q.Failures(user); len(all) != 1 || !all[0].Quarantined() || all[0].Tries != 9 {
			t.Errorf("%s: failures are %+v", when, all)
		}
	}
	check("after the tries")
	if got := gauge(t, registry, "teraslot_quarantined_messages"); got != 1 {
		t.Errorf("the metric says %v", got)
	}

	f.q = squatter.New(squatter.Options{Store: f.store, Tiers: f.tiers, Conf: f.path("conf"), Now: func() time.Time { return f.now }})
	check("after a restart")
	f.deliver(6, 8)
	n, err := f.q.IndexUser(t.Context(), user, squatter.IndexOptions{})
	if skipped, some := errors.AsType[*squatter.Skipped](err); n != 2 || !some || skipped.Tried != 0 {
		t.Errorf("%d messages behind it were indexed: %v", n, err)
	}

	f.mend(3)
	n, err = f.q.IndexUser(t.Context(), user, squatter.IndexOptions{Retry: true})
	if n != 1 || err != nil {
		t.Errorf("mended: %d, %v", n, err)
	}
	if all := f.q.Failures(user); len(all) != 0 {
		t.Errorf("failures are %+v", all)
	}
	if _, err := os.Stat(filepath.Join(f.path("conf"), user.Dir(), "index.failed")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty list is there: %v", err)
	}
}

// TestPatience gives a message less time than any extraction takes.
func TestPatience(t *testing.T) {
	f := newFixture(t, squatter.Options{Patience: time.Nanosecond})
	f.deliver(1, 2)
	n, err := f.q.IndexUser(t.Context(), user, squatter.IndexOptions{})
	skipped, some := errors.AsType[*squatter.Skipped](err)
	if n != 0 || !some || len(skipped.Failures) != 1 || skipped.Tried != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

// TestFailureFile spoils the list: the messages are tried again, nothing else.
func TestFailureFile(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(1, 3)
	f.spoil(1)
	if _, err := f.q.IndexUser(t.Context(), user, squatter.IndexOptions{}); err == nil {
		t.Fatal("a spoilt message was indexed")
	}
	name := filepath.Join(f.path("conf"), user.Dir(), "index.failed")
	whole, err := os.ReadFile(name)
	f.must(err)
	for at := range whole {
		b := append([]byte(nil), whole...)
		b[at] ^= 0x10
		f.must(os.WriteFile(name, b, 0o600))
		q := squatter.New(squatter.Options{Store: f.store, Tiers: f.tiers, Conf: f.path("conf")})
		if all := q.Failures(user); len(all) != 0 {
			t.Fatalf("with octet %d changed, the list is %+v", at, all)
		}
	}
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestOthersFailures: what another process puts on the list of a user, or takes off it, is seen by a squatter that
// has read the list before, and each keeps what the other changed.
func TestOthersFailures(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, squatter.Options{Registerer: registry})
	index := func(q *squatter.Squatter) {
		_, err := q.IndexUser(t.Context(), user, squatter.IndexOptions{Retry: true})
		if _, some := errors.AsType[*squatter.Skipped](err); err != nil && !some {
			t.Fatal(err)
		}
	}
	check := func(when string, failures, quarantined int) {
		t.Helper()
		if n := len(f.q.Failures(user)); n != failures {
			t.Errorf("%s: %d failures are known, want %d", when, n, failures)
		}
		if got := gauge(t, registry, "teraslot_quarantined_messages"); int(got) != quarantined {
			t.Errorf("%s: the metric says %v, want %d", when, got, quarantined)
		}
	}
	f.deliver(1, 4)
	f.spoil(2)
	index(f.q)
	check("first try", 1, 0)
	other := squatter.New(squatter.Options{Store: f.store, Tiers: f.tiers, Conf: f.path("conf"), Now: func() time.Time { return f.now }})
	for range 8 {
		index(other)
	}
	check("the other quarantined it", 1, 1)

	f.deliver(4, 6)
	f.spoil(4)
	index(f.q) // beside what the other wrote
	check("one more", 2, 1)
	f.mend(2)
	f.mend(4)
	index(other)
	check("the other indexed them", 0, 0)
	if n := f.indexed(); n != 5 {
		t.Errorf("%d of 5 are indexed", n)
	}

	f.deliver(6, 7)
	f.spoil(6)
	index(other)
	check("another one", 1, 0)
	f.must(os.Remove(filepath.Join(f.path("conf"), user.Dir(), "index.failed")))
	f.mend(6)
	if n, err := f.q.IndexUser(t.Context(), user, squatter.IndexOptions{}); n != 1 || err != nil {
		t.Errorf("the list is gone, and %d are indexed: %v", n, err)
	}
	check("the list is gone", 0, 0)
}
