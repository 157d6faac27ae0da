package squatter

import (
	"fmt"
	"time"

	"teraslot/mailbox"
)

// Failure is a message that could not be indexed. It is scanned by searches
// until it can.
type Failure struct {
	GUID  mailbox.GUID
	Tries int
	Next  time.Time // when it will be tried again
	Err   error     // of the last try
}

// The delays between tries of one message: doubled from the first to the last.
const (
	firstMessageRetry = time.Minute
	lastMessageRetry  = 24 * time.Hour
)

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

// next is when the first of the messages is to be tried again.
func (s *Skipped) next() time.Time {
	first := s.Failures[0].Next
	for _, f := range s.Failures[1:] {
		if f.Next.Before(first) {
			first = f.Next
		}
	}
	return first
}

// Unwrap returns the errors of all failures.
func (s *Skipped) Unwrap() []error {
	errs := make([]error, len(s.Failures))
	for i, f := range s.Failures {
		errs[i] = f.Err
	}
	return errs
}

// fail puts a message on the list of those to try later, and returns its entry.
func (q *Squatter) fail(u mailbox.User, g guid, err error) Failure {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.failed[u]
	if list == nil {
		list = make(map[guid]Failure)
		q.failed[u] = list
	}
	f := list[g]
	wait := min(firstMessageRetry<<min(f.Tries, 16), lastMessageRetry)
	f = Failure{g, f.Tries + 1, q.o.Now().Add(wait), err}
	list[g] = f
	return f
}

// listed returns a user's failures whose next try is not due, and whether there
// are others. With all, every failure counts as due.
func (q *Squatter) listed(u mailbox.User, all bool) (resting map[guid]Failure, due bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	resting = make(map[guid]Failure)
	for g, f := range q.failed[u] {
		if all || !q.o.Now().Before(f.Next) {
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
	for g := range q.failed[u] {
		if !met[g] {
			delete(q.failed[u], g)
		}
	}
	if len(q.failed[u]) == 0 {
		delete(q.failed, u)
	}
}

// succeed takes messages off the list.
func (q *Squatter) succeed(u mailbox.User, docs []document) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range docs {
		delete(q.failed[u], docs[i].GUID)
	}
	if len(q.failed[u]) == 0 {
		delete(q.failed, u)
	}
}

// Failures lists a user's messages that could not be indexed and are still to be
// tried again.
func (q *Squatter) Failures(u mailbox.User) []Failure {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []Failure
	for _, f := range q.failed[u] {
		out = append(out, f)
	}
	return out
}
