package search

import (
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"teraslot/mailbox"
	"teraslot/text"
)

// node is a planned key: it judges rows in bulk and one message exactly.
type node interface {
	// cost says how dear judge is, so that the dear keys are asked last.
	cost() int
	// judge splits rows. It must not change rows; what it returns lies within.
	judge(ctx context.Context, e *evaluation, rows *roaring.Bitmap) (verdict, error)
	// match decides about one message, reading its text if need be.
	match(ctx context.Context, e *evaluation, c *candidate) (bool, error)
}

// The costs of the leaves. An inner node costs what its dearest key does.
const (
	costFree   = iota // decided without looking at a row
	costRecord        // decided by the record
	costField         // asks the index for one field
	costBody          // asks it for the largest field
	costText          // asks it for all fields
	costFuzzy         // asks it for the terms like a word
	costThread        // asks mailstore about each row
)

func dearest(kids []node) int {
	c := costFree
	for _, k := range kids {
		c = max(c, k.cost())
	}
	return c
}

func cheapestFirst(kids []node) []node {
	slices.SortStableFunc(kids, func(a, b node) int { return cmp.Compare(a.cost(), b.cost()) })
	return kids
}

// everything matches all.
type everything struct{}

func (everything) cost() int { return costFree }

func (everything) judge(_ context.Context, _ *evaluation, rows *roaring.Bitmap) (verdict, error) {
	return verdict{rows, roaring.New()}, nil
}

func (everything) match(context.Context, *evaluation, *candidate) (bool, error) { return true, nil }

// andNode matches what all kids match; they are in order of cost.
type andNode []node

func conjunction(kids []node) node { return andNode(cheapestFirst(kids)) }

func (n andNode) cost() int { return dearest(n) }

func (n andNode) judge(ctx context.Context, e *evaluation, rows *roaring.Bitmap) (verdict, error) {
	acc := verdict{rows, roaring.New()}
	for _, kid := range n {
		left := acc.possible()
		if left.IsEmpty() {
			break
		}
		v, err := kid.judge(ctx, e, left)
		if err != nil {
			return none(), err
		}
		acc = acc.and(v)
	}
	return acc, nil
}

func (n andNode) match(ctx context.Context, e *evaluation, c *candidate) (bool, error) {
	for _, kid := range n {
		if ok, err := kid.match(ctx, e, c); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// orNode matches what one kid matches; they are in order of cost.
type orNode []node

func disjunction(kids []node) node { return orNode(cheapestFirst(kids)) }

func (n orNode) cost() int { return dearest(n) }

func (n orNode) judge(ctx context.Context, e *evaluation, rows *roaring.Bitmap) (verdict, error) {
	acc := none()
	for _, kid := range n {
		left := roaring.AndNot(rows, acc.sure)
		if left.IsEmpty() {
			break
		}
		v, err := kid.judge(ctx, e, left)
		if err != nil {
			return none(), err
		}
		acc = acc.or(v)
	}
	return acc, nil
}

func (n orNode) match(ctx context.Context, e *evaluation, c *candidate) (bool, error) {
	for _, kid := range n {
		if ok, err := kid.match(ctx, e, c); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// negation matches what kid does not.
type negation struct{ kid node }

func (n negation) cost() int { return n.kid.cost() }

func (n negation) judge(ctx context.Context, e *evaluation, rows *roaring.Bitmap) (verdict, error) {
	v, err := n.kid.judge(ctx, e, rows)
	if err != nil {
		return none(), err
	}
	return v.not(rows), nil
}

func (n negation) match(ctx context.Context, e *evaluation, c *candidate) (bool, error) {
	ok, err := n.kid.match(ctx, e, c)
	return !ok && err == nil, err
}

// recordKey is a key that a message's record decides.
type recordKey func(*evaluation, *mailbox.Record) bool

func (recordKey) cost() int { return costRecord }

func (k recordKey) judge(_ context.Context, e *evaluation, rows *roaring.Bitmap) (verdict, error) {
	v := none()
	buf := make([]uint32, 0, 1024)
	for it := rows.Iterator(); it.HasNext(); {
		row := it.Next()
		if !k(e, &e.records[row]) {
			continue
		}
		if buf = append(buf, row); len(buf) == cap(buf) {
			v.sure.AddMany(buf)
			buf = buf[:0]
		}
	}
	v.sure.AddMany(buf)
	return v, nil
}

func (k recordKey) match(_ context.Context, e *evaluation, c *candidate) (bool, error) {
	return k(e, c.record), nil
}

// uidKey is a set of UIDs, decided without looking at the rows outside it.
type uidKey struct{ set mailbox.UIDSet }

func (uidKey) cost() int { return costFree }

func (k uidKey) judge(_ context.Context, e *evaluation, rows *roaring.Bitmap) (verdict, error) {
	v := none()
	for _, r := range k.set.Ranges() {
		lo, _ := slices.BinarySearchFunc(e.records, r.Lo, byUID)
		hi, found := slices.BinarySearchFunc(e.records, r.Hi, byUID)
		if found {
			hi++
		}
		v.sure.AddRange(uint64(lo), uint64(hi))
	}
	v.sure.And(rows)
	return v, nil
}

func byUID(r mailbox.Record, uid mailbox.UID) int { return cmp.Compare(r.UID, uid) }

func (k uidKey) match(_ context.Context, _ *evaluation, c *candidate) (bool, error) {
	return k.set.Contains(c.record.UID), nil
}

// textKey is a key that the text of a message decides, by way of the index
// where the message is in it.
type textKey struct{ key text.Key }

func (k textKey) cost() int {
	switch k.key.Scope {
	case text.InHeader:
		return costField
	case text.InBody:
		return costBody
	}
	return costText
}

func (k textKey) judge(ctx context.Context, e *evaluation, rows *roaring.Bitmap) (verdict, error) {
	e.asked.Or(rows)
	covered := roaring.And(rows, e.join.covered)
	unknown := roaring.AndNot(rows, e.join.covered)
	if covered.IsEmpty() {
		return verdict{roaring.New(), unknown}, nil
	}
	all, err := e.indexed(ctx, k.key)
	if err != nil {
		return none(), err
	}
	unknown.Or(roaring.And(all.open, rows))
	return verdict{roaring.And(all.sure, rows), unknown}, nil
}

// match reads a message only for what the index left open: another key may have.
func (k textKey) match(ctx context.Context, e *evaluation, c *candidate) (bool, error) {
	if v, ok := e.leaves[k.key]; ok && e.covers(c.row) && !v.open.Contains(c.row) {
		return v.sure.Contains(c.row), nil
	}
	return c.matches(ctx, k.key)
}

// numberTextKeys gives each text key of a query a number.
func numberTextKeys(n node, numbers map[text.Key]int) {
	switch n := n.(type) {
	case andNode:
		for _, kid := range n {
			numberTextKeys(kid, numbers)
		}
	case orNode:
		for _, kid := range n {
			numberTextKeys(kid, numbers)
		}
	case negation:
		numberTextKeys(n.kid, numbers)
	case textKey:
		if _, known := numbers[n.key]; !known {
			numbers[n.key] = len(numbers)
		}
	}
}
