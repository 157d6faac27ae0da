package queries

import "iter"

// automaton finds many patterns in one pass over a text (Aho and Corasick, 1975).
type automaton struct {
	patterns []string
	ids      map[string]int
	next     [][256]int32 // of each state; 0 is the start, and none while it is built
	fail     []int32      // the longest proper suffix that is a state
	ends     []int32      // the pattern that ends in a state, from 1
	shorter  []int32      // the nearest state by fail in which one ends, or 0
}

func newAutomaton() *automaton {
	return &automaton{ids: map[string]int{}, next: make([][256]int32, 1), ends: make([]int32, 1)}
}

// add takes a pattern in, not an empty one, and returns its number.
func (a *automaton) add(pattern string) int {
	if id, ok := a.ids[pattern]; ok {
		return id
	}
	id := len(a.patterns)
	a.ids[pattern] = id
	a.patterns = append(a.patterns, pattern)
	state := int32(0)
	for _, c := range []byte(pattern) {
		if a.next[state][c] == 0 {
			a.next = append(a.next, [256]int32{})
			a.ends = append(a.ends, 0)
			a.next[state][c] = int32(len(a.next) - 1)
		}
		state = a.next[state][c]
	}
	a.ends[state] = int32(id) + 1
	return id
}

// finish makes the automaton ready: no pattern is added any more.
func (a *automaton) finish() {
	a.fail, a.shorter = make([]int32, len(a.next)), make([]int32, len(a.next))
	var queue []int32
	for _, s := range a.next[0] {
		if s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		fail := a.fail[state]
		if a.shorter[state] = a.shorter[fail]; a.ends[fail] != 0 {
			a.shorter[state] = fail
		}
		for c, s := range a.next[state] {
			if s == 0 {
				a.next[state][c] = a.next[fail][c]
				continue
			}
			a.fail[s] = a.next[fail][c]
			queue = append(queue, s)
		}
	}
}

// matches yields each occurrence of each pattern: its number, and the offset behind it.
func (a *automaton) matches(s string) iter.Seq2[int, int] {
	return func(yield func(id, end int) bool) {
		state := int32(0)
		for i := range len(s) {
			state = a.next[state][s[i]]
			at := state
			if a.ends[at] == 0 {
				at = a.shorter[at]
			}
			for ; at != 0; at = a.shorter[at] {
				if !yield(int(a.ends[at])-1, i+1) {
					return
				}
			}
		}
	}
}
