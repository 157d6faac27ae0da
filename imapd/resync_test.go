package imapd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// TestResyncAgainstFresh has clients that keep what they know of mailboxes come and go while others change
// the mail: deliveries, flags, expunges, moves, renames, mailboxes deleted and made again, expunges forgotten,
// mail put back from a copy, restarts of the slot. What a client makes of QRESYNC when it comes back, and of all that it
// is told while it is there, must be what a fresh look shows: the same UIDs with the same flags.
// Connections break between responses too: the client has heard half then, and has to come back
// with the mod-sequence of the last completion (RFC 7162 §6).
//
// COUNT rounds from SEED; a round that fails names its seed.
func TestResyncAgainstFresh(t *testing.T) {
	count, _ := strconv.Atoi(cmp.Or(os.Getenv("COUNT"), "6"))
	seed, _ := strconv.ParseUint(cmp.Or(os.Getenv("SEED"), "1"), 10, 64)
	h := newHarness(t, Options{PlainLogin: true})
	said := map[string]int{}
	for i := range count {
		r := newResyncModel(t, h, seed+uint64(i), said)
		r.round()
	}
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(said)) {
		counts = append(counts, fmt.Sprintf("%s %d", name, said[name]))
	}
	t.Logf("proof: %d rounds from seed %d: %s", count, seed, strings.Join(counts, ", "))
	for _, name := range []string{"resync", "cut", "vanished", "vanished earlier", "modified", "forgotten", "held back", "other validity"} {
		if said[name] == 0 {
			t.Errorf("%s never happened", name)
		}
	}
}

// resyncModel is one user's mail and the clients that come and go.
type resyncModel struct {
	*testing.T
	h       *harness
	rnd     *rand.Rand
	seed    uint64
	user    string
	clients []*resyncClient
	said    map[string]int
	lines   []string // of the dialogue, for a report
}

var resyncBoxes = []string{"INBOX", "Work", "Old"}

func newResyncModel(t *testing.T, h *harness, seed uint64, said map[string]int) *resyncModel {
	r := &resyncModel{T: t, h: h, rnd: rand.New(rand.NewPCG(seed, 7162)), seed: seed, user: fmt.Sprintf("resync%d", seed), said: said}
	h.addUser(t, r.user, account.Quota{})
	for i := range 3 {
		r.clients = append(r.clients, &resyncClient{r: r, name: fmt.Sprintf("c%d", i), caches: map[string]*boxCache{}, shy: i == 2})
	}
	r.create("Work")
	for range 6 {
		r.deliver()
	}
	return r
}

func (r *resyncModel) fail(format string, args ...any) {
	r.Helper()
	r.Fatalf("seed %d: %s\n%s", r.seed, fmt.Sprintf(format, args...), strings.Join(r.lines, "\n"))
}

func (r *resyncModel) log(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func pickOf[T any](r *resyncModel, list ...T) T { return list[r.rnd.IntN(len(list))] }

// round is some two hundred steps; in the end every client comes back everywhere.
func (r *resyncModel) round() {
	steps := []struct {
		often int
		what  func()
	}{
		{6, r.deliver}, {10, r.storeFlags}, {5, r.expunge}, {3, r.move}, {2, r.copy}, {2, r.forget}, {1, r.rename},
		{1, r.remake}, {1, r.renew}, {30, r.clientSays}, {8, r.clientComes}, {3, r.clientGoes},
	}
	total := 0
	for _, s := range steps {
		total += s.often
	}
	for step := range 200 {
		if step == 100 {
			r.restart()
		}
		n := r.rnd.IntN(total)
		for _, s := range steps {
			if n -= s.often; n < 0 {
				s.what()
				break
			}
		}
	}
	for _, c := range r.clients {
		for _, name := range resyncBoxes {
			c.come(name)
		}
		c.leave()
	}
}

// with calls fn with the user's mail.
func (r *resyncModel) with(fn func(ctx context.Context, m *mailstore.Mail) error) {
	r.Helper()
	ctx := context.Background()
	m, err := r.h.store.Acquire(ctx, r.h.users[r.user])
	if err != nil {
		r.Fatal(err)
	}
	defer m.Release()
	if err := fn(ctx, m); err != nil {
		r.fail("%v", err)
	}
}

// box returns a mailbox by name, if it is there, and a random half of its UIDs.
func (r *resyncModel) box(ctx context.Context, m *mailstore.Mail, name string) (state mailbox.State, some mailbox.UIDSet, ok bool) {
	state, err := m.MailboxNamed(ctx, name)
	if err != nil {
		return state, some, false
	}
	_, uids, err := m.UIDs(ctx, state.ID)
	if err != nil {
		r.Fatal(err)
	}
	for _, uid := range uids {
		if r.rnd.IntN(3) == 0 {
			some.Add(uid)
		}
	}
	return state, some, true
}

func (r *resyncModel) create(name string) {
	r.with(func(ctx context.Context, m *mailstore.Mail) error {
		_, err := m.Create(ctx, "", name, "")
		return err
	})
}

func (r *resyncModel) deliver() {
	name := pickOf(r, "INBOX", "INBOX", "Work")
	if uid, err := r.h.tryDeliver(r.user, name, mail("news")); err == nil {
		r.log("(UID %d is delivered to %s)", uid, name)
	}
}

func (r *resyncModel) storeFlags() {
	r.with(func(ctx context.Context, m *mailstore.Mail) error {
		state, some, ok := r.box(ctx, m, pickOf(r, resyncBoxes...))
		if !ok {
			return nil
		}
		op := pickOf(r, mailstore.AddFlags, mailstore.AddFlags, mailstore.RemoveFlags, mailstore.ReplaceFlags)
		flags := mailbox.MakeFlags(pickOf(r, `\Seen`, `\Deleted`, `\Deleted`, `\Flagged`, "work"))
		_, err := m.StoreFlags(ctx, "other", state.ID, some, op, flags, nil)
		r.log("(flags of %s in %s: %d %v)", some, state.Name, op, flags.List())
		return err
	})
}

func (r *resyncModel) expunge() {
	r.with(func(ctx context.Context, m *mailstore.Mail) error {
		state, _, ok := r.box(ctx, m, pickOf(r, resyncBoxes...))
		if !ok {
			return nil
		}
		gone, modseq, err := m.Expunge(ctx, "other", state.ID, nil)
		r.log("(expunged in %s: %v at %d)", state.Name, gone, modseq)
		return err
	})
}

func (r *resyncModel) move() { r.transfer((*mailstore.Mail).Move) }

func (r *resyncModel) copy() { r.transfer((*mailstore.Mail).Copy) }

func (r *resyncModel) transfer(how func(*mailstore.Mail, context.Context, string, mailbox.ID, mailbox.UIDSet, mailbox.ID) (mailstore.Copied, error)) {
	r.with(func(ctx context.Context, m *mailstore.Mail) error {
		from, some, ok := r.box(ctx, m, pickOf(r, resyncBoxes...))
		to, _, there := r.box(ctx, m, pickOf(r, resyncBoxes...))
		if !ok || !there {
			return nil
		}
		done, err := how(m, ctx, "other", from.ID, some, to.ID)
		r.log("(%s of %s come to %s as %v)", some, from.Name, to.Name, done.To)
		return err
	})
}

// forget drops what is known of expunges.
func (r *resyncModel) forget() {
	any, err := r.h.tryForget(r.user)
	if err != nil {
		r.Fatal(err)
	}
	if any {
		r.said["forgotten"]++
		r.log("(expunges are forgotten)")
	}
}

// rename gives mailboxes each other's names in time; INBOX's mail moves away.
func (r *resyncModel) rename() {
	r.with(func(ctx context.Context, m *mailstore.Mail) error {
		from, to := pickOf(r, resyncBoxes...), pickOf(r, resyncBoxes[1:]...)
		if err := m.Rename(ctx, "", from, to); err == nil {
			r.log("(%s is now %s)", from, to)
		}
		return nil // or the one is not there, or the other is
	})
}

// remake deletes a mailbox and makes one of that name.
func (r *resyncModel) remake() {
	name := pickOf(r, resyncBoxes[1:]...)
	r.with(func(ctx context.Context, m *mailstore.Mail) error {
		if state, err := m.MailboxNamed(ctx, name); err == nil {
			if err := m.Delete(ctx, "", state.ID); err != nil {
				return err
			}
		}
		_, err := m.Create(ctx, "", name, "")
		r.log("(%s is made anew)", name)
		return err
	})
}

// renew is what a restore from a copy does to mail.
func (r *resyncModel) renew() {
	if r.rnd.IntN(4) > 0 {
		return
	}
	r.allLeave()
	r.with(func(ctx context.Context, m *mailstore.Mail) error { return m.Renew(ctx) })
	r.log("(the mail is put back)")
}

// restart ends the slot and starts it again.
func (r *resyncModel) restart() {
	r.allLeave()
	r.h.restartSlot(r.T)
	r.log("(the slot starts again)")
}

func (r *resyncModel) allLeave() {
	for _, c := range r.clients {
		c.leave()
	}
}

func (r *resyncModel) clientComes() {
	pickOf(r, r.clients...).come(pickOf(r, resyncBoxes...))
}

func (r *resyncModel) clientGoes() { pickOf(r, r.clients...).leave() }

func (r *resyncModel) clientSays() {
	c := pickOf(r, r.clients...)
	if c.p == nil {
		return
	}
	c.speak()
}

// truth is what a mailbox holds: flags by UID.
func (r *resyncModel) truth(id mailbox.ID) (state mailbox.State, all map[uint32]string, ok bool) {
	r.with(func(ctx context.Context, m *mailstore.Mail) error {
		view, err := m.View(ctx, id)
		if err != nil {
			return nil // deleted
		}
		state, ok, all = view.State, true, map[uint32]string{}
		for i := range view.Records {
			all[uint32(view.Records[i].UID)] = newFlags(view.Records[i].Flags.List()...).String()
		}
		return nil
	})
	return state, all, ok
}

// boxCache is what a client keeps of a mailbox while it is away.
type boxCache struct {
	validity string
	modSeq   uint64
	last     uint32 // the highest UID that it has seen
	flags    map[uint32]string
}

// resyncClient is a client with a cache, as RFC 7162 §6 describes it.
type resyncClient struct {
	r      *resyncModel
	name   string
	p      *peer // nil: away
	tags   int
	shy    bool // names the UIDs that it knows
	caches map[string]*boxCache

	box     *boxCache // of the selected mailbox
	id      mailbox.ID
	numbers []uint32 // UIDs by number; 0 while it is not known
	heard   uint64   // the highest MODSEQ since the last completion
	told    uint64   // the last HIGHESTMODSEQ since then
	top     uint32   // the highest UID of a FETCH response since the command began
	// silent is what the client itself did to the flags of messages of which it is told MODSEQ alone.
	silent func(flagSet) flagSet
}

func (c *resyncClient) leave() {
	if c.p != nil {
		c.r.log("%s leaves", c.name)
		c.p.conn.Close()
		c.p = nil
	}
}

// lines says a command and returns what the server says, to the completion.
func (c *resyncClient) lines(command string) (untagged []string, completion string, ok bool) {
	c.r.Helper()
	c.tags++
	tag := fmt.Sprintf("%s.%d", c.name, c.tags)
	c.r.log("%s C: %s %s", c.name, tag, command)
	c.p.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.p.conn, tag+" "+command+"\r\n"); err != nil {
		return nil, "", false
	}
	for {
		line, err := c.p.tryResponse()
		if err != nil {
			return untagged, "", false
		}
		c.r.log("%s S: %s", c.name, line)
		if rest, done := strings.CutPrefix(line, tag+" "); done {
			return untagged, rest, true
		}
		untagged = append(untagged, line)
	}
}

// say says a command and takes what it is told; false if the connection broke, as it may do between responses: what comes
// before counts, but no completion was seen.
func (c *resyncClient) say(command string) (completion string, ok bool) {
	c.r.Helper()
	untagged, completion, ok := c.lines(command)
	cut := len(untagged) + 1
	if c.r.rnd.IntN(12) == 0 {
		cut = c.r.rnd.IntN(len(untagged) + 1)
	}
	for i, line := range untagged {
		if i == cut {
			break
		}
		c.hear(line)
	}
	if !ok || cut <= len(untagged) {
		c.r.said["cut"]++
		c.leave()
		return "", false
	}
	c.hearCode(completion)
	return completion, true
}

// complete takes over what the completion allows it to (RFC 7162 §6).
func (c *resyncClient) complete() {
	switch {
	case c.told > 0:
		if c.told < c.heard {
			c.r.said["held back"]++
		}
		c.box.modSeq = c.told
	case c.heard > c.box.modSeq:
		c.box.modSeq = c.heard
	}
	c.told, c.heard = 0, 0
}

// hear takes an untagged response.
func (c *resyncClient) hear(line string) {
	c.r.Helper()
	if set, ok := strings.CutPrefix(line, "* VANISHED (EARLIER) "); ok {
		c.hearVanished(set, true)
		return
	}
	if set, ok := strings.CutPrefix(line, "* VANISHED "); ok {
		c.hearVanished(set, false)
		return
	}
	c.hearCode(strings.TrimPrefix(line, "* "))
	m := stateResponse.FindStringSubmatch(line)
	if m == nil {
		return
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		c.r.Fatal(err)
	}
	switch what, _, _ := strings.Cut(m[2], " "); what {
	case "EXISTS":
		if n < len(c.numbers) {
			c.r.fail("%s counts %d messages and is told %d EXISTS", c.name, len(c.numbers), n)
		}
		c.numbers = append(c.numbers, make([]uint32, n-len(c.numbers))...)
	case "EXPUNGE":
		c.r.fail("%s enabled QRESYNC and is told %q", c.name, line)
	case "FETCH":
		c.hearFetch(n, m[2])
	}
}

// hearCode takes HIGHESTMODSEQ and UIDVALIDITY.
func (c *resyncClient) hearCode(text string) {
	if _, rest, ok := strings.Cut(text, "OK [HIGHESTMODSEQ "); ok {
		c.told, _ = strconv.ParseUint(rest[:strings.IndexByte(rest, ']')], 10, 63)
	}
	if _, rest, ok := strings.Cut(text, "OK [UIDVALIDITY "); ok {
		validity := rest[:strings.IndexByte(rest, ']')]
		if c.box.validity != "" && c.box.validity != validity {
			c.r.said["other validity"]++
		}
		if c.box.validity != validity { // what it knows is of other messages (RFC 7162 §6, step 1a)
			*c.box = boxCache{validity: validity, flags: map[uint32]string{}}
		}
	}
	if strings.Contains(text, "[MODIFIED ") {
		c.r.said["modified"]++
	}
}

// hearVanished takes UIDs out: without EARLIER those that it counts, and with it none of them (RFC 7162 §3.2.10).
func (c *resyncClient) hearVanished(set string, earlier bool) {
	c.r.Helper()
	uids, err := mailbox.ParseUIDSet(set)
	if err != nil {
		c.r.fail("VANISHED %q: %v", set, err)
	}
	if earlier {
		c.r.said["vanished earlier"]++
	} else {
		c.r.said["vanished"]++
		c.numbers = c.without(uids)
	}
	for uid := range c.box.flags {
		if uids.Contains(mailbox.UID(uid)) {
			delete(c.box.flags, uid)
		}
	}
}

// without takes vanished messages out of the numbers. One whose UID is not known lies between those that are, in order.
func (c *resyncClient) without(gone mailbox.UIDSet) []uint32 {
	c.r.Helper()
	_, now, _ := c.r.truth(c.id)
	keep := slices.Clone(c.numbers)
	for uid := range gone.All() {
		if _, there := now[uint32(uid)]; there {
			c.r.fail("%s is told that UID %d vanished, which is there", c.name, uid)
		}
		i := slices.Index(keep, uint32(uid))
		for at, before := 0, uint32(0); i < 0 && at < len(keep) && before < uint32(uid); at++ {
			next := slices.IndexFunc(keep[at:], func(u uint32) bool { return u != 0 })
			if keep[at] == 0 && (next < 0 || keep[at+next] > uint32(uid)) {
				i = at
			}
			before = max(before, keep[at])
		}
		if i < 0 {
			c.r.fail("%s counts %v and is told that UID %d vanished", c.name, keep, uid)
		}
		keep = slices.Delete(keep, i, i+1)
	}
	return keep
}

func (c *resyncClient) hearFetch(n int, text string) {
	c.r.Helper()
	items, err := cutItems(text)
	if err != nil || n < 1 || n > len(c.numbers) {
		c.r.fail("%s counts %d messages and is told %d %s: %v", c.name, len(c.numbers), n, text, err)
	}
	values := map[string]string{}
	for _, i := range items {
		values[i.name] = i.value
	}
	uid, err := strconv.ParseUint(values["UID"], 10, 32)
	if err != nil {
		c.r.fail("%s is told no UID in %q", c.name, text)
	}
	if c.numbers[n-1] != 0 && c.numbers[n-1] != uint32(uid) {
		c.r.fail("%s takes %d for UID %d and is told %s", c.name, n, c.numbers[n-1], text)
	}
	c.numbers[n-1] = uint32(uid)
	c.top = max(c.top, uint32(uid))
	modSeq, err := strconv.ParseUint(values["MODSEQ"], 10, 63)
	if err != nil || modSeq == 0 {
		c.r.fail("%s is told no MODSEQ in %q", c.name, text)
	}
	c.heard = max(c.heard, modSeq)
	flags := newFlags(strings.Fields(c.box.flags[uint32(uid)])...)
	if list, told := values["FLAGS"]; told {
		flags = newFlags(strings.Fields(list)...)
		delete(flags, `\recent`)
	} else if c.silent != nil {
		flags = c.silent(flags)
	}
	c.box.flags[uint32(uid)] = flags.String()
}

// come selects a mailbox with what it knows of it, and compares.
func (c *resyncClient) come(name string) {
	c.r.Helper()
	for c.p == nil {
		raw, err := net.Dial("tcp", c.r.h.addr)
		if err != nil {
			c.r.Fatal(err)
		}
		c.p = newPeer(raw)
		if _, err := c.p.tryResponse(); err != nil {
			c.r.Fatal(err)
		}
		c.lines(`LOGIN ` + c.r.user + ` "` + password + `"`)
		c.lines("ENABLE QRESYNC")
	}
	cache := c.caches[name]
	if cache == nil {
		cache = &boxCache{flags: map[uint32]string{}}
		c.caches[name] = cache
	}
	if cache.modSeq == 0 { // it never came to an end here
		*cache = boxCache{validity: cache.validity, flags: map[uint32]string{}}
	}
	c.box, c.numbers, c.told, c.heard = cache, nil, 0, 0
	c.id = ""
	c.r.with(func(ctx context.Context, m *mailstore.Mail) error {
		if state, err := m.MailboxNamed(ctx, name); err == nil {
			c.id = state.ID
		}
		return nil
	})
	command := "SELECT " + name
	if cache.modSeq > 0 {
		command += fmt.Sprintf(" (QRESYNC (%s %d%s))", cache.validity, cache.modSeq, c.knowledge())
	}
	completion, ok := c.say(command)
	if !ok {
		return
	}
	if !strings.HasPrefix(completion, "OK [READ-WRITE]") {
		if c.id != "" {
			c.r.fail("%s is refused: %s", command, completion)
		}
		delete(c.caches, name)
		c.leave()
		return
	}
	// What is new, it asks for; until then it has not come back.
	if !c.askNew() {
		return
	}
	c.complete()
	c.r.said["resync"]++
	c.compare()
	c.numbers = slices.Sorted(maps.Keys(c.box.flags))
}

// askNew asks for the messages that it has not seen.
func (c *resyncClient) askNew() bool {
	c.top = 0
	_, ok := c.say(fmt.Sprintf("UID FETCH %d:* (FLAGS MODSEQ)", c.box.last+1))
	if ok {
		c.box.last = max(c.box.last, c.top)
	}
	return ok
}

// knowledge are the UIDs that it knows and a sample of numbers, or not.
func (c *resyncClient) knowledge() string {
	uids := slices.Sorted(maps.Keys(c.box.flags))
	out := ""
	if c.shy && len(uids) > 0 {
		var set mailbox.UIDSet
		for _, uid := range uids {
			set.Add(mailbox.UID(uid))
		}
		out = " " + set.String()
	}
	if len(uids) == 0 || c.r.rnd.IntN(2) == 0 {
		return out
	}
	var numbers, match mailbox.UIDSet
	for i, uid := range uids {
		if c.r.rnd.IntN(2) == 0 {
			numbers.Add(mailbox.UID(i + 1))
			match.Add(mailbox.UID(uid))
		}
	}
	if numbers.IsEmpty() {
		return out
	}
	return out + " (" + numbers.String() + " " + match.String() + ")"
}

// compare compares what the client knows with a fresh look.
func (c *resyncClient) compare() {
	c.r.Helper()
	state, now, ok := c.r.truth(c.id)
	if !ok {
		return
	}
	if !maps.Equal(now, c.box.flags) {
		c.r.fail("%s takes mailbox %s for %v, it is %v", c.name, state.Name, c.box.flags, now)
	}
	if c.box.modSeq > uint64(state.HighestModSeq) {
		c.r.fail("%s is at mod-sequence %d of %d", c.name, c.box.modSeq, state.HighestModSeq)
	}
}

// speak says something in the selected mailbox.
func (c *resyncClient) speak() {
	c.r.Helper()
	if len(c.numbers) == 0 {
		c.sync()
		return
	}
	n := 1 + c.r.rnd.IntN(len(c.numbers))
	flag := pickOf(c.r, `\Seen`, `\Deleted`, `\Answered`, "later")
	commands := []string{
		fmt.Sprintf("FETCH %d (UID FLAGS MODSEQ)", n),
		fmt.Sprintf("STORE %d +FLAGS.SILENT (%s)", n, flag),
		fmt.Sprintf("STORE %d -FLAGS (%s)", n, flag),
		fmt.Sprintf("STORE 1:%d (UNCHANGEDSINCE %d) +FLAGS (%s)", n, max(c.box.modSeq, 5)-uint64(c.r.rnd.IntN(5)), flag),
		fmt.Sprintf("UID STORE 1:* (UNCHANGEDSINCE %d) -FLAGS.SILENT (%s)", c.box.modSeq, flag),
		"SEARCH MODSEQ 1", "UID SEARCH ALL", "UID EXPUNGE 1:*", "EXPUNGE", "NOOP",
		fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", max(c.box.modSeq, 1)),
	}
	command := pickOf(c.r, commands...)
	if op := silentOp.FindStringSubmatch(command); op != nil {
		c.silent = func(flags flagSet) flagSet { return flags.changed(op[1], op[2:]) }
	}
	completion, ok := c.say(command)
	c.silent = nil
	if !ok {
		return
	}
	if strings.HasPrefix(completion, "BAD") {
		c.r.fail("%s: %s", command, completion)
	}
	c.complete()
	c.sync()
}

var silentOp = regexp.MustCompile(`STORE .*([+-])FLAGS\.SILENT \((.*)\)$`)

// sync hears all news, asks for what is new, and compares.
func (c *resyncClient) sync() {
	c.r.Helper()
	if c.r.rnd.IntN(3) > 0 {
		return // later
	}
	if _, ok := c.say("NOOP"); !ok {
		return
	}
	c.complete()
	if slices.Contains(c.numbers, 0) {
		if !c.askNew() {
			return
		}
		c.complete()
	}
	c.compare()
}
