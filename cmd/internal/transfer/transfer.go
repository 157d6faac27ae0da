package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"teraslot/mailstore"
	"teraslot/slot"
)

// Options say what is carried over, and where to. User is needed.
type Options struct {
	User string
	// Mailbox is where all goes, each mailbox below it; "" is where it was.
	Mailbox string
	// Connections is how many mailboxes are read at once; by default 4.
	Connections int
	// Expunge expunges here what was expunged there. Without it, that is counted.
	Expunge bool
	// DryRun changes nothing here.
	DryRun bool
	// Exclude are names here of mailboxes to leave out, with those below them.
	Exclude []string
	// Report is told of each message that could not be carried over, Notice of what
	// could not be kept, Done of each mailbox that is finished, and Progress how far
	// it got; one call at a time. Each may be nil.
	Report   func(place string, err error)
	Notice   func(text string)
	Done     func(name string, r Result)
	Progress func(Result)
}

// Result is what was carried over.
type Result struct {
	Mailboxes int
	Kept      int // mailboxes of these whose UIDs are kept
	Stored    int // messages
	Renamed   int // of those stored: under another UID than there
	Same      int // messages that were here
	Flags     int // messages whose flags were changed
	Deleted   int // messages left out because they were deleted here
	Expunged  int // messages that are no longer there: expunged here, too, with Options.Expunge
	Unsure    int // the like, which may have been delivered here and stay
	Failed    int // messages reported
	Bytes     int64
}

func (r *Result) add(o Result) {
	r.Mailboxes += o.Mailboxes
	r.Kept += o.Kept
	r.Stored += o.Stored
	r.Renamed += o.Renamed
	r.Same += o.Same
	r.Flags += o.Flags
	r.Deleted += o.Deleted
	r.Expunged += o.Expunged
	r.Unsure += o.Unsure
	r.Failed += o.Failed
	r.Bytes += o.Bytes
}

// run is one run.
type run struct {
	o      Options
	client *slot.Client
	from   Source

	mu     sync.Mutex // guards result, and the calls of Options' functions
	result Result
}

// Run carries over what is new. What is wrong with one message is reported and stops
// nothing; an error ends the run, and running again goes on.
func Run(ctx context.Context, client *slot.Client, from Source, o Options) (Result, error) {
	r := &run{o: o, client: client, from: from}
	if r.o.Connections <= 0 {
		r.o.Connections = 4
	}
	err := r.all(ctx)
	return r.result, err
}

func (r *run) all(ctx context.Context) error {
	list, err := r.from.List(ctx)
	if err != nil {
		return err
	}
	fit(&list)
	for _, text := range list.Notices {
		r.notice(text)
	}
	if !list.Known {
		r.notice("the source does not tell subscriptions: none are taken over")
	}
	r.oneForEachUse(&list)
	if err := r.mailboxes(ctx, list.Mailboxes); err != nil {
		return err
	}
	return r.subscribe(ctx, list)
}

// mailboxes carries over all, some at once.
func (r *run) mailboxes(ctx context.Context, all []Place) error {
	places := make(chan Place)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(places)
		for _, p := range all {
			if r.excluded(r.here(p.Here)) {
				continue
			}
			select {
			case places <- p:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range min(r.o.Connections, max(len(all), 1)) {
		g.Go(func() error { return r.worker(ctx, places) })
	}
	return g.Wait()
}

// subscribe makes the subscriptions here what they are there, for what there is there.
// What is here alone keeps its own, and INBOX is always subscribed.
func (r *run) subscribe(ctx context.Context, list List) error {
	if !list.Known || r.o.DryRun {
		return nil
	}
	change := slot.Subscribe{User: r.o.User}
	for _, name := range list.Subscriptions {
		if here := r.here(name); !r.excluded(here) {
			change.Names = append(change.Names, here)
		}
	}
	for _, p := range list.Mailboxes {
		here := r.here(p.Here)
		if here != mailstore.Inbox && !r.excluded(here) && !slices.Contains(change.Names, here) {
			change.Not = append(change.Not, here)
		}
	}
	return r.client.Subscribe(ctx, change)
}

// here is the name of a mailbox here.
func (r *run) here(name string) string {
	switch {
	case name == "" && r.o.Mailbox == "":
		return "INBOX"
	case name == "":
		return r.o.Mailbox
	case r.o.Mailbox == "":
		return name
	}
	return r.o.Mailbox + "/" + name
}

func (r *run) excluded(name string) bool {
	for _, x := range r.o.Exclude {
		if name == x || len(name) > len(x) && name[:len(x)+1] == x+"/" {
			return true
		}
	}
	return false
}

func (r *run) notice(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.o.Notice != nil {
		r.o.Notice(text)
	}
}

// maxTries is how often a mailbox is begun anew when the connection breaks.
const maxTries = 3

// worker carries over mailboxes, over one connection at a time.
func (r *run) worker(ctx context.Context, places <-chan Place) (err error) {
	var s Session
	hangUp := func() error {
		if s == nil {
			return nil
		}
		old := s
		s = nil
		return old.Close()
	}
	defer func() {
		if e := hangUp(); err == nil {
			err = e
		}
	}()
	for p := range places {
		for try := 1; ; try++ {
			if s == nil {
				if s, err = r.from.Connect(ctx); err != nil {
					return err
				}
			}
			err := r.mailbox(ctx, s, p)
			if err == nil {
				break
			}
			var there *thereError
			if ctx.Err() != nil || !errors.As(err, &there) || try == maxTries {
				return fmt.Errorf("mailbox %s: %w", r.here(p.Here), err)
			}
			// A connection that broke: what was stored stays, the rest follows.
			_ = hangUp() // it is broken
		}
	}
	return nil
}

// thereError is an error of the other server, or of the way to it.
type thereError struct{ err error }

func (e *thereError) Error() string { return e.err.Error() }
func (e *thereError) Unwrap() error { return e.err }

func there(err error) error {
	if err == nil {
		return nil
	}
	return &thereError{err}
}

// mailbox carries over one.
func (r *run) mailbox(ctx context.Context, s Session, p Place) error {
	box, messages, err := s.Open(ctx, p)
	if err != nil {
		return there(err)
	}
	name := r.here(p.Here)
	here, known, err := r.client.Prepare(ctx, slot.PrepareMailbox{User: r.o.User, Name: name, UIDValidity: box.UIDValidity,
		HighestModSeq: box.HighestModSeq, SpecialUse: p.Use, DryRun: r.o.DryRun})
	if err != nil {
		return err
	}
	j := &job{run: r, session: s, name: name}
	j.done.Mailboxes = 1
	var todo plan
	if here.Kept {
		j.done.Kept = 1
		todo = compare(box, messages, here, known)
	} else {
		r.notice(fmt.Sprintf("%s: %s; its messages get new UIDs, and flags that change later are not followed", name, here.Reason))
		todo.stray = messages
	}
	if r.o.DryRun {
		j.pretend(todo)
	} else if err := j.carry(ctx, box, here.Kept, todo); err != nil {
		r.end(j, false)
		return err
	}
	j.done.Same += todo.same
	j.done.Deleted += todo.deleted
	j.done.Unsure += todo.unsure
	j.done.Expunged += int(todo.expunged.Len())
	r.end(j, true)
	return nil
}

// end adds what was done for a mailbox.
func (r *run) end(j *job, finished bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.add(j.done)
	// What was stored one after the other has been added already.
	r.result.add(Result{Stored: -j.told.Stored, Renamed: -j.told.Renamed, Same: -j.told.Same, Failed: -j.told.Failed, Bytes: -j.told.Bytes})
	if !finished {
		r.result.add(Result{Mailboxes: -1, Kept: -j.done.Kept})
	} else if r.o.Done != nil {
		r.o.Done(j.name, j.done)
	}
}

// pretend counts what would be done.
func (j *job) pretend(todo plan) {
	j.done.Stored = len(todo.keep) + len(todo.stray)
	j.done.Flags = todo.changed
	for _, m := range todo.keep {
		j.done.Bytes += m.Size
	}
	for _, m := range todo.stray {
		j.done.Bytes += m.Size
	}
}

// carry does it: first what keeps its UID, then what gets new ones.
func (j *job) carry(ctx context.Context, box Mailbox, kept bool, todo plan) error {
	if err := j.store(ctx, todo.keep, false); err != nil {
		return err
	}
	if len(todo.flags) > 0 {
		if err := j.client.SetFlags(ctx, j.o.User, j.name, todo.flags); err != nil {
			return err
		}
		j.done.Flags = todo.changed
	}
	if kept {
		finish := slot.FinishMailbox{User: j.o.User, Name: j.name, UIDNext: box.UIDNext}
		if j.o.Expunge {
			finish.Expunge = todo.expunged.String()
		}
		if err := j.client.Finish(ctx, finish); err != nil {
			return err
		}
	}
	return j.store(ctx, todo.stray, true)
}

// place names a message for people to look at.
func (j *job) place(m Message) string {
	if m.UID == 0 {
		return fmt.Sprintf("%s, %s", j.name, m.Key)
	}
	return fmt.Sprintf("%s, UID %d", j.name, m.UID)
}
