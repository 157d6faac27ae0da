package wire

import (
	"iter"
	"strconv"
)

// ThreadNode is a message of a thread. Those directly below it follow it, each with
// what is below itself before the next.
type ThreadNode struct {
	Number   uint32 // UID or sequence number; 0 for a message that is not there
	Children uint32 // how many are directly below
}

// Threads writes THREAD (RFC 5256 §4): threads one after the other. However deep they
// are, its memory grows only with the branches that are open.
func (w *Writer) Threads(nodes iter.Seq[ThreadNode]) {
	w.Raw("* THREAD")
	first := true // of all
	inside := false
	var branches []uint32 // of the nodes above that have more than one child: how many are to come
	for n := range nodes {
		b := w.at()
		if first {
			b = append(b, ' ')
		}
		if !inside {
			b = append(b, '(')
		}
		if n.Number != 0 {
			if inside {
				b = append(b, ' ')
			}
			b = strconv.AppendUint(b, uint64(n.Number), 10)
		}
		first, inside = false, n.Children == 1
		switch n.Children {
		case 0:
			b, branches = closeThreads(b, branches)
		case 1:
		default:
			if n.Number != 0 {
				b = append(b, ' ')
			}
			branches = append(branches, n.Children)
		}
		w.put(b)
	}
	w.CRLF()
}

// closeThreads ends the list that a leaf is in, and those around it that end with it.
func closeThreads(b []byte, branches []uint32) ([]byte, []uint32) {
	b = append(b, ')')
	for len(branches) > 0 {
		last := len(branches) - 1
		if branches[last]--; branches[last] > 0 {
			break
		}
		b, branches = append(b, ')'), branches[:last]
	}
	return b, branches
}
