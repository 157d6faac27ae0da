package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// index measures the whole way of a corpus: import, bulk indexing by squatter,
// compaction from temp to data and on to archive, with sizes.
func index(b *bench) {
	for _, src := range b.sources() {
		s := b.slot()
		addUsers(b, s, 1)
		loaded := b.load(s, "user0", src)
		n, p := loaded.messages, b.startPeer(false)
		var their struct {
			load, index, compact work
			indexCPU, compactCPU string
		}
		if p != nil {
			their.load = work{n, p.load(src)}
			before := children(b) + p.cpu()
			their.index = work{n, p.index()}
			their.indexCPU = perEach(children(b)+p.cpu()-before, n)
			p.sizes("their index", loaded.octets)
			before = children(b) + p.cpu()
			their.compact = work{n, p.compact()}
			their.compactCPU = perEach(children(b)+p.cpu()-before, n)
		}
		b.table.note("%s: %d messages, %.1f MB", src.name, n, mb(loaded.octets))
		b.rate("import (slotctl, no daemon; the peer: APPEND)", work{n, loaded.took}, their.load, "")
		cpu := children(b)
		took := b.squatter(s, "-i", "-r", "-u", "user0")
		b.rated("bulk indexing (squatter -i)", work{n, took}, their.index, figure{cpu: perEach(children(b)-cpu, n), peerCPU: their.indexCPU, wanted: "3200/s"})
		b.sizes(s.Temp, loaded.octets)
		for _, step := range []struct{ to, from, dir string }{{"data", "temp", "search/data"}, {"archive", "data", "search/archive"}} {
			cpu = children(b)
			took := b.compact(s, step.to, step.from, "-u", "user0")
			b.rated("compaction "+step.from+" → "+step.to, work{n, took}, their.compact, figure{cpu: perEach(children(b)-cpu, n), peerCPU: their.compactCPU, wanted: "15000/s"})
			their.compactCPU = ""
			b.sizes(filepath.Join(s.Root, step.dir), loaded.octets)
			their.compact = work{}
		}
		p.sizes("their index, compacted", loaded.octets)
	}
}

// attached measures the index of mail that carries files, which have no text.
func attached(b *bench) {
	src := b.madeWith(b.many(2000), 80)
	s := b.slot()
	addUsers(b, s, 1)
	loaded := b.load(s, "user0", src)
	b.table.note("%s: %.1f MB, %.1f kB a message", src.name, mb(loaded.octets), float64(loaded.octets)/1000/float64(loaded.messages))
	b.squatter(s, "-i", "-r", "-u", "user0")
	b.compact(s, "data", "temp", "-u", "user0")
	b.sizes(filepath.Join(s.Root, "search/data"), loaded.octets)
}

// sizes prints the octets below a search root, by kind of file.
func (b *bench) sizes(dir string, raw int64) {
	kinds := map[string]int64{}
	var total int64
	b.each(dir, func(path string, size int64) {
		kind := filepath.Ext(path)
		if kind == "" {
			kind = filepath.Base(path)
		}
		kinds[kind] += size
		total += size
	})
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, fmt.Sprintf("%s %.1f", kind, mb(kinds[kind])))
	}
	b.table.row("size in "+filepath.Base(dir)+", of the mail", figure{ours: share(total, raw)})
	b.table.note("%.1f MB: %s", mb(total), strings.Join(parts, ", "))
}

func share(part, of int64) string {
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(max(of, 1)))
}

// sizes prints the peer's index as it is now.
func (p *peer) sizes(what string, raw int64) {
	if p == nil {
		return
	}
	total := p.indexed()
	p.b.table.row(what+", of the mail", figure{peer: share(total, raw)})
	p.b.table.note("%.1f MB", mb(total))
}
