package search

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"teraslot/mailbox"
	"teraslot/message"
	"teraslot/text"
	"teraslot/tiers"
)

// candidate is one row whose text has to be looked at. It is used by one
// goroutine, and its text is read at most once.
type candidate struct {
	e      *evaluation
	row    uint32
	record *mailbox.Record
	texts  *tiers.Texts // nil without an index

	counted bool
	unkept  bool // no text is kept beside the index
	loaded  bool
	units   []text.Unit // kept beside the index
	met     []bool      // if there are none: which of the evaluation's text keys match
	// readings are what the text says about the fuzzy keys, as far as they were asked.
	readings map[*fuzzyKey]*reading
}

// matches reports whether the message's text has the key: the text kept beside the
// index if there is some, else that of the message, read now.
func (c *candidate) matches(ctx context.Context, k text.Key) (bool, error) {
	if c.met == nil && c.mayBeKept() {
		match, ok, err := c.texts.Match(ctx, c.e.docOf(c.row), k)
		if ok || err != nil {
			c.count()
			return match, err
		}
		c.unkept = true
	}
	if !c.loaded {
		if err := c.load(ctx); err != nil {
			return false, err
		}
	}
	if c.met == nil {
		return k.Match(c.units), nil
	}
	return c.met[c.e.textKeys[k]], nil
}

func (c *candidate) load(ctx context.Context) error {
	units, ok := c.kept(ctx)
	if !ok {
		if err := c.scan(ctx); err != nil {
			return err
		}
	}
	c.count()
	c.units, c.loaded = units, true
	return nil
}

// count counts the candidate, once.
func (c *candidate) count() {
	switch {
	case c.counted:
	case c.e.covers(c.row):
		c.e.verified.Add(1)
	default:
		c.e.scanned.Add(1)
	}
	c.counted = true
}

// mayBeKept reports whether there may be text beside the index.
func (c *candidate) mayBeKept() bool { return c.texts != nil && !c.unkept && c.e.covers(c.row) }

// kept returns the text kept beside the index. A failure there is logged, and
// costs a read of the message.
func (c *candidate) kept(ctx context.Context) ([]text.Unit, bool) {
	if !c.mayBeKept() {
		return nil, false
	}
	units, ok, err := c.texts.Units(ctx, c.e.docOf(c.row), tiers.AllParts)
	if err != nil && ctx.Err() == nil {
		c.e.s.o.Logger.Warn("kept text cannot be read; reading the message", "user", c.e.key.user,
			"mailbox", c.e.key.mailbox, "uid", c.record.UID, "err", err)
	}
	return units, ok && err == nil
}

// scan reads the stored message once for all text keys of the query, without
// keeping its text: neither its size nor the number of its units is a limit.
func (c *candidate) scan(ctx context.Context) error {
	if err := c.e.spend(c.record.Size); err != nil {
		return err
	}
	content, err := c.e.mail.Open(ctx, c.e.key.mailbox, *c.record)
	if err != nil {
		return c.failed(err)
	}
	defer content.Close()
	met := make([]bool, len(c.e.textKeys))
	var open []text.Key
	for k, i := range c.e.textKeys {
		if met[i] = k.MatchesAll(); !met[i] {
			open = append(open, k)
		}
	}
	fuzzy := c.read()
	scan := message.Scan // words that are near each other have to be in one unit
	if len(fuzzy) == 0 {
		longest := longestPattern(open)
		scan = func(ctx context.Context, r io.ReaderAt, size int64, yield func(text.Unit) bool) error {
			return message.ScanPieces(ctx, r, size, longest, yield)
		}
	}
	var ended error
	err = scan(ctx, content, content.Size, func(u text.Unit) bool {
		open = slices.DeleteFunc(open, func(k text.Key) bool {
			hit := k.MatchUnit(u)
			if hit {
				met[c.e.textKeys[k]] = true
			}
			return hit
		})
		more := c.e.ranked && len(fuzzy) > 0
		for _, r := range fuzzy {
			if c.e.ranked || !r.matches() {
				if ended = r.read(ctx, u); ended != nil {
					return false
				}
			}
			more = more || !r.matches()
		}
		return more || len(open) > 0
	})
	if err = cmp.Or(ended, err); err != nil {
		return c.failed(err)
	}
	c.met = met
	return nil
}

// longestPattern is the length of the longest of the keys' patterns, in octets.
func longestPattern(keys []text.Key) (n int) {
	for _, k := range keys {
		n = max(n, len(k.Pattern))
	}
	return n
}

// read begins a reading for each fuzzy key.
func (c *candidate) read() (all []*reading) {
	c.readings = make(map[*fuzzyKey]*reading, len(c.e.fuzzyKeys))
	for _, k := range c.e.fuzzyKeys {
		r := k.newReading()
		c.readings[k] = r
		all = append(all, r)
	}
	return all
}

func (c *candidate) failed(err error) error {
	return fmt.Errorf("reading message with UID %d: %w", c.record.UID, err)
}
