package mailstore

import (
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

// known are the messages of which a side has any record, also one of its expunging: of the other side's only those that it did not
// itself find in packs, so that not both give theirs up.
func (v *version) known(also bool) map[mailbox.GUID]bool {
	out := map[mailbox.GUID]bool{}
	for _, entries := range v.entries {
		for i := range entries {
			if also || !entries[i].recovered() {
				out[entries[i].GUID] = true
			}
		}
	}
	return out
}

// knows reports whether the other side than that of a message of packs can tell what became of it.
// there is the same mailbox on that other side, if it has it.
func (g *merger) knows(e *Entry, side *version, there *BoxImage) bool {
	if !e.recovered() || there != nil && e.UID >= there.UIDNext {
		return false
	}
	if side == g.here {
		return g.known.there[e.GUID]
	}
	return g.known.here[e.GUID]
}

// giveUp returns the records of a mailbox that one side alone has, with those messages of packs expunged of which the other knows
// more: how many. A mailbox that was made for such messages goes with the last.
func (g *merger) giveUp(b *BoxImage, side *version) (stays bool, entries []Entry, gone int) {
	live := 0
	for _, e := range side.entries[b.ID] {
		switch {
		case g.knows(&e, side, nil):
			e.Expunged = true
			gone++
		case !e.Expunged:
			live++
		}
		entries = append(entries, e)
	}
	return gone == 0 || live > 0 || !strings.HasPrefix(b.Name, Recovered+Separator), entries, gone
}

// without is a mailbox of this slot whose messages of packs were given up.
func (g *merger) without(b *BoxImage, entries []Entry, gone int) BoxImage {
	out := *b
	if gone == 0 {
		return out
	}
	out.HighestModSeq, out.Counts, out.Checksum = g.modseq, mailbox.Counts{}, mailbox.Checksum{}
	change := BoxChange{ID: b.ID}
	for i, e := range entries {
		if !e.Expunged {
			out.count(&e.Record)
		} else if was := &g.here.entries[b.ID][i]; !was.Expunged {
			of := g.here.arrival(was)
			e.ModSeq, e.Provenance = g.modseq, Provenance{of.made, of.uid, g.now()}
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
