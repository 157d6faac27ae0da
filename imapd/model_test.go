package imapd

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"teraslot/account"
)

// The model is a user's mail as lists, and what each of its sessions was told.
// TestSessionsAgainstModel has several sessions say random commands, one after the
// other, to a real server, and compares all that the server says with the model:
// sequence numbers, UIDs, flags, sizes, dates, octets, search results, and the rules for
// several sessions on one mailbox.

// flagSet is a message's flags in lower case, without \Recent.
type flagSet map[string]bool

func (f flagSet) String() string { return strings.Join(slices.Sorted(maps.Keys(f)), " ") }

func newFlags(names ...string) flagSet {
	f := flagSet{}
	for _, n := range names {
		f[strings.ToLower(n)] = true
	}
	return f
}

// changed is f after STORE with op "", "+" or "-".
func (f flagSet) changed(op string, names []string) flagSet {
	out := maps.Clone(f)
	if op == "" {
		out = flagSet{}
	}
	for n := range newFlags(names...) {
		if op == "-" {
			delete(out, n)
		} else {
			out[n] = true
		}
	}
	return out
}

// modelMessage is a message. A copy is another message with the same text.
type modelMessage struct {
	uid   uint32
	flags flagSet
	text  string
	date  int // of November 2023
	// recentIn is the selection that showed it as \Recent: no second one may (RFC 3501 §2.3.2).
	recentIn int
}

// modelBox is a mailbox.
type modelBox struct {
	name     string
	use      string // special use
	validity string // "" until it was told
	next     uint32
	live     []*modelMessage // by rising UID
}

func (b *modelBox) find(uid uint32) *modelMessage {
	i, ok := slices.BinarySearchFunc(b.live, uid, func(m *modelMessage, uid uint32) int { return cmp.Compare(m.uid, uid) })
	if !ok {
		return nil
	}
	return b.live[i]
}

// above are the UIDs in use above uid.
func (b *modelBox) above(uid uint32) []uint32 {
	var out []uint32
	for _, m := range b.live {
		if m.uid > uid {
			out = append(out, m.uid)
		}
	}
	return out
}

// add gives a message the next UID.
func (b *modelBox) add(flags flagSet, text string, date int) uint32 {
	b.live = append(b.live, &modelMessage{uid: b.next, flags: maps.Clone(flags), text: text, date: date})
	b.next++
	return b.next - 1
}

// remove takes messages out.
func (b *modelBox) remove(uids []uint32) {
	b.live = slices.DeleteFunc(b.live, func(m *modelMessage) bool { return slices.Contains(uids, m.uid) })
}

// model is all of it.
type model struct {
	*rapid.T
	h          *harness
	user       string
	boxes      []*modelBox
	conns      []*modelConn
	subscribed map[string]bool
	held       map[string]*modelBox // by name and UIDVALIDITY: no other may have both
	selections int
	commands   int
}

var modelUsers atomic.Int64

func newModel(t *rapid.T, outer *testing.T, h *harness) *model {
	m := &model{T: t, h: h, user: fmt.Sprintf("model%d", modelUsers.Add(1)), subscribed: map[string]bool{}, held: map[string]*modelBox{}}
	h.addUser(outer, m.user, account.Quota{})
	for _, b := range []modelBox{{name: "INBOX"}, {name: "Archive", use: `\Archive`}, {name: "Drafts", use: `\Drafts`}, {name: "Junk", use: `\Junk`},
		{name: "Sent", use: `\Sent`}, {name: "Trash", use: `\Trash`}} {
		b.next = 1
		m.boxes = append(m.boxes, &b)
		m.subscribed[b.name] = true
	}
	for range 3 {
		m.conns = append(m.conns, m.connect())
	}
	for _, text := range []string{"alpha", "beta gamma", "alphabet"} {
		m.deliver(m.boxes[0], text)
	}
	for _, c := range m.conns[1:] {
		c.enter(m.boxes[0], false)
	}
	return m
}

func (m *model) close() {
	for _, c := range m.conns {
		c.p.conn.Close()
	}
}

// deliver adds a message as another program would.
func (m *model) deliver(b *modelBox, words string) {
	text := mail(words)
	uid, err := m.h.tryDeliver(m.user, b.name, text)
	if err != nil {
		m.Fatal(err)
	}
	if want := b.add(flagSet{}, text, 14); uint32(uid) != want {
		m.Fatalf("delivery to %s got UID %d, not %d", b.name, uid, want)
	}
	m.Logf("(delivery to %s: UID %d, %q)", b.name, uid, words)
}

// modelSteps is about how many commands a round has.
const modelSteps = 60

// TestSessionsAgainstModel runs COUNT rounds from SEED. A failure is shrunk: the
// last part of its report is the shortest dialogue that shows it, and how to run it
// again.
func TestSessionsAgainstModel(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": cmp.Or(os.Getenv("COUNT"), "15"),
		"rapid.seed": cmp.Or(os.Getenv("SEED"), "0"), "rapid.steps": fmt.Sprint(modelSteps)} {
		before := flag.Lookup(name).Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		defer flag.Set(name, before)
	}
	h := newHarness(t, Options{PlainLogin: true})
	rounds, commands := 0, 0
	said := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt, t, h)
		defer m.close()
		rt.Repeat(m.actions(said))
		rounds++
		commands += m.commands
	})
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(said)) {
		counts = append(counts, fmt.Sprintf("%s %d", name, said[name]))
	}
	t.Logf("proof: %d rounds, %d commands: %s", rounds, commands, strings.Join(counts, ", "))
}

// actions are what a round is made of, by name, counted.
func (m *model) actions(said map[string]int) map[string]func(*rapid.T) {
	all := map[string]struct {
		often  int
		action func()
	}{
		"fetch": {5, m.fetch}, "store": {8, m.store}, "search": {6, m.search}, "copy": {3, m.copy}, "move": {3, m.move},
		"expunge": {4, m.expunge}, "append": {3, m.appendMessages}, "deliver": {2, m.deliverSome}, "noop": {2, m.noop},
		"select": {3, m.selectBox}, "leave": {1, m.leave}, "status": {1, m.status}, "idle": {2, m.idle}, "done": {2, m.done},
		"create": {1, m.create}, "delete": {1, m.deleteBox}, "rename": {1, m.rename}, "reconnect": {1, m.reconnect},
		"subscribe": {1, m.subscribe}, "list": {2, m.list}, "list (": {2, m.listExtended}, "lsub": {1, m.lsub},
		"forget": {1, m.forget}, "wrong": {1, m.wrong},
	}
	out := map[string]func(*rapid.T){}
	for name, a := range all {
		for i := range a.often {
			// The first names come most often: those with the highest numbers.
			out[fmt.Sprintf("%02d %s", 50-a.often+i, name)] = func(t *rapid.T) {
				m.T = t
				a.action()
				said[name]++
			}
		}
	}
	return out
}

// forget drops the records of what was expunged, as if it were long ago.
func (m *model) forget() {
	if _, err := m.h.tryForget(m.user); err != nil {
		m.Fatal(err)
	}
	m.Logf("(records of expunged messages are forgotten)")
}
