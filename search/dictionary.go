package search

import (
	"maps"
	"slices"
)

// dictionary is a set of strings, numbered in their order as octets. It is immutable.
type dictionary struct {
	text []byte // one after the other
	ends []int  // where each ends in text
}

func (d *dictionary) len() int { return len(d.ends) }

// at is string n. It shares the dictionary's memory.
func (d *dictionary) at(n uint32) []byte {
	start := 0
	if n > 0 {
		start = d.ends[n-1]
	}
	return d.text[start:d.ends[n]]
}

func (d *dictionary) add(s []byte) {
	d.text = append(d.text, s...)
	d.ends = append(d.ends, len(d.text))
}

func (d *dictionary) weight() int64 { return int64(cap(d.text) + 8*cap(d.ends)) }

// words numbers strings as they come.
type words map[string]uint32

// number returns the number of s, a new one if it is new.
func (w words) number(s []byte) uint32 {
	n, known := w[string(s)]
	if !known {
		n = uint32(len(w))
		w[string(s)] = n
	}
	return n
}

// merge returns the dictionary of what old holds and used says is needed, and of
// what fresh holds; moved and placed are where the numbers of both have gone.
func merge(old *dictionary, used []bool, fresh words) (d dictionary, moved, placed []uint32) {
	sorted := slices.Sorted(maps.Keys(fresh))
	moved, placed = make([]uint32, old.len()), make([]uint32, len(fresh))
	d.ends = make([]int, 0, old.len()+len(fresh))
	put := func(s string) {
		placed[fresh[s]] = uint32(d.len())
		d.add([]byte(s))
	}
	for n := range uint32(old.len()) {
		if !used[n] {
			continue
		}
		s := old.at(n)
		for len(sorted) > 0 && sorted[0] < string(s) {
			put(sorted[0])
			sorted = sorted[1:]
		}
		moved[n] = uint32(d.len())
		if len(sorted) > 0 && sorted[0] == string(s) {
			placed[fresh[sorted[0]]] = moved[n]
			sorted = sorted[1:]
		}
		d.add(s)
	}
	for _, s := range sorted {
		put(s)
	}
	return d, moved, placed
}

// column is one string for each row, such as its folded base subject.
type column struct {
	values dictionary
	rank   []uint32 // by row: the number of its string, so that ranks compare as strings do
}

// isEmpty reports whether the row's string is empty.
func (c *column) isEmpty(row uint32) bool {
	return c.rank[row] == 0 && c.values.len() > 0 && c.values.ends[0] == 0
}

func (c *column) weight() int64 { return c.values.weight() + int64(4*cap(c.rank)) }

// freshColumn is the strings of rows that are new, as they come.
type freshColumn struct {
	words words
	rank  []uint32
}

func (f *freshColumn) add(s []byte) {
	if f.words == nil {
		f.words = words{}
	}
	f.rank = append(f.rank, f.words.number(s))
}

// extended returns the column whose rows are those of rows: old ones as they were
// numbered in c, and -1 for the next of fresh.
func (c *column) extended(rows []int32, fresh *freshColumn) column {
	used := make([]bool, c.values.len())
	for _, old := range rows {
		if old >= 0 {
			used[c.rank[old]] = true
		}
	}
	values, moved, placed := merge(&c.values, used, fresh.words)
	next := column{values, make([]uint32, len(rows))}
	rest := fresh.rank
	for row, old := range rows {
		if old >= 0 {
			next.rank[row] = moved[c.rank[old]]
		} else {
			next.rank[row], rest = placed[rest[0]], rest[1:]
		}
	}
	return next
}
