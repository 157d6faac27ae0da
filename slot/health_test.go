package slot

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
)

// get asks the metrics listener.
func (r *running) get(path string) (int, string) {
	r.t.Helper()
	answer, err := http.Get("http://" + r.Addresses().Metrics[0] + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// TestHealth: a slot that can work says so; one whose partition went does not.
func TestHealth(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	if code, body := r.get("/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthy: %d %q", code, body)
	}
	away := c.Archive + ".away"
	if err := os.Rename(c.Archive, away); err != nil {
		t.Fatal(err)
	}
	if code, body := r.get("/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "archive") {
		t.Errorf("without the archive partition: %d %q", code, body)
	}
	if err := os.Rename(away, c.Archive); err != nil {
		t.Fatal(err)
	}
	if code, _ := r.get("/healthz"); code != http.StatusOK {
		t.Errorf("back: %d", code)
	}
	c.MaxMessage = 1 << 60
	if code, body := r.get("/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "are free") {
		t.Errorf("without room: %d %q", code, body)
	}
	c.MaxMessage = 1 << 20
}

var metricName = regexp.MustCompile(`\b(?:teraslot|process)_[a-z_]+`)

// namedMetrics are the metrics that a file speaks of, without the suffixes of histograms.
func namedMetrics(t *testing.T, path string) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".json") && !json.Valid(b) {
		t.Errorf("%s is not JSON", path)
	}
	out := map[string]bool{}
	for _, name := range metricName.FindAllString(string(b), -1) {
		out[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")] = true
	}
	return out
}

// TestOperationsMetrics: every metric that a rule or a panel names is exported by a slot
// that has taken mail, searched, compacted and tended it.
func TestOperationsMetrics(t *testing.T) {
	k := &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)}
	c := newConfig(t, "")
	r := start(t, c, Options{Now: k.Now, After: k.After})
	r.addUser("anna")
	if err := r.deliver("Subject: x\r\n\r\nlunch\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	if n := r.hits("anna", "lunch"); n != 1 {
		t.Errorf("%d hits", n)
	}
	r.indexed("anna", 1)
	k.until(t, "compacted", 30*time.Minute, func() bool { return counter(t, r.registry, "teraslot_compactions_total", "quiet", "done") > 0 })
	k.until(t, "the tiers as the round left them", time.Minute, func() bool {
		_, exported := r.get("/metrics")
		return strings.Contains(exported, "\nteraslot_tier_databases{tier=\"data\"} 1\n")
	})
	if _, err := r.client.Import(t.Context(), "anna", batch(t, Incoming{Mailbox: "INBOX"}, mailbox.Flags{}, "Subject: y\r\n\r\ny\r\n"), false); err != nil {
		t.Fatal(err)
	}
	_, exported := r.get("/metrics")
	for _, file := range []string{"alerts.yml", "dashboard.json"} {
		names := namedMetrics(t, filepath.Join("../docs/operations", file))
		if len(names) < 8 {
			t.Errorf("%s names only %d metrics", file, len(names))
		}
		for name := range names {
			if !strings.Contains(exported, "\n# TYPE "+name+" ") {
				t.Errorf("%s: %s is not exported", file, name)
			}
		}
	}
	for _, name := range []string{`teraslot_compacted_bytes_total{tier="data"} 0`, "teraslot_indexed_messages_total 0", `teraslot_tier_databases{tier="data"} 0`} {
		if strings.Contains(exported, name+"\n") {
			t.Errorf("%s: it does not move", name)
		}
	}
}

// TestAlerts asks Prometheus's own tool whether the rules are right and fire.
func TestAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: the alert rules are not tested")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml", "alerts-store.yml"}, {"test", "rules", "alerts_test.yml", "alerts-store_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "../docs/operations"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
