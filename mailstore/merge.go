package mailstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"teraslot/mailbox"
)

// Mail that was changed on two slots, each of which held itself for the master, is merged:
// the rules stand in docs/decisions/0005-replication.md. The merge is a function of both
// sides' images and records, and is then applied here like another slot's mail.
//
// It knows no common past of the two, but which writes each side has had (Vector), and which
// write made and which changed last each message and mailbox (Dot). So it does not matter how often,
// in which order or by which of several slots mail is merged, and which of them heard of it.

// Merged counts what a merge met, by kind.
type Merged struct {
	SameUID       int // one UID, two messages: both have new UIDs
	Taken         int // messages that only the other side had
	Moved         int // messages with new UIDs because the other side had given theirs
	Flags         int // messages whose flags were changed, on one side or on both
	FlagsBoth     int // of these, on both
	Expunged      int // messages expunged on one side
	ExpungeChange int // messages expunged on one side and changed on the other
	Kept          int // of these, not expunged in the end
	Created       int // mailboxes made on one side
	Deleted       int // mailboxes deleted on one side
	Undeleted     int // mailboxes deleted on one side and changed on the other: they stay
	Renamed       int // mailboxes with other names on both sides
	Clashes       int // mailboxes that lose their names to others
}

// Add adds what another merge met.
func (m *Merged) Add(o *Merged) {
	m.SameUID += o.SameUID
	m.Taken += o.Taken
	m.Moved += o.Moved
	m.Flags += o.Flags
	m.FlagsBoth += o.FlagsBoth
	m.Expunged += o.Expunged
	m.ExpungeChange += o.ExpungeChange
	m.Kept += o.Kept
	m.Created += o.Created
	m.Deleted += o.Deleted
	m.Undeleted += o.Undeleted
	m.Renamed += o.Renamed
	m.Clashes += o.Clashes
}

// Merge takes over the changes of another slot's mail into this, by the rules for a split
// brain, in one transaction. entries are all records of theirs. Messages that are not
// here must have been staged: else it is ErrLacking.
func (m *Mail) Merge(ctx context.Context, theirs *Image, entries map[mailbox.ID][]Entry) (Merged, error) {
	release, err := m.holdReaders(ctx)
	if err != nil {
		return Merged{}, m.wrap(err)
	}
	defer release()
	var out Merged
	err = m.write(ctx, "", func(t *txn) error {
		here, own, err := m.everything(t.c)
		if err != nil {
			return err
		}
		_, name, err := m.wholeLineage(t.c, here.ModSeq)
		if err != nil {
			return err
		}
		g := newMerger(name, here, own, theirs, entries)
		change, err := g.run()
		if err != nil {
			return err
		}
		out = g.merged
		a := &application{txn: t, change: change, before: *here, ownThreads: true}
		return a.steps()
	})
	m.s.views.forget(m.user)
	return out, err
}

// everything reads image and records within a transaction.
func (m *Mail) everything(c *conn) (*Image, map[mailbox.ID][]Entry, error) {
	image, err := m.loadImage(c)
	if err != nil {
		return nil, nil, err
	}
	boxes, err := loadBoxes(c)
	if err != nil {
		return nil, nil, err
	}
	all := map[mailbox.ID][]Entry{}
	for _, b := range boxes {
		if all[b.ID], err = m.entries(c, b, 0); err != nil {
			return nil, nil, err
		}
	}
	return &image, all, nil
}

// version is one side of a merge.
type version struct {
	*Image
	entries map[mailbox.ID][]Entry
	had     Vector
}

func newVersion(i *Image, entries map[mailbox.ID][]Entry) *version {
	return &version{Image: i, entries: entries, had: i.Vector()}
}

// consistent returns ErrChecksum unless the records are those of the image: they are asked for one mailbox
// after the other, and what was written meanwhile is not in its vector.
func (v *version) consistent() error {
	for i := range v.Mailboxes {
		b := &v.Mailboxes[i]
		var sum mailbox.Checksum
		for _, e := range v.entries[b.ID] {
			if e.UID >= b.UIDNext || e.ModSeq > b.HighestModSeq {
				return fmt.Errorf("mailbox %s: UID %d is newer than the image: %w", b.ID, e.UID, ErrChecksum)
			}
			if !e.Expunged {
				sum.Add(&e.Record)
			}
		}
		if sum != b.Checksum {
			return fmt.Errorf("mailbox %s: its records are not those of the image: %w", b.ID, ErrChecksum)
		}
	}
	return nil
}

// arrival is what a message of a mailbox is known by, whatever UIDs merges gave it: the
// write that brought it, and the UID that it got then.
type arrival struct {
	made Dot
	uid  mailbox.UID
}

// arrival returns which one a record is of.
func (v *version) arrival(e *Entry) arrival {
	out := arrival{v.Lineage.resolve(e.Provenance.Made, e.CreatedModSeq), e.UID}
	if e.Provenance.UID != 0 {
		out.uid = e.Provenance.UID
	}
	return out
}

// changed returns the write that changed a record last.
func (v *version) changed(e *Entry) Dot { return v.Lineage.resolve(e.Provenance.Changed, e.ModSeq) }

// made returns the write that made a mailbox.
func (v *version) made(b *BoxImage) Dot { return v.Lineage.resolve(b.Made, b.CreatedModSeq) }

// named returns the write that gave a mailbox its name.
func (v *version) named(b *BoxImage) Dot {
	if b.Named == (Dot{}) {
		return v.made(b)
	}
	return v.Lineage.resolve(b.Named, b.Named.ModSeq)
}

// merger makes one mail of two.
type merger struct {
	here, there *version
	name        string              // this slot's
	modseq      mailbox.ModSeq      // of all that the merge changes: above both sides'
	renewed     map[mailbox.ID]bool // mailboxes whose UIDs may have been told otherwise: they get another UIDVALIDITY
	single      []lone
	pairs       []*boxMerger
	yielded     map[*Entry]bool // messages of packs, in what is single, that give way
	emptied     bool            // a mailbox of such messages went
	out         Change
	merged      Merged
}

func newMerger(name string, here *Image, own map[mailbox.ID][]Entry, there *Image, theirs map[mailbox.ID][]Entry) *merger {
	last := max(here.ModSeq, there.ModSeq)
	if last > here.ModSeq || !here.Lineage.with(name, last).gives(name, last+1) {
		last = nextSpan(last, name)
	}
	return &merger{here: newVersion(here, own), there: newVersion(there, theirs), name: name, modseq: last + 1,
		renewed: map[mailbox.ID]bool{}, yielded: map[*Entry]bool{}}
}

// now is the merge itself, as a write.
func (g *merger) now() Dot { return Dot{g.name, g.modseq} }

func (g *merger) run() (*Change, error) {
	if g.modseq > math.MaxInt64/2 {
		return nil, fmt.Errorf("mod-sequence %d leaves no room", g.modseq)
	}
	if err := g.there.consistent(); err != nil {
		return nil, err
	}
	image := &g.out.Image
	image.ModSeq, image.Quota = g.modseq, g.here.Quota
	image.UIDValidity = max(g.here.UIDValidity, g.there.UIDValidity)
	image.Subscriptions = union(g.here.Subscriptions, g.there.Subscriptions, cmp.Compare)
	g.descend()
	if err := g.boxes(); err != nil {
		return nil, err
	}
	slices.SortFunc(image.Mailboxes, func(a, b BoxImage) int { return cmp.Compare(a.ID, b.ID) })
	g.dropUnused()
	g.settleNames()
	g.retire()
	return &g.out, nil
}

// boxes merges all mailboxes. Which messages stay is decided for all of them before any is written: one of packs
// gives way only to what stays.
func (g *merger) boxes() error {
	ids := map[mailbox.ID]bool{}
	for _, v := range []*version{g.here, g.there} {
		for i := range v.Mailboxes {
			ids[v.Mailboxes[i].ID] = true
		}
	}
	for id := range ids {
		g.box(id)
	}
	g.giveWay()
	for _, l := range g.single {
		g.take(l.b, l.side)
	}
	for _, m := range g.pairs {
		if err := g.finish(m); err != nil {
			return fmt.Errorf("mailbox %s: %w", m.b.ID, err)
		}
	}
	return nil
}

// descend says whose writes the outcome has: this slot made it, of both sides'.
func (g *merger) descend() {
	image := &g.out.Image
	image.Lineage = g.here.Lineage.with(g.name, g.modseq)
	all := g.here.Vector()
	all.add(g.there.Lineage)
	all.add(g.there.Seen)
	of := Vector{}
	of.add(image.Lineage)
	image.Seen = all.without(of)
}

// union returns what is in either of two sorted lists.
func union[T comparable](a, b []T, compare func(x, y T) int) []T {
	out := slices.Concat(a, b)
	slices.SortFunc(out, compare)
	return slices.Compact(out)
}

// lone is a mailbox that one side alone has, and that stays.
type lone struct {
	b    *BoxImage
	side *version
}

// box decides about one mailbox, which at least one side has.
func (g *merger) box(id mailbox.ID) {
	h, t := g.here.Box(id), g.there.Box(id)
	if h != nil && t != nil {
		g.pairs = append(g.pairs, g.both(h, t))
		return
	}
	b, side, other := h, g.here, g.there
	if b == nil {
		b, side, other = t, g.there, g.here
	}
	had := slices.ContainsFunc(other.Retired, func(r Retired) bool { return r.Holder == id })
	switch isNew := !other.had.has(side.made(b)); {
	case isNew && !had:
		g.merged.Created++
	case isNew || side.touched(b, other):
		g.merged.Undeleted++
		// What the other side told of its UIDs before it was deleted is forgotten.
		g.renewed[id] = true
	default:
		g.merged.Deleted++
		return
	}
	g.single = append(g.single, lone{b, side})
}

// touched reports whether a mailbox has a message that the other side has not had as it is. What was made anew of packs
// counts for changed long ago, and may have come to nobody else.
func (v *version) touched(b *BoxImage, other *version) bool {
	return slices.ContainsFunc(v.entries[b.ID], func(e Entry) bool {
		return !e.Expunged && !(other.had.has(v.arrival(&e).made) && other.had.has(v.changed(&e)))
	})
}

// take takes a mailbox over as one side has it. The other's is new here: its mod-sequences
// are above all that clients of this slot know.
func (g *merger) take(b *BoxImage, side *version) {
	stays, entries, gone := g.left(b, side)
	if !stays {
		g.emptied = true
		return
	}
	if side == g.here {
		g.out.Image.Mailboxes = append(g.out.Image.Mailboxes, g.without(b, entries, gone))
		return
	}
	taken := *b
	taken.Made, taken.Named = side.made(b), side.named(b)
	taken.UIDNext = leap(b.UIDNext, b.HighestModSeq, g.modseq) // the other side may give more, before it hears of this
	taken.HighestModSeq, taken.CreatedModSeq, taken.Counts, taken.Checksum = g.modseq, g.modseq, mailbox.Counts{}, mailbox.Checksum{}
	change := BoxChange{ID: b.ID, Whole: true}
	for _, e := range entries {
		of := side.arrival(&e)
		e.Provenance = Provenance{of.made, of.uid, side.changed(&e)}
		e.ModSeq, e.CreatedModSeq = g.modseq, g.modseq
		change.Entries = append(change.Entries, e)
		if !e.Expunged {
			taken.count(&e.Record)
			g.merged.Taken++
		}
	}
	g.out.Boxes = append(g.out.Boxes, change)
	g.out.Image.Mailboxes = append(g.out.Image.Mailboxes, taken)
}

// both decides what stays of a mailbox that both sides have.
func (g *merger) both(h, t *BoxImage) *boxMerger {
	b := *h
	if x, y := g.here.made(h), g.there.made(t); x.before(y) {
		b.Made = y
	}
	g.call(&b, h, t)
	next := max(h.UIDNext, t.UIDNext)
	b.UIDValidity, b.UIDNext = max(h.UIDValidity, t.UIDValidity), next
	for _, side := range []*BoxImage{h, t} {
		if b.UIDNext == next { // the other side may give more, before it hears of this
			b.UIDNext = leap(next, side.HighestModSeq, g.modseq)
		}
	}
	b.Horizon, b.Recent = max(h.Horizon, t.Horizon), max(h.Recent, t.Recent)
	m := newBoxMerger(g, h, t, &b)
	m.pair()
	for _, w := range m.twins {
		m.decide(w)
	}
	return m
}

// finish writes such a mailbox.
func (g *merger) finish(m *boxMerger) error {
	h, t, b, next := m.h, m.t, m.b, max(m.h.UIDNext, m.t.UIDNext)
	if err := m.run(); err != nil {
		return err
	}
	if len(m.change.Entries) > 0 || h.HighestModSeq != t.HighestModSeq || h.UIDNext != t.UIDNext || h.UIDValidity != t.UIDValidity {
		b.HighestModSeq = g.modseq
		g.out.Boxes = append(g.out.Boxes, m.change)
	} else {
		b.UIDNext = next
	}
	g.out.Image.Mailboxes = append(g.out.Image.Mailboxes, *b)
	return nil
}

// call gives a mailbox the name that it got last.
func (g *merger) call(b, h, t *BoxImage) {
	x, y := g.here.named(h), g.there.named(t)
	if h.Name != t.Name {
		g.merged.Renamed++
	}
	if x.before(y) {
		b.Name, b.Named = t.Name, y
	}
}

// settleNames takes names away that two mailboxes have: the lower id keeps it.
func (g *merger) settleNames() {
	taken := map[string]bool{}
	all := g.out.Image.Mailboxes
	for i := range all {
		taken[all[i].Name] = true
	}
	holder := map[string]mailbox.ID{}
	for i := range all {
		b := &all[i]
		if _, clash := holder[b.Name]; clash {
			g.merged.Clashes++
			b.Name, b.Named = aside(b, taken), g.now()
			taken[b.Name] = true
		}
		holder[b.Name] = b.ID
	}
}

// aside is a free name for a mailbox that loses its own: with the first digits of its id behind it, with all
// of them, or with those and a number. It is as valid as the old one, and so cut if it would be too long.
func aside(b *BoxImage, taken map[string]bool) string {
	for n := 4; ; n++ {
		mark := fmt.Sprintf(" (%s)", b.ID[:min(n, len(b.ID))])
		if n > len(b.ID) {
			mark = fmt.Sprintf(" (%s-%d)", b.ID, n-len(b.ID))
		}
		name := b.Name
		for len(name)+len(mark) > maxName {
			_, size := utf8.DecodeLastRuneInString(name)
			name = name[:len(name)-size]
		}
		// What is cut leaves no level empty: the mark is part of the last one.
		if name += mark; !taken[name] {
			return name
		}
	}
}

// retire keeps every name, UIDVALIDITY and UID one message: what a name has stood for on
// either side it stands for no more, unless its mailbox still has it.
func (g *merger) retire() {
	compare := func(a, b Retired) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UIDValidity, b.UIDValidity))
	}
	all := slices.Concat(g.here.Retired, g.there.Retired)
	for _, v := range []*version{g.here, g.there} {
		for i := range v.Mailboxes {
			b := &v.Mailboxes[i]
			now := g.out.Image.Box(b.ID)
			if b.UIDNext > 1 && (now == nil || now.Name != b.Name || now.UIDValidity != b.UIDValidity) {
				all = append(all, Retired{b.Name, b.UIDValidity, b.ID})
			}
		}
	}
	for i := range g.out.Image.Mailboxes {
		b := &g.out.Image.Mailboxes[i]
		if slices.ContainsFunc(all, func(r Retired) bool { return r.of(b.Name, b.UIDValidity) && r.Holder != b.ID }) || g.otherHad(b) || g.renewed[b.ID] {
			all = append(all, Retired{b.Name, b.UIDValidity, unknownHolder})
			b.UIDValidity = g.freeUIDValidity(b.Name, all)
		}
	}
	slices.SortFunc(all, compare)
	for i := range all[:max(len(all), 1)-1] {
		if r, next := &all[i], &all[i+1]; compare(*r, *next) == 0 && r.Holder != next.Holder {
			r.Holder, next.Holder = unknownHolder, unknownHolder // whoever had it, nobody may again
		}
	}
	g.out.Image.Retired = slices.CompactFunc(all, func(a, b Retired) bool { return compare(a, b) == 0 })
}

// freeUIDValidity gives out a UIDVALIDITY that a name has not given up: those that were adopted from
// other servers may lie above all that were given here.
func (g *merger) freeUIDValidity(name string, retired []Retired) mailbox.UIDValidity {
	next := &g.out.Image.UIDValidity
	for *next++; slices.ContainsFunc(retired, func(r Retired) bool { return r.of(name, *next) }); {
		*next++
	}
	return *next
}

// otherHad reports whether on some side another mailbox has had b's name and UIDVALIDITY.
func (g *merger) otherHad(b *BoxImage) bool {
	for _, v := range []*version{g.here, g.there} {
		for i := range v.Mailboxes {
			if x := &v.Mailboxes[i]; x.ID != b.ID && x.Name == b.Name && x.UIDValidity == b.UIDValidity && x.UIDNext > 1 {
				return true
			}
		}
	}
	return false
}
