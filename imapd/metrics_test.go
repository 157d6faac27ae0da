package imapd

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// value is a metric's, of the labels with this value; 0 if there is none.
func value(t *testing.T, g prometheus.Gatherer, name, label string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// TestMetrics: what sessions do is counted, each thing once.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := newHarness(t, Options{Registerer: registry, PlainLogin: true, Limits: Limits{PerUser: 1, Connections: 2, AuthTries: 100}})
	wants := func(when, name, label string, want float64) {
		t.Helper()
		if got := value(t, registry, name, label); got != want {
			t.Errorf("%s: %s %s is %v, want %v", when, name, label, got, want)
		}
	}
	wants("at first", "teraslot_imap_logins_total", "ok", 0)
	h.deliver(t, "alice", "INBOX", mail("one")+strings.Repeat("0123456789\r\n", 1000))
	a := h.selected(t, "alice", "INBOX")
	wants("logged in", "teraslot_imap_logins_total", "ok", 1)
	wants("logged in", "teraslot_imap_sessions", "", 1)
	wants("logged in", "teraslot_imap_connections", "", 1)
	wants("logged in", "teraslot_imap_commands_total", "ok", 2)
	before := value(t, registry, "teraslot_imap_sent_bytes_total", "")
	a.do(t, "FETCH 1 BODY.PEEK[]")
	a.run(t, "SELECT Nowhere") // what was sent is counted when it was
	if sent := value(t, registry, "teraslot_imap_sent_bytes_total", "") - before; sent < 12_000 || sent > 13_000 {
		t.Errorf("a message of 12 kB made %v octets", sent)
	}
	wants("refused", "teraslot_imap_commands_total", "no", 1)
	a.run(t, "NONSENSE")
	wants("no command", "teraslot_imap_commands_total", "bad", 1)

	b := h.dial(t)
	b.response(t)
	b.run(t, `LOGIN alice "`+password+`"`)
	wants("one session too many", "teraslot_imap_logins_total", "limit", 1)
	wants("one session too many", "teraslot_imap_sessions", "", 1)
	wants("one session too many", "teraslot_imap_connections", "", 2)
	c := h.dial(t)
	if got := c.response(t); !strings.Contains(got, "BYE") {
		t.Errorf("the third of two connections: %q", got)
	}
	wants("one connection too many", "teraslot_imap_connections_refused_total", "", 1)
	b.run(t, `LOGIN bob wrong`)
	wants("a wrong password", "teraslot_imap_logins_total", "no", 1)
	wants("a wrong password", "teraslot_imap_commands_total", "failed", 0)
}
