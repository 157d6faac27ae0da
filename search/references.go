package search

// link is step 1 of REFERENCES (RFC 5256 §3): ancestors are linked as each message
// lists them, and each message to the last of its own.
func (t *threading) link() {
	nodeOf := t.nodesOfIDs()
	f := newForest(len(t.rows) + t.dummies(nodeOf))
	for i, row := range t.at {
		above := noNode
		for _, id := range t.headings.links.of(row) {
			node := nodeOf[id]
			if above != noNode && f.parent[node] == noNode {
				f.link(node, above) // (A)
			}
			above = node
		}
		if f.parent[i] != above { // (B)
			f.cut(int32(i))
			if above != noNode {
				f.link(int32(i), above)
			}
		}
	}
	t.parent = f.parent
}

// nodesOfIDs returns by message-id the message that has it: the first of those that
// do. The others are as if they had none.
func (t *threading) nodesOfIDs() []int32 {
	links := &t.headings.links
	nodeOf := make([]int32, links.ids.len())
	for id := range nodeOf {
		nodeOf[id] = noNode
	}
	for i, row := range t.at {
		if own := links.own[row]; own != noID && nodeOf[own] == noNode {
			nodeOf[own] = int32(i)
		}
	}
	return nodeOf
}

// dummies makes a node of each id that is referred to and that no message found has,
// and returns how many.
func (t *threading) dummies(nodeOf []int32) int {
	next := int32(len(t.rows))
	for _, row := range t.at {
		for _, id := range t.headings.links.of(row) {
			if nodeOf[id] == noNode {
				nodeOf[id] = next
				next++
			}
		}
	}
	return int(next) - len(t.rows)
}

// prune is step 3: dummies go, and what is below them moves up; but not to the top,
// unless it is alone.
func (t *threading) prune() {
	up := t.blank() // by node: the next above that is a message or at the top
	below := make([]int, len(t.parent))
	for _, node := range t.fromTheTop() {
		p := t.parent[node]
		if p == noNode {
			continue
		}
		if up[node] = p; t.isDummy(p) && t.parent[p] != noNode {
			up[node] = up[p]
		}
		if !t.isDummy(node) {
			below[up[node]]++
		}
	}
	for node, p := range up {
		if p != noNode && t.isDummy(p) && below[p] < 2 {
			up[node] = noNode
		}
	}
	t.parent = up
}

// fromTheTop lists all nodes, each behind its parent.
func (t *threading) fromTheTop() []int32 {
	kids := make([]int32, len(t.parent))
	for _, p := range t.parent {
		if p != noNode {
			kids[p]++
		}
	}
	// From the leaves up, filled from the end: a node is placed with its last child.
	list := make([]int32, len(t.parent))
	free := len(list)
	for leaf := range kids {
		for node := int32(leaf); node != noNode && kids[node] == 0; {
			free--
			list[free] = node
			kids[node] = -1 // placed
			if node = t.parent[node]; node != noNode {
				kids[node]--
			}
		}
	}
	return list
}

// mergeSubjects is step 5: threads of the same base subject become one.
func (t *threading) mergeSubjects() {
	roots := t.roots()
	table := t.subjectTable(roots)
	for _, node := range roots {
		subject, ok := t.subjectOf(node)
		if !ok || t.parent[node] != noNode {
			continue // without a subject, or under another by now
		}
		if other := table[subject]; other != node {
			table[subject] = t.merge(node, other)
		}
	}
}

// subjectTable is step 5.B: the root that stands for each subject.
func (t *threading) subjectTable(roots []int32) []int32 {
	table := make([]int32, t.headings.columns[subjects].values.len())
	for i := range table {
		table[i] = noNode
	}
	for _, node := range roots {
		subject, ok := t.subjectOf(node)
		if !ok {
			continue
		}
		other := table[subject]
		if other == noNode || !t.isDummy(other) && (t.isDummy(node) || t.isReply(other) && !t.isReply(node)) {
			table[subject] = node
		}
	}
	return table
}

// merge is the end of step 5.C: node joins the other root of its subject. It returns
// which root stands for the subject now.
func (t *threading) merge(node, other int32) int32 {
	switch {
	case t.isDummy(other) && t.isDummy(node):
		for c := t.first[node]; c != noNode; c = t.next[c] {
			t.parent[c] = other
		}
		return other
	case t.isDummy(other), t.isReply(node) && !t.isReply(other):
		t.parent[node] = other
		return other
	}
	dummy := int32(len(t.parent))
	t.parent = append(t.parent, noNode)
	t.parent[node], t.parent[other] = dummy, dummy
	return dummy
}

// subjectOf is the base subject of a root, or of the first message under a dummy, by
// its number; false if it is empty.
func (t *threading) subjectOf(root int32) (uint32, bool) {
	if t.isDummy(root) {
		root = t.first[root]
	}
	column, row := &t.headings.columns[subjects], t.at[root]
	return column.rank[row], !column.isEmpty(row)
}

func (t *threading) isReply(node int32) bool { return t.headings.reply[t.at[node]] }
