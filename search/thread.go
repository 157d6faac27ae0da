package search

import (
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"teraslot/mailbox"
)

// threadKey matches a thread. Threads are known to mailstore only, and read
// from there for the rows that every other key left over.
type threadKey struct{ id string }

// threadsAtOnce bounds how many threads are read in one transaction.
const threadsAtOnce = 4096

func (threadKey) cost() int { return costThread }

func (k threadKey) judge(ctx context.Context, e *evaluation, rows *roaring.Bitmap) (verdict, error) {
	v := none()
	for part := range slices.Chunk(rows.ToArray(), threadsAtOnce) {
		records := make([]mailbox.Record, len(part))
		for i, row := range part {
			records[i] = e.records[row]
		}
		ids, err := e.mail.ThreadIDs(ctx, records)
		if err != nil {
			return none(), err
		}
		for i, id := range ids {
			if id == k.id {
				v.sure.Add(part[i])
			}
		}
	}
	return v, nil
}

func (k threadKey) match(ctx context.Context, e *evaluation, c *candidate) (bool, error) {
	ids, err := e.mail.ThreadIDs(ctx, []mailbox.Record{*c.record})
	return err == nil && ids[0] == k.id, err
}
