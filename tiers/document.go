package tiers

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"teraslot/mailbox"
	"teraslot/text"
)

// Doc is a message's text on its way into an index.
type Doc struct {
	GUID mailbox.GUID
	// Complete: Units are all of the message's text units. The text of an
	// incomplete document is not indexed: the message has to be scanned anyway.
	Complete bool
	Units    []text.Unit
}

// analysis is what the documents of a segment are made of: the terms of all
// fields, and a posting for each document that has one. Terms share the memory of
// the documents' units.
type analysis struct {
	docs   uint32
	fields []string
	byName map[string]uint32 // numbers of fields
	seed   maphash.Seed
	// table finds terms by their hash: the hash and their number and 1, at the place
	// that the hash says or the next free one. Its length is a power of two.
	table []slot
	terms []foundTerm
	posts []posting
	// The field at hand, and the one before: the terms of bodies are of two.
	at, before openField
	mark       int // posts of earlier documents
}

type slot struct{ hash, term uint32 }

// openField is a field by its name.
type openField struct {
	name    string
	id      uint32
	counted bool
	open    bool
}

// foundTerm is a term of a field.
type foundTerm struct {
	first uint64 // octets, for comparing
	text  string
	field uint32
	last  uint32 // its last document and 1; 0: none
	post  uint32 // the posting of that
	n     uint32 // postings
}

// posting is a term in a document.
type posting struct {
	term, doc uint32
	count     uint8 // how often; 1 in fields that are not counted
}

// newAnalysis makes an analysis of about so many documents.
func newAnalysis(docs int) *analysis {
	const usual, least = 200, 10 // terms that a document has new to others
	size := 1 << 10
	for size < 2*docs*min(usual, least+20*usual/(docs+1)) && size < 1<<16 {
		size *= 2
	}
	return &analysis{
		byName: map[string]uint32{}, seed: maphash.MakeSeed(), table: make([]slot, size),
		terms: make([]foundTerm, 0, size/2), posts: make([]posting, 0, min(docs, 1<<10)*2*usual),
	}
}

// counted reports whether a field's lists say how often a term occurs: for
// ranking, to which it says something in long texts only.
func counted(field string) bool { return field == text.FieldBody }

// setField makes name the field at hand.
func (a *analysis) setField(name string) {
	a.at, a.before = a.before, a.at
	if a.at.open && a.at.name == name {
		return
	}
	id, ok := a.byName[name]
	if !ok {
		id = uint32(len(a.fields))
		a.fields = append(a.fields, name)
		a.byName[name] = id
	}
	a.at = openField{name, id, counted(name), true}
}

// add analyses the next document. It returns false for one that has more than
// maxTerms terms; nothing of that is taken.
func (a *analysis) add(units []text.Unit, maxTerms int) bool {
	a.mark = len(a.posts)
	for field, term := range text.Terms(units) {
		if field != a.at.name || !a.at.open {
			a.setField(field)
		}
		a.term(term)
		if len(a.posts)-a.mark > maxTerms {
			a.undo()
			a.docs++
			return false
		}
	}
	a.docs++
	return true
}

// term adds a term of the document and field at hand.
func (a *analysis) term(s string) {
	id := a.find(s)
	t := &a.terms[id]
	if t.last == a.docs+1 {
		if a.at.counted && a.posts[t.post].count < 255 {
			a.posts[t.post].count++
		}
		return
	}
	t.last, t.post = a.docs+1, uint32(len(a.posts))
	t.n++
	a.posts = append(a.posts, posting{id, a.docs, 1})
}

// find finds a term of the field at hand, or makes it known. Most are compared by
// their first octets alone.
func (a *analysis) find(s string) uint32 {
	first := firstOctets(s)
	hash := uint32(maphash.String(a.seed, s)) + a.at.id*0x9E3779B9
	mask := uint32(len(a.table) - 1)
	at := hash & mask
	for ; a.table[at].term != 0; at = (at + 1) & mask {
		if a.table[at].hash != hash {
			continue
		}
		id := a.table[at].term - 1
		if t := &a.terms[id]; t.first == first && len(t.text) == len(s) && t.field == a.at.id && (len(s) <= 8 || t.text == s) {
			return id
		}
	}
	id := uint32(len(a.terms))
	a.terms = append(a.terms, foundTerm{first: first, text: s, field: a.at.id})
	a.table[at] = slot{hash, id + 1}
	if 2*len(a.terms) > len(a.table) {
		a.grow()
	}
	return id
}

// firstOctets are the first eight, zeros for those that are missing, as a number
// that sorts as they do.
func firstOctets(s string) (n uint64) {
	if len(s) >= 8 {
		return uint64(s[7]) | uint64(s[6])<<8 | uint64(s[5])<<16 | uint64(s[4])<<24 |
			uint64(s[3])<<32 | uint64(s[2])<<40 | uint64(s[1])<<48 | uint64(s[0])<<56
	}
	for i := range len(s) {
		n |= uint64(s[i]) << (56 - 8*i)
	}
	return n
}

// grow makes the table twice as large.
func (a *analysis) grow() {
	old := a.table
	a.table = make([]slot, 2*len(old))
	mask := uint32(len(a.table) - 1)
	for _, s := range old {
		at := s.hash & mask
		for s.term != 0 && a.table[at].term != 0 {
			at = (at + 1) & mask
		}
		if s.term != 0 {
			a.table[at] = s
		}
	}
}

// undo takes back the postings of the document at hand. Its terms stay, with no
// document to their name.
func (a *analysis) undo() {
	for _, p := range a.posts[a.mark:] {
		a.terms[p.term].n--
		a.terms[p.term].last = 0
	}
	a.posts = a.posts[:a.mark]
}

// each calls fn with the terms of all fields, in order, and their documents: it
// sorts the postings by term, which leaves those of a term in the order of
// documents. The slices are valid during the call; counts are nil in fields that
// are not counted.
func (a *analysis) each(fn func(field, term string, docs []uint32, counts []uint8)) {
	at := make([]uint32, len(a.terms)+1) // where each term's postings begin
	for i := range a.terms {
		at[i+1] = at[i] + a.terms[i].n
	}
	docs, counts := make([]uint32, len(a.posts)), make([]uint8, len(a.posts))
	next := slices.Clone(at)
	for _, p := range a.posts {
		to := next[p.term]
		next[p.term]++
		docs[to], counts[to] = p.doc, p.count
	}
	for _, id := range a.inOrder() {
		from, to := at[id], at[id+1]
		if from == to {
			continue
		}
		field := a.fields[a.terms[id].field]
		c := counts[from:to]
		if !counted(field) {
			c = nil
		}
		fn(field, a.terms[id].text, docs[from:to], c)
	}
}

// inOrder are the numbers of the terms in the order of their fields, and of their
// octets. Most differ in their first eight.
func (a *analysis) inOrder() []uint32 {
	rank := make([]uint32, len(a.fields))
	for i, name := range slices.SortedFunc(slices.Values(a.fields), compareFields) {
		rank[a.byName[name]] = uint32(i)
	}
	type key struct {
		first       uint64
		field, term uint32
	}
	keys := make([]key, len(a.terms))
	for i := range a.terms {
		t := &a.terms[i]
		keys[i] = key{t.first, rank[t.field], uint32(i)}
	}
	slices.SortFunc(keys, func(x, y key) int {
		switch {
		case x.field != y.field:
			return cmp.Compare(x.field, y.field)
		case x.first != y.first:
			return cmp.Compare(x.first, y.first)
		}
		return strings.Compare(a.terms[x.term].text, a.terms[y.term].text)
	})
	out := make([]uint32, len(keys))
	for i, k := range keys {
		out[i] = k.term
	}
	return out
}
