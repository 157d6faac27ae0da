package squatter

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"teraslot/mailstore"
	"teraslot/message"
)

var errSlow = errors.New("took longer than the limit")

// batch is some messages on their way to one commit.
type batch struct {
	items []mailstore.Item
	docs  []document // of those, with errs beside them
	errs  []error
}

// indexAll indexes messages.
func (r *run) indexAll(ctx context.Context, items []mailstore.Item) error {
	done := 0
	return r.inBatches(ctx, items, func(ctx context.Context, b *batch) error {
		if err := r.commit(ctx, r.good(b)); err != nil {
			return err
		}
		if done += len(b.items); r.o.Progress != nil {
			r.o.Progress(done, len(items))
		}
		return nil
	})
}

// inBatches extracts messages batch by batch and calls take with one after the other:
// meanwhile the next is extracted, so that all processors have work and at most two
// are in memory.
func (r *run) inBatches(ctx context.Context, items []mailstore.Item, take func(context.Context, *batch) error) error {
	group, ctx := errgroup.WithContext(ctx)
	ready := make(chan *batch)
	group.Go(func() error {
		defer close(ready)
		for rest := items; len(rest) > 0; {
			b := &batch{items: rest[:r.batch(rest)]}
			rest = rest[len(b.items):]
			if err := r.extract(ctx, b); err != nil {
				return err
			}
			select {
			case ready <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		for b := range ready {
			if err := take(ctx, b); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// good are the documents of a batch that were extracted. Those that failed are noted.
func (r *run) good(b *batch) []document {
	good := b.docs[:0]
	for i := range b.items {
		switch err := b.errs[i]; {
		case err == nil:
			good = append(good, b.docs[i])
		case errors.Is(err, mailstore.ErrNoMessage): // gone meanwhile
		default:
			r.fail(b.items[i].GUID, err)
		}
	}
	return good
}

// What a worker reads at a time, which it holds in memory.
const (
	piece      = 64      // messages
	pieceBytes = 1 << 20 // their sizes together, but for the first one's
)

// extract makes documents of a batch's messages on several goroutines.
func (r *run) extract(ctx context.Context, b *batch) error {
	b.docs, b.errs = make([]document, len(b.items)), make([]error, len(b.items))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.q.o.Workers)
	for from := 0; from < len(b.items); {
		end := from + pieceOf(b.items[from:], (len(b.items)+r.q.o.Workers-1)/r.q.o.Workers)
		part := batch{b.items[from:end], b.docs[from:end], b.errs[from:end]}
		group.Go(func() error {
			into, ok := r.q.buffers.Get().(*mailstore.Buffer)
			if !ok {
				into = new(mailstore.Buffer)
			}
			defer r.q.buffers.Put(into)
			return r.extractPiece(ctx, &part, into)
		})
		from = end
	}
	return group.Wait()
}

// pieceOf returns how many of the items, of at most so many, are read together: at
// least one.
func pieceOf(items []mailstore.Item, most int) int {
	var bytes int64
	for n, it := range items {
		bytes += it.Size
		if n > 0 && bytes > pieceBytes || n == min(piece, max(most, 1)) {
			return n
		}
	}
	return len(items)
}

// extractPiece makes documents of messages that are read together.
func (r *run) extractPiece(ctx context.Context, b *batch, into *mailstore.Buffer) error {
	opened := r.mail.OpenItems(ctx, b.items, into)
	for i, o := range opened {
		if b.errs[i] = o.Err; o.Err == nil && ctx.Err() == nil {
			b.docs[i], b.errs[i] = r.extractOne(ctx, o.Content)
		}
		if o.Content != nil {
			o.Content.Close()
		}
	}
	return ctx.Err()
}

// extractOne extracts one message. Extraction should never panic; if it does,
// one message's text is not worth the indexing of all others, nor the daemon.
func (r *run) extractOne(ctx context.Context, content *mailstore.Content) (d document, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("extracting message %s: panic: %v", content.GUID, p)
		}
	}()
	limited, cancel := context.WithTimeoutCause(ctx, r.q.o.Patience, errSlow)
	defer cancel()
	x, err := message.Extract(limited, content, content.Size, r.q.o.Extract)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(limited), errSlow) {
		err = fmt.Errorf("%w of %s", errSlow, r.q.o.Patience)
	}
	if err != nil {
		return d, fmt.Errorf("extracting message %s: %w", content.GUID, err)
	}
	return document{GUID: content.GUID, Complete: x.Complete, Units: x.Units}, nil
}
