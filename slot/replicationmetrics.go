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
	{figure("users_held_up", "Users who cannot be synced now."), prometheus.GaugeValue, func(s *replication.Status) float64 { return float64(len(s.HeldUp)) }},
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
