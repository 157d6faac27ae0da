package disk

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

// The seeds of Crash with a meaning of their own; others choose at random, the
// same for the same history.
const (
	LoseUnsynced uint64 = iota // everything that was not synced is gone
	KeepUnsynced               // everything is there
)

// sector is what a disk writes whole: a torn write keeps some of its sectors.
const sector = 512

// Crash is a power cut: of what was not synced, each write to a file is kept,
// lost or torn, and each change of a directory kept or lost, as the seed
// chooses. Locks are free again, and files that were open return ErrCrashed.
func (m *Memory) Crash(seed uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.root = m.survivor(seed)
	m.locks = map[*node]hold{}
	m.epoch++
}

// Crashed returns the file system that Crash(seed) would leave; m goes on as if
// nothing had been. The two share nothing. So a test can look, at each step of
// one run, at every state that a power cut may leave there.
func (m *Memory) Crashed(seed uint64) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{root: m.survivor(seed), locks: map[*node]hold{}}
}

func (m *Memory) survivor(seed uint64) *node {
	c := crash{seed, rand.New(rand.NewPCG(seed, seed)), map[*node]*node{}}
	return c.survivor(m.root)
}

type crash struct {
	seed uint64
	rand *rand.Rand
	done map[*node]*node // survivors by node: a file may survive under two names
}

// survivor returns what is left of a node and of all below it.
func (c *crash) survivor(n *node) *node {
	if s := c.done[n]; s != nil {
		return s
	}
	s := &node{dir: n.dir, perm: n.perm}
	c.done[n] = s
	if !n.dir {
		s.durable = c.bytes(n)
		s.data = slices.Clone(s.durable)
		return s
	}
	left := maps.Clone(n.synced)
	for _, mv := range n.moves {
		if c.keeps() {
			mv.applyTo(left)
		}
	}
	s.synced = make(map[string]*node, len(left))
	for _, name := range slices.Sorted(maps.Keys(left)) {
		s.synced[name] = c.survivor(left[name])
	}
	s.entries = maps.Clone(s.synced)
	return s
}

// bytes returns what is left of a file's content.
func (c *crash) bytes(n *node) []byte {
	data := slices.Clone(n.durable)
	for _, w := range n.writes {
		switch {
		case c.tears(w):
			data = c.tear(data, w)
		case c.keeps():
			data = w.applyTo(data)
		}
	}
	return data
}

func (c *crash) keeps() bool {
	switch c.seed {
	case LoseUnsynced:
		return false
	case KeepUnsynced:
		return true
	}
	return c.rand.IntN(2) == 0
}

func (c *crash) tears(w write) bool {
	return c.seed > KeepUnsynced && len(w.data) > 0 && c.rand.IntN(3) == 0
}

// tear applies part of a write: either it stops at some byte, or the size is as
// if it had been done, and some sectors are missing.
func (c *crash) tear(data []byte, w write) []byte {
	if c.rand.IntN(2) == 0 {
		return overlay(data, w.data[:c.rand.IntN(len(w.data))], w.off)
	}
	end := w.off + int64(len(w.data))
	data = resize(data, max(int64(len(data)), end))
	for at := w.off; at < end; {
		next := min(end, (at/sector+1)*sector)
		if c.rand.IntN(2) == 0 {
			copy(data[at:next], w.data[at-w.off:next-w.off])
		}
		at = next
	}
	return data
}

func lastPart(name string) string { return filepath.Base(clean(name)) }
