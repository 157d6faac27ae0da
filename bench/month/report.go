package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"teraslot/slot"
)

// report is what was seen of a month.
type report struct {
	samples   []sample // every two hours
	temp      int64    // tiers.temp_size
	peak      peak
	delivered int
	refused   int   // messages that LMTP does not take
	bytes     int64 // of mail that was delivered
	held      int   // messages at the end, expunged and retained ones included
	dead      int   // documents at the end whose messages nothing holds
	expunged  int
	searches  int // compared with a scan
	hits      int
	renamed   int
	removed   int
	reboots   int
	hours     [24]work
	rules     map[string]int
	processor time.Duration // of this process, clients and checks included
}

// sample is the tiers at a moment.
type sample struct {
	at    time.Time
	temp  int64            // the most that the tmpfs held since the sample before
	bytes map[string]int64 // of the databases of each tier
}

// sample looks at the tiers.
func (m *month) sample(ctx context.Context, at time.Time) error {
	s := sample{at: at, bytes: make(map[string]int64)}
	for _, p := range m.crowd.people {
		stats, err := m.reader.tiers.User(p.id).Stats(ctx)
		if err != nil {
			return err
		}
		for _, st := range stats {
			s.bytes[st.Database.Tier] += st.Bytes
		}
	}
	s.temp = m.w.recentPeak()
	m.report.samples = append(m.report.samples, s)
	return nil
}

// close takes over what was counted elsewhere.
func (r *report) close(m *month) {
	r.temp, r.peak, r.hours, r.rules = m.o.temp, m.w.peak, m.w.hours, m.w.rules
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
		r.processor = time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
}

// write prints the report.
func (r *report) write(w io.Writer) {
	last := r.samples[len(r.samples)-1]
	fmt.Fprintf(w, "%d messages, %s, delivered (%d more refused), %d expunged; %d searches agree with a scan, %d hits\n",
		r.delivered, megabytes(r.bytes), r.refused, r.expunged, r.searches, r.hits)
	fmt.Fprintf(w, "%d users renamed, %d removed, %d reboots; at the end %d messages are held, all indexed, and %d documents dead\n",
		r.renamed, r.removed, r.reboots, r.held, r.dead)
	fmt.Fprintf(w, "temp: %s at most, %s of %s (%.0f %%)\n", r.peak.at.Format("2 Jan 15:04"), megabytes(r.peak.bytes), megabytes(r.temp), 100*float64(r.peak.bytes)/float64(r.temp))
	var all int64
	for _, tier := range slot.TierNames {
		all += last.bytes[tier]
	}
	fmt.Fprintf(w, "at the end: temp %s, meta %s, data %s, archive %s; together %.0f %% of the mail\n", megabytes(last.bytes["temp"]),
		megabytes(last.bytes["meta"]), megabytes(last.bytes["data"]), megabytes(last.bytes["archive"]), 100*float64(all)/float64(r.bytes))
	var rules []string
	for _, rule := range slices.Sorted(maps.Keys(r.rules)) {
		rules = append(rules, fmt.Sprintf("%s %d", rule, r.rules[rule]))
	}
	fmt.Fprintf(w, "compactions by rule: %s; %s of processor time for everything\n\n", strings.Join(rules, ", "), r.processor.Round(time.Second))
	r.writeHours(w)
}

// writeHours prints the hours of work.
func (r *report) writeHours(w io.Writer) {
	fmt.Fprintln(w, "hour  compactions         of     took  jobs on mail")
	for hour, h := range r.hours {
		if h.compactions+h.jobs > 0 {
			fmt.Fprintf(w, "%02d    %11d %10s %8s  %12d\n", hour, h.compactions, megabytes(h.bytes), h.took.Round(100*time.Millisecond), h.jobs)
		}
	}
}

// megabytes writes a size.
func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20)) }
