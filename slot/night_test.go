package slot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/tiers"
)

// clock is an injected one: its alarms ring when the test moves it.
type clock struct {
	mu     sync.Mutex // guards what follows
	now    time.Time
	alarms []alarm
}

type alarm struct {
	at time.Time
	c  chan time.Time
}

func (k *clock) Now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

func (k *clock) After(d time.Duration) <-chan time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := make(chan time.Time, 1)
	k.alarms = append(k.alarms, alarm{k.now.Add(d), c})
	return c
}

// advance moves the clock and rings what is due.
func (k *clock) advance(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = k.now.Add(d)
	var left []alarm
	for _, a := range k.alarms {
		if a.at.After(k.now) {
			left = append(left, a)
			continue
		}
		a.c <- k.now
	}
	k.alarms = left
}

// until moves the clock in steps until something holds: slowly in the quiet hours, so
// that what is done then is done before they are over.
func (k *clock) until(t *testing.T, what string, step time.Duration, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(90 * time.Second)
	for steps := 0; !holds(); steps++ {
		if h := k.Now().Hour(); h < 1 || h >= 5 || steps%25 == 0 {
			k.advance(step)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not %s by %s", what, k.Now())
		}
	}
}

// indexed waits until the index of a user has so many documents.
func (r *running) indexed(name string, docs int) []tiers.DatabaseStats {
	r.t.Helper()
	a, err := r.accounts.Lookup(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		stats, err := r.tiers.User(a.ID).Stats(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		n := 0
		for _, s := range stats {
			n += s.Docs
		}
		if n == docs {
			return stats
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("%d documents, want %d: %+v", n, docs, stats)
		}
	}
}

func tiersOf(stats []tiers.DatabaseStats) string {
	var names []string
	for _, s := range stats {
		if s.Docs > 0 {
			names = append(names, s.Database.Tier)
		}
	}
	return strings.Join(names, " ")
}

// TestStopSavesTemp: at a stop temp goes to meta, from which searches are answered
// after the start, and in the quiet hours to data.
func TestStopSavesTemp(t *testing.T) {
	k := &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)}
	c := newConfig(t, "")
	o := Options{Now: k.Now, After: k.After}
	r := start(t, c, o)
	r.addUser("anna")
	for n := range 5 {
		if err := r.deliver(fmt.Sprintf("Subject: %d\r\n\r\nlunch\r\n", n), "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if got := tiersOf(r.indexed("anna", 5)); got != "temp" {
		t.Errorf("indexed in %s", got)
	}
	r.stop()
	if err := os.RemoveAll(c.Tiers.Temp); err != nil { // a reboot
		t.Fatal(err)
	}
	r = start(t, c, o)
	if got := tiersOf(r.indexed("anna", 5)); got != "meta" {
		t.Errorf("after a stop and a reboot the index lies in %q", got)
	}
	if n := r.hits("anna", "lunch"); n != 5 {
		t.Errorf("%d hits", n)
	}
	k.until(t, "folded into data", 30*time.Minute, func() bool { return tiersOf(r.indexed("anna", 5)) == "data" })
	if h := k.Now().Hour(); h < 1 || h > 5 {
		t.Errorf("it was folded at %s", k.Now())
	}
	if n := r.hits("anna", "lunch"); n != 5 {
		t.Errorf("%d hits", n)
	}
	if _, err := c.LockSchedule(); err == nil {
		t.Error("another may compact by the schedule beside the daemon")
	}
}

// TestStopSavesTempOfTimers: also where a timer compacts, which knows of no stop.
func TestStopSavesTempOfTimers(t *testing.T) {
	r, c := startOfTimers(t)
	r.stop()
	r = start(t, c, Options{})
	if got := tiersOf(r.indexed("anna", 1)); got != "meta" {
		t.Errorf("after a stop the index lies in %q", got)
	}
	// What lies where is told from the start, whoever compacts.
	await(t, "in the metrics", func() bool {
		_, exported := r.get("/metrics")
		return strings.Contains(exported, "\nteraslot_tier_databases{tier=\"meta\"} 1\n")
	})
	lock, err := c.LockSchedule()
	if err != nil {
		t.Fatal("the timer cannot compact beside the daemon:", err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
}

// TestRenamedGoesToArchive: the index of who is renamed goes to archive, also if nobody
// served the slot at that moment.
func TestRenamedGoesToArchive(t *testing.T) {
	k := &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)}
	c := newConfig(t, "")
	o := Options{Now: k.Now, After: k.After}
	r := start(t, c, o)
	r.addUser("anna")
	if err := r.deliver("Subject: x\r\n\r\nlunch\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	r.indexed("anna", 1)
	r.stop()
	client, err := Administer(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(client.Change(t.Context(), "rename", ChangeUser{Name: "anna", To: "anna.w"}), client.Close()); err != nil {
		t.Fatal(err)
	}
	r = start(t, c, o)
	k.until(t, "in archive", 10*time.Minute, func() bool { return tiersOf(r.indexed("anna.w", 1)) == "archive" })
	if h := k.Now().Hour(); h < 12 {
		t.Errorf("it waited for the night, until %s", k.Now())
	}
}

// TestSearchesSlow: another process that compacts is told whether searches are slow,
// and that nobody searches where no daemon runs.
func TestSearchesSlow(t *testing.T) {
	c := newConfig(t, "")
	if c.SearchesSlow(t.Context())() {
		t.Error("slow before the slot is there")
	}
	r := start(t, c, Options{})
	if c.SearchesSlow(t.Context())() {
		t.Error("slow without a search")
	}
	await(t, "told", func() bool {
		r.searches.slow.Store(true) // the watch finds otherwise from time to time
		return c.SearchesSlow(t.Context())()
	})
	r.stop()
	if c.SearchesSlow(t.Context())() {
		t.Error("slow after the stop")
	}
}

// TestNight: in the quiet hours old mail goes to the archive partition, room is
// freed, mail.db is saved; by day nothing is done.
func TestNight(t *testing.T) {
	k := &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)}
	c := newConfig(t, "[jobs]\nexpunged = \"1h\"\nscrub = \"1d\"\n")
	r := start(t, c, Options{Now: k.Now, After: k.After})
	r.addUser("anna")
	if _, err := r.client.Import(t.Context(), "anna", batch(t, Incoming{Mailbox: "INBOX", Date: k.Now().AddDate(0, 0, -8)}, mailbox.Flags{}, "Subject: old\r\n\r\nold\r\n"), false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Import(t.Context(), "anna", batch(t, Incoming{Mailbox: "INBOX", Date: k.Now()}, mailbox.Flags{}, "Subject: new\r\n\r\nnew\r\n"), false); err != nil {
		t.Fatal(err)
	}
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(c.Archive, a.ID.Dir(), "mail.saved")
	packs := func(root string) int {
		found, err := filepath.Glob(filepath.Join(root, a.ID.Dir(), "*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	for range 8 { // until 20:00
		k.advance(time.Hour)
	}
	if _, err := os.Stat(saved); err == nil || packs(c.Archive) != 0 {
		t.Errorf("by day the archive has %d packs, mail.saved: %v", packs(c.Archive), err)
	}
	k.until(t, "saved", 10*time.Minute, func() bool { _, err := os.Stat(saved); return err == nil })
	if h := k.Now().Hour(); h < 1 || h > 5 {
		t.Errorf("it was done at %s", k.Now())
	}
	if packs(c.Archive) != 1 || packs(c.Spool) != 1 {
		t.Errorf("%d packs in the archive, %d on the spool", packs(c.Archive), packs(c.Spool))
	}
	if all, err := account.ReadCopy(t.Context(), c.AccountsCopy()); err != nil || len(all) != 1 || all[0].ID != a.ID {
		t.Errorf("of the accounts the night saved %+v, %v", all, err)
	}
	k.until(t, "scrubbed", 10*time.Minute, func() bool { return counter(t, r.registry, "teraslot_jobs_total", JobScrub, "done") > 0 })
	for _, job := range []string{JobArchive, JobExpire, JobRepack, JobSnapshot} {
		if counter(t, r.registry, "teraslot_jobs_total", job, "done") < 1 {
			t.Errorf("no %s in the metrics", job)
		}
	}
}

// TestScrubNights: everybody is scrubbed once in the period, and not all in one night.
func TestScrubNights(t *testing.T) {
	k := &clock{now: time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)}
	c := newConfig(t, "[jobs]\nscrub = \"30d\"\n")
	n := &night{s: &Slot{c: c, o: Options{Now: k.Now}}}
	times := map[mailbox.User]int{}
	for range 30 {
		tonight := 0
		for i := range 1000 {
			u := mailbox.User(fmt.Sprintf("%032x", i))
			if n.scrubs(u) {
				times[u]++
				tonight++
			}
		}
		if tonight > 100 {
			t.Errorf("%d of 1000 in one night", tonight)
		}
		k.advance(24 * time.Hour)
	}
	if len(times) != 1000 {
		t.Errorf("%d of 1000 are scrubbed in 30 days", len(times))
	}
	for u, n := range times {
		if n != 1 {
			t.Errorf("%s is scrubbed %d times", u, n)
		}
	}
}

// TestScrubFinds: what a scrub finds is logged, counted, and fails the job.
func TestScrubFinds(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	if err := r.deliver("Subject: x\r\n\r\nlunch\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	pack := filepath.Join(c.Spool, a.ID.Dir(), "1.pack")
	b, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "lunch")
	b[at] ^= 1
	if err := os.WriteFile(pack, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.job(t.Context(), JobScrub, a.ID, false); err == nil {
		t.Error("a scrub finds nothing wrong")
	}
	b[at] ^= 1
	if err := os.WriteFile(pack, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.job(t.Context(), JobScrub, a.ID, false); err != nil {
		t.Errorf("mended: %v", err)
	}
}

// TestRemoveUserLeavesNothing: neither mail nor index nor copies of a removed user are
// left below any root.
func TestRemoveUserLeavesNothing(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	for n := range 3 {
		if err := r.deliver(fmt.Sprintf("Subject: %d\r\n\r\nlunch\r\n", n), "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	r.indexed("anna", 3)
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range []string{JobArchive, JobSnapshot} {
		if _, err := r.job(t.Context(), job, a.ID, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.schedule.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Change(t.Context(), "del", ChangeUser{Name: "anna"}); err != nil {
		t.Fatal(err)
	}
	for _, root := range c.roots() {
		if _, err := os.Lstat(filepath.Join(root.path, a.ID.Dir())); !os.IsNotExist(err) {
			entries, _ := os.ReadDir(filepath.Join(root.path, a.ID.Dir()))
			t.Errorf("%s has something of a removed user: %v %v", root.key, entries, err)
		}
	}
}

// TestDeletedMailboxComesBack: DELETE in a slot can be undone.
func TestDeletedMailboxComesBack(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	if _, err := r.client.Import(t.Context(), "anna", batch(t, Incoming{Mailbox: "Work"}, mailbox.Flags{}, "Subject: x\r\n\r\nx\r\n"), false); err != nil {
		t.Fatal(err)
	}
	err := r.withMail(t.Context(), "anna", func(m *mailstore.Mail) error {
		box, err := m.MailboxNamed(t.Context(), "Work")
		if err != nil {
			return err
		}
		return m.Delete(t.Context(), "", box.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.client.Expunged(t.Context(), ExpungedRequest{User: "anna"})
	if err != nil || len(list) != 1 || list[0].Mailbox != "Work" || list[0].Messages != 1 {
		t.Fatalf("deleted: %+v: %v", list, err)
	}
	list, err = r.client.Expunged(t.Context(), ExpungedRequest{User: "anna", ID: list[0].ID, Restore: true})
	if err != nil || len(list) != 1 {
		t.Fatalf("back: %+v: %v", list, err)
	}
	err = r.withMail(t.Context(), "anna", func(m *mailstore.Mail) error {
		box, err := m.MailboxNamed(t.Context(), "Work")
		if err == nil && box.Counts.Exists != 1 {
			err = fmt.Errorf("back: %+v", box)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// counter is the value of a counter whose labels have these values.
func counter(t *testing.T, g prometheus.Gatherer, name string, labels ...string) float64 {
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
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[l.GetValue()] = true
			}
			all := true
			for _, l := range labels {
				all = all && have[l]
			}
			if all {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// TestNightAllDay: where the quiet hours never end, everybody has his turn each day.
func TestNightAllDay(t *testing.T) {
	k := &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)}
	c := newConfig(t, "quiet = \"03:00-03:00\"\n")
	r := start(t, c, Options{Now: k.Now, After: k.After})
	r.addUser("anna")
	done := func() float64 { return counter(t, r.registry, "teraslot_jobs_total", JobExpire, "done") }
	k.until(t, "done once", 10*time.Minute, func() bool { return done() == 1 })
	k.until(t, "done on the next day", time.Hour, func() bool { return done() == 2 })
	if k.Now().Day() != 23 {
		t.Errorf("done again at %s", k.Now())
	}
}

// startOfTimers starts a slot that timers compact, with a user whose one message is indexed.
func startOfTimers(t *testing.T) (*running, *Config) {
	t.Helper()
	c := newConfig(t, "[compact]\nby = \"timer\"\n")
	r := start(t, c, Options{})
	r.addUser("anna")
	if err := r.deliver("Subject: x\r\n\r\nlunch\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	r.indexed("anna", 1)
	return r, c
}
