package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"teraslot/cmd/internal/terminal"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
	"teraslot/tiers"
)

const searchHelp = `Search prints what of USER's mail is most relevant to the words, the best first, with
the day it came, mailbox, UID and subject, and the passage where it was found. Forms
of the words, their beginnings and mistyped ones are found too; with --exact,
what has the words as they stand, as one string.

It only reads the slot, whether its daemon runs or not, and does not need an index.`

// searching are the options of search.
type searching struct {
	mailboxes []string
	exact     bool
	count     int
}

func searchCommand(config *string) *cobra.Command {
	var s searching
	c := &cobra.Command{Use: "search USER WORD...", Short: "Search a user's mail, ranked, with passages", Long: searchHelp, Args: cobra.MinimumNArgs(2)}
	f := c.Flags()
	f.StringArrayVar(&s.mailboxes, "mailbox", nil, "`mailbox` to search, and no other; may be given more than once")
	f.BoolVar(&s.exact, "exact", false, "find the words as they stand, only")
	f.IntVarP(&s.count, "count", "n", 10, "print at most this `number` of messages")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		o, err := openForReading(cmd.Context(), *config)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.Close()) }()
		return s.run(cmd.Context(), o, args[0], strings.Join(args[1:], " "))
	}
	return c
}

// hit is a message that was found.
type hit struct {
	mailbox   mailbox.State
	request   search.Request
	view      *mailstore.View
	record    mailbox.Record
	relevance float32
}

func (s *searching) run(ctx context.Context, o *opened, user, words string) error {
	mail, err := o.mail(ctx, user)
	if err != nil {
		return err
	}
	defer mail.Release()
	options := o.config.TiersOptions()
	options.Logger = stderrLog()
	index, err := tiers.New(options)
	if err != nil {
		return err
	}
	defer index.Close()
	searcher := search.New(search.Options{Store: o.store, Tiers: index, Logger: stderrLog()})
	hits, err := s.find(ctx, searcher, mail, words)
	if err != nil {
		return err
	}
	if len(hits) == 0 {
		return errors.New("nothing was found")
	}
	return s.print(ctx, searcher, hits)
}

// find searches the mailboxes.
func (s *searching) find(ctx context.Context, searcher *search.Searcher, mail *mailstore.Mail, words string) ([]hit, error) {
	places, err := s.places(ctx, mail)
	if err != nil {
		return nil, err
	}
	var query search.Query = search.Anywhere(words)
	if !s.exact {
		query = search.Fuzzy{Key: query}
	}
	var hits []hit
	for _, place := range places {
		r := search.Request{User: mail.User(), Mailbox: place.ID, Query: query, Relevance: true}
		res, err := searcher.Search(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place.Name, err)
		}
		for i, uid := range res.UIDs {
			row, _ := slices.BinarySearchFunc(res.View.Records, uid, func(r mailbox.Record, uid mailbox.UID) int { return cmp.Compare(r.UID, uid) })
			hits = append(hits, hit{place, r, res.View, res.View.Records[row], res.Relevance[i]})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.relevance, a.relevance), cmp.Compare(b.record.InternalDate.Unix, a.record.InternalDate.Unix))
	})
	return hits, nil
}

// places are the mailboxes to search.
func (s *searching) places(ctx context.Context, mail *mailstore.Mail) ([]mailbox.State, error) {
	if len(s.mailboxes) == 0 {
		return mail.Mailboxes(ctx)
	}
	var out []mailbox.State
	for _, name := range s.mailboxes {
		state, err := mail.MailboxNamed(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("mailbox %s: %w", name, err)
		}
		out = append(out, state)
	}
	return out, nil
}

// print writes the best hits.
func (s *searching) print(ctx context.Context, searcher *search.Searcher, hits []hit) error {
	relevance := make([]float32, len(hits))
	for i, h := range hits {
		relevance[i] = h.relevance
	}
	scores := search.Scores(relevance)
	marks := search.SnippetOptions{Plain: true, Open: "*", Close: "*"}
	if terminal.Is(os.Stdout) {
		marks.Open, marks.Close = "\x1b[1m", "\x1b[0m"
	}
	for i, h := range hits[:min(len(hits), max(s.count, 0))] {
		snippets, err := searcher.Snippets(ctx, h.request, h.view, []mailbox.UID{h.record.UID}, marks)
		if err != nil {
			return err
		}
		h.write(os.Stdout, scores[i], snippets[0])
	}
	_, err := fmt.Printf("%d found\n", len(hits))
	return err
}

func (h *hit) write(w io.Writer, score uint8, s search.Snippet) {
	day := time.Unix(h.record.InternalDate.Unix, 0).UTC().Format(time.DateOnly)
	fmt.Fprintf(w, "%3d  %s  %s %d  %s\n", score, day, h.mailbox.Name, h.record.UID, s.Subject)
	if s.Body != "" {
		fmt.Fprintf(w, "     %s\n", s.Body)
	}
}
