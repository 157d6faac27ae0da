package mailstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"teraslot/mailbox"
)

// Mail that was changed on two slots, each of which held itself for the master, is merged:
// the rules stand in docs/decisions/0005-replication.md. The merge is a function of both
// sides' images and records, and is then applied here like another slot's mail.

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
		g := newMerger(here, own, theirs, entries)
		change, err := g.run()
		if err != nil {
			return err
		}
		out = g.merged
		// This slot made the merged mail.
		_, name, err := m.wholeLineage(t.c, here.ModSeq)
		if err != nil {
			return err
		}
		change.Image.Lineage = here.Lineage.with(name, change.Image.ModSeq)
		change.Image.Absorbed = absorb(here, theirs, &change.Image)
		a := &application{txn: t, change: change, before: *here}
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
	entries  map[mailbox.ID][]Entry
	base     mailbox.ModSeq          // what is not newer the other side has had
	names    map[mailbox.ID]string   // at the base; nil: not known
	restored map[mailbox.ModSeq]bool // given by renewals to records that were as they are at the base
	// seen is what this side has had of the other, if it has merged an earlier state of that:
	// the UIDNEXTs. Nil: the base is a state of both.
	seen map[mailbox.ID]mailbox.UID
	// partly: that state was newer than what the other side comes of. What is newer than
	// common the other side may not have had then.
	partly bool
	common mailbox.ModSeq
}

// merger makes one mail of two.
type merger struct {
	here, there version
	modseq      mailbox.ModSeq      // of all that the merge changes: above both sides'
	first       bool                // this slot's id is the lower one
	renewed     map[mailbox.ID]bool // mailboxes whose UIDs may have been told otherwise: they get another UIDVALIDITY
	out         Change
	merged      Merged
}

func newMerger(here *Image, own map[mailbox.ID][]Entry, there *Image, theirs map[mailbox.ID][]Entry) *merger {
	g := &merger{here: version{Image: here, entries: own}, there: version{Image: there, entries: theirs}, renewed: map[mailbox.ID]bool{}}
	g.modseq = max(here.ModSeq, there.ModSeq) + 1
	g.first = here.Lineage.last() < there.Lineage.last()
	x, xBase := here.absorbedOf(there)
	y, yBase := there.absorbedOf(here)
	switch {
	case x != nil && (y == nil || x.ModSeq > y.ModSeq):
		g.again(&g.here, &g.there, x, xBase)
	case y != nil:
		g.again(&g.there, &g.here, y, yBase)
	default:
		g.common()
	}
	for _, v := range []*version{&g.here, &g.there} {
		v.restored = map[mailbox.ModSeq]bool{}
		v.Lineage.restored(v.base, v.restored)
	}
	return g
}

// common sets the base that two lineages have in common.
func (g *merger) common() {
	base := g.here.Lineage.Base(g.there.Lineage)
	var names map[mailbox.ID]string
	for _, v := range []*version{&g.here, &g.there} {
		if v.Named == base && names == nil {
			names = map[mailbox.ID]string{}
			for _, n := range v.Names {
				names[n.ID] = n.Name
			}
		}
	}
	g.here.base, g.there.base = base, base
	g.here.names, g.there.names = names, names
}

// restored adds to out the mod-sequences that renewals gave to all records of copies that are
// no newer than the base: these records are the base's.
func (l Lineage) restored(base mailbox.ModSeq, out map[mailbox.ModSeq]bool) {
	for i := 1; i < len(l); i++ {
		if strings.Contains(l[i].Slot, renewedMark) && (l[i-1].UpTo <= base || out[l[i-1].UpTo]) {
			out[l[i-1].UpTo+renewModSeqs+1] = true
		}
	}
}

// changed reports whether a record was changed after the base.
func (v *version) changed(e *Entry) bool { return e.ModSeq > v.base && !v.restored[e.ModSeq] }

// news reports whether the other side has never had a message of a mailbox.
func (v *version) news(id mailbox.ID, e *Entry) bool {
	if v.seen != nil {
		return e.UID >= v.seen[id] || v.partly && e.CreatedModSeq > v.common
	}
	return e.CreatedModSeq > v.base
}

// made reports whether the other side has never had a mailbox.
func (v *version) made(b *BoxImage) bool {
	if v.seen != nil {
		return v.seen[b.ID] == 0 || v.partly && b.CreatedModSeq > v.common
	}
	return b.CreatedModSeq > v.base
}

// last is the slot that wrote last.
func (l Lineage) last() string {
	if len(l) == 0 {
		return ""
	}
	return l[len(l)-1].Slot
}

func (g *merger) run() (*Change, error) {
	if g.modseq > math.MaxInt64/2 {
		return nil, fmt.Errorf("mod-sequence %d leaves no room", g.modseq)
	}
	image := &g.out.Image
	image.ModSeq, image.Quota = g.modseq, g.here.Quota
	image.UIDValidity = max(g.here.UIDValidity, g.there.UIDValidity)
	image.Subscriptions = union(g.here.Subscriptions, g.there.Subscriptions, cmp.Compare)
	ids := map[mailbox.ID]bool{}
	for _, v := range []*version{&g.here, &g.there} {
		for i := range v.Mailboxes {
			ids[v.Mailboxes[i].ID] = true
		}
	}
	for id := range ids {
		if err := g.box(id); err != nil {
			return nil, fmt.Errorf("mailbox %s: %w", id, err)
		}
	}
	slices.SortFunc(image.Mailboxes, func(a, b BoxImage) int { return cmp.Compare(a.ID, b.ID) })
	g.settleNames()
	g.retire()
	return &g.out, nil
}

// union returns what is in either of two sorted lists.
func union[T comparable](a, b []T, compare func(x, y T) int) []T {
	out := slices.Concat(a, b)
	slices.SortFunc(out, compare)
	return slices.Compact(out)
}

// box merges one mailbox, which at least one side has.
func (g *merger) box(id mailbox.ID) error {
	h, t := g.here.Box(id), g.there.Box(id)
	if h != nil && t != nil {
		return g.both(h, t)
	}
	b, side, other := h, &g.here, &g.there
	if b == nil {
		b, side, other = t, &g.there, &g.here
	}
	gone := slices.ContainsFunc(other.Retired, func(r Retired) bool { return r.Holder == id })
	if side.made(b) && !gone {
		g.merged.Created++
	} else if gone && side.made(b) || side.touched(b) || other.End() == 0 {
		g.merged.Undeleted++
		// What the other side told of its UIDs before it was deleted is forgotten.
		g.renewed[id] = true
	} else {
		g.merged.Deleted++
		return nil
	}
	g.take(b, side.entries[id], side == &g.here)
	return nil
}

// End is the mod-sequence of the image's lineage.
func (v *version) End() mailbox.ModSeq { return v.Lineage.End() }

// touched reports whether a mailbox's records changed after the base, or the other side has never
// had one of its messages.
func (v *version) touched(b *BoxImage) bool {
	return b.HighestModSeq > v.base || slices.ContainsFunc(v.entries[b.ID], func(e Entry) bool {
		return e.ModSeq > v.base || !e.Expunged && v.news(b.ID, &e)
	})
}

// take takes a mailbox over as one side has it. The other's is new here: were it to keep its
// mod-sequences, it would be older than what further slots have had from here without it, and a merge
// with them would hold it for deleted.
func (g *merger) take(b *BoxImage, entries []Entry, own bool) {
	if own {
		g.out.Image.Mailboxes = append(g.out.Image.Mailboxes, *b)
		return
	}
	taken := *b
	taken.HighestModSeq, taken.CreatedModSeq, taken.Counts, taken.Checksum = g.modseq, g.modseq, mailbox.Counts{}, mailbox.Checksum{}
	change := BoxChange{ID: b.ID, Whole: true}
	for _, e := range entries {
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

// both merges a mailbox that both sides have.
func (g *merger) both(h, t *BoxImage) error {
	b := *h
	b.Name = g.name(h, t)
	b.UIDValidity, b.UIDNext = max(h.UIDValidity, t.UIDValidity), max(h.UIDNext, t.UIDNext)
	b.Horizon, b.Recent = max(h.Horizon, t.Horizon), max(h.Recent, t.Recent)
	if h.HighestModSeq != t.HighestModSeq || h.Checksum != t.Checksum || h.UIDNext != t.UIDNext || h.UIDValidity != t.UIDValidity {
		m := &boxMerger{merger: g, h: h, t: t, b: &b}
		if err := m.run(g.here.entries[h.ID], g.there.entries[h.ID]); err != nil {
			return err
		}
		b.HighestModSeq = g.modseq
		g.out.Boxes = append(g.out.Boxes, m.change)
	}
	g.out.Image.Mailboxes = append(g.out.Image.Mailboxes, b)
	return nil
}

// name decides between two names: whoever renamed it wins; if both did, or it is not
// known, the side that changed the mailbox last.
func (g *merger) name(h, t *BoxImage) string {
	if h.Name == t.Name {
		return h.Name
	}
	g.merged.Renamed++
	hw, hk := g.here.names[h.ID]
	tw, tk := g.there.names[h.ID]
	switch kept := g.there.seen != nil; { // what a merge has decided holds
	case kept && hk && hw == h.Name:
		return t.Name
	case tk && tw == t.Name:
		return h.Name
	case hk && hw == h.Name:
		return t.Name
	}
	if c := cmp.Compare(h.HighestModSeq, t.HighestModSeq); c > 0 || c == 0 && g.first {
		return h.Name
	}
	return t.Name
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
			name := b.Name
			for n := 4; taken[name]; n++ {
				name = fmt.Sprintf("%s (%s)", b.Name, b.ID[:min(n, len(b.ID))])
			}
			b.Name, taken[name] = name, true
		}
		holder[b.Name] = b.ID
	}
}

// retire keeps every name, UIDVALIDITY and UID one message: what a name has stood for on
// either side it stands for no more, unless its mailbox still has it.
func (g *merger) retire() {
	compare := func(a, b Retired) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UIDValidity, b.UIDValidity))
	}
	all := slices.Concat(g.here.Retired, g.there.Retired)
	for _, v := range []*version{&g.here, &g.there} {
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
		if slices.ContainsFunc(all, func(r Retired) bool {
			return (r.Name == b.Name || r.Name == anyName) && r.UIDValidity == b.UIDValidity && r.Holder != b.ID
		}) || g.otherHad(b) || g.renewed[b.ID] {
			all = append(all, Retired{b.Name, b.UIDValidity, unknownHolder})
			g.out.Image.UIDValidity++
			b.UIDValidity = g.out.Image.UIDValidity
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

// otherHad reports whether on some side another mailbox has had b's name and UIDVALIDITY.
func (g *merger) otherHad(b *BoxImage) bool {
	for _, v := range []*version{&g.here, &g.there} {
		for i := range v.Mailboxes {
			if x := &v.Mailboxes[i]; x.ID != b.ID && x.Name == b.Name && x.UIDValidity == b.UIDValidity && x.UIDNext > 1 {
				return true
			}
		}
	}
	return false
}

// boxMerger merges the records of a mailbox.
type boxMerger struct {
	*merger
	h, t, b *BoxImage
	live    []Entry // in the end
	moved   []Entry // get new UIDs
	change  BoxChange
}

func (m *boxMerger) run(own, theirs []Entry) error {
	m.change = BoxChange{ID: m.b.ID, Whole: true}
	own, theirs = m.follow(own, theirs)
	i, k := 0, 0
	for i < len(own) || k < len(theirs) {
		switch {
		case k == len(theirs) || i < len(own) && own[i].UID < theirs[k].UID:
			m.one(own[i], &m.here, m.t)
			i++
		case i == len(own) || theirs[k].UID < own[i].UID:
			m.one(theirs[k], &m.there, m.h)
			k++
		default:
			m.two(own[i], theirs[k])
			i, k = i+1, k+1
		}
	}
	if err := m.move(); err != nil {
		return err
	}
	m.b.Counts, m.b.Checksum = mailbox.Counts{}, mailbox.Checksum{}
	for i := range m.live {
		m.b.count(&m.live[i].Record)
	}
	slices.SortFunc(m.change.Entries, func(a, b Entry) int { return cmp.Compare(a.UID, b.UID) })
	return nil
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

// write makes an entry what the merge says, with its mod-sequence.
func (m *boxMerger) write(e Entry) {
	e.ModSeq = m.modseq
	m.change.Entries = append(m.change.Entries, e)
	if !e.Expunged {
		m.live = append(m.live, e)
	}
}

// keep leaves an entry as both sides have it.
func (m *boxMerger) keep(e Entry) {
	if !e.Expunged {
		m.live = append(m.live, e)
	}
}

// expunge leaves an expunged record of an entry.
func (m *boxMerger) expunge(e Entry) {
	e.Expunged = true
	m.write(e)
}

// one merges a record that the other side does not have.
func (m *boxMerger) one(e Entry, side *version, other *BoxImage) {
	if e.Expunged {
		m.write(e) // clients of either side may have to be told
		return
	}
	switch {
	case side.news(m.b.ID, &e) && e.UID >= other.UIDNext:
		if side == &m.there { // new here: see merger.take
			m.merged.Taken++
			e.CreatedModSeq = m.modseq
		}
		m.write(e)
	case side.news(m.b.ID, &e): // the other side has given the UID
		if side == &m.there {
			m.merged.Taken++
		}
		m.merged.Moved++
		m.expunge(e)
		m.moved = append(m.moved, e)
	case side.changed(&e): // expunged there, and forgotten; changed here since
		m.merged.ExpungeChange++
		m.merged.Kept++
		m.expunge(e)
		m.moved = append(m.moved, e)
	default:
		m.merged.Expunged++
		m.expunge(e)
	}
}

// two merges the records of one UID.
func (m *boxMerger) two(h, t Entry) {
	switch {
	case h.Expunged && t.Expunged:
		if h.ModSeq != t.ModSeq {
			m.write(h)
		}
	case h.ModSeq == done || t.ModSeq == done:
		m.expunge(h)
	case m.stands(h, t, &m.here, &m.there):
		m.as(h, h.same(t))
	case m.stands(t, h, &m.there, &m.here):
		m.as(t, t.same(h))
	case h.GUID != t.GUID:
		m.conflict(h, t)
	case h.Expunged:
		m.oneExpunged(t, h, &m.there)
	case t.Expunged:
		m.oneExpunged(h, t, &m.here)
	case h.same(t):
		m.keep(h)
	default:
		m.write(m.flags(h, t))
	}
}

// conflict is for two messages of one UID: those that are live get new ones.
func (m *boxMerger) conflict(h, t Entry) {
	m.merged.SameUID++
	for _, e := range []Entry{h, t} {
		if !e.Expunged {
			m.moved = append(m.moved, e)
		}
	}
	m.expunge(h)
}

// oneExpunged is for a message that one side has expunged: it is, unless the other
// side changed it later.
func (m *boxMerger) oneExpunged(live, gone Entry, side *version) {
	m.merged.Expunged++
	if side.changed(&live) || side.news(m.b.ID, &live) {
		m.merged.ExpungeChange++
		// What came on both sides after the base are two deliveries of the same bytes.
		if live.ModSeq > gone.ModSeq || side.news(m.b.ID, &live) {
			m.merged.Kept++
			m.moved = append(m.moved, live)
		}
	}
	m.expunge(live)
}

// flags decides between two sets of flags of a message.
func (m *boxMerger) flags(h, t Entry) Entry {
	m.merged.Flags++
	hc, tc := m.here.changed(&h), m.there.changed(&t)
	if hc && tc {
		m.merged.FlagsBoth++
	}
	theirs := tc && !hc
	if hc == tc {
		theirs = t.ModSeq > h.ModSeq
		if t.ModSeq == h.ModSeq {
			theirs = m.t.HighestModSeq > m.h.HighestModSeq || m.t.HighestModSeq == m.h.HighestModSeq && !m.first
		}
	}
	h.CreatedModSeq, t.CreatedModSeq = max(h.CreatedModSeq, t.CreatedModSeq), max(h.CreatedModSeq, t.CreatedModSeq)
	if theirs {
		return t
	}
	return h
}

// move gives new UIDs, above all that either side has given: in the order of the UIDs
// that they had, and of the GUIDs where these were the same.
func (m *boxMerger) move() error {
	slices.SortStableFunc(m.moved, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.UID, b.UID), slices.Compare(a.GUID[:], b.GUID[:]))
	})
	for _, e := range m.moved {
		if m.b.UIDNext == math.MaxUint32 {
			return ErrNoUIDs
		}
		e.UID, e.CreatedModSeq = m.b.UIDNext, m.modseq
		m.b.UIDNext++
		m.write(e)
	}
	return nil
}
