package transfer

import (
	"cmp"
	"fmt"
	"slices"
)

// oneForEachUse leaves each special use to one mailbox, the same in each run: to that
// whose name it is, as in new accounts, else to the first by name. With all below
// Options.Mailbox, uses stay with what is there.
func (r *run) oneForEachUse(list *List) {
	best := map[string]*Place{}
	var also []*Place
	for i := range list.Mailboxes {
		p := &list.Mailboxes[i]
		switch old := best[p.Use]; {
		case p.Use == "":
		case r.o.Mailbox != "" || p.Here == "" || r.excluded(p.Here):
			p.Use = ""
		case old == nil:
			best[p.Use] = p
		case better(p, old):
			best[p.Use] = p
			also = append(also, old)
		default:
			also = append(also, p)
		}
	}
	slices.SortFunc(also, func(a, b *Place) int { return cmp.Compare(a.Here, b.Here) })
	for _, p := range also {
		r.notice(fmt.Sprintf("%s: the use %s, which %s has", p.Here, p.Use, best[p.Use].Here))
		p.Use = ""
	}
}

// better reports whether a should rather have the use of both.
func better(a, b *Place) bool {
	name := a.Use[1:]
	if (a.Here == name) != (b.Here == name) {
		return a.Here == name
	}
	return a.Here < b.Here
}
