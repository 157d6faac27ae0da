package search

// noNode stands for "no node".
const noNode = int32(-1)

// forest is nodes of which some have a parent. It answers "is a above b" in time
// logarithmic in the number of nodes, however deep they lie, averaged over all calls:
// each tree is kept as Sleator and Tarjan's link-cut tree, whose paths are splay trees
// in the order of depth. Nothing here calls itself.
type forest struct {
	parent []int32 // of the node in the forest; noNode
	kids   []int32 // how many there are

	// The splay trees: the sides of a node, and what is above it, in its own tree or,
	// from a tree's top, on the path that its path hangs from.
	left, right, above []int32
}

func newForest(n int) *forest {
	f := &forest{kids: make([]int32, n)}
	for _, list := range []*[]int32{&f.parent, &f.left, &f.right, &f.above} {
		*list = make([]int32, n)
		for i := range *list {
			(*list)[i] = noNode
		}
	}
	return f
}

// link makes parent the parent of child, which has none. It does nothing where that
// would close a loop, as it does for a node and itself.
func (f *forest) link(child, parent int32) {
	if f.isAbove(child, parent) {
		return
	}
	f.splay(child)
	f.above[child] = parent
	f.parent[child] = parent
	f.kids[parent]++
}

// cut takes child from its parent, if it has one.
func (f *forest) cut(child int32) {
	if f.parent[child] == noNode {
		return
	}
	f.expose(child)
	f.above[f.left[child]] = noNode
	f.left[child] = noNode
	f.kids[f.parent[child]]--
	f.parent[child] = noNode
}

// isAbove reports whether root, which has no parent, is node or an ancestor of it.
func (f *forest) isAbove(root, node int32) bool {
	switch {
	case root == node:
		return true
	case f.kids[root] == 0 || f.parent[node] == noNode:
		return false
	}
	f.expose(node)
	top := node
	for f.left[top] != noNode {
		top = f.left[top]
	}
	f.splay(top) // what was deep is near now: this is why the average is low
	return top == root
}

// expose makes one splay tree of the path from the root to node, with node at its
// top.
func (f *forest) expose(node int32) {
	below := noNode
	for n := node; n != noNode; n = f.above[n] {
		f.splay(n)
		f.right[n] = below
		below = n
	}
	f.splay(node)
}

// isTop reports whether node is at the top of its splay tree.
func (f *forest) isTop(node int32) bool {
	up := f.above[node]
	return up == noNode || f.left[up] != node && f.right[up] != node
}

func (f *forest) splay(node int32) {
	for !f.isTop(node) {
		up := f.above[node]
		if !f.isTop(up) {
			if (f.left[up] == node) == (f.left[f.above[up]] == up) {
				f.rotate(up)
			} else {
				f.rotate(node)
			}
		}
		f.rotate(node)
	}
}

// rotate lifts node above what is above it in its splay tree.
func (f *forest) rotate(node int32) {
	up := f.above[node]
	top := f.above[up]
	if !f.isTop(up) {
		if f.left[top] == up {
			f.left[top] = node
		} else {
			f.right[top] = node
		}
	}
	near, far := f.left, f.right
	if f.right[up] == node {
		near, far = f.right, f.left
	}
	inner := far[node]
	near[up] = inner
	if inner != noNode {
		f.above[inner] = up
	}
	far[node] = up
	f.above[up], f.above[node] = node, top
}
