package replication

import (
	"cmp"
	"slices"
	"time"

	"teraslot/mailbox"
)

func (s *Stats) add(o *Stats) {
	s.Messages += o.Messages
	s.Bytes += o.Bytes
	s.Records += o.Records
	s.Rounds += o.Rounds
	s.Compared += o.Compared
	s.Merged.add(&o.Merged)
}

// Status is how far a replica is behind.
type Status struct {
	Replica string
	// Lag is the age of the oldest change that the replica does not have, as far as is
	// known; 0 if it has all.
	Lag time.Duration
	// Users are those that have changes which the replica lacks, Notes the changes that
	// were noted of them.
	Users, Notes int
	HeldUp       []HeldUp // by user
	Line         string   // why the replica cannot be reached; "" if it can
	Syncs        int64    // that succeeded since the start
	Failures     int64    // of single users
	LeftOut      int      // users who are skipped, held up or not
	// Uncompared says that the last stop was not clean, and that not all users were compared since: there may be
	// changes of which nothing is known.
	Uncompared  bool
	Differences int64 // that comparing all records, or reading all messages, has found
	Healed      int64 // messages and stretches of records that one side had lost
	Last        time.Time
	Total       Stats
	// The lags of late syncs, from the change to its being there.
	LagMedian, LagP99 time.Duration
}

// HeldUp is a user who cannot be synced now.
type HeldUp struct {
	User    mailbox.User
	Since   time.Time // of the first change that is not there
	Tries   int
	Next    time.Time
	Skipped bool
	Err     string
}

// Status returns how it stands.
func (c *Channel) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Uncompared: !c.o.Log.Clean(), Replica: c.Name(), Users: len(c.users), Syncs: c.syncs, Failures: c.failures, Last: c.last, Total: c.total,
		LeftOut: len(c.skips), Differences: c.differences, Healed: c.healings}
	now := c.o.Now()
	for u, j := range c.users {
		s.Notes += j.notes
		s.Lag = max(s.Lag, now.Sub(j.since))
		if j.tries > 0 || c.skips[u] {
			h := HeldUp{User: u, Since: j.since, Tries: j.tries, Next: j.next, Skipped: c.skips[u]}
			if j.err != nil {
				h.Err = j.err.Error()
			}
			s.HeldUp = append(s.HeldUp, h)
		}
	}
	slices.SortFunc(s.HeldUp, func(a, b HeldUp) int { return cmp.Compare(a.User, b.User) })
	if c.line != nil {
		s.Line = c.line.Error()
	}
	s.LagMedian, s.LagP99 = c.lags.quantile(0.5), c.lags.quantile(0.99)
	return s
}

// lags are those of the last syncs.
type lags struct {
	ring [1024]time.Duration
	n    int // ever
}

func (l *lags) add(d time.Duration) {
	l.ring[l.n%len(l.ring)] = d
	l.n++
}

// quantile returns the value that a part of the lags does not exceed; 0 if there is none.
func (l *lags) quantile(q float64) time.Duration {
	n := min(l.n, len(l.ring))
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l.ring[:n]))
	return sorted[min(int(q*float64(n)), n-1)]
}
