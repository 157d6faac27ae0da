package search

import (
	"context"
	"fmt"
	"io"

	"teraslot/mailbox"
	"teraslot/message"
	"teraslot/text"
)

// candidate is one row whose text has to be looked at. It is used by one
// goroutine and asked for its text at most once in earnest.
type candidate struct {
	e      *evaluation
	row    uint32
	record *mailbox.Record

	loaded bool
	units  []text.Unit
	raw    *raw // if the message has more text than units
}

// text returns the message's text units: those kept beside the index if there
// are any, else those of the message, read now.
func (c *candidate) text(ctx context.Context) ([]text.Unit, error) {
	if c.loaded {
		return c.units, nil
	}
	units, ok := c.kept(ctx)
	if !ok {
		var err error
		if units, err = c.read(ctx); err != nil {
			return nil, err
		}
	}
	if c.e.covers(c.row) {
		c.e.verified.Add(1)
	} else {
		c.e.scanned.Add(1)
	}
	c.units, c.loaded = units, true
	return units, nil
}

// kept returns the text kept beside the index. A failure there is logged, and
// costs a read of the message.
func (c *candidate) kept(ctx context.Context) ([]text.Unit, bool) {
	if !c.e.covers(c.row) {
		return nil, false
	}
	units, ok, err := c.e.snap.Units(ctx, c.e.docOf(c.row))
	if err != nil && ctx.Err() == nil {
		c.e.s.o.Logger.Warn("kept text cannot be read; reading the message", "user", c.e.key.user,
			"mailbox", c.e.key.mailbox, "uid", c.record.UID, "err", err)
	}
	return units, ok && err == nil
}

// read extracts the text from the stored message.
func (c *candidate) read(ctx context.Context) ([]text.Unit, error) {
	if err := c.e.spend(c.record.Size); err != nil {
		return nil, err
	}
	content, err := c.e.mail.Open(ctx, c.e.key.mailbox, *c.record)
	if err != nil {
		return nil, c.failed(err)
	}
	defer content.Close()
	x, err := message.Extract(ctx, content, content.Size, c.e.s.o.Limits.Extract)
	if err != nil {
		return nil, c.failed(err)
	}
	if !x.Complete {
		c.e.cut.Add(1)
		msg := make([]byte, content.Size)
		if _, err := content.ReadAt(msg, 0); err != nil && err != io.EOF {
			return nil, c.failed(err)
		}
		c.raw = newRaw(msg)
	}
	return x.Units, nil
}

func (c *candidate) failed(err error) error {
	return fmt.Errorf("reading message with UID %d: %w", c.record.UID, err)
}
