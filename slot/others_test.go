package slot

import (
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/squatter"
)

// TestOthersInMetrics: what another process compacts, by timer or by hand, is in the
// daemon's metrics, once, and so is a round of it that fails.
func TestOthersInMetrics(t *testing.T) {
	r, c := startOfTimers(t)
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	o := c.ScheduleOptions()
	o.Leave = true // as squatter does
	other := r.squatter.NewSchedule(o)
	if err := other.ByHand(t.Context(), a.ID, squatter.CompactOptions{Sources: []string{"temp"}, Dest: "data"}); err != nil {
		t.Fatal(err)
	}
	broken := o
	broken.TempOf = func(mailbox.User) (string, error) { return "", errPlacement }
	if _, err := r.squatter.NewSchedule(broken).Round(t.Context()); err == nil {
		t.Fatal("the round did not fail")
	}
	o.Policy.Quiet = squatter.Hours{To: 24 * time.Hour}
	if _, err := r.squatter.NewSchedule(o).Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, first := r.get("/metrics")
	if !strings.Contains(first, "\nteraslot_compaction_rounds_total{outcome=\"failed\"} 0\n") {
		t.Error("the first failure is no rise: the counter begins with it")
	}
	wanted := []string{
		`teraslot_compactions_total{outcome="done",rule="hand",tier="data"} 1`,
		`teraslot_compaction_seconds_count{outcome="done",tier="data"} 1`,
		`teraslot_compaction_rounds_total{outcome="failed"} 1`,
		`teraslot_compaction_rounds_total{outcome="done"} 1`,
	}
	await(t, "in the metrics", func() bool {
		_, text := r.get("/metrics")
		return strings.Contains(text, wanted[0])
	})
	_, text := r.get("/metrics")
	for _, line := range wanted {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("not in the metrics: %s", line)
		}
	}
}
