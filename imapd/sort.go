package imapd

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/search"
)

var criteria = map[string]search.Criterion{
	"ARRIVAL": search.ByArrival, "CC": search.ByCc, "DATE": search.ByDate, "FROM": search.ByFrom, "SIZE": search.BySize,
	"SUBJECT": search.BySubject, "TO": search.ByTo, "DISPLAYFROM": search.ByDisplayFrom, "DISPLAYTO": search.ByDisplayTo,
	"RELEVANCY": search.ByRelevancy,
}

// sort is SORT and UID SORT (RFC 5256 §3, RFC 5957, RFC 6203 §6), with RETURN (RFC
// 5267 §3 and §4.4) and SAVE (RFC 5182).
func (s *session) sort(ctx context.Context, c *wire.Sort) (*completion, error) {
	by := make([]search.SortKey, len(c.By))
	for i, k := range c.By {
		by[i] = search.SortKey{By: criteria[k.Name], Reverse: k.Reverse}
		if by[i].By == search.ByRelevancy && !hasFuzzy(c.Key) {
			return nil, bad("RELEVANCY is for searches with a FUZZY key")
		}
	}
	if err := checkReturn(c.Return, c.Key); err != nil {
		return nil, err
	}
	var res *search.Result
	err := s.searchTold(ctx, c, &c.Criteria, func(ctx context.Context, r search.Request) (err error) {
		r.Relevance = c.Return != nil && c.Return.Relevancy
		res, err = s.srv.o.Searcher.Sort(ctx, r, by)
		return err
	})
	if err != nil {
		s.unsave(c.Return, err)
		return nil, err
	}
	numbers := s.numbers(res.UIDs, c.UID)
	highest := highestOf(c.Key, c.Return, res.View, res.UIDs)
	if c.Return == nil {
		s.out.Numbers("SORT", slices.Values(numbers), highest)
		return nil, nil
	}
	if c.Return.Save {
		s.view.found = saved(res.UIDs, c.Return)
	}
	if !onlySave(c.Return) || c.Return.Partial != nil {
		r := wire.ESearchResult{Tag: s.tag, UID: c.UID, ModSeq: highest}
		fill(&r, c.Return, numbers, relevancy(c.Return, res), true)
		s.out.ESearch(&r)
	}
	return nil, nil
}

// relevancy are the scores of the messages found, if they were asked for.
func relevancy(r *wire.Return, res *search.Result) []uint8 {
	if !r.Relevancy {
		return nil
	}
	return search.Scores(res.Relevance)
}

// checkReturn refuses RETURN options that are not offered or exclude each other.
func checkReturn(r *wire.Return, keys wire.And) error {
	switch {
	case r == nil:
		return nil
	case r.Context || r.Update:
		return bad("A RETURN option is of an extension that is not offered")
	case r.Partial != nil && r.All:
		return bad("PARTIAL and ALL exclude each other") // RFC 5267 §4.4
	}
	return checkRelevancy(r, keys)
}

// searchTold runs a search of the selected mailbox as the client knows it: it is told
// first of all that was acknowledged before the command came, so that nothing is
// missed for want of a number; what comes later has none yet and is not found. The
// search ends when the client goes away.
func (s *session) searchTold(ctx context.Context, cmd wire.Command, c *wire.Criteria, run func(context.Context, search.Request) error) error {
	if err := s.catchUp(ctx, mayRenumber(cmd)); err != nil {
		return err
	}
	if s.view == nil {
		return errMailboxGone
	}
	query, err := s.query(c, s.view)
	if err != nil {
		return err
	}
	return s.whileThere(ctx, func(ctx context.Context) error {
		return run(ctx, search.Request{User: s.account.ID, Mailbox: s.view.id, Query: search.And{s.told(), query}})
	})
}

// told matches the messages that the client was told of, of those that are there.
func (s *session) told() search.Query {
	return search.UIDs{Set: mailbox.UIDRange(0, s.view.last())}
}

// unsave empties "$" if a search that was to set it ended in NO (RFC 9051 §6.4.4.1).
func (s *session) unsave(r *wire.Return, err error) {
	if r == nil || !r.Save || s.view == nil {
		return
	}
	if refused, _ := refuse(err); refused.Type == imap.StatusResponseTypeNo {
		s.view.found = mailbox.UIDSet{}
	}
}

// fill fills in what RETURN asks for: the lists in the order of numbers if they are
// sorted, else as sets (RFC 4731 §3.1, RFC 5267 §3.1). The scores are those of numbers;
// with PARTIAL those of its messages remain.
func fill(r *wire.ESearchResult, want *wire.Return, numbers []uint32, scores []uint8, sorted bool) {
	if want.Count {
		n := uint32(len(numbers))
		r.Count = &n
	}
	if len(numbers) > 0 && want.Min {
		r.Min = numbers[0]
	}
	if len(numbers) > 0 && want.Max {
		r.Max = numbers[len(numbers)-1]
	}
	switch {
	case want.All && sorted:
		r.Sorted = numbers
	case want.All:
		r.All = setOf(numbers)
	}
	if want.Partial != nil {
		from, to := window(want.Partial, len(numbers))
		r.Partial = &wire.PartialResult{Range: *want.Partial}
		if sorted {
			r.Partial.Sorted = numbers[from:to]
		} else {
			r.Partial.Found = setOf(numbers[from:to])
		}
		if scores != nil {
			scores = scores[from:to]
		}
	}
	r.Relevancy = scores
}

func setOf(numbers []uint32) (set mailbox.UIDSet) {
	for _, n := range numbers {
		set.Add(mailbox.UID(n))
	}
	return set
}

// window is which of n results PARTIAL asks for: from the first counted from 1, or from
// the last counted from -1 (RFC 9394 §3.1).
func window(p *wire.Partial, n int) (from, to int) {
	first, last := p.First, p.Last
	if first < 0 {
		first, last = int64(n)+1+last, int64(n)+1+first
	}
	from = int(min(max(first-1, 0), int64(n)))
	return from, int(min(max(last, int64(from)), int64(n)))
}

// saved is what "$" stands for after a search whose results are in the order of uids
// (RFC 9051 §6.4.4.1, table 4; RFC 9394 §3.2, table 1).
func saved(uids []mailbox.UID, r *wire.Return) mailbox.UIDSet {
	if len(uids) == 0 || r.All || r.Count || !r.Min && !r.Max && r.Partial == nil {
		return mailbox.UIDs(uids...)
	}
	var list []mailbox.UID
	if r.Min {
		list = append(list, uids[0])
	}
	if r.Max {
		list = append(list, uids[len(uids)-1])
	}
	if r.Partial != nil {
		from, to := window(r.Partial, len(uids))
		list = append(list, uids[from:to]...)
	}
	return mailbox.UIDs(list...)
}
