package slot

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/disk"
	"teraslot/mailbox"
)

// observations are the metrics of what packages do that know of no metrics: how long
// locks are waited for, what comes into mailboxes, and what the log says that is wrong.
type observations struct {
	waits    *prometheus.HistogramVec
	appended prometheus.Counter
	lines    *prometheus.CounterVec
}

// Names of locks, as labels, besides those of files.
const (
	lockOfMail  = "mail"  // the turn to change a user's mail
	lockOfOther = "other" // a file that is none of the known
)

// lockFiles are the files that are waited for.
var lockFiles = map[string]bool{"index.lock": true, "index.write": true, "index.compact": true, "compact.lock": true}

func newObservations() *observations {
	o := &observations{
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "teraslot_lock_wait_seconds",
			Help:    "Waits for locks that were not free at once: mail (to change a user's mail), index.lock, index.write, compact.lock.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10)}, []string{"lock"}),
		appended: prometheus.NewCounter(prometheus.CounterOpts{Name: "teraslot_appended_messages_total",
			Help: "Messages that came into mailboxes, by delivery, APPEND, COPY, MOVE or import."}),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "teraslot_log_lines_total",
			Help: "Lines of the log that tell of something wrong, by level and what they say."}, []string{"level", "what"}),
	}
	o.waits.WithLabelValues(lockOfMail)
	for name := range lockFiles {
		o.waits.WithLabelValues(name)
	}
	return o
}

// register exports the metrics.
func (o *observations) register(r prometheus.Registerer) {
	r.MustRegister(o.waits, o.appended, o.lines)
}

// mailWaited is for mailstore.Options.
func (o *observations) mailWaited(d time.Duration) {
	o.waits.WithLabelValues(lockOfMail).Observe(d.Seconds())
}

// arrived counts what an event tells of.
func (o *observations) arrived(e mailbox.Event) {
	if e.Kind == mailbox.Appended {
		o.appended.Add(float64(e.UIDs.Len()))
	}
}

// watchedFS is a file system whose locks are observed.
type watchedFS struct {
	disk.FS
	o *observations
}

// Waited is for disk.Lock.
func (w watchedFS) Waited(name string, d time.Duration) {
	label := filepath.Base(name)
	if !lockFiles[label] {
		label = lockOfOther
	}
	w.o.waits.WithLabelValues(label).Observe(d.Seconds())
}

// countingLog counts the lines that tell of something wrong. What they say is
// constant text in the code; what differs stands in their attributes.
type countingLog struct {
	slog.Handler
	o *observations
}

// Handle is for slog.
func (c countingLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		c.o.lines.WithLabelValues(r.Level.String(), r.Message).Inc()
	}
	if !c.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return c.Handler.Handle(ctx, r)
}

// Enabled is for slog: what is not written is counted all the same.
func (c countingLog) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || c.Handler.Enabled(ctx, l)
}

// WithAttrs is for slog.
func (c countingLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return countingLog{c.Handler.WithAttrs(attrs), c.o}
}

// WithGroup is for slog.
func (c countingLog) WithGroup(name string) slog.Handler {
	return countingLog{c.Handler.WithGroup(name), c.o}
}
