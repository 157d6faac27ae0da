package search

import (
	"fmt"
	"slices"
	"strings"

	"teraslot/message"
	"teraslot/text"
)

// This file is RFC 5256 §3 word by word, over a tree of pointers. It is slow and
// shares nothing with threads.go and references.go but the base subject.

// vessel is a message or a dummy.
type vessel struct {
	letter   *letter // nil: a dummy
	seq      int
	parent   *vessel
	children []*vessel
}

func (v *vessel) adopt(child *vessel) {
	child.parent = v
	v.children = append(v.children, child)
}

func (v *vessel) leave() {
	if v.parent != nil {
		v.parent.children = slices.DeleteFunc(v.parent.children, func(c *vessel) bool { return c == v })
		v.parent = nil
	}
}

// isDescendantOf reports whether v is below of, or of itself.
func (v *vessel) isDescendantOf(of *vessel) bool {
	return v == of || slices.ContainsFunc(of.children, v.isDescendantOf)
}

func (v *vessel) base() string {
	base, _ := message.BaseSubject(message.DecodeHeader(v.letter.subject))
	return string(text.Fold(nil, base))
}

func (v *vessel) isReply() bool {
	_, reply := message.BaseSubject(message.DecodeHeader(v.letter.subject))
	return reply
}

// first is the message by which v is sorted.
func (v *vessel) first() *vessel {
	if v.letter == nil {
		return v.children[0]
	}
	return v
}

func bySent(a, b *vessel) int {
	x, y := a.first(), b.first()
	if x.letter.sent != y.letter.sent {
		return int(x.letter.sent - y.letter.sent)
	}
	return x.seq - y.seq
}

func (v *vessel) latest() int64 {
	latest := int64(-1 << 62)
	if v.letter != nil {
		latest = v.letter.arrived
	}
	for _, c := range v.children {
		latest = max(latest, c.latest())
	}
	return latest
}

func (v *vessel) write(b *strings.Builder) {
	if v.letter != nil {
		fmt.Fprint(b, v.letter.uid)
	}
	if v.letter != nil && len(v.children) > 0 {
		b.WriteString(" ")
	}
	for _, c := range v.children {
		if len(v.children) > 1 {
			b.WriteString("(")
		}
		c.write(b)
		if len(v.children) > 1 {
			b.WriteString(")")
		}
	}
}

func slowThreads(letters []letter, wanted func(int) bool, algorithm Algorithm) string {
	var found []*vessel
	for i := range letters {
		if wanted(i) {
			found = append(found, &vessel{letter: &letters[i], seq: i})
		}
	}
	var roots []*vessel
	switch algorithm {
	case OrderedSubject:
		roots = slowOrderedSubject(found)
	case References:
		roots = slowPrune(slowLink(found), true)
		slowSort(roots)
		slices.SortStableFunc(roots, bySent)
		roots = slowMerge(roots)
		slowSort(roots)
		slices.SortStableFunc(roots, bySent)
	case Refs:
		roots = slowPrune(slowLink(found), true)
		slowSort(roots)
		slices.SortStableFunc(roots, bySent)
		slices.SortStableFunc(roots, func(a, b *vessel) int { return int(a.latest() - b.latest()) })
	}
	var b strings.Builder
	for _, r := range roots {
		b.WriteString("(")
		r.write(&b)
		b.WriteString(")")
	}
	return b.String()
}

func slowOrderedSubject(found []*vessel) (roots []*vessel) {
	slices.SortStableFunc(found, func(a, b *vessel) int {
		if c := strings.Compare(a.base(), b.base()); c != 0 {
			return c
		}
		return bySent(a, b)
	})
	for i, v := range found {
		if i > 0 && v.base() == roots[len(roots)-1].base() {
			roots[len(roots)-1].adopt(v)
		} else {
			roots = append(roots, v)
		}
	}
	slices.SortStableFunc(roots, bySent)
	return roots
}

// slowLink is steps 1 and 2.
func slowLink(found []*vessel) (roots []*vessel) {
	known := map[string]*vessel{}
	everybody := slices.Clone(found)
	for _, v := range found {
		own := valid(v.letter.id)
		if len(own) > 0 && known[own[0]] == nil {
			known[own[0]] = v
		}
	}
	find := func(id string) *vessel {
		if known[id] == nil {
			known[id] = &vessel{}
			everybody = append(everybody, known[id])
		}
		return known[id]
	}
	for _, v := range found {
		refs := valid(strings.Join(v.letter.refs, " "))
		if len(refs) == 0 {
			refs = valid(strings.Join(v.letter.inReplyTo, " "))
			refs = refs[:min(1, len(refs))]
		}
		for i := 0; i+1 < len(refs); i++ {
			parent, child := find(refs[i]), find(refs[i+1])
			if child.parent == nil && !parent.isDescendantOf(child) {
				parent.adopt(child)
			}
		}
		v.leave()
		if len(refs) > 0 {
			if last := find(refs[len(refs)-1]); !last.isDescendantOf(v) {
				last.adopt(v)
			}
		}
	}
	for _, v := range everybody {
		if v.parent == nil {
			roots = append(roots, v)
		}
	}
	return roots
}

// valid lists the valid message-ids of a field, without quotes.
func valid(field string) (list []string) {
	for field != "" {
		var id string
		_, field, _ = strings.Cut(field, "<")
		id, field, _ = strings.Cut(field, ">")
		id = strings.ReplaceAll(id, `"`, "")
		if at := strings.Index(id, "@"); at > 0 && at < len(id)-1 {
			list = append(list, id)
		}
	}
	return list
}

// slowPrune is step 3, from the bottom up, so that "only one child" is said of the
// tree that is left.
func slowPrune(level []*vessel, top bool) (kept []*vessel) {
	for _, v := range level {
		v.children = slowPrune(v.children, false)
		for _, c := range v.children {
			c.parent = v
		}
		switch {
		case v.letter != nil || top && len(v.children) > 1:
			kept = append(kept, v)
		default:
			for _, c := range v.children {
				c.parent = nil
			}
			kept = append(kept, v.children...)
		}
	}
	return kept
}

func slowSort(level []*vessel) {
	for _, v := range level {
		slowSort(v.children)
		slices.SortStableFunc(v.children, bySent)
	}
}

// slowMerge is step 5.
func slowMerge(roots []*vessel) []*vessel {
	subject := func(v *vessel) string { return v.first().base() }
	table := map[string]*vessel{}
	for _, v := range roots {
		s := subject(v)
		if s == "" {
			continue
		}
		old := table[s]
		if old == nil || old.letter != nil && (v.letter == nil || old.isReply() && !v.isReply()) {
			table[s] = v
		}
	}
	out := slices.Clone(roots)
	remove := func(v *vessel) { out = slices.DeleteFunc(out, func(o *vessel) bool { return o == v }) }
	for _, v := range roots {
		if !slices.Contains(out, v) || subject(v) == "" {
			continue
		}
		other := table[subject(v)]
		switch {
		case other == v:
		case other.letter == nil && v.letter == nil:
			for _, c := range v.children {
				other.adopt(c)
			}
			remove(v)
		case other.letter == nil, v.isReply() && !other.isReply():
			remove(v)
			other.adopt(v)
		default:
			dummy := &vessel{}
			remove(v)
			remove(other)
			dummy.adopt(other)
			dummy.adopt(v)
			out = append(out, dummy)
			table[subject(v)] = dummy
		}
	}
	return out
}
