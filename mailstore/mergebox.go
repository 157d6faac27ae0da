package mailstore

import (
	"cmp"
	"math"
	"slices"

	"teraslot/mailbox"
)

// boxMerger merges the records of a mailbox that both sides have.
type boxMerger struct {
	*merger
	h, t, b *BoxImage
	own     map[mailbox.UID]*Entry
	theirs  map[mailbox.UID]*Entry
	twins   []*twin
	of      map[*Entry]*twin // of all records but those of expunged messages that are not the last of theirs
	live    map[mailbox.UID]*twin
	change  BoxChange
}

// twin is a message on both sides: its live record, or else the last of the expunged ones; nil
// where there is none.
type twin struct {
	arrival
	h, t    *Entry
	stays   bool
	changed Dot         // the last write of those that count
	entry   *Entry      // the record of that
	uid     mailbox.UID // in the end; 0: a new one
}

func newBoxMerger(g *merger, h, t, b *BoxImage) *boxMerger {
	return &boxMerger{merger: g, h: h, t: t, b: b, own: entriesByUID(g.here.entries[h.ID]), theirs: entriesByUID(g.there.entries[h.ID]),
		of: map[*Entry]*twin{}, live: map[mailbox.UID]*twin{}}
}

func entriesByUID(all []Entry) map[mailbox.UID]*Entry {
	out := make(map[mailbox.UID]*Entry, len(all))
	for i := range all {
		out[all[i].UID] = &all[i]
	}
	return out
}

// run writes what was decided.
func (m *boxMerger) run() error {
	if err := m.place(); err != nil {
		return err
	}
	m.change = BoxChange{ID: m.b.ID, Whole: true}
	m.b.Counts, m.b.Checksum = mailbox.Counts{}, mailbox.Checksum{}
	for uid := range m.uids() {
		if w := m.live[uid]; w != nil {
			m.keep(w)
		} else {
			m.expunge(uid)
		}
	}
	slices.SortFunc(m.change.Entries, func(a, b Entry) int { return cmp.Compare(a.UID, b.UID) })
	return nil
}

// uids are those of all records of both sides and of the outcome.
func (m *boxMerger) uids() map[mailbox.UID]bool {
	out := make(map[mailbox.UID]bool, max(len(m.own), len(m.theirs)))
	for uid := range m.own {
		out[uid] = true
	}
	for uid := range m.theirs {
		out[uid] = true
	}
	for uid := range m.live {
		out[uid] = true
	}
	return out
}

// pair finds the messages and what each side has of them.
func (m *boxMerger) pair() {
	all := map[arrival]*twin{}
	for _, side := range []*version{m.here, m.there} {
		entries := side.entries[m.b.ID]
		for i := range entries {
			e := &entries[i]
			key := side.arrival(e)
			w := all[key]
			if w == nil {
				w = &twin{arrival: key}
				all[key] = w
				m.twins = append(m.twins, w)
			}
			m.enter(w, side, e)
		}
	}
	m.unite()
}

// enter makes a record that of its message on its side: a live one, or else the last one.
func (m *boxMerger) enter(w *twin, side *version, e *Entry) {
	place := &w.h
	if side == m.there {
		place = &w.t
	}
	switch old := *place; {
	case old == nil:
	case !old.Expunged && !e.Expunged: // two of one arrival, which no slot writes: they are kept apart
		w = &twin{arrival: arrival{m.now(), e.UID}}
		m.twins = append(m.twins, w)
		m.enter(w, side, e)
		return
	case !old.Expunged || e.Expunged && side.changed(e).before(side.changed(old)):
		return
	default:
		delete(m.of, old)
	}
	*place = e
	m.of[e] = w
}

// unite makes one message of two deliveries of the same bytes that have one UID, each on its side: what was made anew
// of packs is what it was. It does so also where a side has had both: then it has united them before, and
// the other has not heard of it.
func (m *boxMerger) unite() {
	for uid, h := range m.own {
		t := m.theirs[uid]
		if t == nil || h.Expunged || t.Expunged || h.GUID != t.GUID {
			continue
		}
		x, y := m.of[h], m.of[t]
		if x == y || x.t != nil || y.h != nil {
			continue
		}
		if (found{entry: t, made: y.made}).before(found{entry: h, made: x.made}) { // as where one gives way to the other
			x.arrival = y.arrival
		}
		x.t, m.of[t] = t, x
		y.t = nil
	}
}

// decide says whether a message stays, and as whose record.
func (m *boxMerger) decide(w *twin) {
	if w.h != nil && w.t != nil {
		m.decideBoth(w)
		return
	}
	side, other := m.here, m.there
	if w.entry = w.h; w.h == nil {
		w.entry, side, other = w.t, m.there, m.here
	}
	if w.entry == nil { // united with another
		return
	}
	w.changed = side.changed(w.entry)
	w.stays = !w.entry.Expunged && m.survives(w, other)
}

// survives reports whether a message of which the other side has no record stays: it has never
// heard of it, or not of the last change.
func (m *boxMerger) survives(w *twin, other *version) bool {
	if !other.had.has(w.made) {
		return true
	}
	m.merged.Expunged++
	if other.had.has(w.changed) {
		return false
	}
	m.merged.ExpungeChange++
	m.merged.Kept++
	return true
}

// decideBoth lets the last write count: a change or an expunging.
func (m *boxMerger) decideBoth(w *twin) {
	h, t := w.h, w.t
	x, y := m.here.changed(h), m.there.changed(t)
	w.entry, w.changed = h, x
	later := x.before(y)
	if x.ModSeq == y.ModSeq && h.Expunged != t.Expunged {
		later = t.Expunged
	}
	if later {
		w.entry, w.changed = t, y
	}
	w.stays = !w.entry.Expunged
	unheard := !m.there.had.has(x) && !m.here.had.has(y)
	switch {
	case h.Expunged && t.Expunged:
	case h.Expunged != t.Expunged:
		m.merged.Expunged++
		if unheard {
			m.merged.ExpungeChange++
		}
		if w.stays {
			m.merged.Kept++
		}
	case !h.Flags.Equal(t.Flags):
		m.merged.Flags++
		if unheard {
			m.merged.FlagsBoth++
		}
	}
}

// place gives the messages that stay their UIDs: the old one where no promise of the other side is in its
// way, else a new one above all that either side has given, in an order that both agree on.
func (m *boxMerger) place() error {
	var moved []*twin
	for _, w := range m.twins {
		if !w.stays {
			continue
		}
		if w.h == nil {
			m.merged.Taken++
		}
		if w.uid = m.kept(w); w.uid == 0 {
			moved = append(moved, w)
		} else {
			m.live[w.uid] = w
		}
	}
	m.merged.Moved += len(moved)
	slices.SortFunc(moved, func(a, b *twin) int {
		return cmp.Or(cmp.Compare(a.oldest(), b.oldest()), slices.Compare(a.entry.GUID[:], b.entry.GUID[:]),
			a.made.compare(b.made), cmp.Compare(a.arrival.uid, b.arrival.uid))
	})
	for _, w := range moved {
		if m.b.UIDNext == math.MaxUint32 {
			return ErrNoUIDs
		}
		w.uid = m.b.UIDNext
		m.live[w.uid] = w
		m.b.UIDNext++
	}
	return nil
}

// kept returns the UID that a message keeps; 0 if it needs a new one. A UID that one side alone
// has given, or both to this message, breaks no promise.
func (m *boxMerger) kept(w *twin) mailbox.UID {
	h, t := liveUID(w.h), liveUID(w.t)
	switch {
	case h != 0 && h == t:
		return h
	case h >= m.t.UIDNext:
		return h
	case t >= m.h.UIDNext:
		return t
	}
	return 0
}

// liveUID is the UID of a live record; 0 if there is none.
func liveUID(e *Entry) mailbox.UID {
	if e == nil || e.Expunged {
		return 0
	}
	return e.UID
}

// oldest is the lowest UID under which a message is live.
func (w *twin) oldest() mailbox.UID {
	h, t := liveUID(w.h), liveUID(w.t)
	if h == 0 || t != 0 && t < h {
		return t
	}
	return h
}

// count adds a live record to the mailbox's sums.
func (b *BoxImage) count(r *mailbox.Record) {
	b.Checksum.Add(r)
	b.Counts.Exists++
	b.Counts.Size += r.Size
	if !r.Flags.Has(mailbox.Seen) {
		b.Counts.Unseen++
	}
	if r.Flags.Has(mailbox.Deleted) {
		b.Counts.Deleted++
	}
}

// keep makes the record of a message that stays.
func (m *boxMerger) keep(w *twin) {
	h, t := m.own[w.uid], m.theirs[w.uid]
	ours, others := h != nil && m.of[h] == w, t != nil && m.of[t] == w
	if ours && others && h.alike(t) {
		m.b.count(&h.Record)
		return
	}
	e := *w.entry
	e.UID = w.uid
	switch { // to a side that has not had it under this UID it is new
	case ours && others:
		e.CreatedModSeq = max(h.CreatedModSeq, t.CreatedModSeq)
	case ours:
		e.CreatedModSeq = h.CreatedModSeq
	default:
		e.CreatedModSeq = m.modseq
	}
	m.write(e, w.arrival, w.changed)
}

// write makes an entry what the merge says, with its mod-sequence.
func (m *boxMerger) write(e Entry, of arrival, changed Dot) {
	e.ModSeq = m.modseq
	e.Provenance = Provenance{Changed: changed}
	if of.uid != e.UID || m.out.Image.Lineage.dot(e.CreatedModSeq) != of.made {
		e.Provenance.Made, e.Provenance.UID = of.made, of.uid
	}
	m.change.Entries = append(m.change.Entries, e)
	if !e.Expunged {
		m.b.count(&e.Record)
	}
}

// expunge leaves an expunged record of a UID: clients of either side may have to be told. It says which
// message was expunged, if the UID did not only move.
func (m *boxMerger) expunge(uid mailbox.UID) {
	h, t := m.own[uid], m.theirs[uid]
	if h != nil && t != nil {
		if h.Expunged && t.Expunged && h.alike(t) {
			return
		}
		if h.GUID != t.GUID && !(h.Expunged && t.Expunged) {
			m.merged.SameUID++
		}
	}
	e := h
	if e == nil {
		e = t
	}
	gone, of, last := *e, arrival{}, Dot{}
	for _, side := range []struct {
		*version
		e *Entry
	}{{m.here, h}, {m.there, t}} {
		if side.e == nil {
			continue
		}
		when, died := m.died(side.version, side.e)
		if died && (of == arrival{} || last.before(when)) {
			gone, of, last = *side.e, side.arrival(side.e), when
		}
	}
	gone.Expunged = true
	if (of == arrival{}) {
		gone.CreatedModSeq = m.modseq
		of, last = arrival{m.now(), uid}, m.now()
	}
	m.write(gone, of, last)
}

// died returns when the message of a record was expunged, if it was: one that has another UID now
// was not.
func (m *boxMerger) died(side *version, e *Entry) (Dot, bool) {
	if e.Expunged {
		return side.changed(e), true
	}
	w := m.of[e]
	if w == nil || w.stays {
		return Dot{}, false
	}
	// One that the other side has forgotten was expunged at some time after the last change that both
	// know of: whatever else was done since counts for more.
	return w.changed, true
}
