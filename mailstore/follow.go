package mailstore

import (
	"slices"

	"teraslot/mailbox"
)

// A message that got a new UID in a merge is still the message that it was to a slot that did not
// hear of the merge. What was done to it there under its old UID is done to it under the new one:
// else it would be there twice, or come back. It is known by its GUID, and by the mod-sequence
// that its old UID's expunging has in common with its creation: one merge wrote both.

// follow brings changes to old UIDs to the new ones, on both sides.
func (m *boxMerger) follow(own, theirs []Entry) (here, there []Entry) {
	own, theirs = slices.Clone(own), slices.Clone(theirs)
	x, y := m.moves(&m.here, own), m.moves(&m.there, theirs)
	x.follow(y)
	y.follow(x)
	return own, theirs
}

// moves are the messages of one side that may have had other UIDs when the other side last
// heard of them.
type moves struct {
	*boxMerger
	side *version
	all  []Entry
	at   map[mailbox.UID]int    // places in all
	news map[mailbox.GUID][]int // places in all of what the other side has never had
}

func (m *boxMerger) moves(side *version, all []Entry) *moves {
	out := &moves{boxMerger: m, side: side, all: all, at: make(map[mailbox.UID]int, len(all)), news: map[mailbox.GUID][]int{}}
	for i := range all {
		out.at[all[i].UID] = i
		if side.news(m.b.ID, &all[i]) {
			out.news[all[i].GUID] = append(out.news[all[i].GUID], i)
		}
	}
	return out
}

// of returns what became of a message of an old UID; nil if that is not known. Only what one merge
// has written is it for sure; the rest is as good a place for flags.
func (m *moves) of(uid mailbox.UID, guid mailbox.GUID, sure bool) *Entry {
	i, known := m.at[uid]
	if known && !m.all[i].Expunged && m.all[i].GUID == guid {
		return nil // it has its UID still
	}
	for n, place := range m.news[guid] {
		e := &m.all[place]
		if e.UID != uid && (known && e.CreatedModSeq == m.all[i].ModSeq || !sure && (!known || e.CreatedModSeq < m.all[i].ModSeq)) {
			m.news[guid] = slices.Delete(m.news[guid], n, n+1)
			return e
		}
	}
	return nil
}

// follow does to messages that have new UIDs here what the other side did to them under their old ones.
func (m *moves) follow(other *moves) {
	for i := range other.all {
		old := &other.all[i]
		if !other.side.changed(old) || other.side.news(m.b.ID, old) {
			continue
		}
		now := m.of(old.UID, old.GUID, old.Expunged)
		if now == nil {
			continue
		}
		twin := old
		if old.Expunged {
			if twin = other.of(old.UID, old.GUID, true); twin == nil {
				twin = old
			}
		}
		switch {
		case twin == old || twin.Expunged:
			m.change(now, old)
		case twin.UID != now.UID: // it has a new UID there, too
			m.join(now, twin)
		}
		old.ModSeq = done
	}
}

// done is the mod-sequence of records whose messages are dealt with under other UIDs.
const done = 0

// join leaves one of two records of one message that has new UIDs on both sides.
func (m *moves) join(now, twin *Entry) {
	if now.Expunged {
		m.merged.ExpungeChange++
		if touchedSince(twin) && twin.ModSeq > now.ModSeq {
			m.merged.Kept++
			return
		}
	} else {
		m.change(now, twin)
	}
	twin.Expunged, twin.ModSeq = true, m.modseq
}

// touchedSince reports whether a message was changed after it got its UID.
func touchedSince(e *Entry) bool { return e.ModSeq > e.CreatedModSeq }

// change does to the message that has a new UID what was done to it under the old one.
func (m *moves) change(now, old *Entry) {
	changed := m.side.changed(now) && touchedSince(now)
	switch later := !changed || old.ModSeq > now.ModSeq; {
	case now.Expunged && old.Expunged:
	case now.Expunged:
		m.merged.ExpungeChange++
		if later {
			m.merged.Kept++
			m.moved = append(m.moved, *old)
		}
	case old.Expunged:
		m.merged.Expunged++
		if changed {
			m.merged.ExpungeChange++
		}
		if later {
			now.Expunged, now.ModSeq = true, m.modseq
		}
	case !now.Flags.Equal(old.Flags):
		m.merged.Flags++
		if changed {
			m.merged.FlagsBoth++
		}
		if later {
			now.Flags, now.ModSeq = old.Flags, m.modseq
		}
	}
}
