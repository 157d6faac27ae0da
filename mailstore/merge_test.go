package mailstore

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// reconcile makes to equal to from, and merges first what to has of its own. It returns
// what was met.
func reconcile(ctx context.Context, from, to *side) (Merged, error) {
	_, err := converge(ctx, from, to)
	if !errors.Is(err, ErrDiverged) {
		return Merged{}, err
	}
	met, send, err := mergeOnly(ctx, from, to)
	if err != nil {
		return met, err
	}
	return met, send()
}

// mergeOnly merges into from what to has of its own; send makes to the outcome of it.
func mergeOnly(ctx context.Context, from, to *side) (met Merged, send func() error, err error) {
	theirs, err := to.m.Image(ctx)
	if err != nil {
		return met, nil, err
	}
	entries, all := map[mailbox.ID][]Entry{}, &Change{}
	for i := range theirs.Mailboxes {
		id := theirs.Mailboxes[i].ID
		if entries[id], err = to.m.Entries(ctx, id); err != nil {
			return met, nil, err
		}
		all.Boxes = append(all.Boxes, BoxChange{ID: id, Entries: entries[id]})
	}
	if err := supply(ctx, to, from, all); err != nil {
		return met, nil, err
	}
	met, err = from.m.Merge(ctx, &theirs, entries)
	return met, func() error {
		change, _, err := from.m.Differ(ctx, &theirs, entries)
		if err != nil {
			return err
		}
		if err := supply(ctx, from, to, &change); err != nil {
			return err
		}
		return to.m.Apply(ctx, theirs.Digest(), &change)
	}, err
}

// uidKey is what a client knows a message by.
type uidKey struct {
	box      string // id, or name
	validity mailbox.UIDValidity
	uid      mailbox.UID
}

// watcher is a client that keeps all mailboxes of a slot in a cache, as RFC 7162 tells, and
// the log of what it was told.
type watcher struct {
	boxes   map[mailbox.ID]*cacheOf
	live    map[uidKey]map[mailbox.UID]bool // by id and UIDVALIDITY, what was there at last
	next    map[uidKey]mailbox.UID          // UIDNEXT by id and UIDVALIDITY
	meaning map[uidKey]mailbox.GUID         // what UIDs stand for
}

// cacheOf is a mailbox as a client has it.
type cacheOf struct {
	validity mailbox.UIDValidity
	highest  mailbox.ModSeq
	flags    map[mailbox.UID]mailbox.Flags
}

func newWatcher() *watcher {
	return &watcher{map[mailbox.ID]*cacheOf{}, map[uidKey]map[mailbox.UID]bool{}, map[uidKey]mailbox.UID{}, map[uidKey]mailbox.GUID{}}
}

// split is the world of a run: slots, their clients, and what must hold for all of them.
type split struct {
	t        *rapid.T
	sides    []*side
	works    []*works
	watchers []*watcher
	active   []bool                        // slots that hold themselves for the master
	sent     map[mailbox.GUID]bool         // messages that are to be somewhere in the end
	given    map[mailbox.GUID]int          // how often clients have put a message somewhere
	puts     map[mailbox.GUID][]boxArrival // by which of these, since one of its records was last expunged
	broken   *int                          // merges that the other side did not hear of

	copies    []string // of mail.db, by slot; "": none
	disasters *int
	befallen  bool // by one, in this run
	made      int  // copies
	opened    int  // slots, after disasters
	met       *Merged
	away      []*absentee
	returns   *int      // mailboxes to which one of them came back
	roamers   []*roamer // none where UIDs may collide
	roamed    *int      // mailboxes to which they came with a cache
	colliding bool
	ops       *int
	merges    *int
}

// resync brings a client's cache up to date by mod-sequences and checks the promises.
func (p *split) resync(w *watcher, s *side) {
	ctx := context.Background()
	all, err := s.m.Mailboxes(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	seen := map[mailbox.ID]bool{}
	for _, st := range all {
		seen[st.ID] = true
		p.resyncBox(w, s, st)
	}
	maps.DeleteFunc(w.boxes, func(id mailbox.ID, _ *cacheOf) bool { return !seen[id] })
}

func (p *split) resyncBox(w *watcher, s *side, st mailbox.State) {
	ctx := context.Background()
	entries, err := s.m.Entries(ctx, st.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	c := w.boxes[st.ID]
	if c == nil || c.validity != st.UIDValidity {
		c = &cacheOf{validity: st.UIDValidity, flags: map[mailbox.UID]mailbox.Flags{}}
		w.boxes[st.ID] = c
	}
	if st.HighestModSeq < c.highest {
		p.t.Fatalf("%s: HIGHESTMODSEQ fell from %d to %d", st.Name, c.highest, st.HighestModSeq)
	}
	nextKey := uidKey{string(st.ID), st.UIDValidity, 0}
	if st.UIDNext < w.next[nextKey] {
		p.t.Fatalf("%s: UIDNEXT fell from %d to %d", st.Name, w.next[nextKey], st.UIDNext)
	}
	before, known := w.live[nextKey]
	next := w.next[nextKey]
	w.next[nextKey] = st.UIDNext
	live := map[mailbox.UID]mailbox.Flags{}
	for _, e := range entries {
		if !e.Expunged {
			live[e.UID] = e.Flags
			w.means(p.t, st, e)
			if known && e.UID < next && !before[e.UID] {
				p.t.Fatalf("%s: UID %d was told to be expunged and is back", st.Name, e.UID)
			}
		}
	}
	c.hear(p.t, s, st)
	if !maps.EqualFunc(c.flags, live, mailbox.Flags.Equal) {
		p.t.Fatalf("%s: a client that resynchronises has %v, the mailbox %v", st.Name, c.flags, live)
	}
	w.live[nextKey] = map[mailbox.UID]bool{}
	for uid := range live {
		w.live[nextKey][uid] = true
	}
}

// hear brings what a client has of a mailbox up to date by what it is told that it missed.
func (c *cacheOf) hear(t *rapid.T, s *side, st mailbox.State) {
	missed, err := s.m.Missed(context.Background(), st.ID, c.highest)
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(c.flags, func(u mailbox.UID, _ mailbox.Flags) bool { return missed.Vanished.Contains(u) })
	for i := range missed.Changed {
		c.flags[missed.Changed[i].UID] = missed.Changed[i].Flags
	}
	c.highest = missed.State.HighestModSeq
}

// absentee is a client that is away: what it has is of one slot, and may be brought to those that have heard since of
// all that that one said.
type absentee struct {
	boxes map[mailbox.ID]*cacheOf
	heard []bool // by slot
}

// maxAbsent is how many are away at a time.
const maxAbsent = 3

// goAway lets a client as one of a slot go away.
func (p *split) goAway(i int) {
	a := &absentee{map[mailbox.ID]*cacheOf{}, make([]bool, len(p.sides))}
	for id, c := range p.watchers[i].boxes {
		a.boxes[id] = &cacheOf{c.validity, c.highest, maps.Clone(c.flags)}
	}
	a.heard[i] = true
	if p.away = append(p.away, a); len(p.away) > maxAbsent {
		p.away = slices.Delete(p.away, *p.ops%maxAbsent, *p.ops%maxAbsent+1)
	}
}

// comeBack has those who are away look at two slots that have become equal, as they would if they came back to either.
func (p *split) comeBack(slots ...int) {
	for _, a := range p.away {
		if !slices.ContainsFunc(slots, func(i int) bool { return a.heard[i] }) {
			continue
		}
		for _, i := range slots {
			a.heard[i] = true
			p.compare(a, p.sides[i])
		}
	}
}

func (p *split) compare(a *absentee, s *side) {
	ctx := context.Background()
	all, err := s.m.Mailboxes(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, st := range all {
		c := a.boxes[st.ID]
		if c == nil || c.validity != st.UIDValidity {
			continue
		}
		now := &cacheOf{c.validity, c.highest, maps.Clone(c.flags)}
		now.hear(p.t, s, st)
		view, err := s.m.View(ctx, st.ID)
		if err != nil {
			p.t.Fatal(err)
		}
		live := map[mailbox.UID]mailbox.Flags{}
		for i := range view.Records {
			live[view.Records[i].UID] = view.Records[i].Flags
		}
		if c.highest > st.HighestModSeq || !maps.EqualFunc(now.flags, live, mailbox.Flags.Equal) {
			p.t.Fatalf("%s: a client that was away since %d comes back and has %v, the mailbox of %d %v", st.Name, c.highest, now.flags, st.HighestModSeq, live)
		}
		*p.returns++
	}
}

// means checks that a UID means one message for whoever was told of it, by its mailbox
// and by its mailbox's name.
func (w *watcher) means(t *rapid.T, st mailbox.State, e Entry) {
	for _, key := range []uidKey{{string(st.ID), st.UIDValidity, e.UID}, {"name " + st.Name, st.UIDValidity, e.UID}} {
		if old, known := w.meaning[key]; known && old != e.GUID {
			t.Fatalf("%+v meant %s, and means %s", key, old, e.GUID)
		}
		w.meaning[key] = e.GUID
	}
}

// steps are what clients do in a split brain, as often as they stand here: mostly what can
// be in conflict.
var steps = []string{"append", "append", "append", "append", "flags", "flags", "flags", "flags", "drop", "drop", "expunge", "move", "copy",
	"create", "delete", "rename", "subscribe", "forget", "swap", "unexpunge", "unearth", "inbox", "expire", "adopt", "raise"}

// work lets a client of a slot do something, and notes what he means to be gone.
func (p *split) work(i int) {
	name := rapid.SampledFrom(steps).Draw(p.t, "step")
	p.do(i, name, p.works[i].actions()[name])
}

// do is work that is known.
func (p *split) do(i int, name string, action func(context.Context) error) {
	ctx := context.Background()
	w := p.works[i]
	*p.ops++
	there := p.places(p.sides[i])
	defer func() { p.notePuts(i, there) }()
	switch name {
	case "append":
		guid, err := w.deliver(ctx)
		if w.must(err); err == nil {
			p.sent[guid] = true
		}
	case "unexpunge", "unearth": // what is brought back is there to stay
		p.resync(p.watchers[i], p.sides[i])
		before := p.holds(p.sides[i])
		w.must(action(ctx))
		for g, n := range p.holds(p.sides[i]) {
			if before[g] < n {
				p.sent[g] = true
			}
		}
	case "drop", "expunge", "delete", "expire":
		// Who deletes has looked at what he deletes.
		p.resync(p.watchers[i], p.sides[i])
		before := p.holds(p.sides[i])
		w.must(action(ctx))
		after := p.holds(p.sides[i])
		for g, n := range before {
			if after[g] < n {
				delete(p.sent, g)
				delete(p.puts, g)
			}
		}
	case "rename", "swap", "inbox", "adopt": // names are looked at before and after
		p.resync(p.watchers[i], p.sides[i])
		w.must(action(ctx))
		p.resync(p.watchers[i], p.sides[i])
	default:
		w.must(action(ctx))
	}
}

// boxArrival is how a message came to a mailbox.
type boxArrival struct {
	box string
	arrival
}

// notePuts notes what a slot has under places where it had nothing.
func (p *split) notePuts(i int, before map[uidKey]mailbox.GUID) {
	var now map[uidKey]boxArrival
	for where, guid := range p.places(p.sides[i]) {
		if _, was := before[where]; was {
			continue
		}
		if p.given[guid]++; now == nil {
			now = p.arrivals(p.sides[i])
		}
		p.puts[guid] = append(p.puts[guid], now[where])
	}
}

// arrivals tells how the live messages of a slot came to their mailboxes.
func (p *split) arrivals(s *side) map[uidKey]boxArrival {
	image, err := s.m.Image(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	v, out := newVersion(&image, nil), map[uidKey]boxArrival{}
	for i := range image.Mailboxes {
		id := image.Mailboxes[i].ID
		entries, err := s.m.Entries(context.Background(), id)
		if err != nil {
			p.t.Fatal(err)
		}
		for k := range entries {
			if e := &entries[k]; !e.Expunged {
				out[uidKey{string(id), 0, e.UID}] = boxArrival{string(id), v.arrival(e)}
			}
		}
	}
	return out
}

// contend lets one client expunge what another changes at another slot.
func (p *split) contend(here, there int) {
	theirs := p.places(p.sides[there])
	var both []uidKey
	for where, guid := range p.places(p.sides[here]) {
		if theirs[where] == guid {
			both = append(both, where)
		}
	}
	if len(both) == 0 {
		return
	}
	slices.SortFunc(both, func(a, b uidKey) int { return cmp.Or(cmp.Compare(a.box, b.box), cmp.Compare(a.uid, b.uid)) })
	of := rapid.SampledFrom(both).Draw(p.t, "message of both")
	id, uids := mailbox.ID(of.box), mailbox.UIDRange(of.uid, of.uid)
	p.do(here, "drop", func(ctx context.Context) error { return p.works[here].dropUIDs(ctx, id, uids) })
	p.do(there, "flags", func(ctx context.Context) error {
		_, err := p.sides[there].m.StoreFlags(ctx, "", id, uids, ReplaceFlags, mailbox.MakeFlags("contended"), nil)
		return err
	})
}

// holds counts the live records of each message.
func (p *split) holds(s *side) map[mailbox.GUID]int {
	out := map[mailbox.GUID]int{}
	for _, guid := range p.places(s) {
		out[guid]++
	}
	return out
}

// places are the live records of all mailboxes, by id of the mailbox.
func (p *split) places(s *side) map[uidKey]mailbox.GUID {
	out := map[uidKey]mailbox.GUID{}
	all, err := s.m.Mailboxes(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, st := range all {
		v, err := s.m.View(context.Background(), st.ID)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, r := range v.Records {
			out[uidKey{string(st.ID), 0, r.UID}] = r.GUID
		}
	}
	return out
}

// sync makes a slot equal to one that holds itself for the master. Then their clients
// may go over to the other, and what they know has to hold there.
func (p *split) sync(from, to int) {
	p.resync(p.watchers[from], p.sides[from])
	p.resync(p.watchers[to], p.sides[to])
	p.goAway(from)
	p.goAway(to)
	met, err := reconcile(context.Background(), p.sides[from], p.sides[to])
	if err != nil {
		p.t.Fatalf("%d to %d: %v", from, to, err)
	}
	p.met.Add(&met)
	if met != (Merged{}) {
		*p.merges++
	}
	alike(p.t, p.sides[from], p.sides[to])
	p.watchers[from], p.watchers[to] = p.watchers[to], p.watchers[from]
	p.resync(p.watchers[from], p.sides[from])
	p.resync(p.watchers[to], p.sides[to])
	p.comeBack(from, to)
}

// step is one step of a run.
func (p *split) step() {
	var masters, others []int
	for i, is := range p.active {
		if is {
			masters = append(masters, i)
		} else {
			others = append(others, i)
		}
	}
	m := rapid.SampledFrom(masters).Draw(p.t, "master")
	switch k := rapid.IntRange(0, 21).Draw(p.t, "kind"); {
	case k == 21 && !p.colliding:
		p.roam(rapid.SampledFrom(p.roamers).Draw(p.t, "roamer"), rapid.SampledFrom(p.sides).Draw(p.t, "visits"))
	case k == 20:
		p.disasterOf(rapid.IntRange(0, len(p.sides)-1).Draw(p.t, "slot"))
	case k > 12 && k < 15 && len(masters) > 1:
		if other := rapid.SampledFrom(masters).Draw(p.t, "against"); other != m {
			p.contend(m, other)
		}
	case k < 15 || len(others) == 0 && len(masters) == 1:
		if p.colliding && len(masters) > 1 {
			with := rapid.SampledFrom(masters).Draw(p.t, "with")
			if p.collide(m, with); k == 0 {
				p.clash(m, with)
			}
		}
		p.work(m)
	case k < 17 && len(others) > 0:
		p.sync(m, rapid.SampledFrom(others).Draw(p.t, "replica"))
	case k < 18 && len(others) > 0: // a failover by force
		p.active[rapid.SampledFrom(others).Draw(p.t, "to")] = true
	case len(masters) > 1:
		loser := rapid.SampledFrom(masters).Draw(p.t, "loser")
		if loser == m {
			return
		}
		if rapid.IntRange(0, 2).Draw(p.t, "breaks") == 0 {
			p.halfway(m, loser)
			return
		}
		p.active[loser] = false
		p.sync(m, loser)
	}
}

// disasterOf lets something befall a slot's disk: mostly a copy is made, which comes before all else.
func (p *split) disasterOf(i int) {
	kind := rapid.SampledFrom([]string{"copy", "copy", "restore", "reconstruct"}).Draw(p.t, "disaster")
	if p.copies[i] == "" && kind == "restore" {
		kind = "copy"
	}
	p.disaster(i, kind)
}

// halfway merges into one master what another has, who does not hear of it and goes on.
func (p *split) halfway(from, to int) {
	p.resync(p.watchers[from], p.sides[from])
	if _, err := converge(context.Background(), p.sides[from], p.sides[to]); !errors.Is(err, ErrDiverged) {
		if err != nil {
			p.t.Fatalf("%d to %d: %v", from, to, err)
		}
		return
	}
	met, _, err := mergeOnly(context.Background(), p.sides[from], p.sides[to])
	if err != nil {
		p.t.Fatalf("%d to %d, halfway: %v", from, to, err)
	}
	p.met.Add(&met)
	*p.broken++
	p.resync(p.watchers[from], p.sides[from])
}

// end leaves one master, makes all equal, and looks for what was sent.
func (p *split) end() {
	m := slices.Index(p.active, true)
	for range 2 { // what the last ones had of their own reaches the first ones
		for i := range p.sides {
			if i != m {
				p.active[i] = false
				p.sync(m, i)
			}
		}
	}
	for i := range p.sides {
		same(p.t, p.sides[m], p.sides[i])
		there := p.holds(p.sides[i])
		for g := range p.sent {
			if there[g] == 0 {
				p.t.Fatalf("message %s, which nobody expunged, is lost", g)
			}
		}
		for g, n := range there {
			if n > p.given[g] && !p.befallen { // what is made anew of packs has no UID of a merge
				p.t.Fatalf("message %s is there %d times: clients put it somewhere %d times", g, n, p.given[g])
			}
		}
	}
}

// TestSplitBrain: slots that are parted, changed on both sides and joined again, in any
// order, keep what they told their clients, lose nothing, and become equal. COUNT is the
// number of runs, of up to 400 steps each.
func TestSplitBrain(t *testing.T) {
	var met Merged
	ops, runs, merges, broken, disasters, returns, roamed := 0, 0, 0, 0, 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		p := &split{t: rt, sent: map[mailbox.GUID]bool{}, given: map[mailbox.GUID]int{}, puts: map[mailbox.GUID][]boxArrival{}, broken: &broken, met: &met, ops: &ops, merges: &merges, disasters: &disasters, returns: &returns, roamed: &roamed,
			roamers: []*roamer{newRoamer(), newRoamer()}, colliding: rapid.Bool().Draw(rt, "colliding"),
			copies: make([]string, 4)}
		clock := time.Unix(1_800_000_000, 0)
		for i, name := range []string{"A", "B", "C", "D"}[:rapid.IntRange(2, 4).Draw(rt, "slots")] {
			s := newSideAt(t, name, i == 0, func() time.Time { return clock })
			p.sides = append(p.sides, s)
			p.active = append(p.active, i == 0)
			p.works = append(p.works, &works{side: s, t: rt, n: 1000 * i, name: name})
			p.watchers = append(p.watchers, newWatcher())
		}
		for i := 1; i < len(p.sides); i++ {
			p.sync(0, i)
		}
		for range rapid.IntRange(40, 400).Draw(rt, "steps") {
			clock = clock.Add(time.Duration(rapid.IntRange(0, 1).Draw(rt, "tick")) * time.Second)
			p.step()
		}
		p.end()
		for _, s := range p.sides {
			s.close(rt)
		}
		runs++
	})
	t.Logf("proof: %d runs, %d operations, %d merges, %d more broken off halfway, %d disasters, %d mailboxes that clients came back to, %d to which they came from any slot: %+v", runs, ops, merges, broken, disasters, returns, roamed, met)
}
