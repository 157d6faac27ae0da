package tiers

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"teraslot/text"

	"github.com/RoaringBitmap/roaring/v2"
)

// Match answers a key by the index alone: sure are the documents that match,
// maybe those that have to be verified by their text, and no other complete
// document matches. The two have no document in common. Nothing is said about
// incomplete documents. Both bitmaps are the caller's.
//
// A segment that turns out to be unreadable makes all its complete documents
// candidates. The only error is ctx's.
func (s *Snapshot) Match(ctx context.Context, k text.Key) (sure, maybe *roaring.Bitmap, err error) {
	plan := k.Plan()
	sure, maybe = roaring.New(), roaring.New()
	for _, seg := range s.segments {
		m := newMatch(ctx, seg.h)
		err := guard(func() error { return m.plan(plan) })
		if cause := context.Cause(ctx); cause != nil {
			return nil, nil, cause
		}
		if err != nil {
			s.set.fault(seg, err)
			maybe.Or(seg.h.complete.bitmap(seg.base))
			continue
		}
		if m.sure != nil {
			sure.Or(m.sure.bitmap(seg.base))
		}
		if m.maybe != nil {
			maybe.Or(m.maybe.bitmap(seg.base))
		}
	}
	return sure, maybe, nil
}

// match is one key in one segment. Sets are made when there is something in them.
type match struct {
	ctx         context.Context // of the one call of Match
	h           *handle
	x           *segmentIndex
	sure, maybe docSet
	lists       blockLists // of the field at hand
}

func newMatch(ctx context.Context, h *handle) *match { return &match{ctx: ctx, h: h, x: h.index} }

// plan finds what the alternatives of a plan find, the sure ones first.
func (m *match) plan(p text.Plan) error {
	alternatives := slices.Clone(p.Any)
	slices.SortStableFunc(alternatives, func(a, b text.Alternative) int { return doubtfulness(a) - doubtfulness(b) })
	for _, a := range alternatives {
		if m.all(m.sure) {
			break
		}
		if err := m.alternative(a); err != nil {
			return err
		}
	}
	if m.maybe != nil && m.sure != nil {
		m.maybe.andNot(m.sure)
	}
	if !m.x.whole() {
		return m.h.cutShort()
	}
	return nil
}

// all reports whether no more documents can be found: only complete ones have
// terms.
func (m *match) all(found docSet) bool { return found != nil && found.count() >= m.h.info.Complete }

// doubtfulness orders alternatives: what is sure need not be found again.
func doubtfulness(a text.Alternative) int {
	switch {
	case a.Sure:
		return 0
	case a.Provable:
		return 1
	}
	return 2
}

func (m *match) alternative(a text.Alternative) error {
	lookups := slices.Clone(a.All)
	slices.SortStableFunc(lookups, func(a, b text.Lookup) int { return cost(a.Op) - cost(b.Op) })
	into := &m.maybe
	if a.Sure {
		into = &m.sure
	}
	switch {
	case a.Provable, a.Settled:
		return m.provable(lookups, a)
	case len(lookups) == 0:
		m.add(into, m.h.complete)
		return nil
	case !a.AnyHeader:
		return m.lookups(fieldRange{}, lookups, a.Sure, into)
	}
	for i := range m.x.len() {
		name := m.x.nameOctets(i)
		if !headed(name, a.NameSuffix) {
			continue
		}
		f, ok := m.x.field(i)
		if !ok {
			return fmt.Errorf("%w: field %d", errIndex, i)
		}
		about := inField(lookups, string(name))
		if len(lookups) > 0 && len(about) == 0 {
			continue
		}
		if err := m.lookups(f, about, a.Sure, into); err != nil {
			return err
		}
	}
	return nil
}

// inField is what is to be looked up for a header field.
func inField(all []text.Lookup, name string) []text.Lookup {
	if !slices.ContainsFunc(all, func(l text.Lookup) bool { return l.Field == text.FieldNear }) {
		return all
	}
	field, ok := text.NearField(name)
	var about []text.Lookup
	for _, l := range all {
		switch {
		case l.Field != text.FieldNear:
		case !ok:
			continue
		default:
			l.Field = field
		}
		about = append(about, l)
	}
	return about
}

// headed reports whether a field is that of a header field whose name, in upper
// case and with its colon, ends with suffix.
func headed(name []byte, suffix string) bool {
	if bytes.IndexByte(name, ':') >= 0 {
		return false
	}
	return suffix == "" || strings.HasSuffix(strings.ToUpper(string(name))+":", suffix)
}

// cost orders the ops: those that find their terms by halving come first.
func cost(op text.Op) int {
	switch op {
	case text.Exact:
		return 0
	case text.Across:
		return 1
	case text.Prefix:
		return 2
	}
	return 3
}

// add adds found documents to a set that is made if need be.
func (m *match) add(into *docSet, found docSet) {
	if *into == nil {
		*into = newDocSet(m.x.total)
	}
	into.or(found)
}

// few is how many documents it is not worth to have less of before they are
// verified by their text: another pass through the terms of a large field takes as
// long. Smaller ones are passed through: a key is looked for in hundreds of header
// fields, and few documents of each would be many.
const few, largeField = 8, 64 << 10

// lookups adds the documents for which all lookups find a term; those without a
// field of their own are about f.
func (m *match) lookups(f fieldRange, all []text.Lookup, sure bool, into *docSet) error {
	if len(all) == 1 {
		return m.collect(f, all[0], into)
	}
	var found docSet
	for i, l := range all {
		if i > 0 && !sure && cost(l.Op) > 2 && m.large(f, l) && found.count() <= few {
			break
		}
		var docs docSet
		if err := m.collect(f, l, &docs); err != nil || docs == nil {
			return err
		}
		if found == nil {
			found = docs
		} else {
			found.and(docs)
		}
		if m.sure != nil && m.sure.holds(found) {
			return nil // nothing that is not known to match
		}
	}
	m.add(into, found)
	return nil
}

// often is after how many terms a search looks whether it goes on.
const often = 256

// large reports whether to look through the terms that a lookup means takes long.
func (m *match) large(f fieldRange, l text.Lookup) bool {
	if l.Field != "" {
		f, _ = m.x.lookupField(l.Field)
	}
	return f.end-f.start > largeField
}

// collect adds the documents that have one of the terms that l means.
func (m *match) collect(f fieldRange, l text.Lookup, into *docSet) error {
	if l.Field != "" {
		var ok bool
		if f, ok = m.x.lookupField(l.Field); !ok {
			return nil
		}
	}
	if cost(l.Op) > 2 && f.none != 0 && f.blocks >= 2*passBlocks {
		return m.pass(f, l, into)
	}
	return m.part(f, l, into)
}

// part is collect for a field, or for some of its blocks.
func (m *match) part(f fieldRange, l text.Lookup, into *docSet) error {
	lists := &m.lists
	lists.reset(m.x, f)
	n := 0
	for at := range m.x.lookup(f, l) {
		if *into == nil {
			*into = newDocSet(m.x.total)
		}
		list, err := lists.of(at)
		if err == nil {
			err = list.orInto(*into)
		}
		if err != nil {
			return err
		}
		// Short keys are in so many terms that a part of them leads to all documents.
		if n++; n%often == 0 {
			if err := context.Cause(m.ctx); err != nil || m.all(*into) {
				return err
			}
		}
	}
	return nil
}
