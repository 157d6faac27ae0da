package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// oracle is a user's mail as maps, without any thought of speed or disks.
type oracle struct {
	boxes    map[string]*oracleBox
	subs     map[string]bool
	validity map[mailbox.UIDValidity]bool // all ever seen
	quota    Quota
}

type oracleBox struct {
	id       mailbox.ID
	validity mailbox.UIDValidity
	next     mailbox.UID
	highest  mailbox.ModSeq
	special  string
	// announced is the highest UID of a call of Announce.
	announced mailbox.UID
	live      map[mailbox.UID]oracleMessage
	gone      map[mailbox.UID]mailbox.ModSeq // not forgotten yet
}

type oracleMessage struct {
	body     string
	flags    mailbox.Flags
	modseq   mailbox.ModSeq
	internal mailbox.Date
}

func (o *oracle) usage() Usage {
	var u Usage
	for _, b := range o.boxes {
		for _, m := range b.live {
			u.Messages++
			u.Bytes += int64(len(m.body))
		}
	}
	return u
}

func (o *oracle) fits(more Usage) bool {
	u := o.usage()
	return (o.quota.Bytes == 0 || u.Bytes+more.Bytes <= o.quota.Bytes) &&
		(o.quota.Messages == 0 || u.Messages+more.Messages <= o.quota.Messages)
}

// machine runs the same operations on a store and on the oracle.
type machine struct {
	t      *rapid.T
	dir    string
	o      Options
	s      *Store
	m      *Mail
	want   oracle
	now    time.Time
	events []mailbox.Event
	// held are views and contents that were given out: they must not change.
	held []heldView
}

type heldView struct {
	view *View
	copy []mailbox.Record
}

func newMachine(t *rapid.T, dir string) *machine {
	x := &machine{t: t, dir: dir, now: time.Unix(1_700_000_000, 0), want: oracle{
		boxes: map[string]*oracleBox{}, subs: map[string]bool{}, validity: map[mailbox.UIDValidity]bool{},
	}}
	x.o = Options{
		Conf: dir + "/conf", Spool: dir + "/spool", Archive: dir + "/archive", ArchiveSize: 700, MemoryMessage: 400,
		PackSize: 3000, CacheBytes: 100_000,
		Now:    func() time.Time { return x.now },
		Notify: func(e mailbox.Event) { x.events = append(x.events, e) },
	}
	x.open()
	if err := x.s.CreateUser(context.Background(), user1, UserOptions{}); err != nil {
		t.Fatal(err)
	}
	x.acquire()
	states, err := x.m.Mailboxes(context.Background())
	x.ok(err)
	for _, st := range states {
		x.adopt(st)
		x.want.subs[st.Name] = true
	}
	return x
}

func (x *machine) ok(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *machine) open() {
	s, err := Open(context.Background(), x.o)
	x.ok(err)
	x.s = s
}

func (x *machine) acquire() {
	m, err := x.s.Acquire(context.Background(), user1)
	x.ok(err)
	x.m = m
}

// adopt takes a new mailbox into the oracle.
func (x *machine) adopt(st mailbox.State) {
	if x.want.validity[st.UIDValidity] {
		x.t.Fatalf("UIDVALIDITY %d was used before", st.UIDValidity)
	}
	x.want.validity[st.UIDValidity] = true
	x.want.boxes[st.Name] = &oracleBox{id: st.ID, validity: st.UIDValidity, next: 1, highest: st.HighestModSeq,
		special: st.SpecialUse, live: map[mailbox.UID]oracleMessage{}, gone: map[mailbox.UID]mailbox.ModSeq{}}
}

func (x *machine) pick() (string, *oracleBox) {
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(x.want.boxes))).Draw(x.t, "mailbox")
	return name, x.want.boxes[name]
}

func (x *machine) name() string {
	return rapid.SampledFrom([]string{"INBOX", "a", "b", "a/x", "a/x/y", "b/x", "c/d", "INBOX/z", "Sent"}).Draw(x.t, "name")
}

func (x *machine) flags() mailbox.Flags {
	return mailbox.MakeFlags(rapid.SliceOfN(rapid.SampledFrom(
		[]string{`\Seen`, `\Deleted`, `\Flagged`, `\Answered`, `\Draft`, "$Work", "later", "LATER"}), 0, 3).Draw(x.t, "flags")...)
}

func (x *machine) set(b *oracleBox) mailbox.UIDSet {
	lo := rapid.IntRange(1, int(b.next)+1).Draw(x.t, "lo")
	hi := rapid.IntRange(lo, int(b.next)+2).Draw(x.t, "hi")
	return mailbox.UIDRange(mailbox.UID(lo), mailbox.UID(hi))
}

// body draws from few texts, so that contents are shared, and of all sizes:
// in memory, in a file, in the archive.
func (x *machine) body() string {
	n := rapid.IntRange(0, 12).Draw(x.t, "body")
	return mailText(n) + strings.Repeat("x", n*70)
}

func (b *oracleBox) highestAtLeast(x *machine, m mailbox.ModSeq) {
	if m <= b.highest {
		x.t.Fatalf("MODSEQ %d is not above %d", m, b.highest)
	}
	b.highest = m
}

func (x *machine) Append(t *rapid.T) {
	x.t = t
	n := rapid.IntRange(1, 3).Draw(t, "count")
	var items []Append
	var more Usage
	var bodies []string
	var into []*oracleBox
	for range n {
		_, b := x.pick()
		body := x.body()
		msg, err := x.s.Spool(context.Background(), strings.NewReader(body))
		x.ok(err)
		defer msg.Close()
		date := mailbox.Date{Unix: rapid.Int64Range(1, 1<<31).Draw(t, "date"), Zone: int16(rapid.IntRange(-720, 840).Draw(t, "zone"))}
		items = append(items, Append{Mailbox: b.id, Message: msg, Flags: x.flags(), InternalDate: date})
		bodies, into = append(bodies, body), append(into, b)
		more.Bytes += int64(len(body))
		more.Messages++
	}
	recs, err := x.m.Append(context.Background(), "s", items...)
	if !x.want.fits(more) {
		if !errors.Is(err, ErrOverQuota) {
			t.Fatalf("append over quota: %v", err)
		}
		return
	}
	x.ok(err)
	for i, r := range recs {
		b := into[i]
		if r.UID != b.next || r.GUID != mailbox.GUIDOf([]byte(bodies[i])) || r.Flags != items[i].Flags {
			t.Fatalf("record %+v for UIDNEXT %d", r, b.next)
		}
		b.next++
		b.live[r.UID] = oracleMessage{bodies[i], r.Flags, r.ModSeq, items[i].InternalDate}
	}
	for _, b := range into {
		if b.highest < recs[0].ModSeq {
			b.highestAtLeast(x, recs[0].ModSeq)
		}
	}
}

func (x *machine) Store(t *rapid.T) {
	x.t = t
	_, b := x.pick()
	set, op, f := x.set(b), FlagOp(rapid.IntRange(0, 2).Draw(t, "op")), x.flags()
	var since *mailbox.ModSeq
	if rapid.Bool().Draw(t, "conditional") {
		m := mailbox.ModSeq(rapid.IntRange(0, int(b.highest)+1).Draw(t, "since"))
		since = &m
	}
	res, err := x.m.StoreFlags(context.Background(), "s", b.id, set, op, f, since)
	x.ok(err)
	var failed mailbox.UIDSet
	changed := map[mailbox.UID]bool{}
	for _, u := range slices.Sorted(maps.Keys(b.live)) {
		m := b.live[u]
		if !set.Contains(u) {
			continue
		}
		if since != nil && m.modseq > *since {
			failed.Add(u)
			continue
		}
		if next := op.apply(m.flags, f); next != m.flags {
			m.flags = next
			b.live[u] = m
			changed[u] = true
		}
	}
	if !failed.Equal(res.Failed) || len(changed) != len(res.Changed) {
		t.Fatalf("store: %d changed, failed %v; want %d, %v", len(res.Changed), res.Failed, len(changed), failed)
	}
	for _, r := range res.Changed {
		m := b.live[r.UID]
		if !changed[r.UID] || r.Flags != m.flags || r.ModSeq <= b.highest {
			t.Fatalf("store: %+v", r)
		}
		m.modseq = r.ModSeq
		b.live[r.UID] = m
	}
	if len(res.Changed) > 0 {
		b.highestAtLeast(x, res.Changed[0].ModSeq)
	}
}

func (x *machine) Copy(t *rapid.T) { x.t = t; x.transfer(false) }
func (x *machine) Move(t *rapid.T) { x.t = t; x.transfer(true) }

func (x *machine) transfer(move bool) {
	_, from := x.pick()
	_, to := x.pick()
	set := x.set(from)
	var uids []mailbox.UID
	var more Usage
	for _, u := range slices.Sorted(maps.Keys(from.live)) {
		if set.Contains(u) {
			uids = append(uids, u)
			more.Bytes += int64(len(from.live[u].body))
			more.Messages++
		}
	}
	call := x.m.Copy
	if move {
		call = x.m.Move
	}
	got, err := call(context.Background(), "s", from.id, set, to.id)
	if !move && len(uids) > 0 && !x.want.fits(more) {
		if !errors.Is(err, ErrOverQuota) {
			x.t.Fatalf("copy over quota: %v", err)
		}
		return
	}
	x.ok(err)
	if !slices.Equal(got.From, uids) || got.UIDValidity != to.validity || len(got.To) != len(uids) {
		x.t.Fatalf("copied %+v, want %v", got, uids)
	}
	if len(uids) == 0 {
		return
	}
	recs, err := x.m.Changes(context.Background(), to.id, max(from.highest, to.highest))
	x.ok(err)
	modseq := recs[0].ModSeq
	for i, u := range uids {
		if got.To[i] != to.next {
			x.t.Fatalf("copied to UID %d, want %d", got.To[i], to.next)
		}
		m := from.live[u]
		m.modseq = modseq
		to.live[to.next] = m
		to.next++
		if move {
			delete(from.live, u)
			from.gone[u] = modseq
		}
	}
	to.highestAtLeast(x, modseq)
	if move {
		from.highest = modseq
	}
}

func (x *machine) Announce(t *rapid.T) {
	x.t = t
	_, b := x.pick()
	upTo := mailbox.UID(rapid.IntRange(0, int(b.next)+1).Draw(t, "announced"))
	x.ok(x.m.Announce(context.Background(), b.id, upTo))
	b.announced = max(b.announced, min(upTo, b.next-1))
}

func (x *machine) Expunge(t *rapid.T) {
	x.t = t
	_, b := x.pick()
	set := x.set(b)
	arg := &set
	if rapid.Bool().Draw(t, "all") {
		arg = nil
	}
	gone, modseq, err := x.m.Expunge(context.Background(), "s", b.id, arg)
	x.ok(err)
	var want []mailbox.UID
	for _, u := range slices.Sorted(maps.Keys(b.live)) {
		if b.live[u].flags.Has(mailbox.Deleted) && (arg == nil || set.Contains(u)) {
			want = append(want, u)
		}
	}
	if !slices.Equal(gone, want) {
		t.Fatalf("expunged %v, want %v", gone, want)
	}
	if len(gone) > 0 {
		b.highestAtLeast(x, modseq)
	}
	for _, u := range gone {
		delete(b.live, u)
		b.gone[u] = modseq
	}
}

func (x *machine) Create(t *rapid.T) {
	x.t = t
	name := x.name()
	_, err := x.m.Create(context.Background(), "s", name, "")
	if x.want.boxes[name] != nil {
		if !errors.Is(err, ErrExists) {
			t.Fatalf("create %q again: %v", name, err)
		}
		return
	}
	x.ok(err)
	x.adoptNew(append(parents(name), name)...)
}

// adoptNew takes those of the names into the oracle that are not in it.
func (x *machine) adoptNew(names ...string) {
	for _, n := range names {
		if x.want.boxes[n] == nil {
			st, err := x.m.MailboxNamed(context.Background(), n)
			x.ok(err)
			x.adopt(st)
		}
	}
}

func (x *machine) Delete(t *rapid.T) {
	x.t = t
	name, b := x.pick()
	err := x.m.Delete(context.Background(), "s", b.id)
	if name == Inbox {
		if !errors.Is(err, ErrInbox) {
			t.Fatalf("delete INBOX: %v", err)
		}
		return
	}
	x.ok(err)
	delete(x.want.boxes, name)
}

func (x *machine) Rename(t *rapid.T) {
	x.t = t
	from, to := x.name(), x.name()
	err := x.m.Rename(context.Background(), "s", from, to)
	if from == Inbox {
		x.renameInbox(to, err)
		return
	}
	next := map[string]*oracleBox{}
	moved, clash := 0, false
	for name, b := range x.want.boxes {
		if name == from || strings.HasPrefix(name, from+"/") {
			name = to + strings.TrimPrefix(name, from)
			moved++
		}
		clash = clash || next[name] != nil || name == to && b != x.want.boxes[from] && moved == 0
		next[name] = b
	}
	switch {
	case from == to, strings.HasPrefix(to, from+"/"):
		if err == nil {
			t.Fatalf("renamed %q to %q", from, to)
		}
	case moved == 0:
		if !errors.Is(err, ErrNoMailbox) {
			t.Fatalf("rename %q: %v", from, err)
		}
	case len(next) < len(x.want.boxes), x.want.boxes[to] != nil:
		if !errors.Is(err, ErrExists) {
			t.Fatalf("rename %q to %q: %v", from, to, err)
		}
	default:
		x.ok(err)
		x.want.boxes = next
		x.adoptNew(parents(to)...)
	}
}

func (x *machine) renameInbox(to string, err error) {
	if x.want.boxes[to] != nil {
		if !errors.Is(err, ErrExists) {
			x.t.Fatalf("rename INBOX to %q: %v", to, err)
		}
		return
	}
	x.ok(err)
	inbox := x.want.boxes[Inbox]
	x.adoptNew(append(parents(to), to)...)
	b := x.want.boxes[to]
	for _, u := range slices.Sorted(maps.Keys(inbox.live)) {
		m := inbox.live[u]
		m.modseq = b.highest
		b.live[b.next] = m
		b.next++
		inbox.gone[u] = b.highest
		inbox.highest = b.highest
	}
	clear(inbox.live)
}

func (x *machine) Subscribe(t *rapid.T) {
	x.t = t
	name, on := x.name(), rapid.Bool().Draw(t, "on")
	x.ok(x.m.Subscribe(context.Background(), "s", name, on))
	delete(x.want.subs, name)
	if on {
		x.want.subs[name] = true
	}
}

func (x *machine) Quota(t *rapid.T) {
	x.t = t
	x.want.quota = Quota{Bytes: rapid.SampledFrom([]int64{0, 0, 8000}).Draw(t, "bytes"), Messages: rapid.SampledFrom([]int64{0, 0, 15}).Draw(t, "messages")}
	x.ok(x.m.SetQuota(context.Background(), x.want.quota))
}

// Forget forgets what was expunged until now.
func (x *machine) Forget(t *rapid.T) {
	x.t = t
	x.now = x.now.Add(time.Second)
	_, err := x.m.Forget(context.Background(), x.now)
	x.ok(err)
	for name, b := range x.want.boxes {
		h, err := x.m.Horizon(context.Background(), b.id)
		x.ok(err)
		for u, m := range b.gone {
			if m > h {
				t.Fatalf("%s: UID %d expunged at %d was forgotten, horizon is %d", name, u, m, h)
			}
		}
		clear(b.gone)
	}
}

func (x *machine) Repack(t *rapid.T) {
	x.t = t
	o := RepackOptions{All: rapid.Bool().Draw(t, "all")}
	if rapid.Bool().Draw(t, "archive") {
		o.Archive = x.now.Add(time.Hour)
	}
	_, err := x.m.Repack(context.Background(), o)
	x.ok(err)
}

func (x *machine) Reopen(t *rapid.T) {
	x.t = t
	x.m.Release()
	x.ok(x.s.Close())
	x.open()
	x.acquire()
}

// Hold keeps a view to see whether it changes.
func (x *machine) Hold(t *rapid.T) {
	x.t = t
	_, b := x.pick()
	v, err := x.m.View(context.Background(), b.id)
	x.ok(err)
	for _, h := range x.held {
		if n := min(len(h.view.Records), len(v.Records)); h.view.Array == v.Array && n > 0 && !reflect.DeepEqual(h.view.Records[:n], v.Records[:n]) {
			t.Fatalf("views of the same array differ:\n%v\n%v", h.view.Records, v.Records)
		}
	}
	x.held = append(x.held, heldView{v, slices.Clone(v.Records)})
	if len(x.held) > 20 {
		x.held = x.held[1:]
	}
}

// compare holds the store against the oracle.
func (x *machine) compare(t *rapid.T) {
	x.t = t
	ctx := context.Background()
	states, err := x.m.Mailboxes(ctx)
	x.ok(err)
	if len(states) != len(x.want.boxes) {
		t.Fatalf("%d mailboxes, want %d", len(states), len(x.want.boxes))
	}
	for _, st := range states {
		b := x.want.boxes[st.Name]
		if b == nil || b.id != st.ID || b.validity != st.UIDValidity || b.next != st.UIDNext || b.highest != st.HighestModSeq ||
			b.special != st.SpecialUse || x.want.subs[st.Name] != st.Subscribed || int(st.Counts.Exists) != len(b.live) {
			t.Fatalf("state %+v, want %+v", st, b)
		}
		x.compareBox(st, b)
	}
	subs, err := x.m.Subscriptions(ctx)
	x.ok(err)
	if !slices.Equal(subs, slices.Sorted(maps.Keys(x.want.subs))) {
		t.Fatalf("subscriptions %v, want %v", subs, x.want.subs)
	}
	_, usage, err := x.m.Quota(ctx)
	x.ok(err)
	if usage != x.want.usage() {
		t.Fatalf("usage %+v, want %+v", usage, x.want.usage())
	}
	for _, h := range x.held {
		if !slices.Equal(h.view.Records, h.copy) {
			t.Fatalf("a view that was given out has changed")
		}
	}
	x.ok(x.s.Verify(ctx, user1, func(f Finding) { t.Fatalf("verify: %v", f) }))
}

func (x *machine) compareBox(st mailbox.State, b *oracleBox) {
	ctx := context.Background()
	want := slices.Sorted(maps.Keys(b.live))
	_, uids, err := x.m.UIDs(ctx, b.id)
	x.ok(err)
	if !slices.Equal(uids, want) {
		x.t.Fatalf("UIDs %v, want %v", uids, want)
	}
	x.compareSelection(b, uids)
	v, err := x.m.View(ctx, b.id)
	x.ok(err)
	var sum mailbox.Checksum
	for i, r := range v.Records {
		m := b.live[r.UID]
		if r.UID != want[i] || r.Flags != m.flags || r.ModSeq != m.modseq || r.InternalDate != m.internal {
			x.t.Fatalf("record %+v, want %+v", r, m)
		}
		c, err := x.m.Open(ctx, b.id, r)
		x.ok(err)
		var got strings.Builder
		_, err = io.Copy(&got, io.NewSectionReader(c, 0, c.Size))
		x.ok(errors.Join(err, c.Close()))
		if got.String() != m.body {
			x.t.Fatalf("UID %d has the bytes of another message", r.UID)
		}
		sum.Add(&r)
	}
	if len(v.Records) != len(want) || sum != st.Checksum {
		x.t.Fatalf("%d records, want %d; checksum %v, want %v", len(v.Records), len(want), st.Checksum, sum)
	}
	sameTogether(x.t, x.m, b.id, v.Records)
	x.compareRecords(b, v.Records)
	x.compareChanges(b)
}

// compareRecords reads some records by their UIDs, cached and not.
func (x *machine) compareRecords(b *oracleBox, all []mailbox.Record) {
	if rapid.Bool().Draw(x.t, "from disk") {
		x.m.s.views.forget(x.m.user)
	}
	set := x.set(b)
	var want []mailbox.Record
	for _, r := range all {
		if set.Contains(r.UID) {
			want = append(want, r)
		}
	}
	got, err := x.m.Records(context.Background(), b.id, set)
	x.ok(err)
	if !slices.Equal(got, want) {
		x.t.Fatalf("records %v of %v, want %v", got, set, want)
	}
}

// compareSelection holds what SELECT is told against what the messages say.
func (x *machine) compareSelection(b *oracleBox, uids []mailbox.UID) {
	sel, err := x.m.Select(context.Background(), b.id)
	x.ok(err)
	words := map[string]bool{}
	first := mailbox.UID(0)
	for uid, m := range b.live {
		for _, word := range m.flags.KeywordList() {
			words[strings.ToLower(word)] = true
		}
		if !m.flags.Has(mailbox.Seen) && (first == 0 || uid < first) {
			first = uid
		}
	}
	var got []string
	for _, word := range sel.Keywords {
		got = append(got, strings.ToLower(word))
	}
	if want := slices.Sorted(maps.Keys(words)); !slices.Equal(got, want) {
		x.t.Fatalf("keywords %v, want %v", got, want)
	}
	if sel.FirstUnseen != first || sel.Announced != b.announced || sel.State.ID != b.id || !slices.Equal(sel.UIDs, uids) {
		x.t.Fatalf("selection %+v, want first unseen %d, announced %d, UIDs %v", sel, first, b.announced, uids)
	}
}

// compareChanges checks that what changed since any moment can be learned.
func (x *machine) compareChanges(b *oracleBox) {
	since := mailbox.ModSeq(rapid.IntRange(0, int(b.highest)).Draw(x.t, "changes since"))
	recs, err := x.m.Changes(context.Background(), b.id, since)
	x.ok(err)
	got := map[string]bool{}
	for _, r := range recs {
		got[fmt.Sprint(r.UID, r.ModSeq, r.Expunged)] = true
	}
	want := map[string]bool{}
	for u, m := range b.live {
		if m.modseq > since {
			want[fmt.Sprint(u, m.modseq, false)] = true
		}
	}
	for u, m := range b.gone {
		if m > since {
			want[fmt.Sprint(u, m, true)] = true
		}
	}
	if !maps.Equal(got, want) {
		x.t.Fatalf("changes since %d: %v, want %v", since, got, want)
	}
}

// TestAgainstOracle runs random operations on a store and on maps, and compares
// all of it after each.
func TestAgainstOracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := memoryDir(t)
		for _, d := range []string{"conf", "spool", "archive"} {
			mkdir(t, dir+"/"+d)
		}
		x := newMachine(rt, dir)
		defer func() {
			x.m.Release()
			if err := x.s.Close(); err != nil {
				rt.Error(err)
			}
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"append": x.Append, "append again": x.Append, "append more": x.Append, "store": x.Store, "copy": x.Copy, "move": x.Move,
			"expunge": x.Expunge, "create": x.Create, "delete": x.Delete, "rename": x.Rename, "subscribe": x.Subscribe,
			"quota": x.Quota, "forget": x.Forget, "repack": x.Repack, "reopen": x.Reopen, "hold": x.Hold, "": x.compare,
		})
	})
}
