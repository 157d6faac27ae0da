package squatter

import (
	"github.com/prometheus/client_golang/prometheus"
)

// scheduleMetrics count what a Schedule sees and does.
type scheduleMetrics struct {
	bytes, databases, dead *prometheus.GaugeVec // by tier
	temp                   *prometheus.GaugeVec // by root
	compactions            *prometheus.CounterVec
	seconds                *prometheus.HistogramVec
	moved                  *prometheus.CounterVec
	pauses                 prometheus.Counter
	rounds                 *prometheus.CounterVec
}

// newScheduleMetrics makes the metrics and registers them with r, if there is one.
func newScheduleMetrics(r prometheus.Registerer, p Policy) *scheduleMetrics {
	m := &scheduleMetrics{
		bytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "teraslot_tier_bytes",
			Help: "Bytes of all users' databases in a tier, in whole pages, when a round last began or ended."}, []string{"tier"}),
		databases: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "teraslot_tier_databases",
			Help: "Databases of all users in a tier, when a round last began or ended."}, []string{"tier"}),
		dead: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "teraslot_tier_dead_documents",
			Help: "Documents in a tier that no mailbox holds, as far as they were counted."}, []string{"tier"}),
		temp: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "teraslot_temp_bytes",
			Help: "Bytes of databases in each root of temp, in whole pages, when a round last began or ended."}, []string{"root"}),
		compactions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "teraslot_compactions_total",
			Help: "Compactions by destination, rule and outcome: done, nothing, raced, gone, stopped, failed."}, []string{"tier", "rule", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "teraslot_compaction_seconds",
			Help: "Duration of compactions that had something to do.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 10)}, []string{"tier", "outcome"}),
		moved: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "teraslot_compacted_bytes_total",
			Help: "Bytes of the sources of compactions."}, []string{"tier"}),
		pauses: prometheus.NewCounter(prometheus.CounterOpts{Name: "teraslot_compaction_pauses_total",
			Help: "How often a compaction waited because searches were slow."}),
	}
	m.rounds = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "teraslot_compaction_rounds_total",
		Help: "Rounds of the schedule, by whoever compacts, and their outcome: done, stopped, failed."}, []string{"outcome"})
	m.rounds.WithLabelValues(outcomeDone)
	m.rounds.WithLabelValues(outcomeFailed)
	for _, rule := range ruleOrder {
		for _, outcome := range []string{outcomeDone, outcomeFailed} { // there from the start, so that the first failure is a rise
			m.compactions.WithLabelValues(p.destOf(rule), string(rule), outcome)
		}
	}
	m.see(State{}, p)
	if r != nil {
		r.MustRegister(m.bytes, m.temp, m.databases, m.dead, m.compactions, m.seconds, m.moved, m.pauses, m.rounds)
	}
	return m
}

// tierSums are the sums over a tier.
type tierSums struct{ bytes, databases, dead float64 }

// see takes in what a survey found. Sums are made before they are shown: who scrapes sees
// those of before or of now.
func (m *scheduleMetrics) see(s State, p Policy) {
	tiers := map[string]*tierSums{p.Temp: {}, p.Meta: {}, p.Data: {}, p.Archive: {}}
	temps := make(map[string]float64)
	for _, u := range s.Users {
		temps[u.Temp] += float64(p.temp(u))
		for _, d := range u.Databases {
			if tiers[d.Tier] == nil {
				tiers[d.Tier] = &tierSums{}
			}
			sum := tiers[d.Tier]
			sum.bytes += float64(d.Room)
			sum.databases++
			sum.dead += float64(d.Dead)
		}
	}
	m.temp.Reset() // roots that have no users any longer go
	for root, bytes := range temps {
		m.temp.WithLabelValues(root).Set(bytes)
	}
	for tier, sum := range tiers {
		m.bytes.WithLabelValues(tier).Set(sum.bytes)
		m.databases.WithLabelValues(tier).Set(sum.databases)
		m.dead.WithLabelValues(tier).Set(sum.dead)
	}
}

// count counts what was done, here or by another process.
func (m *scheduleMetrics) count(d deed) {
	switch d.What {
	case deedPause:
		m.pauses.Inc()
	case deedRound:
		m.rounds.WithLabelValues(d.Outcome).Inc()
	case deedCompaction:
		m.compactions.WithLabelValues(d.Tier, string(d.Rule), d.Outcome).Inc()
		if d.Outcome != outcomeNothing { // that would make all others look fast
			m.seconds.WithLabelValues(d.Tier, d.Outcome).Observe(d.Seconds)
		}
		if d.Outcome == outcomeDone {
			m.moved.WithLabelValues(d.Tier).Add(float64(d.Bytes))
		}
	}
}

// indexMetrics count what is indexed, and what waits.
type indexMetrics struct {
	indexed  prometheus.Counter
	failures prometheus.Counter
}

// newIndexMetrics makes the metrics of q and registers them with r, if there is one.
func newIndexMetrics(r prometheus.Registerer, q *Squatter) *indexMetrics {
	m := &indexMetrics{
		indexed: prometheus.NewCounter(prometheus.CounterOpts{Name: "teraslot_indexed_messages_total",
			Help: "Messages whose text was committed to an index."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "teraslot_index_failures_total",
			Help: "Tries to index a message that failed."}),
	}
	if r == nil {
		return m
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	r.MustRegister(m.indexed, m.failures,
		gauge("teraslot_quarantined_messages", "Messages that could not be indexed and are not tried again.",
			func() float64 { return float64(q.quarantined()) }),
		gauge("teraslot_index_waiting_messages", "Messages that were announced and are not indexed yet.",
			func() float64 { n, _ := q.queue.lag(); return float64(n) }),
		gauge("teraslot_index_lag_seconds", "How long the user who has waited longest to be indexed has waited.",
			func() float64 { _, d := q.queue.lag(); return d.Seconds() }))
	return m
}
