package slot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// night does the jobs of the quiet hours, user by user. It keeps no state on disk:
// each job finds out what there is to do, and doing it twice does no harm.
type night struct {
	s       *Slot
	done    map[mailbox.User]int64 // the night of the last time, of those who are there
	saved   int64                  // the night of the last copy of slot.db; 0 is none of ours
	metrics *nightMetrics
}

type nightMetrics struct {
	jobs    *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	damage  prometheus.Counter
}

func newNight(s *Slot) *night {
	m := &nightMetrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "teraslot_jobs_total",
			Help: "Jobs on users' mail by outcome: done, failed."}, []string{"job", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "teraslot_job_seconds",
			Help: "Duration of jobs on one user's mail.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}, []string{"job"}),
		damage: prometheus.NewCounter(prometheus.CounterOpts{Name: "teraslot_damage_found_total",
			Help: "What scrubs found wrong with mail and indexes."}),
	}
	s.registry.MustRegister(m.jobs, m.seconds, m.damage)
	for _, job := range []string{JobExpire, JobArchive, JobRepack, JobSnapshot, JobScrub} {
		for _, outcome := range []string{"done", "failed"} { // there from the start, so that the first failure is a rise
			m.jobs.WithLabelValues(job, outcome)
		}
	}
	return &night{s: s, done: make(map[mailbox.User]int64), metrics: m}
}

// nightLook is how often the hour is looked at.
const nightLook = 5 * time.Minute

// run works in the quiet hours until ctx is done; then it returns nil.
func (n *night) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.s.o.After(nightLook):
		}
		if !n.quiet() {
			continue
		}
		if err := n.all(ctx); err != nil && ctx.Err() == nil {
			n.s.o.Logger.Error("the night's jobs cannot be done", "err", err)
		}
	}
}

func (n *night) quiet() bool { return n.s.c.hours().Contain(n.s.o.Now()) }

// all does the jobs of everybody for whom they were not done in these quiet hours,
// until these end.
func (n *night) all(ctx context.Context) error {
	users, err := n.s.store.Users(ctx)
	if err != nil {
		return err
	}
	n.accounts(ctx)
	for _, u := range n.turns(users) {
		if ctx.Err() != nil || !n.quiet() {
			return nil
		}
		n.done[u] = n.night()
		begun := time.Now()
		n.user(ctx, u)
		// As long a rest as the work took, and more while searches are slow: whoever is
		// awake goes first.
		if err := n.rest(ctx, time.Since(begun)); err != nil {
			return nil
		}
	}
	return nil
}

// accounts makes the copy of slot.db, once in each night.
func (n *night) accounts(ctx context.Context) {
	if night := n.night(); !n.s.c.Jobs.NoSnapshots && n.saved != night {
		n.saved = night
		n.did(ctx, JobSnapshot, AccountsName, func() (string, error) { return n.s.saveAccounts(ctx) })
	}
}

// turns puts those whose turn it is tonight in order: who has waited longest first, so
// that nights that are too short for everybody leave nobody out for good. Among those
// who have waited as long, and after a start all have, each night begins with another.
func (n *night) turns(users []mailbox.User) []mailbox.User {
	night := n.night()
	there := make(map[mailbox.User]int64, len(users))
	var out []mailbox.User
	for _, u := range users {
		last, known := n.done[u]
		if known {
			there[u] = last
		}
		if !known || last != night {
			out = append(out, u)
		}
	}
	n.done = there
	lots := rand.New(rand.NewPCG(uint64(night), 0))
	lots.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	slices.SortStableFunc(out, func(a, b mailbox.User) int { return cmp.Compare(lastNight(there, a), lastNight(there, b)) })
	return out
}

// lastNight is the night in which a user had his last turn, before all others if that
// is not known.
func lastNight(done map[mailbox.User]int64, u mailbox.User) int64 {
	if night, known := done[u]; known {
		return night
	}
	return math.MinInt64
}

func (n *night) rest(ctx context.Context, d time.Duration) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.s.o.After(d):
		}
		if !n.s.searches.slow.Load() {
			return nil
		}
		d = watchEvery
	}
}

// user does the jobs of one user. One that fails keeps no other from being done.
func (n *night) user(ctx context.Context, u mailbox.User) {
	jobs := []string{JobExpire, JobArchive, JobRepack}
	if !n.s.c.Jobs.NoSnapshots {
		jobs = append(jobs, JobSnapshot)
	}
	if n.scrubs(u) {
		jobs = append(jobs, JobScrub)
	}
	for _, job := range jobs {
		if ctx.Err() != nil || !n.did(ctx, job, n.s.nameOf(u), func() (string, error) { return n.s.job(ctx, job, u, false) }) {
			return
		}
	}
}

// did does a job, counts and logs what became of it, and reports whether its user is still there.
func (n *night) did(ctx context.Context, job, name string, do func() (string, error)) bool {
	begun := time.Now()
	text, err := do()
	n.metrics.seconds.WithLabelValues(job).Observe(time.Since(begun).Seconds())
	switch {
	case errors.Is(err, mailstore.ErrNoUser), err != nil && ctx.Err() != nil:
		return false
	case err != nil:
		n.metrics.jobs.WithLabelValues(job, "failed").Inc()
		n.s.o.Logger.Error("a job failed", "job", job, "user", name, "err", err)
	default:
		n.metrics.jobs.WithLabelValues(job, "done").Inc()
		if text != "" {
			n.s.o.Logger.Info("job done", "job", job, "user", name, "result", text)
		}
	}
	return true
}

// scrubs reports whether tonight is a user's turn: the nights of the period are shared
// out among the users, so that nothing has to be remembered.
func (n *night) scrubs(u mailbox.User) bool {
	nights := max(1, int64(time.Duration(n.s.c.Jobs.Scrub)/(24*time.Hour)))
	h := fnv.New64a()
	fmt.Fprint(h, u)
	return int64(h.Sum64()%uint64(nights)) == n.night()%nights
}

// night is the number of the day on which the quiet hours began. They may pass
// midnight, or never end.
func (n *night) night() int64 {
	at := n.s.o.Now().Add(-n.s.c.hours().From)
	_, offset := at.Zone()
	return (at.Unix() + int64(offset)) / (24 * 60 * 60)
}

// The jobs on a user's mail.
const (
	JobArchive  = "archive"  // move old and large mail to the archive partition
	JobExpire   = "expire"   // expunge what its mailbox does not keep, forget what was expunged
	JobRepack   = "repack"   // free the bytes of what was forgotten
	JobSnapshot = "snapshot" // save mail.db on the archive partition
	JobScrub    = "scrub"    // read and check all
	JobPurge    = "purge"    // forget, free and take out of the index all that was expunged, at once
)

// job does a job on a user's mail and says what it did, "" for nothing. With all, it
// does not wait for ages and shares that the configuration sets.
func (s *Slot) job(ctx context.Context, job string, u mailbox.User, all bool) (string, error) {
	if job == JobScrub {
		return s.scrub(ctx, u)
	}
	m, err := s.store.Acquire(ctx, u)
	if err != nil {
		return "", err
	}
	defer m.Release()
	j := &s.c.Jobs
	switch job {
	case JobArchive:
		return said(m.Archive(ctx, mailstore.ArchiveOptions{After: time.Duration(j.ArchiveAfter), Larger: int64(j.ArchiveLarger),
			Flagged: j.ArchiveKeepFlagged, All: all}))
	case JobExpire:
		return s.expire(ctx, m, all)
	case JobRepack:
		return said(m.Repack(ctx, mailstore.RepackOptions{Dead: float64(j.Repack) / 100, All: all}))
	case JobSnapshot:
		saved, err := m.SaveDatabase(ctx)
		if saved {
			return "mail.db saved", err
		}
		return "", err
	case JobPurge:
		return s.purge(ctx, m)
	}
	return "", fmt.Errorf("%w: no job %q", errProtocol, job)
}

// said writes what a job of the store did.
func said[R comparable](done R, err error) (string, error) {
	var zero R
	if done == zero {
		return "", err
	}
	return strings.Trim(fmt.Sprintf("%+v", done), "{}"), err
}

// expire expunges by the mailboxes' settings, and forgets what was expunged long ago;
// with all, everything.
func (s *Slot) expire(ctx context.Context, m *mailstore.Mail, all bool) (string, error) {
	expunged := 0
	if !s.c.replica() { // there the master's expunges arrive
		var err error
		if expunged, err = m.Expire(ctx); err != nil {
			return "", err
		}
	}
	before := s.o.Now().Add(-time.Duration(s.c.Jobs.Expunged))
	if all {
		before = s.o.Now().Add(time.Second)
	}
	forgotten, err := m.Forget(ctx, before)
	if expunged+forgotten == 0 {
		return "", err
	}
	return fmt.Sprintf("Expunged:%d Forgotten:%d", expunged, forgotten), err
}

// purge forgets what was expunged, frees its bytes and takes it out of the index.
func (s *Slot) purge(ctx context.Context, m *mailstore.Mail) (string, error) {
	forgotten, err := m.Forget(ctx, s.o.Now().Add(time.Second))
	if err != nil {
		return "", err
	}
	packs, errPacks := m.Repack(ctx, mailstore.RepackOptions{All: true})
	rewritten, errIndex := s.indexer().Purge(ctx, m.User())
	return fmt.Sprintf("Forgotten:%d Packs:%d Bytes:%d Databases:%d", forgotten, packs.Packs, packs.Bytes, len(rewritten)),
		errors.Join(errPacks, errIndex)
}

// scrub reads and checks all of a user's mail and index; what is wrong is logged and
// counted, and makes an error.
func (s *Slot) scrub(ctx context.Context, u mailbox.User) (string, error) {
	found := 0
	err := s.verifyUser(ctx, u, s.nameOf(u), func(f Finding) {
		found++
		s.o.Logger.Error("damage", "user", f.User, "where", f.Where, "what", f.What)
	})
	if s.night != nil {
		s.night.metrics.damage.Add(float64(found))
	}
	if err == nil && found > 0 {
		err = fmt.Errorf("%d findings: see slotctl verify --repair", found)
	}
	return "", err
}
