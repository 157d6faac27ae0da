package squatter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/tiers"
)

// IndexOptions say what IndexUser does. The zero value is the rolling squatter's:
// what is missing, in all mailboxes.
type IndexOptions struct {
	// All indexes also what is indexed already; the next compaction leaves the
	// newer of the documents.
	All bool
	// Mailboxes, unless nil, bounds the work to the messages of these.
	Mailboxes []mailbox.ID
	// Retry also tries messages that failed and whose next try is not due.
	Retry bool
	// Progress, if set, is told after each commit how many messages have been
	// indexed so far, of how many that are to be.
	Progress func(done, of int)
}

// document is a message's text on its way to the index.
type document = tiers.Doc

// cursor remembers that the contents up to num had documents in these databases,
// or are on the list of failures. A database only grows: whatever else comes and goes, as long as these are
// there the claim holds.
type cursor struct {
	num       uint32
	databases []string
}

// IndexUser indexes the messages of a user for which no document of a current
// database stands, and returns how many were. Messages that cannot be indexed
// are left out: the error is then a *Skipped, and everything else is indexed.
func (q *Squatter) IndexUser(ctx context.Context, u mailbox.User, o IndexOptions) (int, error) {
	release, err := q.take(ctx, u)
	if err != nil {
		return 0, err
	}
	defer release()
	mail, err := q.o.Store.Acquire(ctx, u)
	if err != nil {
		return 0, fmt.Errorf("indexing user %s: %w", u, err)
	}
	defer mail.Release()
	r := &run{q: q, mail: mail, index: q.o.Tiers.User(u), user: u, o: o}
	err = r.do(ctx)
	if changed := q.settle(u); q.o.Leave && (changed || r.indexed > 0) {
		q.tell(ctx, deed{What: deedIndexing, User: u, Messages: r.indexed, Failed: r.tried})
	}
	if err != nil {
		return r.indexed, fmt.Errorf("indexing user %s: %w", u, err)
	}
	return r.indexed, nil
}

// run is one IndexUser under way.
type run struct {
	q     *Squatter
	mail  *mailstore.Mail
	index *tiers.Index
	user  mailbox.User
	o     IndexOptions

	indexed  int
	into     []string // the stamps of the databases that have those, some more than once
	failures []Failure
	tried    int // of failures, how many were tried in this run
}

func (r *run) do(ctx context.Context) error {
	items, next, ok, err := r.recent(ctx)
	if err == nil && !ok {
		items, next, err = r.missing(ctx)
	}
	if err != nil {
		return err
	}
	if err := r.indexAll(ctx, items); err != nil {
		return err
	}
	r.advance(next)
	if len(r.failures) > 0 {
		return &Skipped{Failures: r.failures, Tried: r.tried}
	}
	return nil
}

// batch returns how many of the items make the next commit: at least one.
func (r *run) batch(items []mailstore.Item) int {
	var bytes int64
	for n, it := range items {
		bytes += it.Size
		if n > 0 && bytes > r.q.o.BulkBytes || n == r.q.o.Bulk {
			return n
		}
	}
	return len(items)
}

// errMany ends a listing that has become too long.
var errMany = errors.New("too many")

// recent lists what came after the cursor if that is a batch at most and nothing else
// is to be done: the common case, for which no segment has to be opened. Another
// process may have indexed some of it already, which costs so few documents twice.
func (r *run) recent(ctx context.Context) (items []mailstore.Item, next cursor, ok bool, err error) {
	if r.o.All || r.o.Mailboxes != nil {
		return nil, next, false, nil
	}
	if resting, due := r.q.listed(r.user, r.o.Retry); due || len(resting) > 0 {
		return nil, next, false, nil
	}
	known := r.q.cursorOf(r.user)
	claims, err := r.index.Claims()
	if err != nil || known.num == 0 || !holds(claims, known.databases) {
		return nil, next, false, err
	}
	next = known
	err = r.mail.Contents(ctx, known.num, func(it mailstore.Item) error {
		if len(items) == r.q.o.Batch {
			return errMany
		}
		next.num = it.Num
		items = append(items, it)
		return nil
	})
	if errors.Is(err, errMany) {
		return nil, next, false, nil
	}
	return items, next, err == nil, err
}

// cursorOf is the user's cursor.
func (q *Squatter) cursorOf(u mailbox.User) cursor {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cursors[u]
}

// missing lists what has to be indexed, in rising order of Num, and the cursor
// that is true once it is, but for its databases.
func (r *run) missing(ctx context.Context) ([]mailstore.Item, cursor, error) {
	snap, err := r.index.Snapshot(ctx)
	if err != nil {
		return nil, cursor{}, err
	}
	defer snap.Close()
	only, err := r.only(ctx)
	if err != nil {
		return nil, cursor{}, err
	}
	resting, due := r.q.listed(r.user, r.o.Retry)
	from := r.start(snap)
	if due {
		from = 0 // they are below the cursor
	}
	next := cursor{num: from, databases: databases(snap)}
	indexed := r.finder(snap, from)
	var items []mailstore.Item
	met := make(map[mailbox.GUID]bool, len(resting))
	err = r.mail.Contents(ctx, from, func(it mailstore.Item) error {
		next.num = it.Num
		if indexed(it.GUID) {
			return nil
		}
		met[it.GUID] = true
		if _, rests := resting[it.GUID]; !rests && (only == nil || only[it.GUID]) {
			items = append(items, it)
		}
		return nil
	})
	if err != nil {
		return nil, cursor{}, err
	}
	if from == 0 {
		r.q.forget(r.user, met)
	}
	for g, f := range resting {
		if met[g] || from > 0 {
			r.failures = append(r.failures, f)
		}
	}
	return items, next, nil
}

// only returns the GUIDs in the mailboxes that the work is bound to; nil means
// no bounds.
func (r *run) only(ctx context.Context) (map[mailbox.GUID]bool, error) {
	if r.o.Mailboxes == nil {
		return nil, nil
	}
	guids := make(map[mailbox.GUID]bool)
	for _, id := range r.o.Mailboxes {
		view, err := r.mail.View(ctx, id)
		if err != nil {
			return nil, err
		}
		for i := range view.Records {
			guids[view.Records[i].GUID] = true
		}
	}
	return guids, nil
}

// start returns the Num up to which everything is known to be indexed.
func (r *run) start(snap *tiers.Snapshot) uint32 {
	c := r.q.cursorOf(r.user)
	if r.o.All {
		return 0
	}
	if !holds(databases(snap), c.databases) {
		return 0
	}
	return c.num
}

// finder returns a test for GUIDs that have a document. Where all contents are
// compared, it is made of all documents at once: 16 octets of a GUID, which
// nobody can find twice, are enough to tell them apart.
func (r *run) finder(snap *tiers.Snapshot, from uint32) func(mailbox.GUID) bool {
	if r.o.All {
		return func(mailbox.GUID) bool { return false }
	}
	if from > 0 {
		return func(g mailbox.GUID) bool { _, ok := snap.Lookup(g); return ok }
	}
	docs := make(map[[16]byte]struct{}, snap.Docs())
	for _, seg := range snap.Segments() {
		for n := range seg.Len() {
			g := seg.GUID(n)
			docs[[16]byte(g[:])] = struct{}{}
		}
	}
	return func(g mailbox.GUID) bool {
		_, ok := docs[[16]byte(g[:])]
		return ok
	}
}

// databases lists the stamps of the databases that a snapshot has documents of.
func databases(snap *tiers.Snapshot) []string {
	var out []string
	for _, seg := range snap.Segments() {
		database := databaseOf(seg)
		if !slices.Contains(out, database) {
			out = append(out, database)
		}
	}
	return out
}

// databaseOf is the stamp of a segment's database.
func databaseOf(seg *tiers.Segment) string {
	stamp, _, _ := strings.Cut(seg.ID(), "/")
	return stamp
}

// holds reports whether all of want are in have.
func holds(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
}

// maxCursors bounds the memory for cursors; beyond it all are forgotten, which
// costs a comparison.
const maxCursors = 50_000

// advance remembers that everything up to next is dealt with in the databases of the
// comparison and in those that this run committed to. Whether they are still there is
// asked by who uses it.
func (r *run) advance(next cursor) {
	if r.o.Mailboxes != nil {
		return
	}
	next.databases = slices.Clone(next.databases)
	for _, database := range r.into {
		if !slices.Contains(next.databases, database) {
			next.databases = append(next.databases, database)
		}
	}
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	if len(r.q.cursors) >= maxCursors {
		clear(r.q.cursors)
	}
	r.q.cursors[r.user] = next
}

// commit commits documents. If the index refuses them, it looks for those that
// are to blame and commits the others.
func (r *run) commit(ctx context.Context, docs []document) error {
	if len(docs) == 0 {
		return nil
	}
	into, err := r.index.CommitInto(ctx, docs)
	switch {
	case err == nil:
		r.into = append(r.into, into)
		r.indexed += len(docs)
		r.q.metrics.indexed.Add(float64(len(docs)))
		r.q.succeed(r.user, docs)
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case storage(err):
		return err
	case len(docs) == 1:
		return r.blame(docs[0], err)
	}
	for half := range slices.Chunk(docs, (len(docs)+1)/2) {
		if err := r.commit(ctx, half); err != nil {
			return err
		}
	}
	return nil
}

// storage reports whether an error is one of files, which no single document is
// to blame for.
func storage(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}

// maxBlamed is how many single documents may be refused in one run before the
// index itself is taken to be at fault.
const maxBlamed = 3

// blame notes a document that is refused alone. It returns the error if it is
// rather the index that fails.
func (r *run) blame(d document, err error) error {
	blamed := 0
	for _, f := range r.failures {
		if errors.Is(f.Err, errRefused) {
			blamed++
		}
	}
	if blamed >= maxBlamed || r.indexed == 0 && blamed > 0 {
		return err
	}
	err = fmt.Errorf("%w message %s: %w", errRefused, d.GUID, err)
	r.fail(d.GUID, err)
	return nil
}

// fail notes a message that could not be indexed.
func (r *run) fail(g mailbox.GUID, err error) {
	r.tried++
	r.failures = append(r.failures, r.q.fail(r.user, g, err))
}

var errRefused = errors.New("the index refused")
