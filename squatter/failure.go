package squatter

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"teraslot/mailbox"
)

// Failure is a message that could not be indexed. It is scanned by searches
// until it can.
type Failure struct {
	GUID  mailbox.GUID
	Tries int
	// Next is when it will be tried again; zero for one that is quarantined.
	Next time.Time
	Err  error // of the last try
}

// Quarantined reports whether the message is not tried again unasked: it failed too
// often. squatter -i tries it all the same, and so does a program that extracts
// text in another way.
func (f *Failure) Quarantined() bool { return f.Next.IsZero() }

// The delays between tries of one message: doubled from the first to the last.
const (
	firstMessageRetry = time.Minute
	lastMessageRetry  = 24 * time.Hour
	// maxTries is the number of tries after which a message is quarantined: the last
	// is some four hours after the first. Faults of a disk are not the message's, and
	// are tried for ever.
	maxTries = 9
)

// afterTry is the entry of a message after one more failure.
func afterTry(f Failure, g guid, err error, now time.Time) Failure {
	wait := min(firstMessageRetry<<min(f.Tries, 16), lastMessageRetry)
	f = Failure{GUID: g, Tries: f.Tries + 1, Next: now.Add(wait), Err: err}
	if f.Tries >= maxTries && !storage(err) {
		f.Next = time.Time{}
	}
	return f
}

// Skipped is returned, with what else was done, when some messages could not be
// indexed while the others were.
type Skipped struct {
	Failures []Failure
	Tried    int // how many of them were tried now; the others rest
}

// Error names the first message and counts the others.
func (s *Skipped) Error() string {
	first := s.Failures[0]
	msg := fmt.Sprintf("message %s could not be indexed: %v", first.GUID, first.Err)
	if more := len(s.Failures) - 1; more > 0 {
		msg += fmt.Sprintf(" (and %d more)", more)
	}
	return msg
}

// next is when the first of the messages is to be tried again; false if all are
// quarantined.
func (s *Skipped) next() (first time.Time, ok bool) {
	for i := range s.Failures {
		f := &s.Failures[i]
		if !f.Quarantined() && (!ok || f.Next.Before(first)) {
			first, ok = f.Next, true
		}
	}
	return first, ok
}

// Unwrap returns the errors of all failures.
func (s *Skipped) Unwrap() []error {
	errs := make([]error, len(s.Failures))
	for i, f := range s.Failures {
		errs[i] = f.Err
	}
	return errs
}

// failures are a user's messages that could not be indexed: as they are on disk, unless changed. Other processes
// write the list too.
type failures struct {
	list  map[guid]Failure
	mark  fileMark          // of the file that was read or written last
	edits map[guid]*Failure // not written yet; nil: taken off the list
}

// set changes an entry; nil takes it off.
func (l *failures) set(g guid, f *Failure) {
	if l.edits == nil {
		l.edits = make(map[guid]*Failure)
	}
	l.edits[g] = f
	l.apply(g, f)
}

func (l *failures) apply(g guid, f *Failure) {
	if f == nil {
		delete(l.list, g)
	} else {
		l.list[g] = *f
	}
}

// failuresOf returns a user's list, read from disk if it is another there than was read or written last; where there
// is a file it is remembered. q.mu is held.
func (q *Squatter) failuresOf(u mailbox.User) *failures {
	l := q.failed[u]
	if l == nil {
		l = &failures{list: make(map[guid]Failure)}
	}
	mark := q.failureMark(u)
	if mark == l.mark {
		return l
	}
	list, err := q.readFailures(u)
	if err != nil {
		// It only saves trying again what failed.
		q.o.Logger.Warn("the list of messages that could not be indexed is not usable; they are tried again", "user", u, "err", err)
	}
	if list == nil {
		list = make(map[guid]Failure)
	}
	for g := range l.list {
		if _, listed := list[g]; !listed {
			delete(q.cursors, u) // which went past it: somebody is to see whether it has a document now
		}
	}
	l.list, l.mark = list, mark
	for g, f := range l.edits {
		l.apply(g, f)
	}
	if delete(q.failed, u); mark != (fileMark{}) || len(l.edits) > 0 {
		q.failed[u] = l
	}
	return l
}

// fail puts a message on the list of those to try later, and returns its entry.
func (q *Squatter) fail(u mailbox.User, g guid, err error) Failure {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.failuresOf(u)
	f := afterTry(l.list[g], g, err, q.o.Now())
	l.set(g, &f)
	q.failed[u] = l
	q.metrics.failures.Inc()
	if f.Quarantined() {
		q.o.Logger.Error("a message is quarantined: it is not indexed, and searches read it", "user", u, "guid", g, "tries", f.Tries, "err", err)
	}
	return f
}

// listed returns a user's failures whose next try is not due, and whether there
// are others. With all, every failure counts as due.
func (q *Squatter) listed(u mailbox.User, all bool) (resting map[guid]Failure, due bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	resting = make(map[guid]Failure)
	for g, f := range q.failuresOf(u).list {
		if all || !f.Quarantined() && !q.o.Now().Before(f.Next) {
			due = true
		} else {
			resting[g] = f
		}
	}
	return resting, due
}

// forget takes failures off the list that a full comparison did not meet: they
// are indexed by others, or gone.
func (q *Squatter) forget(u mailbox.User, met map[guid]bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.failuresOf(u)
	for g := range l.list {
		if !met[g] {
			l.set(g, nil)
		}
	}
}

// succeed takes messages off the list.
func (q *Squatter) succeed(u mailbox.User, docs []document) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.failuresOf(u)
	for i := range docs {
		if _, ok := l.list[docs[i].GUID]; ok {
			l.set(docs[i].GUID, nil)
		}
	}
}

// settle writes a user's list if it changed, with what others have written meanwhile, and reports whether it did. It is
// called at the end of each attempt, by whoever has the user's turn.
func (q *Squatter) settle(u mailbox.User) (changed bool) {
	list, changed := q.edited(u)
	if !changed {
		return false
	}
	if err := q.writeFailures(u, list); err != nil {
		q.o.Logger.Warn("the list of messages that could not be indexed is not kept for the next start", "user", u, "err", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.failed[u]; l != nil {
		if l.mark = q.failureMark(u); len(l.list) == 0 {
			delete(q.failed, u)
		}
	}
	return true
}

// edited is a user's list as it is to be written, if there is anything to write.
func (q *Squatter) edited(u mailbox.User) ([]Failure, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.failed[u]; l == nil || len(l.edits) == 0 {
		return nil, false
	}
	l := q.failuresOf(u)
	l.edits = nil
	return sorted(l.list), true
}

// Failures lists a user's messages that could not be indexed, by GUID.
func (q *Squatter) Failures(u mailbox.User) []Failure {
	q.mu.Lock()
	defer q.mu.Unlock()
	return sorted(q.failuresOf(u).list)
}

func sorted(list map[guid]Failure) []Failure {
	return slices.SortedFunc(maps.Values(list), func(a, b Failure) int { return bytes.Compare(a.GUID[:], b.GUID[:]) })
}

// quarantined counts the messages that are not tried again, of the users whose
// lists are known, as these are now.
func (q *Squatter) quarantined() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, u := range slices.Collect(maps.Keys(q.failed)) {
		for _, f := range q.failuresOf(u).list {
			if f.Quarantined() {
				n++
			}
		}
	}
	return n
}
