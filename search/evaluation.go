package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
	"golang.org/x/sync/errgroup"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/text"
	"teraslot/tiers"
)

// evaluation is one search under way. Its bitmaps and maps belong to the
// goroutine that judges; the counters are shared by those that resolve.
type evaluation struct {
	s       *Searcher
	key     mailboxKey
	mail    *mailstore.Mail
	snap    *tiers.Snapshot
	join    *join
	records []mailbox.Record
	now     int64 // seconds since 1970

	// textKeys numbers the query's text keys, from 0. Set before texts are read.
	textKeys map[text.Key]int
	// fuzzyKeys are the query's. Set before texts are read.
	fuzzyKeys []*fuzzyKey
	// ranked is set if the result is to be ranked.
	ranked bool
	// readings are those of the matches whose text was read, if the result is ranked.
	mu       sync.Mutex // guards readings
	readings map[uint32]map[*fuzzyKey]*reading

	// leaves are the answers of the index, by key, over all covered rows.
	leaves map[text.Key]verdict
	// asked are the rows that some text key was asked about.
	asked *roaring.Bitmap
	// blind is set when the index failed: it covers nothing from then on.
	blind bool

	verified, scanned atomic.Int64
	shared            *shared
}

// docOf is the complete document, which can be believed, that stands for a row,
// or noDoc.
func (e *evaluation) docOf(row uint32) uint32 {
	if e.blind {
		return noDoc
	}
	return e.join.docOf[row]
}

// covers reports whether there is such a document.
func (e *evaluation) covers(row uint32) bool { return e.docOf(row) != noDoc }

// indexed returns what the index says of a key, over all covered rows.
func (e *evaluation) indexed(ctx context.Context, k text.Key) (verdict, error) {
	if e.blind {
		return verdict{roaring.New(), e.join.covered}, nil
	}
	if v, ok := e.leaves[k]; ok {
		return v, nil
	}
	docs, err := e.shared.match(ctx, e.snap, k)
	if err != nil {
		if ctx.Err() != nil {
			return none(), context.Cause(ctx)
		}
		e.s.o.Logger.Warn("the index failed; reading messages instead", "user", e.key.user, "err", err)
		e.blind = true
		return verdict{roaring.New(), e.join.covered}, nil
	}
	v := verdict{e.join.rows(docs.sure), e.join.rows(docs.open)}
	v.open.AndNot(v.sure)
	e.leaves[k] = v
	return v, nil
}

// run judges all rows, then decides those that are open by their text.
func (e *evaluation) run(ctx context.Context, root node) (*roaring.Bitmap, error) {
	v, err := root.judge(ctx, e, e.join.all)
	if err != nil {
		return nil, err
	}
	if v.open.IsEmpty() {
		return v.sure, nil
	}
	e.textKeys = map[text.Key]int{}
	numberTextKeys(root, e.textKeys)
	e.fuzzyKeys = fuzzyKeys(root, nil)
	more, err := e.resolve(ctx, root, v.open)
	if err != nil {
		return nil, err
	}
	return roaring.Or(v.sure, more), nil
}

// chunk is how many rows outside the index are read as one task: neighbours,
// which lie near each other in a pack.
const chunk = 16

// tasks divides rows for the workers. Rows that the index covers come in the order
// of its documents, many to a task: they share blocks of kept text, of which each
// worker remembers the last ones unpacked.
func (e *evaluation) tasks(rows []uint32) [][]uint32 {
	slices.SortStableFunc(rows, func(a, b uint32) int { return cmp.Compare(e.docOf(a), e.docOf(b)) })
	covered, _ := slices.BinarySearchFunc(rows, noDoc, func(row, doc uint32) int { return cmp.Compare(e.docOf(row), doc) })
	const least, most, each = 64, 1024, 8 // rows of a task, tasks of a worker
	out := slices.Collect(slices.Chunk(rows[:covered], min(most, max(least, covered/(each*e.s.o.Workers)))))
	return slices.AppendSeq(out, slices.Chunk(rows[covered:], chunk))
}

// resolve returns which of the open rows match, by their texts.
func (e *evaluation) resolve(ctx context.Context, root node, open *roaring.Bitmap) (*roaring.Bitmap, error) {
	tasks := e.tasks(open.ToArray())
	found := make([][]uint32, len(tasks))
	err := e.share(ctx, len(tasks), func(ctx context.Context, texts *tiers.Texts, i int) (err error) {
		found[i], err = e.decide(ctx, root, texts, tasks[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	hits := slices.Concat(found...)
	slices.Sort(hits)
	return fromSorted(hits), nil
}

// share shares n tasks, in order, between a few goroutines that end before it returns, each
// with a reader of kept text of its own, nil without an index. For each task the user takes
// a turn.
func (e *evaluation) share(ctx context.Context, n int, do func(ctx context.Context, texts *tiers.Texts, task int) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(e.s.o.Workers, n) {
		group.Go(func() error {
			var texts *tiers.Texts
			if e.snap != nil {
				texts = e.snap.Texts()
			}
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := e.s.turns.do(ctx, e.key.user, func() error { return do(ctx, texts, i) }); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// decide returns which of the rows match.
func (e *evaluation) decide(ctx context.Context, root node, texts *tiers.Texts, rows []uint32) ([]uint32, error) {
	var hits []uint32
	for _, row := range rows {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c := candidate{e: e, row: row, record: &e.records[row], texts: texts}
		ok, err := root.match(ctx, e, &c)
		if err != nil {
			if err := e.excuse(ctx, c.record, err); err != nil {
				return nil, err
			}
			continue
		}
		if ok {
			e.keep(&c)
			hits = append(hits, row)
		}
	}
	return hits, nil
}

// keep keeps what a match's text said, for ranking.
func (e *evaluation) keep(c *candidate) {
	if !e.ranked || c.readings == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readings[c.row] = c.readings
}

// excuse returns nil for a message that could not be read because it has left
// the mailbox since the view was taken: then it does not match, and nothing is
// missed. Otherwise it returns what the search fails with.
func (e *evaluation) excuse(ctx context.Context, r *mailbox.Record, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, ErrLimit) {
		return err
	}
	view, verr := e.mail.View(ctx, e.key.mailbox)
	if verr != nil {
		return fmt.Errorf("viewing the mailbox again after %w: %w", err, verr)
	}
	if _, found := slices.BinarySearchFunc(view.Records, r.UID, byUID); found {
		return err
	}
	return nil
}

// spend takes one message of size bytes from the limits.
func (e *evaluation) spend(size int64) error {
	l := &e.s.o.Limits
	if n := e.shared.messages.Add(1); l.Messages > 0 && n > l.Messages {
		return fmt.Errorf("%w: more than %d messages to read", ErrLimit, l.Messages)
	}
	if n := e.shared.bytes.Add(size); l.Bytes > 0 && n > l.Bytes {
		return fmt.Errorf("%w: more than %d bytes to read", ErrLimit, l.Bytes)
	}
	return nil
}

// stats tells how the rows that text keys were asked about were answered.
func (e *evaluation) stats() Stats {
	s := Stats{Verified: int(e.verified.Load()), Scanned: int(e.scanned.Load())}
	if !e.blind {
		s.Indexed = max(0, int(e.asked.AndCardinality(e.join.covered))-s.Verified)
	}
	return s
}
