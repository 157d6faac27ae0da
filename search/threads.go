package search

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Algorithm says how messages are put into threads.
type Algorithm uint8

// The algorithms.
const (
	// OrderedSubject puts messages of the same base subject together (RFC 5256 §3).
	OrderedSubject Algorithm = iota + 1
	// References follows References and In-Reply-To, then puts threads of the same
	// base subject together (RFC 5256 §3).
	References
	// Refs is References without regard to subjects; the thread with the latest
	// internal date comes last (draft-ietf-morg-inthread-01, THREAD=REFS).
	Refs
)

// ThreadNode is a message in a list of threads, each of which has its first message
// first and behind each message what replies to it.
type ThreadNode struct {
	UID mailbox.UID // 0 stands for a message that is not there but holds others together
	// Children is how many messages are directly below. Each of them follows with
	// what is below itself before the next.
	Children uint32
}

// Threads is the answer to Thread.
type Threads struct {
	// View is what was searched. It is shared: do not change it.
	View *mailstore.View
	// Nodes are all threads, one after the other. Each message that matches is in
	// them once; a node without a message has at least two children and none above it.
	Nodes []ThreadNode
	Stats Stats
}

// Thread searches as Search does and puts the messages into threads. It fails as
// Search does.
func (s *Searcher) Thread(ctx context.Context, r Request, algorithm Algorithm) (*Threads, error) {
	ctx, cancel := s.limitTime(ctx)
	defer cancel()
	res, err := s.Search(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(res.UIDs) == 0 {
		return &Threads{View: res.View, Stats: res.Stats}, nil
	}
	f := finding{Result: res, rows: rowsOf(res.View, res.UIDs)}
	if err := s.head(ctx, r, &f); err != nil {
		return nil, fmt.Errorf("threading mailbox %s of user %s: %w", r.Mailbox, r.User, cause(ctx, err))
	}
	return &Threads{res.View, f.threads(algorithm), res.Stats}, nil
}

// threads puts what was found into threads.
func (f *finding) threads(algorithm Algorithm) []ThreadNode {
	t := &threading{finding: f, bySent: f.order([]SortKey{{By: ByDate}})}
	switch algorithm {
	case OrderedSubject:
		t.orderedSubject()
		return t.nodes(t.roots())
	case References:
		t.link()
		t.prune()
		t.mergeSubjects()
		return t.nodes(t.roots())
	}
	t.link()
	t.prune()
	return t.nodes(t.latestLast(t.roots()))
}

// threading is threads being made. Its nodes are the messages found, numbered by
// their positions, and behind them dummies: message-ids that no message found has.
type threading struct {
	*finding
	bySent []uint32 // positions in the order of sent dates: that of siblings everywhere
	parent []int32  // by node
	// By node, as roots has last made them: the children, in order.
	first, last, next []int32
	kids              []uint32
}

func (t *threading) isDummy(node int32) bool { return int(node) >= len(t.rows) }

// orderedSubject is ORDEREDSUBJECT: the first message of each subject is the parent of
// the others.
func (t *threading) orderedSubject() {
	subject := &t.headings.columns[subjects]
	founder := make([]int32, subject.values.len())
	for i := range founder {
		founder[i] = noNode
	}
	t.parent = make([]int32, len(t.rows))
	for _, i := range t.bySent {
		n := subject.rank[t.at[i]]
		t.parent[i] = founder[n]
		if founder[n] == noNode {
			founder[n] = int32(i)
		}
	}
}

// roots lists the messages without a parent, and the dummies above others, in the
// order of their sent dates, a dummy by its first child (RFC 5256 §3, REFERENCES,
// steps 4 and 6), and brings all children into that order.
func (t *threading) roots() []int32 {
	t.first, t.last, t.next = t.blank(), t.blank(), t.blank()
	t.kids = make([]uint32, len(t.parent))
	var roots []int32
	for _, i := range t.bySent {
		node := int32(i)
		up := t.parent[node]
		if up == noNode {
			roots = append(roots, node)
			continue
		}
		if t.kids[up]++; t.last[up] != noNode {
			t.next[t.last[up]] = node
		} else {
			t.first[up] = node
			if t.isDummy(up) {
				roots = append(roots, up)
			}
		}
		t.last[up] = node
	}
	return roots
}

func (t *threading) blank() []int32 {
	list := make([]int32, len(t.parent))
	for i := range list {
		list[i] = noNode
	}
	return list
}

// nodes writes the threads out, without calling itself: they may be as deep as there
// are messages.
func (t *threading) nodes(roots []int32) []ThreadNode {
	out := make([]ThreadNode, 0, len(t.rows)+len(t.rows)/4)
	for _, root := range roots {
		for node := root; node != noNode; node = t.following(node, root) {
			n := ThreadNode{Children: t.kids[node]}
			if !t.isDummy(node) {
				n.UID = t.UIDs[node]
			}
			out = append(out, n)
		}
	}
	return out
}

// following is the node after node in the thread of root: its first child, or else the
// next one beside it or beside what is above it.
func (t *threading) following(node, root int32) int32 {
	if t.first[node] != noNode {
		return t.first[node]
	}
	for node != root {
		if t.next[node] != noNode {
			return t.next[node]
		}
		node = t.parent[node]
	}
	return noNode
}

// latestLast sorts the threads by the latest internal date in each.
func (t *threading) latestLast(roots []int32) []int32 {
	type thread struct {
		root   int32
		latest int64
	}
	threads := make([]thread, len(roots))
	for i, root := range roots {
		threads[i] = thread{root, -1 << 63}
		for node := root; node != noNode; node = t.following(node, root) {
			if !t.isDummy(node) {
				threads[i].latest = max(threads[i].latest, t.View.Records[t.rows[node]].InternalDate.Unix)
			}
		}
	}
	slices.SortStableFunc(threads, func(a, b thread) int { return cmp.Compare(a.latest, b.latest) })
	for i := range threads {
		roots[i] = threads[i].root
	}
	return roots
}
