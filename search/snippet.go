package search

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/text"
)

// SnippetOptions say how snippets look. The zero value is for HTML.
type SnippetOptions struct {
	// Bytes bounds the subject and the body of a snippet, each, with all marks and
	// escapes; 0 means 255.
	Bytes int
	// Open and Close stand around what matches; both empty mean <mark> and </mark>.
	Open, Close string
	// Plain leaves characters that mean something in HTML as they are.
	Plain bool
}

// Snippet shows where a message matches.
type Snippet struct {
	UID mailbox.UID
	// Subject and Body are UTF-8 without control characters, white space made single
	// spaces, and escaped for HTML unless Plain was set. Subject is as much of the
	// subject as there is room for; Body is the best passage of the body, or its
	// beginning if nothing in it matches. What was left out at either end is an ellipsis.
	Subject, Body string
}

// snippetText is how many octets of decoded text of a message are looked at.
const snippetText = 128 << 10

// Snippets shows where messages of a result, by their UIDs, match the query of the
// request that it answers. It reads each of them: ask for those that are shown. A message
// that is not there any longer has an empty snippet. It fails as Search does.
func (s *Searcher) Snippets(ctx context.Context, r Request, view *mailstore.View, uids []mailbox.UID, o SnippetOptions) ([]Snippet, error) {
	if r.Query == nil {
		r.Query = All{}
	}
	root, err := r.Query.plan(0)
	if err != nil {
		return nil, err
	}
	mail, err := s.o.Store.Acquire(ctx, r.User)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer mail.Release()
	out := make([]Snippet, len(uids))
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(s.o.Workers, len(uids)) {
		group.Go(func() error {
			p := presenter{mail: mail, mailbox: r.Mailbox, marker: newMarker(root), o: o.complete()}
			for {
				i := int(next.Add(1)) - 1
				if i >= len(uids) {
					return nil
				}
				out[i].UID = uids[i]
				row, found := slices.BinarySearchFunc(view.Records, uids[i], byUID)
				if !found {
					continue
				}
				err := s.turns.do(ctx, r.User, func() error { return p.show(ctx, &view.Records[row], &out[i]) })
				if err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return nil, cause(ctx, err)
	}
	return out, nil
}

func (o SnippetOptions) complete() SnippetOptions {
	if o.Bytes <= 0 {
		o.Bytes = 255
	}
	if o.Open == "" && o.Close == "" {
		o.Open, o.Close = "<mark>", "</mark>"
	}
	return o
}

// presenter makes the snippets of a mailbox.
type presenter struct {
	mail    *mailstore.Mail
	mailbox mailbox.ID
	marker  *marker
	o       SnippetOptions
}

// show reads a message and fills in its snippet.
func (p *presenter) show(ctx context.Context, r *mailbox.Record, to *Snippet) error {
	content, err := p.mail.Open(ctx, p.mailbox, *r)
	if errors.Is(err, mailstore.ErrNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	defer content.Close()
	best, shown := 0, false
	return message.Show(ctx, content, content.Size, snippetText, func(u text.Unit) bool {
		switch {
		case u.Kind == text.Header && u.Name == "subject" && to.Subject == "":
			value := u.Text[len(u.Name)+len(": "):]
			to.Subject, _ = passage(value, p.marker.marks(u, value), p.o)
		case u.Kind == text.Body:
			s, worth := passage(u.Text, p.marker.marks(u, u.Text), p.o)
			if worth > best || !shown {
				to.Body, best, shown = s, worth, true
			}
		}
		return true
	})
}
