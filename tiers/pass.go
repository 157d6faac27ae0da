package tiers

import (
	"golang.org/x/sync/errgroup"

	"teraslot/text"
)

// passBlocks is how many blocks of terms are worth a goroutine of their own.
const passBlocks = 512

// processors are those that may help with passes through terms, one place less than there
// are: who passes takes as many as are free, and waits for none.
type processors chan struct{}

func (p processors) take() (n int) {
	for {
		select {
		case p <- struct{}{}:
			n++
		default:
			return n
		}
	}
}

func (p processors) give(n int) {
	for range n {
		<-p
	}
}

// pass is part for all terms of a large field, in parts that are looked through at once.
func (m *match) pass(f fieldRange, l text.Lookup, into *docSet) error {
	helpers := m.h.helpers.take()
	defer m.h.helpers.give(helpers)
	found := make([]docSet, min(1+helpers, int(f.blocks/passBlocks)))
	group, ctx := errgroup.WithContext(m.ctx)
	for i := range found {
		part := m.x.someBlocks(f, uint32(i), uint32(len(found)))
		group.Go(func() error {
			other := match{ctx: ctx, h: m.h, x: m.x}
			return guard(func() error { return other.part(part, l, &found[i]) })
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, docs := range found {
		if docs != nil {
			m.add(into, docs)
		}
	}
	return nil
}

// someBlocks is the ith of n parts of a field that has as many blocks or more.
func (x *segmentIndex) someBlocks(f fieldRange, i, n uint32) fieldRange {
	part, each := f, f.blocks/n
	part.first, part.blocks, part.terms = f.first+i*each, each, each*blockTerms
	if i > 0 {
		part.start = x.blockText(part.first)
	}
	if i == n-1 {
		part.blocks, part.terms = f.blocks-i*each, f.terms-i*each*blockTerms
	}
	part.end = x.blockEnd(f, part.first+part.blocks-1)
	return part
}
