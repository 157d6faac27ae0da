package lmtp

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts connections and what became of recipients.
type metrics struct {
	connections prometheus.Gauge
	refused     prometheus.Counter
	outcomes    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "teraslot_lmtp_connections", Help: "Open LMTP connections."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "teraslot_lmtp_connections_refused_total", Help: "LMTP connections refused because there were too many."}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "teraslot_lmtp_recipients_total", Help: "Recipients by what became of their message."}, []string{"outcome"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.connections, m.refused, m.outcomes} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("lmtp: metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) outcome(name string) { m.outcomes.WithLabelValues(name).Inc() }
