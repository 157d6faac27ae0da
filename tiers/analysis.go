package tiers

import (
	"math"

	"teraslot/text"
)

// analysis is what the documents of a segment are made of: the terms of all
// fields, and the documents that have each. It is a text.Sink. Terms of more than
// eight octets share the memory of the documents' units.
type analysis struct {
	fields []string
	byName map[string]uint32 // numbers of fields
	terms  uint32            // how many there are; their numbers are below
	short  shortTable
	long   longTable

	posts  []uint32 // the terms of each document, document by document
	counts []uint8  // of each of posts, how often: 1 in fields that are not counted
	ends   []uint32 // where each document's posts end

	field   uint32 // at hand
	counted bool   // its terms are counted
	border  uint32 // the number of text.FieldBorder
	mark    uint32 // where the posts of the document at hand begin
	most    uint32 // of them
}

// newAnalysis makes an analysis of about so many documents.
func newAnalysis(docs int) *analysis {
	const usual, least = 200, 10 // terms that a document has new to others
	size := 1 << 10
	for size < 2*docs*min(usual, least+20*usual/(docs+1)) && size < 1<<16 {
		size *= 2
	}
	a := &analysis{byName: map[string]uint32{}, short: newShortTable(size), long: newLongTable(size / 4)}
	a.posts = make([]uint32, 0, min(docs, 1<<10)*2*usual)
	a.counts = make([]uint8, 0, cap(a.posts))
	a.border = a.number(text.FieldBorder)
	return a
}

// counted reports whether a field's lists say how often a term occurs: for
// ranking, to which it says something in long texts only.
func counted(field string) bool { return field == text.FieldBody }

// number is the number of a field.
func (a *analysis) number(field string) uint32 {
	n, ok := a.byName[field]
	if !ok {
		n = uint32(len(a.fields))
		a.fields = append(a.fields, field)
		a.byName[field] = n
	}
	return n
}

// add analyses the next document. It returns false for one that has more than
// maxTerms terms; nothing of that is taken.
func (a *analysis) add(units []text.Unit, maxTerms int) bool {
	a.mark, a.most = uint32(len(a.posts)), uint32(min(maxTerms, math.MaxInt32))
	text.Feed(units, a)
	ok := uint32(len(a.posts))-a.mark <= a.most
	if !ok {
		a.undo()
	}
	a.ends = append(a.ends, uint32(len(a.posts)))
	return ok
}

// Field makes a field the one at hand.
func (a *analysis) Field(name string) {
	a.field, a.counted = a.number(name), counted(name)
}

// Term takes a term of the document and field at hand.
func (a *analysis) Term(term string) bool {
	key, whole := packed(term)
	if !whole {
		return a.take(a.long.find(key, term, a.field), a.counted)
	}
	return a.take(a.short.find(key, a.field), a.counted)
}

// Border takes a place where two words of the document at hand meet.
func (a *analysis) Border(left, right string) bool {
	if key, ok := packedBorder(left, right); ok {
		return a.take(a.short.find(key, a.border), false)
	}
	border := text.Border(left, right)
	return a.take(a.long.find(borderKey(border), border, a.border), false)
}

// take counts a term, by its place, for the document at hand.
func (a *analysis) take(at *termPlace, counted bool) bool {
	if at.term == 0 {
		a.terms++
		at.term = a.terms
	}
	if at.post > a.mark {
		if n := &a.counts[at.post-1]; counted && *n < 255 {
			*n++
		}
		return true
	}
	a.posts, a.counts = append(a.posts, at.term-1), append(a.counts, 1)
	at.post = uint32(len(a.posts))
	return at.post-a.mark <= a.most
}

// undo takes back the posts of the document at hand. Its terms stay, with no
// document to their name.
func (a *analysis) undo() {
	for at := range a.places() {
		if at.post > a.mark {
			at.post = 0
		}
	}
	a.posts, a.counts = a.posts[:a.mark], a.counts[:a.mark]
}

// places yields the places of all terms.
func (a *analysis) places() func(yield func(*termPlace) bool) {
	return func(yield func(*termPlace) bool) {
		for i := range a.short.slots {
			if at := &a.short.slots[i].termPlace; at.term != 0 && !yield(at) {
				return
			}
		}
		for i := range a.long.terms {
			if !yield(&a.long.terms[i].termPlace) {
				return
			}
		}
	}
}

// each calls fn with the terms of all fields, in order, and their documents. The
// slices are valid during the call; counts are nil in fields that are not counted. It
// is the analysis's end: its tables go.
func (a *analysis) each(fn func(field string, term []byte, docs []uint32, counts []uint8)) {
	keys := a.inOrder()
	docs, counts, ends := a.byTerm(keys)
	var buf []byte
	from := uint32(0)
	for i, k := range keys {
		end := ends[i]
		if from == end {
			continue
		}
		field := a.fields[k.field]
		buf = a.appendTerm(buf[:0], k)
		c := counts[from:end]
		if !counted(field) {
			c = nil
		}
		fn(field, buf, docs[from:end], c)
		from = end
	}
}

// byTerm are the documents of the terms in the order of keys, those of each term
// rising, with how often they have it, and where those of each term end.
func (a *analysis) byTerm(keys []termKey) (docs []uint32, counts []uint8, ends []uint32) {
	next := make([]uint32, a.terms) // by term: first how many posts, then where the next one goes
	for _, t := range a.posts {
		next[t]++
	}
	at := uint32(0)
	ends = make([]uint32, len(keys))
	for i, k := range keys {
		next[k.term], at = at, at+next[k.term]
		ends[i] = at
	}
	docs, counts = make([]uint32, len(a.posts)), make([]uint8, len(a.posts))
	from := uint32(0)
	for doc, end := range a.ends {
		for i, t := range a.posts[from:end] {
			to := next[t]
			next[t]++
			docs[to], counts[to] = uint32(doc), a.counts[from+uint32(i)]
		}
		from = end
	}
	return docs, counts, ends
}
