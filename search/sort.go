package search

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Criterion is what messages are sorted by.
type Criterion uint8

// The criteria of RFC 5256 §3, RFC 5957 §4 and RFC 6203 §6.
const (
	ByArrival     Criterion = iota + 1 // internal date, to the second
	ByCc                               // local part of the first Cc address
	ByDate                             // the Date field's moment, or else the internal date's
	ByFrom                             // local part of the first From address
	BySize                             // octets
	BySubject                          // base subject
	ByTo                               // local part of the first To address
	ByDisplayFrom                      // name, or else address, of the first From address
	ByDisplayTo                        // the same of the first To address
	ByRelevancy                        // the best match first
)

// SortKey is one criterion, reversed or not.
type SortKey struct {
	By      Criterion
	Reverse bool
}

// columnOf are the criteria that compare strings.
var columnOf = map[Criterion]int{
	ByCc: copies, ByFrom: senders, BySubject: subjects, ByTo: recipients, ByDisplayFrom: displayFrom, ByDisplayTo: displayTo,
}

// Sort searches as Search does and gives the messages in the order of the first key,
// those that are equal by it in the order of the next, and those that are equal by
// all in the order of the mailbox (RFC 5256 §3). It fails as Search does.
func (s *Searcher) Sort(ctx context.Context, r Request, by []SortKey) (*Result, error) {
	ctx, cancel := s.limitTime(ctx)
	defer cancel()
	r.Relevance = r.Relevance || slices.ContainsFunc(by, func(k SortKey) bool { return k.By == ByRelevancy })
	res, err := s.Search(ctx, r)
	if err != nil || len(res.UIDs) < 2 {
		return res, err
	}
	f := finding{Result: res, rows: rowsOf(res.View, res.UIDs)}
	if slices.ContainsFunc(by, func(k SortKey) bool { _, is := columnOf[k.By]; return is }) {
		if err := s.head(ctx, r, &f); err != nil {
			return nil, fmt.Errorf("sorting mailbox %s of user %s: %w", r.Mailbox, r.User, cause(ctx, err))
		}
	}
	res.reorder(f.order(by))
	return res, nil
}

// reorder puts the messages in the order of their positions.
func (r *Result) reorder(order []uint32) {
	uids := make([]mailbox.UID, len(order))
	for i, from := range order {
		uids[i] = r.UIDs[from]
	}
	r.UIDs = uids
	if r.Relevance != nil {
		scores := make([]float32, len(order))
		for i, from := range order {
			scores[i] = r.Relevance[from]
		}
		r.Relevance = scores
	}
}

// finding is the answer to a search with what there is to order it by.
type finding struct {
	*Result
	rows     []uint32 // of the view, by position in UIDs
	headings *headings
	at       []uint32 // rows of headings, by position in UIDs
}

// rowsOf returns the rows of UIDs, which are rising and in the view.
func rowsOf(view *mailstore.View, uids []mailbox.UID) []uint32 {
	rows := make([]uint32, 0, len(uids))
	if len(uids) == len(view.Records) {
		for i := range uids {
			rows = append(rows, uint32(i))
		}
		return rows
	}
	row := 0
	for _, uid := range uids {
		for view.Records[row].UID < uid {
			row++
		}
		rows = append(rows, uint32(row))
	}
	return rows
}

// fewHits is how many times fewer than the messages to be read those found must be
// for the others not to be read.
const fewHits = 8

// head finds the headings of what was found. They are kept for the next time, unless
// only those of a few messages of many had to be read.
func (s *Searcher) head(ctx context.Context, r Request, f *finding) error {
	mail, err := s.o.Store.Acquire(ctx, r.User)
	if err != nil {
		return err
	}
	defer mail.Release()
	key := mailboxKey{r.User, r.Mailbox}
	known := s.headings.get(key)
	records, validity := f.View.Records, f.View.State.UIDValidity
	rows, unknown := known.place(records, validity)
	if unknown == 0 && known.holds(records) {
		f.headings, f.at = known, f.rows
		return nil
	}
	few := len(f.rows)*fewHits < unknown
	if few {
		records = make([]mailbox.Record, len(f.rows))
		for i, row := range f.rows {
			records[i] = f.View.Records[row]
		}
		rows, _ = known.place(records, validity)
	}
	fresh, err := s.readHeadings(ctx, mail, r.Mailbox, records, rows)
	if err != nil {
		return err
	}
	f.headings, f.at = known.extended(records, validity, rows, fresh), f.rows
	if few {
		f.at = make([]uint32, len(f.rows))
		for i := range f.at {
			f.at[i] = uint32(i)
		}
		return nil
	}
	s.headings.put(key, f.headings)
	return nil
}

// holds reports whether h, which knows all the records, knows no others.
func (h *headings) holds(records []mailbox.Record) bool {
	return h != nil && len(h.uids) == len(records)
}

// order returns the positions of what was found in the order of the keys.
func (f *finding) order(by []SortKey) []uint32 {
	values := make([]func(i uint32) uint64, len(by))
	for n, k := range by {
		values[n] = f.value(k)
	}
	// The first key decides nearly all comparisons: it is kept beside the position.
	type item struct {
		first uint64
		at    uint32
	}
	items := make([]item, len(f.rows))
	for i := range items {
		items[i] = item{values[0](uint32(i)), uint32(i)}
	}
	slices.SortFunc(items, func(a, b item) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		for _, v := range values[1:] {
			if c := cmp.Compare(v(a.at), v(b.at)); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.at, b.at)
	})
	order := make([]uint32, len(items))
	for i := range items {
		order[i] = items[i].at
	}
	return order
}

// value returns what a key compares of the message at a position: less is earlier.
func (f *finding) value(k SortKey) func(i uint32) uint64 {
	ascending := f.ascending(k.By)
	if k.Reverse {
		return func(i uint32) uint64 { return ^ascending(i) }
	}
	return ascending
}

func (f *finding) ascending(by Criterion) func(i uint32) uint64 {
	if c, ok := columnOf[by]; ok {
		rank := f.headings.columns[c].rank
		return func(i uint32) uint64 { return uint64(rank[f.at[i]]) }
	}
	records := f.View.Records
	switch by {
	case ByArrival:
		return func(i uint32) uint64 { return ordered(records[f.rows[i]].InternalDate.Unix) }
	case BySize:
		return func(i uint32) uint64 { return ordered(records[f.rows[i]].Size) }
	case ByRelevancy:
		return func(i uint32) uint64 { return uint64(math.MaxUint32 - orderedFloat(f.Relevance[i])) }
	}
	return func(i uint32) uint64 { return ordered(records[f.rows[i]].SentDate.Unix) }
}

// ordered maps numbers to others in the same order.
func ordered(n int64) uint64 { return uint64(n) ^ 1<<63 }

// orderedFloat does so for numbers that are not NaN.
func orderedFloat(x float32) uint32 {
	bits := math.Float32bits(x)
	if bits>>31 == 0 {
		return bits | 1<<31
	}
	return ^bits
}
