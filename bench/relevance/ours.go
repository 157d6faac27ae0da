package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"teraslot/bench/corpus"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/search"
	"teraslot/text"
	"teraslot/tiers"
)

// ours is ranked search over a mailbox that holds the corpus, all indexed. Its UIDs
// count messages from 1.
type ours struct {
	searcher *search.Searcher
	inbox    mailbox.ID
}

const owner = mailbox.User("0123456789abcdef0123456789abcdef")

func (b *bench) openOurs(name string, mail []corpus.Message) (*ours, error) {
	dir := filepath.Join(b.data, name)
	if b.data == "" {
		var err error
		if dir, err = os.MkdirTemp("", "teraslot-relevance"); err != nil {
			return nil, err
		}
		b.Cleanup(func() { os.RemoveAll(dir) })
	}
	root := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"conf", "spool", "archive", "temp", "data"} {
		if err := os.MkdirAll(root(name), 0o700); err != nil {
			return nil, err
		}
	}
	store, err := mailstore.Open(b.ctx, mailstore.Options{Conf: root("conf"), Spool: root("spool"), Archive: root("archive")})
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { store.Close() })
	index, err := tiers.New(tiers.Options{Conf: root("conf"), Roots: map[string]string{"temp": root("temp"), "data": root("data")}, ExtractVersion: message.ExtractVersion})
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { index.Close() })
	o := &ours{searcher: search.New(search.Options{Store: store, Tiers: index})}
	if _, err := os.Stat(root("filled")); err != nil {
		if err := store.CreateUser(b.ctx, owner, mailstore.UserOptions{}); err != nil {
			return nil, err
		}
		if err := fill(b.ctx, store, index, mail); err != nil {
			return nil, err
		}
		if _, err := index.User(owner).Compact(b.ctx, tiers.CompactOptions{Sources: []string{"temp"}, Dest: "data"}); err != nil {
			return nil, err
		}
		if err := os.WriteFile(root("filled"), nil, 0o600); err != nil {
			return nil, err
		}
	}
	user, err := store.Acquire(b.ctx, owner)
	if err != nil {
		return nil, err
	}
	defer user.Release()
	state, err := user.MailboxNamed(b.ctx, "INBOX")
	o.inbox = state.ID
	return o, err
}

// fill delivers and indexes the mail.
func fill(ctx context.Context, store *mailstore.Store, index *tiers.Set, mail []corpus.Message) error {
	user, err := store.Acquire(ctx, owner)
	if err != nil {
		return err
	}
	defer user.Release()
	state, err := user.MailboxNamed(ctx, "INBOX")
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(mail, 1000) {
		if err := deliver(ctx, store, user, state.ID, batch); err != nil {
			return err
		}
		var docs []tiers.Doc
		for _, m := range batch {
			x, err := message.Extract(ctx, bytes.NewReader(m.Raw), int64(len(m.Raw)), message.Limits{})
			if err != nil {
				return err
			}
			docs = append(docs, tiers.Doc{GUID: mailbox.GUIDOf(m.Raw), Complete: x.Complete, Units: x.Units})
		}
		if err := index.User(owner).Commit(ctx, docs); err != nil {
			return err
		}
	}
	return nil
}

func deliver(ctx context.Context, store *mailstore.Store, user *mailstore.Mail, inbox mailbox.ID, batch []corpus.Message) error {
	var items []mailstore.Append
	for _, m := range batch {
		spooled, err := store.Spool(ctx, bytes.NewReader(m.Raw))
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		defer spooled.Close()
		items = append(items, mailstore.Append{Mailbox: inbox, Message: spooled})
	}
	_, err := user.Append(ctx, "", items...)
	return err
}

func (o *ours) name() string { return "teraslot" }

func (o *ours) request(words string, ranked bool) search.Request {
	return search.Request{User: owner, Mailbox: o.inbox, Relevance: ranked,
		Query: search.Fuzzy{Key: search.Text{Key: text.NewKey(text.InText, "", words)}}}
}

func (o *ours) search(ctx context.Context, words string, ranked bool) (*search.Result, error) {
	return o.searcher.Search(ctx, o.request(words, ranked))
}

func (o *ours) ranked(ctx context.Context, words string) ([]int, error) {
	res, err := o.search(ctx, words, true)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(res.UIDs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(res.Relevance[b], res.Relevance[a]) })
	for i, at := range order {
		order[i] = int(res.UIDs[at]) - 1
	}
	return order, nil
}
