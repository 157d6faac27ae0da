package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
	"teraslot/bench/queries"
)

// growthSizes are the mailbox's, at which searches are measured; with a peer, the
// smaller ones.
var (
	growthSizes     = []int{10_000, 100_000, 300_000, 600_000}
	peerGrowthSizes = []int{2_000, 6_000, 15_000, 30_000}
)

// growthStep is how many messages are added before they are indexed, compacted and
// noted as done.
const growthStep = 50_000

// growthAsked is how many queries of each kind are timed at each size.
const growthAsked = 200

// growthKinds are asked at each size.
var growthKinds = []queries.Kind{queries.Word, queries.Part, queries.Phrase, queries.Frequent, queries.Most, queries.Anywhere, queries.Sender, queries.Title, queries.Without, queries.Ranked}

// checkedTo is the largest mailbox whose answers are compared with the oracle's, which
// reads all of the mail.
const checkedTo = 100_000

// grown is how far a growing slot got; it lies beside it as growth.json.
type grown struct {
	Seed     uint64
	Messages int // imported, indexed and compacted
	Measured int // the largest size that was measured
}

// growth fills one account step by step and measures searches at each size. It goes on
// where it was stopped, and stops by itself between two steps.
func growth(b *bench) {
	if b.o.peer != "" {
		b.peerGrowth()
		return
	}
	end := time.Now().Add(b.o.lasts)
	g := b.readGrown()
	dir, err := filepath.Abs(b.o.state)
	b.must(err)
	s := daemon.New(b, filepath.Join(dir, "slot"), "")
	if g.Messages == 0 {
		addUsers(b, s, 1)
	}
	sizes := b.growthSizes(growthSizes)
	for _, size := range sizes {
		for g.Messages < size && time.Now().Before(end) {
			b.grow(s, &g, min(size, g.Messages+growthStep))
		}
		if g.Measured < size && time.Now().Before(end) {
			b.measureGrown(s, size)
			g.Measured = size
			b.writeGrown(g)
		}
	}
	if g.Measured < sizes[len(sizes)-1] {
		b.table.note("%d messages so far: the same command goes on", g.Messages)
	}
}

// growthSizes are the sizes that the options name, or those given.
func (b *bench) growthSizes(otherwise []int) (sizes []int) {
	switch {
	case b.o.sizes != "":
		for one := range strings.SplitSeq(b.o.sizes, ",") {
			n, err := strconv.Atoi(one)
			if err != nil || n <= 0 || len(sizes) > 0 && n <= sizes[len(sizes)-1] {
				b.Fatalf("-sizes %q are not rising numbers, separated by commas", b.o.sizes)
			}
			sizes = append(sizes, n)
		}
		return sizes
	case b.o.count > 0:
		return []int{b.o.count}
	}
	return otherwise
}

func (b *bench) readGrown() (g grown) {
	text, err := os.ReadFile(filepath.Join(b.o.state, "growth.json"))
	if errors.Is(err, fs.ErrNotExist) {
		b.must(os.MkdirAll(b.o.state, 0o700))
		return grown{Seed: b.o.seed}
	}
	b.must(err)
	b.must(json.Unmarshal(text, &g))
	if g.Seed != b.o.seed {
		b.Fatalf("%s has mail of the seed %d", b.o.state, g.Seed)
	}
	return g
}

func (b *bench) writeGrown(g grown) {
	text, err := json.Marshal(g)
	b.must(err)
	b.must(os.WriteFile(filepath.Join(b.o.state, "growth.json"), text, 0o600))
}

// grow adds messages up to a number, indexes and compacts them.
func (b *bench) grow(s *daemon.Slot, g *grown, to int) {
	n := to - g.Messages
	loaded := b.load(s, "user0", source{"", after(b.made(to).all, g.Messages)})
	b.rate(fmt.Sprintf("to %d messages: import", to), work{n, loaded.took}, work{}, "")
	b.rate("  bulk indexing", work{n, b.squatter(s, "-i", "-r", "-u", "user0")}, work{}, "")
	b.rate("  compaction temp → data", work{n, b.compact(s, "data", "temp", "-u", "user0")}, work{}, "")
	g.Messages = to
	b.writeGrown(*g)
}

// after leaves out the first n.
func after(all iter.Seq2[corpus.Message, error], n int) iter.Seq2[corpus.Message, error] {
	return func(yield func(corpus.Message, error) bool) {
		i := 0
		for m, err := range all {
			if i++; i > n && !yield(m, err) {
				return
			}
		}
	}
}

// measureGrown brings all databases of the data tier into one, and asks.
func (b *bench) measureGrown(s *daemon.Slot, size int) {
	took := b.compact(s, "data", "data", "-F", "-u", "user0")
	b.rate(fmt.Sprintf("%d messages: all of the index into one database", size), work{size, took}, work{}, "")
	var octets int64
	b.each(filepath.Join(s.Root, "search"), func(_ string, n int64) { octets += n })
	b.table.note("index: %.1f MB", mb(octets))
	kinds := append(slices.Clone(growthKinds), queries.Worst)
	d := b.draw(b.made(size), size, growthAsked+warmUp, kinds, size <= checkedTo)
	s.Start(b)
	settle(b, s)
	c := dial(b, s, "user0")
	var lines []point
	for _, kind := range kinds {
		list, want := d.lists[kind], d.want[kind]
		cut := min(warmUp, len(list)/4)
		put(c, list[:cut], time.Minute, places)
		if len(want) > 0 {
			want = want[cut:]
		}
		before := s.CPU(b)
		a := put(c, list[cut:], time.Minute, places)
		b.timed(fmt.Sprintf("%d: %s", size, kind), a.times, nil, figure{cpu: perEach(s.CPU(b)-before, len(a.times)), hits: count(a.hits()), equal: a.equal(want)})
		b.wrong("teraslot", list[cut:], a.answers, want)
		switch kind {
		case queries.Word, queries.Phrase:
			b.byBand(list[cut:], a.times)
		case queries.Worst:
			b.byBand(list[cut:], a.times)
			b.table.note("slowest: %s", strings.Join(slowest(list[cut:], a.times, 20), "; "))
			continue // no peer is asked
		}
		lines = append(lines, pointOf("Teraslot", size, kind, a.times))
	}
	c.close()
	b.table.note("memory of the server: %.0f MB its own, %.0f MB resident with mapped files, %.0f MB at most", mb(b.memory(s, "RssAnon")), mb(b.memory(s, "VmRSS")), mb(b.memory(s, "VmHWM")))
	s.Stop(b)
	b.must(appendPoints(b.o.growth, lines))
}

// byBand prints the times of each band of frequency.
func (b *bench) byBand(list []queries.Query, times durations) {
	bands := map[string]durations{}
	for i, t := range times {
		bands[list[i].Band] = append(bands[list[i].Band], t)
	}
	names := queries.Bands()
	if len(list) > 0 && list[0].Kind == queries.Worst {
		names = queries.BandsOf(list)
	}
	for _, name := range names {
		if len(bands[name]) > 0 {
			b.timed("    in "+name, bands[name], nil, figure{})
		}
	}
}

// peerGrowth measures the peer at the smaller sizes, of the same mail in one mailbox that
// grows, as far as the time goes.
func (b *bench) peerGrowth() {
	end := time.Now().Add(b.o.lasts)
	sizes := b.growthSizes(peerGrowthSizes)
	p := b.startPeer(false)
	had := 0
	for _, size := range sizes {
		if !time.Now().Before(end) {
			b.table.note("no time is left for %d messages: -for gives more", size)
			return
		}
		n := size - had
		b.rate(fmt.Sprintf("to %d messages: APPEND", size), work{}, work{n, p.load(source{"", after(b.made(size).all, had)})}, "")
		b.rate("  bulk indexing", work{}, work{n, p.index()}, "")
		b.rate("  compaction", work{}, work{n, p.compact()}, "")
		if had > 0 && p.name == "cyrus" {
			p.recompact() // all into one database, as ours
		}
		had = size
		b.measurePeerGrown(p, size)
	}
}

// measurePeerGrown asks the peer the queries of one size.
func (b *bench) measurePeerGrown(p *peer, size int) {
	d := b.draw(b.made(size), size, growthAsked, growthKinds, true)
	c := p.dial()
	defer c.close()
	var lines []point
	for _, kind := range growthKinds {
		before := p.cpu()
		a := put(c, d.lists[kind], b.o.patience, p.place)
		b.timed(fmt.Sprintf("%d: %s", size, kind), nil, a.times, figure{peerCPU: perEach(p.cpu()-before, len(a.times)), n: count(len(a.times)), peerEqual: a.equal(d.want[kind])})
		lines = append(lines, pointOf(map[string]string{"cyrus": "Cyrus", "dovecot": "Dovecot"}[p.name], size, kind, a.times))
	}
	b.must(appendPoints(b.o.growth, lines))
}
