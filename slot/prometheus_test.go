package slot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/squatter"
)

// prometheus is a real one that asks a slot five times a second, with the rules that
// are shipped.
type prometheusServer struct {
	t    *testing.T
	base string
}

// startPrometheus starts the program of that name, or skips the test.
func startPrometheus(t *testing.T, target string) *prometheusServer {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed: rules and panels are not tested with it")
	}
	rules, err := filepath.Abs("../docs/operations/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}\nrule_files: [%q]\n"+
		"scrape_configs:\n  - job_name: teraslot\n    static_configs: [{targets: [%q]}]\n", rules, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("prometheus says:\n%s", &out)
		}
	})
	return &prometheusServer{t, "http://" + address}
}

// ask asks the API; an answer that is none is an error.
func (p *prometheusServer) ask(path string, q url.Values, data any) error {
	answer, err := http.Get(p.base + path + "?" + q.Encode())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var body struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return err
	}
	if body.Status != "success" {
		return errors.New(body.Error)
	}
	return json.Unmarshal(body.Data, data)
}

// series is how many series an expression has.
func (p *prometheusServer) series(expr string) (int, error) {
	var data struct{ Result []json.RawMessage }
	err := p.ask("/api/v1/query", url.Values{"query": {expr}}, &data)
	return len(data.Result), err
}

// sees waits until Prometheus has an answer to an expression.
func (p *prometheusServer) sees(expr string) {
	p.t.Helper()
	await(p.t, "seen: "+expr, func() bool { n, err := p.series(expr); return err == nil && n > 0 })
}

// await waits until something holds, and says what, by the machine's clock.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not %s", what)
		}
	}
}

// constant are the metrics that do not move while a slot runs, and why.
var constant = map[string]string{
	"teraslot_temp_limit_bytes": "the configuration says it",
	"teraslot_partition_bytes":  "the size of a disk",
}

// TestPrometheus: a real Prometheus loads the rules, finds every metric that a rule or a
// panel names, sees each of them move while the slot works, fails and is mended, and has
// an answer for every panel.
func TestPrometheus(t *testing.T) {
	k := &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)}
	c := newConfig(t, "[imap]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = []\nmax_connections = 3\n[lmtp]\nlisten = [\"127.0.0.1:0\"]\nmax_connections = 8\n[squatter]\ndelay = \"1s\"\n[jobs]\nscrub = \"1d\"\n"+twoPartitions)
	r := start(t, c, Options{Now: k.Now, After: k.After})
	p := startPrometheus(t, r.Addresses().Metrics[0])
	p.sees("count_over_time(up[15m]) >= 10") // what is new after these has moved
	r.busyDay(k, p)

	wanted := namedMetrics(t, "../docs/operations/alerts.yml")
	maps.Copy(wanted, namedMetrics(t, "../docs/operations/dashboard.json"))
	if len(wanted) < 30 {
		t.Errorf("rules and panels name only %d metrics", len(wanted))
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		p.moves(name)
	}
	p.rules()
	p.panels()
	http.DefaultClient.CloseIdleConnections()
}

// moves fails the test unless a metric is there and has changed.
func (p *prometheusServer) moves(name string) {
	p.t.Helper()
	any := fmt.Sprintf(`{__name__=~"%s(_count)?"}`, name)
	if why, fixed := constant[name]; fixed {
		if n, err := p.series(any); err != nil || n == 0 {
			p.t.Errorf("%s (%s): %d series, %v", name, why, n, err)
		}
		return
	}
	moved := 0
	for _, form := range []string{name, name + "_count"} {
		n, err := p.series(fmt.Sprintf(`changes(%s[15m]) > 0`, form))
		if err != nil {
			p.t.Fatal(err)
		}
		// A series that was not there from the start has moved, too.
		born, err := p.series(fmt.Sprintf(`count_over_time(%s[15m]) < scalar(count_over_time(up[15m])) - 5`, form))
		if err != nil {
			p.t.Fatal(err)
		}
		moved += n + born
	}
	if moved == 0 {
		n, err := p.series(any)
		p.t.Errorf("%s does not move: %d series, %v", name, n, err)
	}
}

// rules fails the test unless all rules work and have the alerts that the documentation
// explains.
func (p *prometheusServer) rules() {
	p.t.Helper()
	type rule struct{ Name, Health, LastError, State string }
	var data struct{ Groups []struct{ Rules []rule } }
	var all []rule
	await(p.t, "all rules evaluated", func() bool {
		if err := p.ask("/api/v1/rules", nil, &data); err != nil {
			p.t.Fatal(err)
		}
		all = nil
		for _, g := range data.Groups {
			all = append(all, g.Rules...)
		}
		return len(all) > 0 && !slices.ContainsFunc(all, func(r rule) bool { return r.Health == "unknown" })
	})
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range all {
		if r.Health != "ok" {
			p.t.Errorf("rule %s: %s: %s", r.Name, r.Health, r.LastError)
		}
		if !strings.Contains(string(page), "`"+r.Name+"`") {
			p.t.Errorf("docs/operations.md does not say what %s means", r.Name)
		}
		if fires := r.Name == "TeraslotDamage" || r.Name == "TeraslotJobFails" || r.Name == "TeraslotErrors"; fires && r.State != "firing" {
			p.t.Errorf("%s is %s after damage was found", r.Name, r.State)
		}
		if r.Name == "TeraslotDown" && r.State != "inactive" {
			p.t.Errorf("%s is %s", r.Name, r.State)
		}
	}
}

// panels fails the test unless every panel of the dashboard has something to show.
func (p *prometheusServer) panels() {
	p.t.Helper()
	b, err := os.ReadFile("../docs/operations/dashboard.json")
	if err != nil {
		p.t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		p.t.Fatal(err)
	}
	ranges := regexp.MustCompile(`\[\d+[mhd]\]`)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expr := ranges.ReplaceAllString(strings.ReplaceAll(target.Expr, "$instance", ".*"), "[15m]")
			if n, err := p.series(expr); err != nil || n == 0 {
				p.t.Errorf("panel %s: %s: %d series, %v", panel.Title, target.Expr, n, err)
			}
		}
	}
}

// busyDay makes everything happen that a slot has a metric for. Afterwards all is whole
// again.
func (r *running) busyDay(k *clock, p *prometheusServer) {
	t := r.t
	t.Helper()
	r.addUser("anna")
	count := func(name string, labels ...string) float64 { return observed(t, r.registry, name, labels...) }
	for n := range 30 {
		if err := r.deliver(fmt.Sprintf("Subject: %d\r\n\r\nlunch %d\r\n", n, n), "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	r.hits("anna", "lunch") // some are not indexed yet: scanned
	r.indexed("anna", 30)
	if n := r.hits("anna", "lunch"); n != 30 {
		t.Errorf("%d hits", n)
	}
	if _, err := r.login("anna", "wrong"); err == nil {
		t.Error("a wrong password")
	}
	reading, err := r.login("anna", "secret")
	if err != nil {
		t.Fatal(err)
	}
	p.sees("teraslot_imap_sessions == 1")
	reading.Close()
	p.sees("teraslot_imap_sessions == 0")
	r.refusals(p)
	r.lockWaits()
	r.expungeSome()

	k.until(t, "paused", 30*time.Minute, func() bool {
		r.searches.slow.Store(true) // the watch finds otherwise from time to time
		return counter(t, r.registry, "teraslot_compaction_pauses_total") > 0
	})
	p.sees(`teraslot_tier_dead_documents{tier="temp"} > 0`)
	r.searches.slow.Store(false)
	k.until(t, "compacted", 30*time.Minute, func() bool { return counter(t, r.registry, "teraslot_compactions_total", "quiet", "done") > 0 })
	k.until(t, "archived", 10*time.Minute, func() bool { return counter(t, r.registry, "teraslot_jobs_total", JobArchive, "done") > 0 })
	r.elsewhere(k, p)
	r.poison(p)
	if count("teraslot_log_lines_total", "ERROR", "damage") == 0 {
		t.Error("damage is not in the metrics of the log")
	}
	p.sees("teraslot_quarantined_messages == 0")
}

// elsewhere has a user's index in a temp of a partition's own, until Prometheus has seen a round that tells both.
func (r *running) elsewhere(k *clock, p *prometheusServer) {
	r.t.Helper()
	r.addUser("carl")
	if err := r.client.Move(r.t.Context(), MoveUser{Name: "carl", To: "other"}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.deliver("Subject: elsewhere\r\n\r\nlunch\r\n", "carl@example.org"); err != nil {
		r.t.Fatal(err)
	}
	r.indexed("carl", 1)
	rounds := func() float64 { return observed(r.t, r.registry, "teraslot_compaction_rounds_total", "done") }
	before := rounds()
	k.until(r.t, "a round that saw him", 30*time.Minute, func() bool {
		_, exported := r.get("/metrics")
		return rounds() > before && strings.Contains(exported, "\nteraslot_temp_bytes{root=\"partitions.other.tiers.temp\"} ")
	})
	p.sees(`teraslot_temp_bytes{root="partitions.other.tiers.temp"}`)
	p.sees(`teraslot_temp_bytes{root="tiers.temp"}`)
	p.sees(fmt.Sprintf(`teraslot_compaction_rounds_total{outcome="done"} > %v`, before))
}

// refusals opens more connections than there may be, until Prometheus has seen them.
func (r *running) refusals(p *prometheusServer) {
	r.t.Helper()
	for protocol, address := range map[string]string{"imap": r.Addresses().IMAP[0], "lmtp": r.Addresses().LMTP[0]} {
		var open []net.Conn
		for range 12 {
			c, err := net.Dial("tcp", address)
			if err != nil {
				r.t.Fatal(err)
			}
			open = append(open, c)
		}
		p.sees("teraslot_" + protocol + "_connections_refused_total > 0")
		p.sees("teraslot_" + protocol + "_connections > 0")
		for _, c := range open {
			_ = c.Close()
		}
	}
	await(r.t, "left", func() bool {
		_, text := r.get("/metrics")
		return strings.Contains(text, "\nteraslot_imap_connections 0\n") && strings.Contains(text, "\nteraslot_lmtp_connections 0\n")
	})
}

// lockWaits holds the lock of an index while somebody searches.
func (r *running) lockWaits() {
	r.t.Helper()
	a, err := r.accounts.Lookup(r.t.Context(), "anna")
	if err != nil {
		r.t.Fatal(err)
	}
	held, err := disk.Lock(r.t.Context(), disk.OS(), filepath.Join(r.c.Conf, a.ID.Dir(), "index.lock"), disk.Exclusive)
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		s, err := r.tiers.User(a.ID).Snapshot(context.WithoutCancel(r.t.Context()))
		if err == nil {
			s.Close()
		}
		done <- err
	}()
	time.AfterFunc(50*time.Millisecond, func() { _ = held.Close() })
	if err := <-done; err != nil {
		r.t.Fatal(err)
	}
	if observed(r.t, r.registry, "teraslot_lock_wait_seconds", "index.lock") == 0 {
		r.t.Error("nobody waited for the lock of an index")
	}
}

// expungeSome expunges messages, for good.
func (r *running) expungeSome() {
	r.t.Helper()
	ctx := r.t.Context()
	err := r.withMail(ctx, "anna", func(m *mailstore.Mail) error {
		box, err := m.MailboxNamed(ctx, "INBOX")
		if err != nil {
			return err
		}
		some := mailbox.UIDRange(1, 5)
		if _, err = m.StoreFlags(ctx, "", box.ID, some, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err == nil {
			_, _, err = m.Expunge(ctx, "", box.ID, &some)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := r.accounts.Lookup(ctx, "anna")
	if err == nil {
		_, err = r.job(ctx, JobExpire, a.ID, true)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// poison damages a message, so that it cannot be indexed however often it is tried and a
// scrub finds it, and mends it again.
func (r *running) poison(p *prometheusServer) {
	t := r.t
	t.Helper()
	ctx := t.Context()
	r.addUser("bert")
	b := batch(t, Incoming{Mailbox: "INBOX"}, mailbox.Flags{}, "Subject: poison\r\n\r\npoison\r\n")
	a, err := r.accounts.Lookup(ctx, "bert")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Import(ctx, "bert", b, false); err != nil {
		t.Fatal(err)
	}
	r.indexed("bert", 1)
	pack := filepath.Join(r.c.Spool, a.ID.Dir(), "1.pack")
	data, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(string(data), "oison\r\n")
	flip := func() {
		data[at] ^= 1
		if err := os.WriteFile(pack, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip()
	for range 9 {
		if _, err := r.squatter.IndexUser(ctx, a.ID, squatter.IndexOptions{All: true, Retry: true}); err == nil {
			t.Fatal("a damaged message was indexed")
		}
	}
	r.night.user(ctx, a.ID)
	p.sees("teraslot_quarantined_messages == 1")
	flip()
	if _, err := r.squatter.IndexUser(ctx, a.ID, squatter.IndexOptions{All: true, Retry: true}); err != nil {
		t.Fatal(err)
	}
}
