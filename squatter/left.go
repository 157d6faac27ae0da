package squatter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"teraslot/disk"
	"teraslot/mailbox"
)

// leftFile, in the conf root, is what processes that index or compact leave for the metrics of the
// slot's daemon, which takes it in and deletes it (docs/formats.md, "What other processes did").
// Its own flock is held by whoever writes or takes it. Nothing is synced: a power cut
// costs a few counts.
const (
	leftFile = "squatter.did"
	maxLeft  = 1 << 20 // bytes at which the file begins anew: there may be no daemon
)

// Kinds of deed.
const (
	deedCompaction = "compaction"
	deedRound      = "round"
	deedPause      = "pause"
	deedIndexing   = "indexing"
)

// deed is something that a Schedule did, or IndexUser, and the metrics count.
type deed struct {
	What    string  `json:"what"`
	Tier    string  `json:"tier,omitempty"`
	Rule    Rule    `json:"rule,omitempty"`
	Outcome string  `json:"outcome,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"` // of the sources

	User     mailbox.User `json:"user,omitempty"`     // whose messages were indexed, or his list of failures changed
	Messages int          `json:"messages,omitempty"` // that were indexed
	Failed   int          `json:"failed,omitempty"`   // tries of messages
}

// valid reports whether a deed can be counted: labels of metrics are not made of anything
// that a file says.
func (d *deed) valid() bool {
	switch d.What {
	case deedPause:
		return true
	case deedRound:
		return outcomes[d.Outcome]
	case deedCompaction:
		return outcomes[d.Outcome] && knownRule(d.Rule) && d.Tier != "" && d.Seconds >= 0 && d.Bytes >= 0
	case deedIndexing:
		_, err := mailbox.ParseUser(string(d.User))
		return err == nil && d.Messages >= 0 && d.Failed >= 0
	}
	return false
}

// errLeft: a line of the file is none.
var errLeft = errors.New("what another process did cannot be read")

// decodeLeft reads the lines of a file. Those that are none are left out, and make an error.
func decodeLeft(b []byte) (out []deed, err error) {
	for line := range bytes.Lines(b) {
		var d deed
		if json.Unmarshal(line, &d) != nil || !d.valid() {
			err = errLeft
			continue
		}
		out = append(out, d)
	}
	return out, err
}

// did counts something, and leaves it for the daemon if the options say so.
func (s *Schedule) did(ctx context.Context, d deed) {
	s.metrics.count(d)
	if s.o.Leave {
		s.q.tell(ctx, d)
	}
}

// heard counts what another process indexed, and looks what still waits. A list of failures that is
// read once is known to the metrics.
func (q *Squatter) heard(d deed) {
	q.metrics.indexed.Add(float64(d.Messages))
	q.metrics.failures.Add(float64(d.Failed))
	q.mu.Lock()
	q.failuresOf(d.User)
	q.mu.Unlock()
	if q.o.Look {
		q.queue.hasten(d.User)
	}
}

// tell leaves something for the daemon, also when ctx has ended. That it cannot is told, and no failure of what was done.
func (q *Squatter) tell(ctx context.Context, d deed) {
	if err := q.leave(context.WithoutCancel(ctx), d); err != nil {
		q.o.Logger.Warn("the daemon's metrics will not count what was done here", "what", d.What, "err", err)
	}
}

// leave adds a line to the file.
func (q *Squatter) leave(ctx context.Context, d deed) (err error) {
	line, err := json.Marshal(d)
	if err != nil {
		return err
	}
	name := filepath.Join(q.o.Conf, leftFile)
	held, err := disk.Lock(ctx, q.o.FS, name, disk.Exclusive) // makes it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	info, err := q.o.FS.Stat(name)
	if err != nil {
		return err
	}
	flag := os.O_WRONLY | os.O_APPEND
	if info.Size() >= maxLeft {
		flag |= os.O_TRUNC
	}
	f, err := q.o.FS.OpenFile(name, flag, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// TakeIn counts in the metrics what other processes did and left in the slot, once.
func (s *Schedule) TakeIn(ctx context.Context) error {
	b, err := s.q.takeLeft(ctx)
	if err != nil {
		return fmt.Errorf("taking in what other processes did: %w", err)
	}
	deeds, err := decodeLeft(b)
	for _, d := range deeds {
		if d.What == deedIndexing {
			s.q.heard(d)
		} else {
			s.metrics.count(d)
		}
	}
	return err
}

// takeLeft reads the file and deletes it; nil if there is none.
func (q *Squatter) takeLeft(ctx context.Context) (b []byte, err error) {
	name := filepath.Join(q.o.Conf, leftFile)
	if _, err := q.o.FS.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	held, err := disk.Lock(ctx, q.o.FS, name, disk.Exclusive)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	if b, err = disk.ReadFile(q.o.FS, name); err != nil {
		return nil, err
	}
	return b, q.o.FS.Remove(name)
}
