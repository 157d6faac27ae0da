package tiers

import (
	"math"
	"slices"

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
	last   []uint32 // of each term, by number: its last post in a line that was known, and 1

	own   ownTerms // of the document at hand
	lines knownLines

	posts  []uint32 // the terms of each document, document by document
	counts []uint8  // of each of posts, how often: 1 in fields that are not counted
	ends   []uint32 // where each document's posts end

	field   uint32 // at hand
	counted bool   // its terms are counted
	border  uint32 // the number of text.FieldBorder
	mark    uint32 // where the posts of the document at hand begin
	most    int    // of them

	room ordering
}

// ordering is memory for bringing terms into their order.
type ordering struct {
	keys, spare []termKey
	docs        []uint32 // of all terms
	counts      []uint8  // of docs
	ends        []uint32 // by the place of a key
	next        []uint32 // by the number of a term
	term        []byte
}

// newAnalysis makes an analysis of about so many documents.
func newAnalysis(docs int) *analysis {
	a := &analysis{byName: map[string]uint32{}}
	a.reset(docs)
	return a
}

// usualTerms is about how many different terms so many messages have, the long ones not
// counted: 950 in one, 300 for each of twenty.
func usualTerms(docs int) int { return docs * (100 + 5000/(docs+5)) }

// usualPosts is about how many different terms a message has.
const usualPosts = 1 << 10

// reset begins an analysis of about so many other documents. It uses the memory of the
// one before.
func (a *analysis) reset(docs int) {
	size := 1 << 10
	for 3*size < 4*usualTerms(docs) && size < 1<<16 {
		size *= 2
	}
	a.forget()
	a.short.reset(size)
	a.long.reset(size / 4)
	a.posts = slices.Grow(a.posts[:0], min(docs, 1<<10)*usualPosts)
	a.counts = slices.Grow(a.counts[:0], cap(a.posts))
	a.ends, a.last, a.terms = a.ends[:0], a.last[:0], 0
	a.own.reset()
	a.lines.reset(docs)
	a.border = a.number(text.FieldBorder)
}

// forget lets go of what belongs to the documents.
func (a *analysis) forget() {
	clear(a.fields)
	clear(a.byName)
	clear(a.long.terms)
	a.own.forget()
	a.lines.forget()
	a.fields, a.long.terms = a.fields[:0], a.long.terms[:0]
}

// small reports whether its memory is worth being kept for another one.
func (a *analysis) small() bool {
	return len(a.short.slots) <= smallTable && len(a.long.slots) <= smallTable && len(a.own.slots) <= ownSlots && len(a.lines.slots) == 0 && cap(a.posts) <= smallBatch*usualPosts
}

// What is kept of the memory of an analysis: that of some dozens of messages.
const (
	smallTable = 1 << 15 // slots
	smallBatch = 128     // documents
)

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
	a.mark, a.most = uint32(len(a.posts)), min(maxTerms, math.MaxInt32)
	a.own.begin()
	a.lines.begin()
	text.Feed(units, a)
	ok := a.own.len() <= a.most
	if ok {
		a.join()
		ok = len(a.posts)-int(a.mark) <= a.most
	}
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

// Line begins a header line. The terms of one that is known are taken at once.
func (a *analysis) Line(u text.Unit) bool {
	terms, known := a.lines.of(u)
	for _, t := range terms {
		if a.last[t] <= a.mark {
			a.posts, a.counts = append(a.posts, t), append(a.counts, 1)
			a.last[t] = uint32(len(a.posts))
		}
	}
	return !known
}

// LineEnds ends a header line.
func (a *analysis) LineEnds() { a.lines.end() }

// Term takes a term of the document and field at hand.
func (a *analysis) Term(term string) bool {
	if key, whole := packed(term); whole {
		a.lines.note(a.own.addShort(key, a.field, a.counted) << 1)
	} else {
		a.lines.note(a.own.addLong(key, term, a.field, a.counted)<<1 | 1)
	}
	return a.own.len() <= a.most
}

// Border takes a place where two words of the document at hand meet.
func (a *analysis) Border(left, right string) bool {
	if key, ok := packedBorder(left, right); ok {
		a.own.addShort(key, a.border, false)
	} else {
		border := text.Border(left, right)
		a.own.addLong(borderKey(border), border, a.border, false)
	}
	return a.own.len() <= a.most
}

// touched is how many terms are touched at once.
const touched = 32

// join takes the document's own terms into the segment's.
func (a *analysis) join() {
	a.short.room(len(a.own.short))
	for from := 0; from < len(a.own.short); from += touched {
		some := a.own.short[from:min(from+touched, len(a.own.short))]
		a.short.touch(some)
		for i := range some {
			t := &some[i]
			t.term = a.short.number(t.key, t.field, a.terms)
			a.post(t.term, t.count)
		}
	}
	for i := range a.own.long {
		t := &a.own.long[i]
		t.term = a.long.number(t, a.terms)
		a.post(t.term, t.count)
	}
	a.lines.learn(&a.own)
}

// post notes that the document has a term, unless a known line said so.
func (a *analysis) post(term uint32, count uint8) {
	if term == a.terms {
		a.terms++
		a.last = append(a.last, 0)
	} else if a.last[term] > a.mark {
		return
	}
	a.posts, a.counts = append(a.posts, term), append(a.counts, count)
}

// undo takes back the posts of the document at hand. Its terms stay, with no
// document to their name.
func (a *analysis) undo() {
	for _, t := range a.posts[a.mark:] {
		a.last[t] = 0
	}
	a.posts, a.counts = a.posts[:a.mark], a.counts[:a.mark]
}

// each calls fn with the terms of all fields, in order, and their documents. The
// slices are valid during the call; counts are nil in fields that are not counted. It
// is the analysis's end, until it is reset.
func (a *analysis) each(fn func(field string, term []byte, docs []uint32, counts []uint8)) {
	keys := a.inOrder()
	docs, counts, ends := a.byTerm(keys)
	buf := a.room.term
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
	a.room.term = buf
}

// byTerm are the documents of the terms in the order of keys, those of each term
// rising, with how often they have it, and where those of each term end.
func (a *analysis) byTerm(keys []termKey) (docs []uint32, counts []uint8, ends []uint32) {
	r := &a.room
	r.next = sized(r.next, int(a.terms))
	next := r.next // first how many posts, then where the next one goes
	clear(next)
	for _, t := range a.posts {
		next[t]++
	}
	at := uint32(0)
	r.ends = sized(r.ends, len(keys))
	ends = r.ends
	for i, k := range keys {
		next[k.term], at = at, at+next[k.term]
		ends[i] = at
	}
	r.docs, r.counts = sized(r.docs, len(a.posts)), sized(r.counts, len(a.posts))
	docs, counts = r.docs, r.counts
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

// sized is memory for n values, that of s if it is enough. Anything may stand in it.
func sized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }
