package slot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sys/unix"

	"teraslot/account"
)

// metricsHandler answers /metrics and /healthz.
func (s *Slot) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	metrics := promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		metrics.ServeHTTP(w, r)
		s.takeIn(r.Context())
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := s.healthy(r.Context()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, strings.ReplaceAll(err.Error(), "\n", "; ")) // a client that went away needs none
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// takeIn counts what other processes indexed and compacted, for the next who asks: whoever asked first
// has seen the counters without it, so that the first failure is a rise.
func (s *Slot) takeIn(ctx context.Context) {
	if s.schedule == nil {
		return
	}
	if err := s.schedule.TakeIn(ctx); err != nil && ctx.Err() == nil {
		s.o.Logger.Warn("some of what other processes did is not in the metrics", "err", err)
	}
}

// healthy tells what keeps the slot from taking and serving mail: accounts that do not
// answer, a partition that is not there any more, or one without room for a message.
func (s *Slot) healthy(ctx context.Context) error {
	var errs []error
	if users, err := s.accounts.List(ctx); err != nil && !(errors.Is(err, account.ErrDamaged) && len(users) > 0) {
		errs = append(errs, fmt.Errorf("accounts: %w", err))
	}
	errs = append(errs, s.c.checkMarks())
	for _, r := range s.c.roots() {
		free, _, err := room(r.path)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %s: %w", r.key, r.path, err))
		case (r.key == "conf" || r.key == "spool") && free < int64(s.c.MaxMessage):
			errs = append(errs, fmt.Errorf("%s: %d bytes are free, less than a message may have", r.key, free))
		}
	}
	return errors.Join(errs...)
}

// room is what is free for us, and all there is, where a path lies.
func room(path string) (free, all int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

// rooms exports the room on each partition.
type rooms struct {
	c                *Config
	free, all, limit *prometheus.Desc
}

func newRooms(c *Config) *rooms {
	return &rooms{c,
		prometheus.NewDesc("teraslot_partition_free_bytes", "Bytes that are free where a root lies.", []string{"root"}, nil),
		prometheus.NewDesc("teraslot_partition_bytes", "Bytes that there are where a root lies.", []string{"root"}, nil),
		prometheus.NewDesc("teraslot_temp_limit_bytes", "How many bytes each root of temp may take: tiers.temp_size.", nil, nil)}
}

// Describe is for package prometheus.
func (r *rooms) Describe(ch chan<- *prometheus.Desc) {
	ch <- r.free
	ch <- r.all
	ch <- r.limit
}

// Collect is for package prometheus. A root that cannot be asked has no value.
func (r *rooms) Collect(ch chan<- prometheus.Metric) {
	for _, root := range r.c.roots() {
		free, all, err := room(root.path)
		if err != nil {
			continue
		}
		ch <- prometheus.MustNewConstMetric(r.free, prometheus.GaugeValue, float64(free), root.key)
		ch <- prometheus.MustNewConstMetric(r.all, prometheus.GaugeValue, float64(all), root.key)
	}
	ch <- prometheus.MustNewConstMetric(r.limit, prometheus.GaugeValue, float64(r.c.Tiers.TempSize))
}
