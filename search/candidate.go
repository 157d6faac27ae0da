package search

import (
	"context"
	"errors"
	"fmt"

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
	cut    bool // the message has more text than units
}

// CutError says that a message, which has more text than Limits.Extract allows,
// might match by what lies beyond, or might not. It is an ErrLimit.
type CutError struct{ UID mailbox.UID }

// Error names the message.
func (e *CutError) Error() string {
	return fmt.Sprintf("%v: the message with UID %d has more text than is looked at", ErrLimit, e.UID)
}

// Unwrap returns ErrLimit.
func (e *CutError) Unwrap() error { return ErrLimit }

// undecided reports whether err is a *CutError.
func undecided(err error) bool {
	_, ok := errors.AsType[*CutError](err)
	return ok
}

// beyond is what a text key answers that the message's text does not match: nil,
// or a *CutError if there is more of it.
func (c *candidate) beyond() error {
	if c.cut {
		return &CutError{c.record.UID}
	}
	return nil
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
		c.cut = true
		c.e.cut.Add(1)
	}
	return x.Units, nil
}

func (c *candidate) failed(err error) error {
	return fmt.Errorf("reading message with UID %d: %w", c.record.UID, err)
}
