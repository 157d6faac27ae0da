package transfer

import (
	"context"
	"errors"

	"teraslot/slot"
)

// job is the work for one mailbox.
type job struct {
	*run
	session Session
	name    string
	done    Result
	told    Result // the part of done that the run's result has already
}

// A group of messages is read together and stored by one request.
const (
	groupMessages = 256
	groupBytes    = 8 << 20
)

// group is messages that were read.
type group struct {
	batch slot.Batch
	sent  []Message
	sizes []int64
	bad   []bad
}

type bad struct {
	m   Message
	err error
}

// parts cuts messages into groups.
func parts(messages []Message) [][]Message {
	var out [][]Message
	for len(messages) > 0 {
		n, size := 0, int64(0)
		for n < len(messages) && n < groupMessages {
			if size += messages[n].Size; n > 0 && size > groupBytes {
				break
			}
			n++
		}
		out, messages = append(out, messages[:n]), messages[n:]
	}
	return out
}

// store reads messages and stores them, each group while the next is read. Strays are
// stored without a UID, unless the mailbox has the same octets.
func (j *job) store(ctx context.Context, messages []Message, stray bool) error {
	ctx, cancel := context.WithCancel(ctx)
	groups := make(chan *group, 1)
	var failed error
	go func() {
		defer close(groups)
		for _, some := range parts(messages) {
			g, err := j.read(ctx, some, stray)
			if err != nil {
				failed = there(err)
				return
			}
			select {
			case groups <- g:
			case <-ctx.Done():
				return
			}
		}
	}()
	var err error
	for g := range groups {
		if err == nil {
			if err = j.send(ctx, g, stray); err != nil {
				cancel()
			}
		}
	}
	cancel()
	return errors.Join(err, failed)
}

// read reads messages, in the order of their UIDs.
func (j *job) read(ctx context.Context, some []Message, stray bool) (*group, error) {
	bodies := make(map[string][]byte, len(some))
	errs := map[string]error{}
	err := j.session.Fetch(ctx, some, func(m Message, body []byte, err error) error {
		if err != nil {
			errs[m.Key] = err
		} else {
			bodies[m.Key] = body
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	g := &group{}
	for _, m := range some {
		body, found := bodies[m.Key]
		err := errs[m.Key]
		if err == nil && found {
			in := slot.Incoming{Date: m.Date, UID: m.UID}
			if stray {
				in.UID = 0
			}
			err = g.batch.Add(j.name, m.Flags, in, body)
		}
		switch {
		case err != nil:
			g.bad = append(g.bad, bad{m, err})
		case found:
			g.sent = append(g.sent, m)
			g.sizes = append(g.sizes, int64(len(body)))
		}
	}
	return g, nil
}

// send stores a group.
func (j *job) send(ctx context.Context, g *group, stray bool) error {
	var outcomes []slot.Outcome
	var err error
	if g.batch.Len() > 0 {
		outcomes, err = j.client.Import(ctx, j.o.User, &g.batch, stray)
	}
	step := Result{}
	for i, out := range outcomes {
		m := g.sent[i]
		switch {
		case out.Error != "":
			g.bad = append(g.bad, bad{m, errors.New(out.Error)})
		case out.Skipped:
			step.Same++
		default:
			step.Stored++
			step.Bytes += g.sizes[i]
			if out.UID != m.UID {
				step.Renamed++
			}
		}
	}
	step.Failed = len(g.bad)
	j.done.add(step)
	j.told.add(step)
	j.tell(g.bad, step)
	return err
}

func (j *job) tell(all []bad, step Result) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range all {
		if j.o.Report != nil {
			j.o.Report(j.place(b.m), b.err)
		}
	}
	j.result.add(step)
	if j.o.Progress != nil {
		j.o.Progress(j.result)
	}
}
