package tiers

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// termKey is a term for sorting.
type termKey struct {
	key   uint64
	field uint32
	term  uint32 // its number
	long  uint32 // its place among the long ones and 1; 0: the key is all of it
}

// appendTerm appends a term's text.
func (a *analysis) appendTerm(b []byte, k termKey) []byte {
	switch {
	case k.long != 0:
		return append(b, a.long.terms[k.long-1].text...)
	case k.field == a.border:
		return appendPackedBorder(b, k.key)
	}
	return appendPacked(b, k.key)
}

// inOrder are the terms in the order of their fields' names, and of their octets. No
// more are found after it: tables that are not small go.
func (a *analysis) inOrder() []termKey {
	fields := slices.SortedFunc(slices.Values(a.fields), compareFields)
	starts := make([]int, len(a.fields)+1)
	keys := a.byField(fields, starts)
	if !a.small() {
		a.short.slots, a.long.slots = nil, nil
	}
	for i := range fields {
		a.sort(keys[starts[i]:starts[i+1]])
	}
	return keys
}

// byField are the terms of all fields in the order of these. It fills in where those
// of each begin.
func (a *analysis) byField(fields []string, starts []int) []termKey {
	rank := make([]uint32, len(fields)) // by a field's number
	for i, name := range fields {
		rank[a.byName[name]] = uint32(i)
	}
	for i := range a.short.slots {
		if s := &a.short.slots[i]; s.term != 0 {
			starts[rank[s.field]+1]++
		}
	}
	for i := range a.long.terms {
		starts[rank[a.long.terms[i].field]+1]++
	}
	for i := range fields {
		starts[i+1] += starts[i]
	}
	next := slices.Clone(starts)
	a.room.keys = sized(a.room.keys, starts[len(fields)])
	keys := a.room.keys
	put := func(k termKey) {
		at := &next[rank[k.field]]
		keys[*at] = k
		*at++
	}
	for i := range a.short.slots {
		if s := &a.short.slots[i]; s.term != 0 {
			put(termKey{s.key, s.field, s.term - 1, 0})
		}
	}
	for i := range a.long.terms {
		t := &a.long.terms[i]
		put(termKey{t.key, t.field, t.term, uint32(i) + 1})
	}
	return keys
}

// fewKeys is how many are sorted faster by comparing them than octet by octet.
const fewKeys = 512

// sort sorts the terms of a field.
func (a *analysis) sort(keys []termKey) {
	if len(keys) <= fewKeys {
		slices.SortFunc(keys, func(x, y termKey) int {
			if x.key != y.key {
				return cmp.Compare(x.key, y.key)
			}
			return a.compareTexts(x, y)
		})
		return
	}
	a.room.spare = sized(a.room.spare, len(keys))
	sortByKey(keys, a.room.spare)
	for from := 0; from < len(keys); {
		end := from + 1
		for end < len(keys) && keys[end].key == keys[from].key {
			end++
		}
		if end-from > 1 {
			slices.SortFunc(keys[from:end], a.compareTexts)
		}
		from = end
	}
}

// compareTexts compares two terms whose fields and keys are the same.
func (a *analysis) compareTexts(x, y termKey) int {
	if x.long != 0 && y.long != 0 {
		return strings.Compare(a.long.terms[x.long-1].text, a.long.terms[y.long-1].text)
	}
	return bytes.Compare(a.appendTerm(nil, x), a.appendTerm(nil, y))
}

// sortByKey sorts by the octets of the keys, the last first, passing over those
// that are the same in all.
func sortByKey(keys, spare []termKey) {
	var counts [8][256]uint32
	for i := range keys {
		for octet := range counts {
			counts[octet][byte(keys[i].key>>(8*octet))]++
		}
	}
	from, to := keys, spare
	for octet := range counts {
		next := &counts[octet]
		shift := 8 * octet
		if int(next[byte(from[0].key>>shift)]) == len(keys) {
			continue
		}
		at := uint32(0)
		for c, n := range next {
			next[c] = at
			at += n
		}
		for i := range from {
			c := byte(from[i].key >> shift)
			to[next[c]] = from[i]
			next[c]++
		}
		from, to = to, from
	}
	if &from[0] != &keys[0] {
		copy(keys, from)
	}
}
