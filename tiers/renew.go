package tiers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"teraslot/mailbox"
)

// Renew makes documents of messages anew and gives them to add, in any number of
// batches; add returns the error of writing them. Messages that it leaves out keep
// the documents that they have.
type Renew func(ctx context.Context, guids []mailbox.GUID, add func([]Doc) error) error

// renewing reports whether the messages of a source are to be made anew.
func (c *compaction) renewing(s source) bool {
	return c.o.Renew != nil && (slices.Contains(c.o.Again, s.db.Tier) || slices.Contains(c.o.Again, s.db.String()))
}

// renew has the documents of the sources named in Again made anew, into segments
// of the destination. They are merged with the sources, before whose documents they
// go, and have no name in any manifest.
func (c *compaction) renew(ctx context.Context) error {
	c.renewed = nil
	sources := slices.DeleteFunc(slices.Clone(c.sources), func(s source) bool { return !c.renewing(s) })
	guids := c.guids(sources)
	if len(guids) == 0 {
		return nil
	}
	c.logf("Reindexing messages for %s", c.o.Name)
	var err error
	if c.renewedID, err = newStamp(c.x.set.o.Rand); err != nil {
		return err
	}
	if err := c.o.Renew(ctx, guids, func(docs []Doc) error { return c.addRenewed(ctx, docs) }); err != nil {
		return fmt.Errorf("index messages anew: %w", err)
	}
	c.x.set.o.Step("compact: renewed")
	return nil
}

// guids are the messages, of those that are held, whose documents lie in the
// sources. Of a source that other versions made they are taken too, if it can be
// opened: this is how an index is brought up to date where it lies. What cannot be
// opened is for the merge to find out.
func (c *compaction) guids(sources []source) []mailbox.GUID {
	var out []mailbox.GUID
	seen := make(map[mailbox.GUID]bool)
	for _, s := range sources {
		for _, info := range s.m.Segments {
			h := c.x.set.acquire(s.dir, s.m.ID, info)
			if err := c.x.set.open(h); err != nil {
				c.x.set.forget(h)
			}
			for _, g := range h.guids {
				if !seen[g] && (c.keep == nil || c.keep(g)) {
					seen[g] = true
					out = append(out, g)
				}
			}
			c.x.set.release(h)
		}
	}
	return out
}

// addRenewed writes documents into the destination.
func (c *compaction) addRenewed(ctx context.Context, docs []Doc) error {
	docs = oneEach(docs)
	if len(docs) == 0 {
		return nil
	}
	segments, err := c.x.set.build(ctx, docs)
	if err != nil {
		return err
	}
	for _, b := range segments {
		info, err := c.x.writeSegment(c.dir, mergedNumber+1+uint64(len(c.renewed)), b)
		if err != nil {
			return err
		}
		c.renewed = append(c.renewed, info)
	}
	return nil
}

// dropRenewed deletes the segments that renew made, which are merged.
func (c *compaction) dropRenewed() error {
	for _, info := range c.renewed {
		h := c.x.set.acquire(c.dir, c.renewedID, info)
		c.x.set.forget(h)
		c.x.set.release(h)
	}
	err := c.x.removeSegments(c.dir, c.renewed)
	return errors.Join(err, c.x.set.o.FS.SyncDir(filepath.Join(c.dir, storeDir)))
}
