package tiers

import (
	"teraslot/mailbox"
	"teraslot/text"

	index "github.com/blevesearch/bleve_index_api"
)

// Doc is a message's text on its way into an index.
type Doc struct {
	GUID mailbox.GUID
	// Complete: Units are all of the message's text units. The text of an
	// incomplete document is not indexed: the message has to be scanned anyway.
	Complete bool
	Units    []text.Unit
}

// Fields of a segment beside those of package text.
const (
	idField     = "_id"
	statusField = "status"
)

// completeTerm is the term in the status field of complete documents.
const completeTerm = "complete"

// indexFields are the fields that every document of a segment has, so that
// segments of different content can be merged by copying.
func indexFields() []string {
	return append(listedFields(), text.FieldName, statusField)
}

// document is a Doc as the segment builder wants it.
type document struct {
	id     string
	fields []index.Field
}

// maxFrequency is where counting how often a term occurs stops.
const maxFrequency = 127

// frequencies are shared by all documents: a builder only reads them. A
// frequency of 1 with a length of 1 is what lets a term of a single document be
// kept in the dictionary alone when segments are merged.
func frequencies() []*index.TokenFreq {
	all := make([]*index.TokenFreq, maxFrequency+1)
	for n := range all {
		all[n] = &index.TokenFreq{}
		all[n].SetFrequency(n)
	}
	return all
}

// newDocument counts the terms of a document. It returns false for one that has
// more than maxTerms, which the caller has to make incomplete.
func newDocument(d Doc, shared []*index.TokenFreq, maxTerms int) (*document, bool) {
	counts := map[string]index.TokenFrequencies{}
	if d.Complete {
		counts[statusField] = index.TokenFrequencies{completeTerm: shared[1]}
		for _, u := range d.Units {
			if maxTerms = count(counts, u, shared, maxTerms); maxTerms < 0 {
				return nil, false
			}
		}
	}
	doc := &document{id: string(d.GUID[:])}
	doc.fields = append(doc.fields, &field{name: idField, value: d.GUID[:], options: index.IndexField | index.StoreField,
		terms: index.TokenFrequencies{doc.id: shared[1]}})
	for _, name := range indexFields() {
		doc.fields = append(doc.fields, &field{name: name, options: index.IndexField, terms: counts[name]})
	}
	return doc, true
}

// count adds a unit's terms, and returns how many new ones may follow; below 0 if
// there are more already.
func count(counts map[string]index.TokenFrequencies, u text.Unit, shared []*index.TokenFreq, maxTerms int) int {
	var field string
	var tf index.TokenFrequencies
	for f, term := range text.Terms(u) {
		if f != field {
			field = f
			if tf = counts[f]; tf == nil {
				tf = make(index.TokenFrequencies, len(u.Text)/16)
				counts[f] = tf
			}
		}
		n := 0
		if old := tf[term]; old != nil {
			n = old.Frequency()
		} else if maxTerms--; maxTerms < 0 {
			break
		}
		if n < maxFrequency {
			tf[term] = shared[n+1]
		}
	}
	return maxTerms
}

// The builder's interface, as far as it is more than data.

func (d *document) ID() string                                 { return d.id }
func (d *document) Size() int                                  { return 0 }
func (d *document) VisitComposite(index.CompositeFieldVisitor) {}
func (d *document) HasComposite() bool                         { return false }
func (d *document) NumPlainTextBytes() uint64                  { return 0 }
func (d *document) AddIDField()                                {}
func (d *document) StoredFieldsBytes() uint64                  { return uint64(len(d.id)) }
func (d *document) Indexed() bool                              { return true }
func (d *document) VisitFields(visit index.FieldVisitor) {
	for _, f := range d.fields {
		visit(f)
	}
}

// field is one field of a document, already analysed.
type field struct {
	name    string
	value   []byte
	options index.FieldIndexingOptions
	terms   index.TokenFrequencies
}

func (f *field) Name() string                                     { return f.name }
func (f *field) Value() []byte                                    { return f.value }
func (f *field) ArrayPositions() []uint64                         { return nil }
func (f *field) EncodedFieldType() byte                           { return 't' }
func (f *field) Analyze()                                         {}
func (f *field) Options() index.FieldIndexingOptions              { return f.options }
func (f *field) AnalyzedLength() int                              { return 1 }
func (f *field) AnalyzedTokenFrequencies() index.TokenFrequencies { return f.terms }
func (f *field) NumPlainTextBytes() uint64                        { return 0 }
