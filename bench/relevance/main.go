package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"teraslot/bench/corpus"
)

// sets are the queries of each corpus: their seeds, and how many.
var sets = []struct {
	name string
	seed uint64
}{{"tune", 1}, {"held", 2}}

const perSet = 100

var corpora = []string{"spamassassin", "kernel-list"}

// ranker is a server under test.
type ranker interface {
	name() string
	// ranked returns the numbers of the messages found, the most relevant first.
	ranked(ctx context.Context, words string) ([]int, error)
}

func main() {
	only := flag.String("set", "", "only this set: tune or held")
	name := flag.String("corpus", "", "only this corpus: "+strings.Join(corpora, " or "))
	cyrus := flag.Bool("cyrus", false, "put the same queries to Cyrus")
	misses := flag.Bool("misses", false, "list the queries that miss the first 20")
	data := flag.String("data", "", "keep our mail and index in this directory, for the next run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	t := &bench{ctx: ctx, data: *data, cyrus: *cyrus, misses: *misses}
	err := t.run(*name, *only)
	t.close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "relevance:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	ctx           context.Context
	data          string
	cyrus, misses bool
	cleanups      []func()
	results       []result
}

func (b *bench) run(wanted, only string) error {
	dir := os.Getenv("CORPUS")
	if dir == "" {
		return fmt.Errorf("CORPUS is not set: it names the directory of the real mail archives")
	}
	for _, name := range corpora {
		if wanted != "" && name != wanted {
			continue
		}
		mail, err := corpus.Read(filepath.Join(dir, name+".tar.xz"))
		if err != nil {
			return err
		}
		if err := b.corpus(name, mail, only); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	b.print()
	return nil
}

func (b *bench) corpus(name string, mail []corpus.Message, only string) error {
	lexicon, err := read(mail)
	if err != nil {
		return err
	}
	ours, err := b.openOurs(name, mail)
	if err != nil {
		return err
	}
	rankers := []ranker{ours}
	if b.cyrus {
		peer, err := b.openCyrus(mail)
		if err != nil {
			return err
		}
		rankers = append(rankers, peer, byWord{peer})
	}
	for _, set := range sets {
		if only != "" && set.name != only {
			continue
		}
		queries := lexicon.draw(set.seed, perSet)
		for _, r := range rankers {
			if err := b.ask(r, name, set.name, queries); err != nil {
				return fmt.Errorf("%s: %w", r.name(), err)
			}
		}
	}
	return nil
}

// result is how one query of a set went: the place of the message meant, from 1, or 0.
type result struct {
	ranker, corpus, set string
	query               query
	place, hits         int
}

func (b *bench) ask(r ranker, corpus, set string, queries []query) error {
	for _, q := range queries {
		found, err := r.ranked(b.ctx, q.words)
		if err != nil {
			return fmt.Errorf("%q: %w", q.words, err)
		}
		b.results = append(b.results, result{r.name(), corpus, set, q, slices.Index(found, q.target) + 1, len(found)})
	}
	return nil
}

// recalled is how far down a result counts as found.
const recalled = 20

// figures sums results up.
type figures struct {
	queries, recalled int
	reciprocal        float64
}

func (f *figures) add(r result) {
	f.queries++
	if r.place > 0 {
		f.reciprocal += 1 / float64(r.place)
	}
	if r.place > 0 && r.place <= recalled {
		f.recalled++
	}
}

func (b *bench) print() {
	var order []string
	sums := map[string]*figures{}
	for _, r := range b.results {
		change := r.query.change
		if change == "" {
			change = "as written"
		}
		for _, row := range []string{r.corpus + "\t" + r.set + "\t" + change + "\t" + r.ranker, "all\t" + r.set + "\tall\t" + r.ranker} {
			if sums[row] == nil {
				sums[row] = &figures{}
				order = append(order, row)
			}
			sums[row].add(r)
		}
	}
	slices.Sort(order)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "corpus\tset\twords\tserver\tqueries\tMRR\trecall at 20")
	for _, row := range order {
		f := sums[row]
		fmt.Fprintf(w, "%s\t%d\t%.3f\t%.3f\n", row, f.queries, f.reciprocal/float64(f.queries), float64(f.recalled)/float64(f.queries))
	}
	w.Flush()
	if b.misses {
		b.printMisses()
	}
}

func (b *bench) printMisses() {
	fmt.Println("\nnot among the first 20:")
	for _, r := range b.results {
		if r.place == 0 || r.place > recalled {
			fmt.Printf("%s %s %s: message %d for %q (%s): place %d of %d\n", r.ranker, r.corpus, r.set, r.query.target,
				r.query.words, strings.TrimSpace("changed: "+r.query.change), r.place, r.hits)
		}
	}
}

// What package peers asks of a test.

func (b *bench) Helper()          {}
func (b *bench) Cleanup(f func()) { b.cleanups = append(b.cleanups, f) }

func (b *bench) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "relevance: "+format+"\n", args...)
}

func (b *bench) Skipf(format string, args ...any) { b.Fatal(fmt.Sprintf(format, args...)) }

// Fatal cleans up and ends the program.
func (b *bench) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"relevance:"}, args...)...)
	b.close()
	os.Exit(1)
}

func (b *bench) close() {
	for _, f := range slices.Backward(b.cleanups) {
		f()
	}
	b.cleanups = nil
}
