package slot

import (
	"strconv"
	"strings"
	"testing"

	"teraslot/squatter"
)

// TestMetricsOfOthersIndexing: where other processes index, by squatter.off, the daemon tells all the same how much mail
// waits to be indexed and how long, what is indexed and fails, and what is in quarantine.
func TestMetricsOfOthersIndexing(t *testing.T) {
	c := newConfig(t, "[squatter]\noff = true\n")
	r := start(t, c, Options{})
	r.addUser("anna")
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	metric := func(name string) float64 {
		t.Helper()
		_, text := r.get("/metrics")
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
		}
		t.Fatalf("no metric %s", name)
		return 0
	}
	becomes := func(name string, want float64) {
		t.Helper()
		await(t, name+" "+strconv.FormatFloat(want, 'g', -1, 64), func() bool { return metric(name) == want })
	}
	for _, name := range []string{"teraslot_quarantined_messages", "teraslot_index_waiting_messages", "teraslot_index_lag_seconds",
		"teraslot_index_failures_total", "teraslot_indexed_messages_total"} {
		becomes(name, 0)
	}
	for n := range 3 {
		if err := r.deliver("Subject: waits "+strconv.Itoa(n)+"\r\n\r\nlunch\r\n", "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	becomes("teraslot_index_waiting_messages", 3)
	if metric("teraslot_index_lag_seconds") <= 0 {
		t.Error("mail waits, and there is no lag")
	}
	o := squatter.Options{Store: r.store, Tiers: r.tiers, Conf: c.Conf, Leave: true}
	other := squatter.New(o)
	if n, err := other.IndexUser(t.Context(), a.ID, squatter.IndexOptions{}); n != 3 || err != nil {
		t.Fatalf("%d indexed, %v", n, err)
	}
	becomes("teraslot_index_waiting_messages", 0)
	becomes("teraslot_index_lag_seconds", 0)
	becomes("teraslot_indexed_messages_total", 3)

	if err := r.deliver("Subject: poison\r\n\r\nlunch poison\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	becomes("teraslot_index_waiting_messages", 1)
	o.Patience = 1 // nanosecond: every extraction takes longer
	slow := squatter.New(o)
	for range 9 {
		if _, err := slow.IndexUser(t.Context(), a.ID, squatter.IndexOptions{Retry: true}); err == nil {
			t.Fatal("no extraction takes no time")
		}
	}
	becomes("teraslot_quarantined_messages", 1)
	becomes("teraslot_index_failures_total", 9)
	becomes("teraslot_index_waiting_messages", 0) // it does not wait: it was tried
	if n := r.hits("anna", "poison"); n != 1 {
		t.Errorf("%d hits", n)
	}
	if n, err := other.IndexUser(t.Context(), a.ID, squatter.IndexOptions{Retry: true}); n != 1 || err != nil {
		t.Fatalf("%d indexed, %v", n, err)
	}
	becomes("teraslot_quarantined_messages", 0)
	becomes("teraslot_indexed_messages_total", 4)
}
