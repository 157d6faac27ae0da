package slot

import (
	"github.com/prometheus/client_golang/prometheus"

	"teraslot/replication"
)

// replicationMetrics exports how far the replicas are behind.
type replicationMetrics struct{ s *Slot }

// replicationFigures are the metrics, each with the label "replica".
var replicationFigures = []struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*replication.Status) float64
}{
	{figure("lag_seconds", "Age of the oldest change that the replica lacks."), prometheus.GaugeValue, func(s *replication.Status) float64 { return s.Lag.Seconds() }},
	{figure("lag_records", "Changes noted that the replica lacks."), prometheus.GaugeValue, func(s *replication.Status) float64 { return float64(s.Notes) }},
	{figure("users_behind", "Users who are not equal."), prometheus.GaugeValue, func(s *replication.Status) float64 { return float64(s.Users) }},
	{figure("users_held_up", "Users who failed, and are tried again."), prometheus.GaugeValue, func(s *replication.Status) (n float64) {
		for _, h := range s.HeldUp {
			if !h.Skipped {
				n++
			}
		}
		return n
	}},
	{figure("uncompared", "1 if not all users were compared since a stop that was not clean: there may be changes of which nothing is known."), prometheus.GaugeValue, func(s *replication.Status) float64 {
		if s.Uncompared {
			return 1
		}
		return 0
	}},
	{figure("users_left_out", "Users who are left out until somebody says otherwise."), prometheus.GaugeValue, func(s *replication.Status) float64 { return float64(s.LeftOut) }},
	{figure("lag_median_seconds", "Median of the last 1,024 syncs, from the change to its being there."), prometheus.GaugeValue, func(s *replication.Status) float64 { return s.LagMedian.Seconds() }},
	{figure("lag_p99_seconds", "The same, the 99th percentile."), prometheus.GaugeValue, func(s *replication.Status) float64 { return s.LagP99.Seconds() }},
	{figure("last_sync_timestamp_seconds", "When a sync last succeeded; 0: never since the start."), prometheus.GaugeValue, func(s *replication.Status) float64 {
		if s.Last.IsZero() {
			return 0
		}
		return float64(s.Last.Unix())
	}},
	{figure("unreachable", "1 if the replica cannot be reached."), prometheus.GaugeValue, func(s *replication.Status) float64 {
		if s.Line != "" {
			return 1
		}
		return 0
	}},
	{figure("syncs_total", "Syncs of users that succeeded."), prometheus.CounterValue, func(s *replication.Status) float64 { return float64(s.Syncs) }},
	{figure("failures_total", "Syncs of users that failed."), prometheus.CounterValue, func(s *replication.Status) float64 { return float64(s.Failures) }},
	{figure("messages_total", "Messages sent."), prometheus.CounterValue, func(s *replication.Status) float64 { return float64(s.Total.Messages) }},
	{figure("bytes_total", "Octets of messages sent."), prometheus.CounterValue, func(s *replication.Status) float64 { return float64(s.Total.Bytes) }},
	{figure("compared_total", "Mailboxes of which all records were compared."), prometheus.CounterValue, func(s *replication.Status) float64 { return float64(s.Total.Compared) }},
	{figure("records_total", "Records sent."), prometheus.CounterValue, func(s *replication.Status) float64 { return float64(s.Total.Records) }},
	{figure("differences_total", "Differences and damage found by comparing all."), prometheus.CounterValue, func(s *replication.Status) float64 { return float64(s.Differences) }},
	{figure("healed_total", "Messages and groups of records that one side had lost and got from the other."), prometheus.CounterValue, func(s *replication.Status) float64 { return float64(s.Healed) }},
	{figure("merged_total", "Users whose mail was merged after changes on both sides."), prometheus.CounterValue, func(s *replication.Status) float64 { return float64(s.Total.Merged.Users) }},
}

func figure(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("teraslot_replication_"+name, help, []string{"replica"}, nil)
}

// Describe is for package prometheus.
func (m *replicationMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range replicationFigures {
		ch <- f.desc
	}
}

// Collect is for package prometheus.
func (m *replicationMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.s.peers.channels {
		status := c.Status()
		for _, f := range replicationFigures {
			ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(&status), status.Replica)
		}
	}
}
