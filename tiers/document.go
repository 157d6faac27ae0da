package tiers

import (
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

// analysis is what the documents of a segment are made of: the terms of each
// field, and for each occurrence in a new document a posting. Terms share the
// memory of the documents' units.
type analysis struct {
	docs   uint32
	fields map[string]*fieldTerms
	// The field that was added to last: a unit's terms come field by field.
	name string
	last *fieldTerms
	left int // new postings that the document at hand may still have
}

// fieldTerms are the terms of one field.
type fieldTerms struct {
	ids     map[string]uint32
	terms   []foundTerm
	posts   []posting
	counts  []uint8 // of posts, if the field's terms are counted
	counted bool
	mark    int // posts of earlier documents
}

type foundTerm struct {
	text string
	last uint32 // its last document and 1; 0: none
	post uint32 // the posting of that
	n    uint32 // postings
}

// posting is an occurrence of a term in a document.
type posting struct{ term, doc uint32 }

func newAnalysis() *analysis { return &analysis{fields: map[string]*fieldTerms{}} }

// counted reports whether a field's lists say how often a term occurs: for
// ranking, to which it says something in long texts only.
func counted(field string) bool { return field == text.FieldBody }

func (a *analysis) field(name string) *fieldTerms {
	if a.last != nil && a.name == name {
		return a.last
	}
	f := a.fields[name]
	if f == nil {
		f = &fieldTerms{ids: map[string]uint32{}, counted: counted(name)}
		a.fields[name] = f
	}
	a.name, a.last = name, f
	return f
}

// add analyses the next document. It returns false for one that has more than
// maxTerms terms; nothing of that is taken.
func (a *analysis) add(units []text.Unit, maxTerms int) bool {
	for _, f := range a.fields {
		f.mark = len(f.posts)
	}
	a.left = maxTerms
	ok := true
	for _, u := range units {
		for field, term := range text.Terms(u) {
			if ok = a.term(a.field(field), term); !ok {
				a.undo()
				break
			}
		}
		if !ok {
			break
		}
	}
	a.docs++
	return ok
}

// term adds a term of the document at hand; false if that has too many.
func (a *analysis) term(f *fieldTerms, term string) bool {
	id, known := f.ids[term]
	if !known {
		id = uint32(len(f.terms))
		f.ids[term] = id
		f.terms = append(f.terms, foundTerm{text: term})
	}
	t := &f.terms[id]
	if t.last == a.docs+1 {
		if f.counted && f.counts[t.post] < 255 {
			f.counts[t.post]++
		}
		return true
	}
	if a.left--; a.left < 0 {
		return false
	}
	t.last, t.post = a.docs+1, uint32(len(f.posts))
	t.n++
	f.posts = append(f.posts, posting{id, a.docs})
	if f.counted {
		f.counts = append(f.counts, 1)
	}
	return true
}

// undo takes back the postings of the document at hand. Its terms stay, with no
// document to their name.
func (a *analysis) undo() {
	for _, f := range a.fields {
		for _, p := range f.posts[f.mark:] {
			f.terms[p.term].n--
			f.terms[p.term].last = 0
		}
		f.posts = f.posts[:f.mark]
		if f.counted {
			f.counts = f.counts[:f.mark]
		}
	}
}
