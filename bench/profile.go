package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"

	"teraslot/bench/daemon"
	"teraslot/bench/queries"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
	"teraslot/slot"
	"teraslot/squatter"
	"teraslot/text"
	"teraslot/tiers"
)

// profileRounds is how often the queries are asked: one round is too short for a sampler
// that looks a hundred times a second.
const profileRounds = 4

// profile indexes, compacts and searches a corpus in this process under the profiler, with
// the packages that the server is made of, and prints where the processor time goes.
func profile(b *bench) {
	src := b.first()
	s := b.slot()
	addUsers(b, s, 1)
	loaded := b.load(s, "user0", src)
	d := b.draw(src, loaded.messages, b.o.asked, queries.Kinds, false)
	b.table.note("%s: %d messages", src.name, loaded.messages)
	in := b.openInside(s)
	ctx := context.Background()
	b.profiled("indexing", func() {
		_, err := in.squatter.IndexUser(ctx, in.user, squatter.IndexOptions{})
		b.must(err)
	})
	b.profiled("compacting", func() {
		_, err := in.squatter.Compact(ctx, in.user, squatter.CompactOptions{Sources: []string{"temp"}, Dest: "data"})
		b.must(err)
	})
	for _, kinds := range [][]queries.Kind{{queries.Word, queries.Part, queries.Anywhere, queries.Sender, queries.Title, queries.Field}, {queries.Phrase, queries.Frequent}} {
		b.profiled("searching: "+string(kinds[0])+" and others", func() {
			for range profileRounds {
				for _, kind := range kinds {
					in.ask(b, d.lists[kind])
				}
			}
		})
	}
}

// inside is a slot's mail and index, opened by this process.
type inside struct {
	user     mailbox.User
	inbox    mailbox.ID
	squatter *squatter.Squatter
	searcher *search.Searcher
}

func (b *bench) openInside(s *daemon.Slot) *inside {
	config, err := slot.Load(s.Config)
	b.must(err)
	mail := config.MailstoreOptions()
	mail.ReadOnly = true
	store, err := mailstore.Open(context.Background(), mail)
	b.must(err)
	b.Cleanup(func() { b.must(store.Close()) })
	index, err := tiers.New(config.TiersOptions())
	b.must(err)
	b.Cleanup(func() { b.must(index.Close()) })
	in := &inside{user: b.userID(config)}
	in.squatter = squatter.New(squatter.Options{Store: store, Tiers: index, Conf: config.Conf, Batch: config.Squatter.Batch})
	in.searcher = search.New(search.Options{Store: store, Tiers: index})
	user, err := store.Acquire(context.Background(), in.user)
	b.must(err)
	defer user.Release()
	state, err := user.MailboxNamed(context.Background(), "INBOX")
	b.must(err)
	in.inbox = state.ID
	return in
}

// ask puts queries of one key to the searcher, as the server does with what it has parsed.
func (in *inside) ask(b *bench, list []queries.Query) {
	scopes := map[queries.Scope]text.Scope{queries.Body: text.InBody, queries.Text: text.InText}
	for _, q := range list {
		k := q.Keys[0]
		scope, name := scopes[k.Scope], ""
		switch {
		case k.Scope == queries.Header:
			scope, name = text.InHeader, k.Name
		case scope == 0:
			scope, name = text.InHeader, string(k.Scope)
		}
		_, err := in.searcher.Search(context.Background(), search.Request{User: in.user, Mailbox: in.inbox, Query: search.Text{Key: text.NewKey(scope, name, k.Value)}})
		b.must(err)
	}
}

// profiled does something under the profiler and prints its costs, by what they are called
// from in this module and by themselves.
func (b *bench) profiled(what string, do func()) {
	file := filepath.Join(b.TempDir(), "profile")
	f, err := os.Create(file)
	b.must(err)
	b.must(pprof.StartCPUProfile(f))
	do()
	pprof.StopCPUProfile()
	b.must(f.Close())
	self, err := os.Executable()
	b.must(err)
	for _, sorted := range [][]string{{"-cum", "-show=^teraslot/|zstd|gcBgMark", "-nodecount=30"}, {"-nodecount=15"}} {
		args := append(append([]string{"tool", "pprof", "-top"}, sorted...), self, file)
		out, err := exec.Command("go", args...).Output()
		b.must(err)
		b.table.note("%s, pprof -top %s", what, strings.Join(sorted, " "))
		for line := range strings.Lines(string(out)) {
			b.table.note("  %s", strings.TrimRight(line, "\n"))
		}
	}
}
