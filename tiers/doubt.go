package tiers

import (
	"context"
	"fmt"

	"teraslot/text"
)

// provable adds the documents for which all lookups find a term to those that match
// for sure, but for those in doubt, which may. Where few are found it is cheaper to
// verify them all. Of an alternative that is settled but proves nothing, all are in doubt.
func (m *match) provable(lookups []text.Lookup, a text.Alternative) error {
	var found docSet
	if err := m.lookups(fieldRange{}, lookups, false, &found); err != nil || found == nil {
		return err
	}
	if found.count() <= few {
		m.add(&m.maybe, found)
		return nil
	}
	if a.Provable {
		if err := m.prove(found, a); err != nil {
			return err
		}
	}
	if a.Settled {
		open := newDocSet(m.x.total)
		for _, d := range a.Open {
			if err := m.doubt(d, open); err != nil {
				return err
			}
		}
		found.and(open)
	}
	m.add(&m.maybe, found)
	return nil
}

// prove moves those of the documents found about which there is no doubt to those that match
// for sure.
func (m *match) prove(found docSet, a text.Alternative) error {
	sure := newDocSet(m.x.total)
	sure.or(found)
	for _, d := range a.Doubts {
		doubtful := newDocSet(m.x.total)
		if err := m.doubt(d, doubtful); err != nil {
			return err
		}
		if sure.andNot(doubtful); sure.count() == 0 {
			return nil
		}
	}
	found.andNot(sure)
	m.add(&m.sure, sure)
	return nil
}

// doubt adds the documents that are in doubt.
func (m *match) doubt(d text.Doubt, into docSet) error {
	f, ok := m.x.lookupField(d.Has.Field)
	if !ok {
		return nil
	}
	lists := &m.lists
	lists.reset(m.x, f)
	n := 0
	for at, term := range m.x.lookup(f, d.Has) {
		if n++; n%often == 0 {
			if err := context.Cause(m.ctx); err != nil {
				return err
			}
		}
		if !d.Twice && !d.Means(string(term), 1) {
			continue
		}
		list, err := lists.of(at)
		switch {
		case err != nil:
		case d.Twice:
			err = list.orRepeatedInto(into)
		default:
			err = list.orInto(into)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// orRepeatedInto adds the documents that have the term more than once.
func (l docList) orRepeatedInto(set docSet) error {
	docs, counts, err := l.appendTo(nil, nil)
	if err != nil {
		return err
	}
	for i, doc := range docs {
		if counts[i] < 2 {
			continue
		}
		if err := set.add(doc); err != nil {
			return fmt.Errorf("repeated terms: %w", err)
		}
	}
	return nil
}
