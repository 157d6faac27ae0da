package search

import (
	"errors"
	"fmt"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/text"
)

// Query is a tree of search keys; its nodes are the types of this package that
// have the unexported method. The keys of RFC 9051 §6.4.4 that have no node of
// their own are made of these: ANSWERED is SystemFlag{mailbox.Answered},
// UNANSWERED is Not of it, SUBJECT is Text with a key on that field, and a
// sequence set is UIDs. A Query is not changed by a search, and may be used by
// several at a time.
type Query interface{ plan(depth int) (node, error) }

// maxDepth bounds the nesting of a query: a client gains nothing from more.
const maxDepth = 500

// ErrDepth is returned for a query that is nested more than 500 deep.
var ErrDepth = errors.New("search keys are nested too deeply")

// The inner nodes.
type (
	// And matches what all of its keys match; without keys, everything.
	And []Query
	// Or matches what one of its keys matches; without keys, nothing.
	Or []Query
	// Not matches what Key does not match.
	Not struct{ Key Query }
)

// The leaves.
type (
	// All matches every message. It is also SAVEDATESUPPORTED (RFC 8514 §4.3).
	All struct{}
	// UIDs matches the messages of a set.
	UIDs struct{ Set mailbox.UIDSet }
	// SystemFlag matches messages that have all system flags of Flags.
	SystemFlag struct{ Flags mailbox.System }
	// Keyword matches messages that have the keyword, in any case.
	Keyword struct{ Name string }
	// Text matches messages in whose text the key occurs (design §6).
	Text struct{ Key text.Key }
	// Larger matches messages of more than Bytes bytes.
	Larger struct{ Bytes int64 }
	// Smaller matches messages of less than Bytes bytes.
	Smaller struct{ Bytes int64 }
	// InternalDate is BEFORE, ON and SINCE: by the internal date's day in the
	// zone that was given with it.
	InternalDate struct {
		When When
		Day  int32
	}
	// SentDate is SENTBEFORE, SENTON and SENTSINCE: by the day that the Date
	// field names, whatever its zone.
	SentDate struct {
		When When
		Day  int32
	}
	// SaveDate is SAVEDBEFORE, SAVEDON and SAVEDSINCE (RFC 8514 §4.3): by the
	// day, in UTC, when the message came into the mailbox.
	SaveDate struct {
		When When
		Day  int32
	}
	// Older matches messages whose internal date is Seconds or more before now
	// (RFC 5032 §3).
	Older struct{ Seconds int64 }
	// Younger matches messages whose internal date is at most Seconds before now
	// (RFC 5032 §3).
	Younger struct{ Seconds int64 }
	// ModSeq matches messages changed at Min or later (RFC 7162 §3.1.5).
	ModSeq struct{ Min mailbox.ModSeq }
	// EmailID matches messages with the identifier that mailstore.EmailID gives
	// them (RFC 8474 §5.3); any other string matches none.
	EmailID struct{ ID string }
	// ThreadID matches the messages of a thread, as (*mailstore.Mail).ThreadIDs
	// names it (RFC 8474 §5.3).
	ThreadID struct{ ID string }
)

// When says how a date key compares days. Days are counted as by
// mailbox.Date.Day.
type When uint8

// The comparisons: earlier than the day, on it, on it or later.
const (
	Before When = iota + 1
	On
	Since
)

// holds reports whether day satisfies the comparison with than.
func (w When) holds(day, than int32) bool {
	switch w {
	case Before:
		return day < than
	case On:
		return day == than
	case Since:
		return day >= than
	}
	return false
}

// Text keys as SEARCH names them.

// Header is HEADER name pattern; with an empty pattern, that the field is there.
func Header(name, pattern string) Text { return Text{text.NewKey(text.InHeader, name, pattern)} }

// Body is BODY pattern.
func Body(pattern string) Text { return Text{text.NewKey(text.InBody, "", pattern)} }

// Anywhere is TEXT pattern.
func Anywhere(pattern string) Text { return Text{text.NewKey(text.InText, "", pattern)} }

func (q And) plan(depth int) (node, error) {
	kids, err := planAll(q, depth)
	return conjunction(kids), err
}

func (q Or) plan(depth int) (node, error) {
	kids, err := planAll(q, depth)
	return disjunction(kids), err
}

func (q Not) plan(depth int) (node, error) {
	kids, err := planAll([]Query{q.Key}, depth)
	if err != nil {
		return nil, err
	}
	return negation{kids[0]}, nil
}

// planAll plans the keys below a node at the given depth.
func planAll(keys []Query, depth int) ([]node, error) {
	if depth >= maxDepth {
		return nil, ErrDepth
	}
	nodes := make([]node, len(keys))
	for i, k := range keys {
		if k == nil {
			return nil, fmt.Errorf("search key %d of a list is nil", i)
		}
		n, err := k.plan(depth + 1)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
	}
	return nodes, nil
}

func (q All) plan(int) (node, error) { return everything{}, nil }

func (q UIDs) plan(int) (node, error) { return uidKey{q.Set}, nil }

func (q SystemFlag) plan(int) (node, error) {
	return recordKey(func(_ *evaluation, r *mailbox.Record) bool { return r.Flags.Has(q.Flags) }), nil
}

func (q Keyword) plan(int) (node, error) {
	return recordKey(func(_ *evaluation, r *mailbox.Record) bool { return r.Flags.HasKeyword(q.Name) }), nil
}

func (q Larger) plan(int) (node, error) {
	return recordKey(func(_ *evaluation, r *mailbox.Record) bool { return r.Size > q.Bytes }), nil
}

func (q Smaller) plan(int) (node, error) {
	return recordKey(func(_ *evaluation, r *mailbox.Record) bool { return r.Size < q.Bytes }), nil
}

func (q InternalDate) plan(int) (node, error) {
	return recordKey(func(_ *evaluation, r *mailbox.Record) bool {
		return q.When.holds(r.InternalDate.Day(), q.Day)
	}), nil
}

func (q SentDate) plan(int) (node, error) {
	return recordKey(func(_ *evaluation, r *mailbox.Record) bool {
		return q.When.holds(r.SentDate.Day(), q.Day)
	}), nil
}

func (q SaveDate) plan(int) (node, error) {
	return recordKey(func(_ *evaluation, r *mailbox.Record) bool {
		return q.When.holds(mailbox.Date{Unix: r.SaveDate}.Day(), q.Day)
	}), nil
}

func (q Older) plan(int) (node, error) {
	return recordKey(func(e *evaluation, r *mailbox.Record) bool {
		return e.now-r.InternalDate.Unix >= q.Seconds
	}), nil
}

func (q Younger) plan(int) (node, error) {
	return recordKey(func(e *evaluation, r *mailbox.Record) bool {
		return e.now-r.InternalDate.Unix <= q.Seconds
	}), nil
}

func (q ModSeq) plan(int) (node, error) {
	return recordKey(func(_ *evaluation, r *mailbox.Record) bool { return r.ModSeq >= q.Min }), nil
}

func (q EmailID) plan(int) (node, error) {
	return recordKey(func(_ *evaluation, r *mailbox.Record) bool {
		return mailstore.EmailID(r.GUID) == q.ID
	}), nil
}

func (q ThreadID) plan(int) (node, error) { return threadKey{q.ID}, nil }

func (q Text) plan(int) (node, error) {
	if q.Key.MatchesAll() {
		return everything{}, nil
	}
	if q.Key.Scope != text.InText {
		return textKey{q.Key}, nil
	}
	// Where the index leaves only bodies open, or only header lines, the others are not read.
	body, lines := q.Key, q.Key
	body.Scope, lines.Scope = text.InBody, text.InLines
	return disjunction([]node{textKey{body}, textKey{lines}}), nil
}
