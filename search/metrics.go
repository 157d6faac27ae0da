package search

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what searches did, over all users.
type metrics struct {
	messages *prometheus.CounterVec // by how they were answered
	searches *prometheus.CounterVec // by outcome
	seconds  prometheus.Histogram
}

// newMetrics makes the metrics and registers them with r, if there is one. Two
// Searchers of one process share them.
func newMetrics(r prometheus.Registerer, log *slog.Logger) *metrics {
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "teraslot_search_messages_total",
		Help: "Messages that text keys were asked about, by what answered: index, verify (index, then text), " +
			"scan (text only).",
	}, []string{"by"})
	searches := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "teraslot_searches_total",
		Help: "Searches by outcome: ok, limit, error.",
	}, []string{"outcome"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "teraslot_search_seconds",
		Help:    "Duration of searches.",
		Buckets: prometheus.ExponentialBuckets(0.0002, 4, 10),
	})
	return &metrics{register(r, log, messages), register(r, log, searches), register(r, log, seconds)}
}

// register returns c, or what was registered in its place before.
func register[C prometheus.Collector](r prometheus.Registerer, log *slog.Logger, c C) C {
	if r == nil {
		return c
	}
	err := r.Register(c)
	if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if old, ok := there.ExistingCollector.(C); ok {
			return old
		}
	}
	if err != nil {
		log.Error("a search metric is not exported", "err", err)
	}
	return c
}

// observe counts one search; res is nil if it failed.
func (m *metrics) observe(res *Result, err error, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	switch {
	case errors.Is(err, ErrLimit):
		m.searches.WithLabelValues("limit").Inc()
		return
	case err != nil:
		m.searches.WithLabelValues("error").Inc()
		return
	}
	m.searches.WithLabelValues("ok").Inc()
	m.messages.WithLabelValues("index").Add(float64(res.Stats.Indexed))
	m.messages.WithLabelValues("verify").Add(float64(res.Stats.Verified))
	m.messages.WithLabelValues("scan").Add(float64(res.Stats.Scanned))
}
