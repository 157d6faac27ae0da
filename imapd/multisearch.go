package imapd

import (
	"context"
	"slices"
	"strings"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
)

// esearch is ESEARCH (RFC 7377): one search of several mailboxes, each of which
// answers for itself, by UIDs, if something in it matches.
func (s *session) esearch(ctx context.Context, c *wire.ESearch) (*completion, error) {
	want, err := s.checkESearch(c)
	if err != nil {
		return nil, err
	}
	if s.view != nil {
		if err := s.catchUp(ctx, mayRenumber(c)); err != nil {
			return nil, err
		}
		if s.view == nil {
			return nil, errMailboxGone
		}
	}
	boxes, err := s.sources(ctx, c.Sources)
	if err != nil {
		return nil, err
	}
	results, err := s.searchSources(ctx, c, boxes)
	if err != nil {
		s.unsave(c.Return, err)
		return nil, err
	}
	if want.Save {
		s.view.found = saved(results[0].UIDs, &want)
	}
	for i, res := range results {
		if res == nil || len(res.UIDs) == 0 || onlySave(&want) && want.Partial == nil {
			continue
		}
		r := wire.ESearchResult{Tag: s.tag, Mailbox: boxes[i].Name, UIDValidity: boxes[i].UIDValidity, UID: true,
			ModSeq: highestOf(c.Key, &want, res.View, res.UIDs)}
		fill(&r, &want, s.numbers(res.UIDs, true), relevancy(&want, res), false)
		s.out.ESearch(&r)
	}
	return nil, nil
}

// checkESearch refuses what RFC 7377 §2.2 calls BAD, and returns what is asked for.
func (s *session) checkESearch(c *wire.ESearch) (wire.Return, error) {
	if err := checkReturn(c.Return, c.Key); err != nil {
		return wire.Return{}, err
	}
	selectedOnly := true
	for _, f := range c.Sources {
		switch f.Kind {
		case wire.FilterSelectedDelayed:
			return wire.Return{}, bad("selected-delayed is for NOTIFY")
		case wire.FilterSelected:
		default:
			selectedOnly = false
		}
	}
	switch {
	case namesSelected(c.Sources) && s.state != selected:
		return wire.Return{}, bad("No mailbox is selected")
	case c.Return == nil:
		return wire.Return{All: true}, nil
	case c.Return.Save && !selectedOnly:
		return wire.Return{}, bad("SAVE is for the selected mailbox alone")
	}
	return *c.Return, nil
}

// namesSelected reports whether the sources, of which there may be none, include the
// selected mailbox by that word.
func namesSelected(sources []wire.Filter) bool {
	return len(sources) == 0 || slices.ContainsFunc(sources, func(f wire.Filter) bool { return f.Kind == wire.FilterSelected })
}

// sources lists the mailboxes that filters name, each once, by name. What is named and
// not there is passed over, as RFC 7377 §2.2 wants of what a user may not see.
func (s *session) sources(ctx context.Context, filters []wire.Filter) ([]mailbox.State, error) {
	var all []mailbox.State
	err := s.withMail(ctx, func(m *mailstore.Mail) (err error) {
		all, err = m.Mailboxes(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	filters = cleaned(filters)
	out := slices.DeleteFunc(slices.Clone(all), func(b mailbox.State) bool {
		return !slices.ContainsFunc(filters, func(f wire.Filter) bool { return s.isSource(f, &b) })
	})
	slices.SortFunc(out, func(a, b mailbox.State) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// cleaned are the filters with names as they are stored; without any, the one that they
// stand for.
func cleaned(filters []wire.Filter) []wire.Filter {
	if len(filters) == 0 {
		return []wire.Filter{{Kind: wire.FilterSelected}}
	}
	out := slices.Clone(filters)
	for i := range out {
		var names []string
		for _, name := range out[i].Mailboxes {
			if name, err := mailstore.CleanName(name); err == nil {
				names = append(names, name)
			}
		}
		out[i].Mailboxes = names
	}
	return out
}

// isSource reports whether a filter names a mailbox (RFC 5465 §6, RFC 7377 §2.2). Mail
// is delivered to any mailbox, so that "inboxes" is "personal".
func (s *session) isSource(f wire.Filter, b *mailbox.State) bool {
	switch f.Kind {
	case wire.FilterSelected:
		return s.view != nil && s.view.id == b.ID
	case wire.FilterInboxes, wire.FilterPersonal:
		return true
	case wire.FilterSubscribed:
		return b.Subscribed
	}
	return slices.ContainsFunc(f.Mailboxes, func(name string) bool {
		if b.Name == name {
			return true
		}
		below, ok := strings.CutPrefix(b.Name, name+mailstore.Separator)
		switch f.Kind {
		case wire.FilterSubtree:
			return ok
		case wire.FilterSubtreeOne:
			return ok && !strings.Contains(below, mailstore.Separator)
		}
		return false
	})
}

// searchSources searches mailboxes. Numbers mean those of each: of the selected one as
// its client knows it, which "$" and \Recent speak of as well; of the others as they
// are.
func (s *session) searchSources(ctx context.Context, c *wire.ESearch, boxes []mailbox.State) (results []*search.Result, err error) {
	r := search.Several{User: s.account.ID, Relevance: c.Return != nil && c.Return.Relevancy}
	for _, b := range boxes {
		r.Mailboxes = append(r.Mailboxes, b.ID)
	}
	r.Query = func(v *mailstore.View) (search.Query, error) {
		if s.view == nil || v.State.ID != s.view.id {
			return s.query(&c.Criteria, viewOf(v))
		}
		q, err := s.query(&c.Criteria, s.view)
		return search.And{s.told(), q}, err
	}
	err = s.whileThere(ctx, func(ctx context.Context) (err error) {
		results, err = s.srv.o.Searcher.SearchSeveral(ctx, r)
		return err
	})
	return results, err
}

// viewOf is the view of a mailbox that is not selected.
func viewOf(v *mailstore.View) *view {
	out := &view{id: v.State.ID, validity: v.State.UIDValidity, uids: make([]mailbox.UID, len(v.Records))}
	for i := range v.Records {
		out.uids[i] = v.Records[i].UID
	}
	return out
}
