package imapd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/search"
)

// search is SEARCH and UID SEARCH (RFC 9051 §6.4.4), with RETURN (RFC 4731) and
// SAVE (RFC 5182).
func (s *session) search(ctx context.Context, c *wire.Search) (*completion, error) {
	if err := checkRelevancy(c.Return, c.Key); err != nil {
		return nil, err
	}
	if r := c.Return; r != nil && (r.Context || r.Update || r.Partial != nil) {
		return nil, bad("A RETURN option is of an extension that is not offered")
	}
	hits, view, scores, err := s.find(ctx, c)
	if err != nil {
		s.unsave(c.Return, err)
		return nil, err
	}
	if c.Return != nil && c.Return.Save {
		s.view.found = saved(hits, c.Return)
	}
	highest := highestOf(c.Key, c.Return, view, hits)
	switch numbers := s.numbers(hits, c.UID); {
	case c.Return == nil && !s.rev2:
		s.out.Numbers("SEARCH", slices.Values(numbers), highest)
	case c.Return == nil || !onlySave(c.Return):
		s.tellESearch(c, numbers, scores, highest)
	}
	return nil, nil
}

// find searches the selected mailbox as the client knows it: it is told first of
// all that was acknowledged before the command came, so that nothing is missed
// for want of a number. The search ends when the client goes away. The scores are
// those of RELEVANCY, if it is asked for.
func (s *session) find(ctx context.Context, c *wire.Search) (hits []mailbox.UID, view *mailstore.View, scores []uint8, err error) {
	if err := s.catchUp(ctx, mayRenumber(c)); err != nil {
		return nil, nil, nil, err
	}
	if s.view == nil {
		return nil, nil, nil, errMailboxGone
	}
	query, err := s.query(&c.Criteria, s.view)
	if err != nil {
		return nil, nil, nil, err
	}
	res, err := s.searchWhileThere(ctx, search.Request{Query: query, Relevance: c.Return != nil && c.Return.Relevancy})
	if err != nil {
		return nil, nil, nil, err
	}
	// Messages that came during the search have no number yet.
	hits, relevance := res.UIDs[:0], res.Relevance[:0]
	for i, uid := range res.UIDs {
		if _, told := s.view.number(uid); !told {
			continue
		}
		hits = append(hits, uid)
		if res.Relevance != nil {
			relevance = append(relevance, res.Relevance[i])
		}
	}
	return hits, res.View, search.Scores(relevance), nil
}

// errGone ends a session whose client has gone.
var errGone = errors.New("the client has gone")

// searchWhileThere searches the selected mailbox until the client goes away.
func (s *session) searchWhileThere(ctx context.Context, r search.Request) (res *search.Result, err error) {
	r.User, r.Mailbox = s.account.ID, s.view.id
	err = s.whileThere(ctx, func(ctx context.Context) (err error) {
		res, err = s.srv.o.Searcher.Search(ctx, r)
		return err
	})
	return res, err
}

// whileThere runs a search until the client goes away: then nobody wants to know.
func (s *session) whileThere(ctx context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := s.c.watch(func(err error) { cancel(fmt.Errorf("%w: %w", errGone, err)) })
	defer w.stop()
	return run(ctx)
}

// query translates a command's keys, whose numbers are those of a view.
func (s *session) query(c *wire.Criteria, v *view) (search.Query, error) {
	if c.Charset != "" && !message.KnownCharset(c.Charset) {
		return nil, no(wire.BadCharsetCode("UTF-8", "US-ASCII"), "Strings in that charset cannot be read")
	}
	t := translation{view: v, decode: func(text string) string {
		return message.DecodeText(c.Charset, []byte(text))
	}}
	return t.all(c.Key)
}

// numbers are the messages as the client wants them named: UIDs or sequence numbers.
func (s *session) numbers(uids []mailbox.UID, uid bool) []uint32 {
	out := make([]uint32, 0, len(uids))
	for _, u := range uids {
		if uid {
			out = append(out, uint32(u))
		} else if n, ok := s.view.number(u); ok {
			out = append(out, n)
		}
	}
	return out
}

// tellESearch writes ESEARCH (RFC 9051 §7.3.4). Without RETURN, which is so for
// IMAP4rev2 only, all are asked for.
func (s *session) tellESearch(c *wire.Search, numbers []uint32, scores []uint8, highest mailbox.ModSeq) {
	want := wire.Return{All: true}
	if c.Return != nil {
		want = *c.Return
	}
	r := wire.ESearchResult{Tag: s.tag, UID: c.UID, ModSeq: highest}
	fill(&r, &want, numbers, scores, false)
	s.out.ESearch(&r)
}

func onlySave(r *wire.Return) bool {
	return r.Save && !r.Min && !r.Max && !r.All && !r.Count && !r.Relevancy
}
