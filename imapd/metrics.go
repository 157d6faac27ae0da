package imapd

import (
	"github.com/emersion/go-imap/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what sessions do.
type metrics struct {
	refused  prometheus.Counter
	logins   *prometheus.CounterVec
	commands *prometheus.CounterVec
	sent     prometheus.Counter
}

// Outcomes of commands and logins, as labels.
const (
	outcomeOK     = "ok"
	outcomeNo     = "no"     // refused with a reason that the client is told
	outcomeBad    = "bad"    // no command
	outcomeFailed = "failed" // for a reason that is ours: see the log
	outcomeLimit  = "limit"  // one session too many
)

// newMetrics makes the metrics of a server and registers them with r, if there is one.
func newMetrics(r prometheus.Registerer, a *admission) *metrics {
	m := &metrics{
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "teraslot_imap_connections_refused_total",
			Help: "IMAP connections refused because there were too many, in all or from one address."}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "teraslot_imap_logins_total",
			Help: "Logins by outcome: ok, no (wrong name or password), failed, limit (too many sessions of the user)."}, []string{"outcome"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "teraslot_imap_commands_total",
			Help: "Commands by outcome: ok, no, bad, failed (for a reason that is not the client's)."}, []string{"outcome"}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{Name: "teraslot_imap_sent_bytes_total",
			Help: "Octets sent to clients, before TLS and compression: most of them are fetched mail."}),
	}
	for _, outcome := range []string{outcomeOK, outcomeNo, outcomeBad, outcomeFailed} { // there from the start, so that the first is a rise
		m.commands.WithLabelValues(outcome)
	}
	for _, outcome := range []string{outcomeOK, outcomeNo, outcomeFailed, outcomeLimit} {
		m.logins.WithLabelValues(outcome)
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.refused, m.logins, m.commands, m.sent,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "teraslot_imap_connections", Help: "Open IMAP connections."},
			func() float64 { connections, _ := a.counts(); return float64(connections) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "teraslot_imap_sessions", Help: "Sessions of users who are logged in."},
			func() float64 { _, sessions := a.counts(); return float64(sessions) }))
	return m
}

// outcomeOf names how a command ended.
func outcomeOf(err error) string {
	if err == nil {
		return outcomeOK
	}
	switch r, expected := refuse(err); {
	case !expected:
		return outcomeFailed
	case r.Type == imap.StatusResponseTypeBad:
		return outcomeBad
	}
	return outcomeNo
}

// count counts a command that ended with err, before the client hears of its end.
func (s *session) count(err error) { s.srv.metrics.commands.WithLabelValues(outcomeOf(err)).Inc() }

// countSent counts what was sent to the client since the last call.
func (s *session) countSent() {
	s.srv.metrics.sent.Add(float64(s.c.written - s.counted))
	s.counted = s.c.written
}
