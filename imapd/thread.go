package imapd

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/search"
)

// The algorithms of THREAD; those of RFC 5256 and draft-ietf-morg-inthread.
var algorithms = map[imap.ThreadAlgorithm]search.Algorithm{
	imap.ThreadOrderedSubject: search.OrderedSubject, imap.ThreadReferences: search.References, "REFS": search.Refs,
}

// thread is THREAD and UID THREAD (RFC 5256 §3).
func (s *session) thread(ctx context.Context, c *wire.Thread) (*completion, error) {
	algorithm, ok := algorithms[c.Algorithm]
	if !ok {
		return nil, bad("That threading algorithm is not offered")
	}
	var threads *search.Threads
	err := s.searchTold(ctx, c, &c.Criteria, func(ctx context.Context, r search.Request) (err error) {
		threads, err = s.srv.o.Searcher.Thread(ctx, r, algorithm)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.out.Threads(func(yield func(wire.ThreadNode) bool) {
		for _, n := range threads.Nodes {
			number := uint32(n.UID)
			if !c.UID && number != 0 {
				number, _ = s.view.number(n.UID)
			}
			if !yield(wire.ThreadNode{Number: number, Children: n.Children}) {
				return
			}
		}
	})
	return nil, nil
}
