package mailstore

import (
	"maps"
	"slices"
	"strings"

	"teraslot/mailbox"
)

// What a slot made anew of packs (Reconstruct) is the oldest there can be of a message: that it was delivered once. Its
// flags, and where it was moved, copied or expunged since, the packs do not tell. So any other slot's word counts
// for more: a message of packs is kept, in a merge, where the other side has never heard of it.

// recoveredAt is the mod-sequence of the last change of a message that packs alone tell of: before all others.
const recoveredAt = 1

// recovered reports whether nobody has changed a message since it was made anew of packs.
func (e *Entry) recovered() bool { return !e.Expunged && e.Provenance.Changed.ModSeq == recoveredAt }

// noteRecovered notes that a record was made of packs.
func (t *txn) noteRecovered(b *box, r *mailbox.Record) error {
	if err := t.c.exec(provenanceTable); err != nil {
		return err
	}
	return t.putProvenance(b, &Entry{Record: *r, Provenance: Provenance{Changed: Dot{ModSeq: recoveredAt}}})
}

// found is a message that stays by all other rules, on the one side that has it.
type found struct {
	entry *Entry
	side  *version
	made  Dot
	twin  *twin // of a mailbox that both sides have; nil: of one that only this has
	new   bool  // it has a UID that the other side never gave
}

// before reports whether f counts for more than another record of the same bytes: one that is not of packs alone does, and of two of packs the
// first. All slots see the same order, so that not each gives up another one.
func (f found) before(o found) bool {
	if a, b := f.entry.recovered(), o.entry.recovered(); a != b {
		return b
	}
	return f.made.before(o.made)
}

// giveWay lets messages of packs go of which the other side can tell what became of them, and that it
// never had: where it has the same bytes, and they stay; or where it knows that they were expunged, and has them
// nowhere.
func (g *merger) giveWay() {
	all := g.found()
	there, here := g.there.expunged(g.here), g.here.expunged(g.there)
	for guid, same := range all {
		for _, f := range same {
			other, gone := g.there, there
			if f.side == g.there {
				other, gone = g.here, here
			}
			if !f.entry.recovered() || f.new || other.had.has(f.made) {
				continue
			}
			if gone[guid] || slices.ContainsFunc(same, func(o found) bool { return o.side == other && !f.side.had.has(o.made) && o.before(f) }) {
				g.yield(f)
			}
		}
	}
}

// found lists what stays and only one side has, by GUID, if one of them is of packs.
func (g *merger) found() map[mailbox.GUID][]found {
	all, some := map[mailbox.GUID][]found{}, map[mailbox.GUID]bool{}
	add := func(f found) {
		all[f.entry.GUID] = append(all[f.entry.GUID], f)
		if f.entry.recovered() {
			some[f.entry.GUID] = true
		}
	}
	for _, l := range g.single {
		entries := l.side.entries[l.b.ID]
		for i := range entries {
			if e := &entries[i]; !e.Expunged {
				add(found{e, l.side, l.side.arrival(e).made, nil, false})
			}
		}
	}
	for _, m := range g.pairs {
		for _, w := range m.twins {
			switch {
			case !w.stays || w.h != nil && w.t != nil:
			case w.h != nil:
				add(found{w.h, g.here, w.made, w, w.h.UID >= m.t.UIDNext})
			default:
				add(found{w.t, g.there, w.made, w, w.t.UID >= m.h.UIDNext})
			}
		}
	}
	maps.DeleteFunc(all, func(guid mailbox.GUID, _ []found) bool { return !some[guid] })
	return all
}

// expunged are the messages that a side has nowhere, and of which it has a record that somebody expunged them, unheard of
// by the other side. Those of packs that gave way were expunged by nobody.
func (v *version) expunged(other *version) map[mailbox.GUID]bool {
	out, live := map[mailbox.GUID]bool{}, map[mailbox.GUID]bool{}
	for _, entries := range v.entries {
		for i := range entries {
			e := &entries[i]
			if !e.Expunged {
				live[e.GUID] = true
			} else if d := v.changed(e); d.ModSeq != recoveredAt && !other.had.has(d) {
				out[e.GUID] = true
			}
		}
	}
	maps.DeleteFunc(out, func(guid mailbox.GUID, _ bool) bool { return live[guid] })
	return out
}

// yield gives a message of packs up. That is no expunging of now: whatever was done with it anywhere counts for more.
func (g *merger) yield(f found) {
	if f.twin != nil {
		f.twin.stays = false
		return
	}
	g.yielded[f.entry] = true
}

// left returns the records of a mailbox that one side alone has, with those expunged that give way: how many. A
// mailbox that was made for such messages goes with the last.
func (g *merger) left(b *BoxImage, side *version) (stays bool, entries []Entry, gone int) {
	live := 0
	entries = slices.Clone(side.entries[b.ID])
	for i := range entries {
		switch {
		case g.yielded[&side.entries[b.ID][i]]:
			entries[i].Expunged = true
			gone++
		case !entries[i].Expunged:
			live++
		}
	}
	return gone == 0 || live > 0 || !strings.HasPrefix(b.Name, Recovered+Separator), entries, gone
}

// without is a mailbox of this slot whose messages of packs were given up.
func (g *merger) without(b *BoxImage, entries []Entry, gone int) BoxImage {
	out := *b
	if gone == 0 {
		return out
	}
	out.UIDNext = leap(b.UIDNext, b.HighestModSeq, g.modseq) // as where a side gives more, before it hears of this
	out.HighestModSeq, out.Counts, out.Checksum = g.modseq, mailbox.Counts{}, mailbox.Checksum{}
	change := BoxChange{ID: b.ID}
	for i, e := range entries {
		if !e.Expunged {
			out.count(&e.Record)
		} else if was := &g.here.entries[b.ID][i]; !was.Expunged {
			of := g.here.arrival(was)
			e.ModSeq, e.Provenance = g.modseq, Provenance{of.made, of.uid, g.here.changed(was)}
			change.Entries = append(change.Entries, e)
		}
	}
	g.out.Boxes = append(g.out.Boxes, change)
	return out
}

// dropUnused drops mailboxes that one side made, and never used, where another has the name: as every
// mailbox has that is made with a new mail.db. So it does with the one above those of recovered mail, if none is left.
func (g *merger) dropUnused() {
	all := g.out.Image.Mailboxes
	g.out.Image.Mailboxes = slices.DeleteFunc(slices.Clone(all), func(b BoxImage) bool {
		drop := g.unused(b.ID) && slices.ContainsFunc(all, func(o BoxImage) bool {
			return o.ID != b.ID && o.Name == b.Name && (!g.unused(o.ID) || o.ID < b.ID)
		})
		if b.Name == Recovered && g.emptied && g.unused(b.ID) {
			drop = !slices.ContainsFunc(all, func(o BoxImage) bool { return strings.HasPrefix(o.Name, Recovered+Separator) })
		}
		if drop {
			g.merged.Deleted++
			g.out.Boxes = slices.DeleteFunc(g.out.Boxes, func(c BoxChange) bool { return c.ID == b.ID })
		}
		return drop
	})
}

// unused reports whether only one side has a mailbox, and it never had a message there.
func (g *merger) unused(id mailbox.ID) bool {
	h, t := g.here.Box(id), g.there.Box(id)
	return (h == nil) != (t == nil) && (h == nil || h.UIDNext == 1) && (t == nil || t.UIDNext == 1)
}
