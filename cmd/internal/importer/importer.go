package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"

	"teraslot/cmd/internal/source"
	"teraslot/disk"
	"teraslot/slot"
)

// Options say where messages go and how. User is needed.
type Options struct {
	User string
	// Mailbox is where messages of the source's top go, and below which its
	// mailboxes are made; "" is INBOX for the former, and no level for the latter.
	Mailbox string
	// SkipExisting leaves out messages that their mailbox has, by GUID.
	SkipExisting bool
	// Journal is a file that keeps how far the import got; "" is none. It is
	// removed at the end.
	Journal string
	// Report is told of each message that could not be imported, Progress how far
	// it got, one call at a time. Either may be nil.
	Report   func(place string, err error)
	Progress func(Result)
}

// Result is how far an import got.
type Result struct {
	Stored, Skipped, Failed int
	// Read is how many bytes of the source were dealt with, Bytes how many bytes of
	// mail were stored.
	Read, Bytes int64
}

// Messages is the number of messages dealt with.
func (r Result) Messages() int { return r.Stored + r.Skipped + r.Failed }

// A group is one request to the slot.
const (
	groupMessages = 512
	groupBytes    = 8 << 20
)

// group is messages that are sent together.
type group struct {
	batch  slot.Batch
	places []string
	sizes  []int64
	bad    []bad
	last   string // key of its last message
	read   int64
	err    error // of the source: nothing follows
}

// bad is a message that could not be read.
type bad struct {
	place string
	err   error
}

// ErrJournal is returned for a journal that does not belong to the source.
var ErrJournal = errors.New("the journal is of another source, or the source has changed: remove the journal and use --skip-existing")

// Run imports all items. After an error, Result tells how much was stored.
func Run(ctx context.Context, c *slot.Client, items iter.Seq[source.Item], o Options) (Result, error) {
	j := journal{path: o.Journal}
	if err := j.load(); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	groups := make(chan *group, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(groups)
		read(ctx, items, j.Key, o, groups)
	}()
	defer func() { cancel(); <-done }()
	s := sender{client: c, o: o, journal: &j, resumed: j.Key != ""}
	for g := range groups {
		if err := s.send(ctx, g); err != nil {
			return s.result, err
		}
	}
	if err := ctx.Err(); err != nil {
		return s.result, err
	}
	return s.result, j.remove()
}

// read makes groups of the items behind the key, until there are no more or ctx
// ends.
func read(ctx context.Context, items iter.Seq[source.Item], after string, o Options, to chan<- *group) {
	emit := func(g *group) bool {
		select {
		case to <- g:
			return true
		case <-ctx.Done():
			return false
		}
	}
	g := &group{}
	for it := range items {
		if it.Key == "" {
			g.err = fmt.Errorf("%s: %w", it.Place, it.Err)
			break
		}
		g.read += it.Read
		if after != "" {
			if it.Key == after {
				after = ""
			}
			continue
		}
		g.add(it, o)
		if g.batch.Len()+len(g.bad) >= groupMessages || g.batch.Bytes() >= groupBytes {
			if !emit(g) {
				return
			}
			g = &group{}
		}
	}
	if after != "" && g.err == nil {
		g.err = ErrJournal
	}
	emit(g)
}

func (g *group) add(it source.Item, o Options) {
	g.last = it.Key
	err := it.Err
	if err == nil {
		err = g.batch.Add(o.target(it.Mailbox), it.Flags, slot.Incoming{Date: it.Date}, it.Body)
	}
	if err != nil {
		g.bad = append(g.bad, bad{it.Place, err})
		return
	}
	g.places = append(g.places, it.Place)
	g.sizes = append(g.sizes, int64(len(it.Body)))
}

// target is the mailbox for a mailbox of the source.
func (o Options) target(name string) string {
	switch {
	case name == "" && o.Mailbox == "":
		return "INBOX"
	case name == "":
		return o.Mailbox
	case o.Mailbox == "":
		return name
	}
	return o.Mailbox + "/" + name
}

// sender sends groups one after another: messages keep the order of the source.
type sender struct {
	client  *slot.Client
	o       Options
	journal *journal
	resumed bool // the next group may have been stored before the journal was written
	result  Result
}

func (s *sender) send(ctx context.Context, g *group) error {
	outcomes, err := []slot.Outcome(nil), error(nil)
	if g.batch.Len() > 0 {
		outcomes, err = s.client.Import(ctx, s.o.User, &g.batch, s.o.SkipExisting || s.resumed)
		s.resumed = false
	}
	for i, out := range outcomes {
		switch {
		case out.Error != "":
			s.report(g.places[i], errors.New(out.Error))
		case out.Skipped:
			s.result.Skipped++
		default:
			s.result.Stored++
			s.result.Bytes += g.sizes[i]
		}
	}
	for _, b := range g.bad {
		s.report(b.place, b.err)
	}
	if err != nil {
		if len(outcomes) < len(g.places) {
			err = fmt.Errorf("stopped before %s: %w", g.places[len(outcomes)], err)
		}
		return err
	}
	s.result.Read += g.read
	if s.o.Progress != nil {
		s.o.Progress(s.result)
	}
	if g.last != "" {
		if err := s.journal.store(g.last); err != nil {
			return err
		}
	}
	return g.err
}

func (s *sender) report(place string, err error) {
	s.result.Failed++
	if s.o.Report != nil {
		s.o.Report(place, err)
	}
}

// journal keeps the key of the last message that was dealt with.
type journal struct {
	path string
	Key  string
}

func (j *journal) load() error {
	if j.path == "" {
		return nil
	}
	b, err := disk.ReadFile(disk.OS(), j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, j)
	}
	if err != nil {
		return fmt.Errorf("journal %s: %w", filepath.Clean(j.path), err)
	}
	return nil
}

func (j *journal) store(key string) error {
	if j.path == "" {
		return nil
	}
	j.Key = key
	err := disk.Publish(disk.OS(), j.path, 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(j) })
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func (j *journal) remove() error {
	if j.path == "" {
		return nil
	}
	if err := disk.OS().Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}
