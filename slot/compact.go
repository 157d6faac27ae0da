package slot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/squatter"
)

// Compact configures when the tiers of the indexes are compacted.
type Compact struct {
	// By is who compacts: "daemon", the default, or "timer" for squatter --apply from
	// cron or a systemd timer. Only the one that is named does.
	By string `toml:"by"`
	// Every is the time between two looks. Default: 1h.
	Every Duration `toml:"every"`
	// Full is how many percent of tiers.temp_size may be filled before the largest
	// users are compacted at any hour, down to Target percent. Default: 50, 25.
	Full   int `toml:"full"`
	Target int `toml:"target"`
	// Merge is the age of a user's oldest database in data at which all of them become
	// one; Most is the number of them at which they do at any age. Default: 7d, 12.
	Merge Duration `toml:"merge"`
	Most  int      `toml:"most"`
	// Dead is how many percent of a database's documents may be of deleted mail before
	// it is rewritten; Expunged is how long any may be. Default: 20, 30d.
	Dead     int      `toml:"dead"`
	Expunged Duration `toml:"expunged"`
	// Bandwidth is how many bytes of databases are compacted in a second, on the
	// average. Default: 20MB; "none" is not possible, but any size is.
	Bandwidth Bytes `toml:"bandwidth"`
	// Slow is the mean duration of searches beyond which compactions wait. Default:
	// 1s.
	Slow Duration `toml:"slow"`
	// Stop is how long a stop may take to save temp to meta. Default: 30s.
	Stop Duration `toml:"stop"`
	// KeepTemp leaves temp as it is at a stop. Default: false.
	KeepTemp bool `toml:"keep_temp"`
}

func (k *Compact) complete() {
	orString(&k.By, "daemon")
	orNumber(&k.Every, Duration(time.Hour))
	orNumber(&k.Full, 50)
	orNumber(&k.Target, k.Full/2)
	orNumber(&k.Merge, Duration(7*24*time.Hour))
	orNumber(&k.Most, 12)
	orNumber(&k.Dead, 20)
	orNumber(&k.Expunged, Duration(30*24*time.Hour))
	orNumber(&k.Bandwidth, 20<<20)
	orNumber(&k.Slow, Duration(time.Second))
	orNumber(&k.Stop, Duration(30*time.Second))
}

// validateSchedules checks what says when work is done.
func (c *Config) validateSchedules() error {
	if c.Compact.By != "daemon" && c.Compact.By != "timer" {
		return fmt.Errorf("%w: compact.by %q is none of daemon, timer", ErrConfig, c.Compact.By)
	}
	if _, err := ParseHours(c.Quiet); err != nil {
		return fmt.Errorf("%w: quiet: %w", ErrConfig, err)
	}
	if c.Compact.Target > c.Compact.Full {
		return fmt.Errorf("%w: compact.target is %d, more than compact.full, %d", ErrConfig, c.Compact.Target, c.Compact.Full)
	}
	for _, x := range []struct {
		key       string
		value     int64
		low, high int64
	}{
		{"compact.full", int64(c.Compact.Full), 1, 100},
		{"compact.target", int64(c.Compact.Target), 0, 100},
		{"compact.dead", int64(c.Compact.Dead), 1, 100},
		{"compact.most", int64(c.Compact.Most), 2, 1000},
		{"compact.every", int64(c.Compact.Every), int64(time.Second), int64(24 * time.Hour)},
		{"tiers.temp_size", int64(c.Tiers.TempSize), 1 << 20, 1 << 50},
		{"jobs.repack", int64(c.Jobs.Repack), 1, 100},
	} {
		if x.value < x.low || x.value > x.high {
			return fmt.Errorf("%w: %s is %d, not between %d and %d", ErrConfig, x.key, x.value, x.low, x.high)
		}
	}
	return nil
}

// ParseHours reads a part of the day such as "01:00-05:00"; equal ends are all of it.
func ParseHours(s string) (squatter.Hours, error) {
	from, to, ok := strings.Cut(s, "-")
	f, err1 := time.Parse("15:04", strings.TrimSpace(from))
	t, err2 := time.Parse("15:04", strings.TrimSpace(to))
	if !ok || err1 != nil || err2 != nil {
		return squatter.Hours{}, fmt.Errorf("%q: hours are such as \"01:00-05:00\"", s)
	}
	since := func(t time.Time) time.Duration {
		return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	if f.Equal(t) {
		return squatter.Hours{To: 24 * time.Hour}, nil
	}
	return squatter.Hours{From: since(f), To: since(t)}, nil
}

// hours are the quiet ones of a valid configuration.
func (c *Config) hours() squatter.Hours {
	h, err := ParseHours(c.Quiet)
	if err != nil {
		return squatter.Hours{}
	}
	return h
}

// ScheduleOptions are what the configuration says of compactions. The caller adds
// what it wants to be told.
func (c *Config) ScheduleOptions() squatter.ScheduleOptions {
	k := c.Compact
	return squatter.ScheduleOptions{
		Policy: squatter.Policy{
			TempSize: int64(c.Tiers.TempSize), Full: float64(k.Full) / 100, Target: float64(k.Target) / 100, Quiet: c.hours(),
			Remerge: time.Duration(k.Merge), Most: k.Most, Dead: float64(k.Dead) / 100, Expunged: time.Duration(k.Expunged),
		},
		Every: time.Duration(k.Every), Bandwidth: int64(k.Bandwidth), TempOf: c.tempKeyOf, Now: c.Hooks.Now,
	}
}

// ErrScheduled is returned where another compacts the slot by the schedule.
var ErrScheduled = errors.New("another process compacts this slot by its schedule")

// LockSchedule takes the right to compact the slot by its schedule: one daemon or
// one squatter --apply has it at a time. Close gives it back.
func (c *Config) LockSchedule() (interface{ Close() error }, error) {
	lock, err := disk.OS().TryLock(filepath.Join(c.Conf, "squatter.lock"), disk.Exclusive)
	if errors.Is(err, disk.ErrLocked) {
		return nil, ErrScheduled
	}
	return lock, err
}

// openSchedule prepares the daemon's own compactions. Where a timer compacts, it only
// looks, for the metrics.
func (s *Slot) openSchedule() error {
	o := s.c.ScheduleOptions()
	o.Look = s.c.Compact.By != "daemon"
	if !o.Look {
		lock, err := s.c.LockSchedule()
		if err != nil {
			return fmt.Errorf("compact.by is daemon: %w", err)
		}
		s.scheduleLock = lock
	}
	o.Now, o.After, o.Registerer, o.Slow, o.Name = s.o.Now, s.o.After, s.registry, s.searches.slow.Load, s.nameOf
	s.schedule = s.indexer().NewSchedule(o)
	return nil
}

// nameOf is what people call a user.
func (s *Slot) nameOf(u mailbox.User) string {
	a, err := s.accounts.ByID(context.Background(), u)
	if err != nil {
		return string(u)
	}
	return a.Name
}

// saveTemp moves what lies in temp to meta, when nothing is indexed any longer; also
// where a timer compacts, which does not know of the stop.
func (s *Slot) saveTemp() {
	if s.schedule == nil || s.c.Compact.KeepTemp {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.c.Compact.Stop))
	defer cancel()
	saved, err := s.schedule.Save(ctx)
	if err != nil {
		// Nothing is lost: what is not in meta is scanned, and indexed again.
		s.o.Logger.Warn("temp was not saved to meta for everybody", "users", saved, "err", err)
		return
	}
	if saved > 0 {
		s.o.Logger.Info("temp was saved to meta", "users", saved)
	}
}

// searchWatch tells from the metrics of searches whether they are slow.
type searchWatch struct {
	limit time.Duration
	slow  atomic.Bool
	sum   float64 // at the last look
	count uint64
}

// watchEvery is how often it looks.
const watchEvery = 10 * time.Second

// run looks at the metrics until ctx is done.
func (w *searchWatch) run(ctx context.Context, g prometheus.Gatherer) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			w.look(g)
		}
	}
}

// look compares the mean duration of the searches since the last look with the limit.
func (w *searchWatch) look(g prometheus.Gatherer) {
	families, err := g.Gather()
	if err != nil {
		return // a broken collector says nothing about searches
	}
	for _, f := range families {
		if f.GetName() != "teraslot_search_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			h := m.GetHistogram()
			sum, count := h.GetSampleSum(), h.GetSampleCount()
			n := float64(count - w.count)
			w.slow.Store(n > 0 && (sum-w.sum)/n > w.limit.Seconds())
			w.sum, w.count = sum, count
		}
	}
}

// askWait is how long a daemon may take to say whether searches are slow.
const askWait = 5 * time.Second

// SearchesSlow returns a function that tells whether the searches of the slot's daemon
// are slow, for another process that compacts. It asks as often as the daemon looks. Without a
// daemon nobody searches; one that does not answer holds nobody up.
func (c *Config) SearchesSlow(ctx context.Context) func() bool {
	client := newClient(c)
	var mu sync.Mutex // guards what follows
	var asked time.Time
	slow := false
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		if !asked.IsZero() && time.Since(asked) < watchEvery {
			return slow
		}
		ctx, cancel := context.WithTimeout(ctx, askWait)
		defer cancel()
		st, err := client.Status(ctx)
		client.http.CloseIdleConnections()
		asked, slow = time.Now(), err == nil && st.SearchesSlow
		return slow
	}
}
