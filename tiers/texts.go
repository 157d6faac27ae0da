package tiers

import (
	"context"
	"strings"
	"unicode/utf8"

	"teraslot/text"
)

// Texts reads kept text, document by document; each block is unpacked once as long
// as the documents are asked for in order. It is for one goroutine.
type Texts struct {
	s     *Snapshot
	at    [streams]unpacked
	units []text.Unit // given by Units
}

// unpacked is a block of kept text, ready to be read.
type unpacked struct {
	h     *handle
	block uint32
	raw   string
}

// Texts returns a reader of the snapshot's kept text.
func (s *Snapshot) Texts() *Texts { return &Texts{s: s} }

// Parts say which of a document's units are wanted.
type Parts uint8

// The parts of a document's text.
const (
	HeaderParts Parts = 1 << iota
	BodyParts
	AllParts = HeaderParts | BodyParts
)

// wants reports whether a stream holds some of the parts.
func (p Parts) wants(stream int) bool { return p>>stream&1 != 0 }

// kinds are the units of the streams.
var kinds = [streams]text.Kind{text.Header, text.Body}

// Units returns a complete document's text units of the wanted parts, header lines
// first; false if they were not kept or cannot be read: then the message has to be
// read. The slice is valid until the next call, the strings in it for good. The only
// error is ctx's.
func (t *Texts) Units(ctx context.Context, doc uint32, parts Parts) ([]text.Unit, bool, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, false, err
	}
	seg, n := t.s.at(doc)
	if !seg.h.kept.has(n) {
		return nil, false, nil
	}
	t.units = t.units[:0]
	err := guard(func() error { return t.read(seg.h, n, parts) })
	if err != nil {
		t.s.set.fault(seg, err)
		return nil, false, nil
	}
	return t.units, true, nil
}

func (t *Texts) read(h *handle, doc uint32, parts Parts) error {
	for stream, kind := range kinds {
		if !parts.wants(stream) {
			continue
		}
		raw, err := t.raw(h, stream, doc)
		if err != nil {
			return err
		}
		if t.units, err = appendUnits(t.units, kind, raw); err != nil {
			return err
		}
	}
	return nil
}

// raw is a document's text in a stream, as it is encoded.
func (t *Texts) raw(h *handle, stream int, doc uint32) (string, error) {
	block, from, to := h.kept.streams[stream].place(doc)
	if from == to {
		return "", nil
	}
	at := &t.at[stream]
	if at.h != h || at.block != block {
		raw, err := h.unpacked(stream, block)
		if err != nil {
			return "", err
		}
		*at = unpacked{h, block, raw}
	}
	return at.raw[from:to], nil
}

// unpacked is a block of the segment's kept text.
func (h *handle) unpacked(stream int, block uint32) (string, error) {
	key := blockKey{h.key, stream, block}
	if raw, ok := h.texts.get(key); ok {
		return raw, nil
	}
	raw, err := h.kept.unpack(h.dec, stream, block)
	if err == nil {
		h.texts.put(key, raw)
	}
	return raw, err
}

// scopeParts are the parts of a text that a key of a scope looks at.
var scopeParts = map[text.Scope]Parts{text.InText: AllParts, text.InBody: BodyParts, text.InHeader: HeaderParts,
	text.InLines: HeaderParts}

// Match reports whether a key occurs in a complete document's kept text; ok is as
// Units has it. It reads no more than it must: that is what a search spends its time
// on where the index cannot decide.
func (t *Texts) Match(ctx context.Context, doc uint32, k text.Key) (match, ok bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return false, false, err
	}
	seg, n := t.s.at(doc)
	if !seg.h.kept.has(n) {
		return false, false, nil
	}
	err = guard(func() (err error) {
		match, err = t.match(seg.h, n, k)
		return err
	})
	if err != nil {
		t.s.set.fault(seg, err)
		return false, false, nil
	}
	return match, true, nil
}

// match takes only those texts apart in which the key's pattern stands somewhere.
// Bodies come first: their blocks are smaller.
func (t *Texts) match(h *handle, doc uint32, k text.Key) (bool, error) {
	if k.MatchesAll() {
		return true, nil
	}
	for _, stream := range [...]int{bodyStream, headStream} {
		if !scopeParts[k.Scope].wants(stream) {
			continue
		}
		raw, err := t.raw(h, stream, doc)
		if err != nil {
			return false, err
		}
		if !strings.Contains(raw, k.Pattern) {
			continue
		}
		if match, err := matchRaw(stream, raw, k); match || err != nil {
			return match, err
		}
	}
	return false, nil
}

// matchRaw takes a document's text in a stream apart, as far as it must: a header
// line's name is made of its octets only where it is that of the key.
func matchRaw(stream int, raw string, k text.Key) (match bool, err error) {
	for raw != "" && !match {
		u, named, rest, err := cutUnit(kinds[stream], raw)
		if err != nil {
			return false, err
		}
		raw = rest
		if k.Scope == text.InHeader && !named {
			if !mayBegin(u.Text, k.Name) {
				continue
			}
			u.Name = lineName(u.Text)
		}
		match = k.MatchUnit(u)
	}
	return match, nil
}

// mayBegin reports whether a folded line may be that of a header field; of names that
// are not ASCII, it knows nothing.
func mayBegin(line, name string) bool {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return true
		}
		if i == len(line) || lower(line[i]) != name[i] && line[i] < utf8.RuneSelf {
			return false
		}
		if line[i] >= utf8.RuneSelf {
			return true
		}
	}
	return len(line) > len(name) && line[len(name)] == ':'
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Units is Texts.Units for a single document, of whose text all is wanted; the
// slice is the caller's.
func (s *Snapshot) Units(ctx context.Context, doc uint32) ([]text.Unit, bool, error) {
	return s.Texts().Units(ctx, doc, AllParts)
}
