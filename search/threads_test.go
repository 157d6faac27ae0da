package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
)

// letter is what threading knows of a message.
type letter struct {
	uid             mailbox.UID
	subject         string
	id              string // as the Message-ID field has it
	refs, inReplyTo []string
	sent, arrived   int64
}

func (l *letter) heading() message.Heading {
	h := message.Heading{Subject: l.subject, MessageID: l.id, InReplyTo: strings.Join(l.inReplyTo, " ")}
	for _, r := range l.refs {
		h.References = append(h.References, message.MessageIDs(r)...)
	}
	return h
}

// findingOf makes of letters, which have rising UIDs, what a search for those among
// them that are wanted finds. The headings come in two parts, as they do when mail
// comes between two commands.
func findingOf(letters []letter, wanted func(i int) bool) *finding {
	view := &mailstore.View{State: mailbox.State{UIDValidity: 7}}
	for _, l := range letters {
		view.Records = append(view.Records, mailbox.Record{UID: l.uid, Size: int64(len(l.subject)),
			SentDate: mailbox.Date{Unix: l.sent}, InternalDate: mailbox.Date{Unix: l.arrived}})
	}
	res := &Result{View: view}
	for i := range letters {
		if wanted(i) {
			res.UIDs = append(res.UIDs, letters[i].uid)
		}
	}
	var h *headings
	seeds := newIDSeeds()
	for _, n := range []int{len(letters) / 2, len(letters)} {
		rows, _ := h.place(view.Records[:n], 7)
		fresh := &freshHeadings{seeds: seeds}
		for i, row := range rows {
			if row < 0 {
				heading := letters[i].heading()
				fresh.add(&heading)
			}
		}
		h = h.extended(view.Records[:n], 7, rows, fresh)
	}
	rows := rowsOf(view, res.UIDs)
	return &finding{Result: res, rows: rows, headings: h, at: rows}
}

func all(int) bool { return true }

// written gives threads as the THREAD response has them.
func written(t testing.TB, nodes []ThreadNode) string {
	t.Helper()
	var b strings.Builder
	for len(nodes) > 0 {
		nodes = writeThread(&b, nodes, true)
	}
	return b.String()
}

// writeThread writes a node and what is below it, and returns what follows.
func writeThread(b *strings.Builder, nodes []ThreadNode, open bool) []ThreadNode {
	if open {
		b.WriteByte('(')
	}
	n := nodes[0]
	nodes = nodes[1:]
	if n.UID != 0 {
		fmt.Fprint(b, n.UID)
	}
	if n.Children > 0 && n.UID != 0 {
		b.WriteByte(' ')
	}
	for range n.Children {
		nodes = writeThread(b, nodes, n.Children > 1)
	}
	if open {
		b.WriteByte(')')
	}
	return nodes
}

// id is the message-id of a name.
func id(name string) string { return "<" + name + "@example.org>" }

func ids(names string) (list []string) {
	for _, n := range strings.Fields(names) {
		list = append(list, id(n))
	}
	return list
}

// threadCases are written by hand, from the text of RFC 5256 §3.
var threadCases = []struct {
	name    string
	letters []letter // sent as they stand, a second apart, unless they say when
	wanted  string   // UIDs that the search finds, all if empty
	want    map[Algorithm]string
}{
	{"nothing", nil, "", map[Algorithm]string{OrderedSubject: "", References: "", Refs: ""}},
	{"subjects", []letter{{subject: "b"}, {subject: "a"}, {subject: "Re: b"}, {subject: "[x] A (fwd)"}, {subject: "B"}, {subject: ""}, {subject: "re:"}},
		"", map[Algorithm]string{OrderedSubject: "(1 (3)(5))(2 4)(6 7)", References: "((1 3)(5))(2 4)(6)(7)", Refs: "(1)(2)(3)(4)(5)(6)(7)"}},
	{"a chain", []letter{{id: id("a"), subject: "x"}, {id: id("b"), refs: ids("a")}, {id: id("c"), refs: ids("a b")}},
		"", map[Algorithm]string{References: "(1 2 3)", Refs: "(1 2 3)"}},
	{"In-Reply-To where References has nothing valid", []letter{{id: id("a")}, {refs: []string{"<bad>", "words"}, inReplyTo: []string{"Mail of", id("a"), id("z")}}},
		"", map[Algorithm]string{Refs: "(1 2)"}},
	{"quoting", []letter{{id: `<"a"@b>`}, {refs: []string{"<a@b>"}}}, "", map[Algorithm]string{Refs: "(1 2)"}},
	{"case counts", []letter{{id: "<A@b>"}, {refs: []string{"<a@b>"}}}, "", map[Algorithm]string{Refs: "(1)(2)"}},
	{"a parent that is not there", []letter{{refs: ids("a")}, {refs: ids("a")}, {refs: ids("b")}},
		"", map[Algorithm]string{Refs: "((1)(2))(3)"}},
	{"a dummy in between", []letter{{id: id("a")}, {refs: ids("a b")}, {refs: ids("a b")}}, "", map[Algorithm]string{Refs: "(1 (2)(3))"}},
	{"dummies above dummies", []letter{{refs: ids("a b")}, {refs: ids("a c")}, {refs: ids("a c d")}}, "", map[Algorithm]string{Refs: "((1)(2)(3))"}},
	{"one message in two places", []letter{{id: id("a")}, {id: id("a")}, {refs: ids("a")}}, "", map[Algorithm]string{Refs: "(2)(1 3)"}},
	{"what matches alone", []letter{{id: id("a")}, {id: id("b"), refs: ids("a")}, {refs: ids("a b")}, {refs: ids("a b")}},
		"3 4", map[Algorithm]string{Refs: "((3)(4))"}},
	{"a loop", []letter{{id: id("a"), refs: ids("b")}, {id: id("b"), refs: ids("a")}}, "", map[Algorithm]string{Refs: "(2 1)"}},
	{"itself", []letter{{id: id("a"), refs: ids("a")}, {id: id("b"), refs: ids("c b")}}, "", map[Algorithm]string{Refs: "(1)(2)"}},
	{"the last reference counts", []letter{{id: id("a")}, {id: id("b"), refs: ids("a")}, {id: id("c"), refs: ids("a")}, {id: id("d"), refs: ids("b c")}},
		"", map[Algorithm]string{Refs: "(1 (2)(3 4))"}},
	{"a link that a later message corrects", []letter{{refs: ids("a b c")}, {id: id("c"), refs: ids("a")}}, "", map[Algorithm]string{Refs: "(2 1)"}},
	{"no references, no parent", []letter{{refs: ids("a b")}, {id: id("b")}, {id: id("a")}}, "", map[Algorithm]string{Refs: "(2 1)(3)"}},
	{"siblings by date", []letter{{id: id("a"), sent: 50}, {refs: ids("a"), sent: 90}, {refs: ids("a"), sent: 60}, {refs: ids("a"), sent: 60}},
		"", map[Algorithm]string{Refs: "(1 (3)(4)(2))"}},
	{"threads by date, a dummy by its first child", []letter{{refs: ids("x"), sent: 30}, {refs: ids("x"), sent: 10}, {sent: 20}, {sent: 5}},
		"", map[Algorithm]string{References: "(4)((2)(1))(3)"}},
	{"the latest thread is last", []letter{{id: id("a"), arrived: 10}, {arrived: 20}, {refs: ids("a"), arrived: 30}},
		"", map[Algorithm]string{Refs: "(2)(1 3)", References: "(1 3)(2)"}},
	{"a reply by subject", []letter{{subject: "lunch"}, {subject: "Re: Lunch"}, {subject: "Fwd: lunch"}}, "", map[Algorithm]string{References: "(1 (2)(3))"}},
	{"the reply came first", []letter{{subject: "Re: lunch"}, {subject: "lunch"}}, "", map[Algorithm]string{References: "(2 1)"}},
	{"two of the same subject", []letter{{subject: "lunch"}, {subject: "lunch"}, {subject: "lunch"}}, "", map[Algorithm]string{References: "((1)(2)(3))"}},
	{"two replies", []letter{{subject: "re: lunch"}, {subject: "re: lunch"}}, "", map[Algorithm]string{References: "((1)(2))"}},
	{"two dummies", []letter{{refs: ids("a"), subject: "x"}, {refs: ids("a"), subject: "q"}, {refs: ids("b"), subject: "x"}, {refs: ids("b"), subject: "r"}},
		"", map[Algorithm]string{References: "((1)(2)(3)(4))"}},
	{"a message and a dummy", []letter{{subject: "x"}, {refs: ids("b"), subject: "re: x"}, {refs: ids("b"), subject: "r"}},
		"", map[Algorithm]string{References: "((1)(2)(3))"}},
}

func TestThreadAlgorithms(t *testing.T) {
	for _, c := range threadCases {
		letters := slices.Clone(c.letters)
		for i := range letters {
			letters[i].uid = mailbox.UID(i + 1)
			if letters[i].sent == 0 {
				letters[i].sent = int64(i)
			}
			if letters[i].arrived == 0 {
				letters[i].arrived = int64(i)
			}
		}
		wanted := func(i int) bool {
			return c.wanted == "" || slices.Contains(strings.Fields(c.wanted), fmt.Sprint(i+1))
		}
		f := findingOf(letters, wanted)
		for algorithm, want := range c.want {
			if got := written(t, f.threads(algorithm)); got != want {
				t.Errorf("%s, algorithm %d: %s, want %s", c.name, algorithm, got, want)
			}
			if got := slowThreads(letters, wanted, algorithm); got != want {
				t.Errorf("the oracle: %s, algorithm %d: %s, want %s", c.name, algorithm, got, want)
			}
		}
	}
}

// randomLetters draws letters of few ids, subjects and dates, so that they meet.
func randomLetters(draw func(n int) int) []letter {
	letters := make([]letter, draw(14))
	names := 1 + draw(12)
	subjects := []string{"", "lunch", "Re: lunch", "tea", "Fwd: Tea", "[x] re: tea", "re:"}
	some := func(most int) (list []string) {
		for range draw(most) {
			list = append(list, id(fmt.Sprint(draw(names))))
		}
		return list
	}
	for i := range letters {
		l := &letters[i]
		l.uid = mailbox.UID(1 + 2*i)
		l.subject = subjects[draw(len(subjects))]
		l.sent, l.arrived = int64(draw(6)), int64(draw(6))
		if draw(4) > 0 {
			l.id = id(fmt.Sprint(draw(names)))
		}
		if draw(3) > 0 {
			l.refs = some(5)
		}
		if draw(4) == 0 {
			l.inReplyTo = some(3)
		}
	}
	return letters
}

func compareThreads(t testing.TB, letters []letter, wanted func(int) bool) {
	f := findingOf(letters, wanted)
	for _, algorithm := range []Algorithm{OrderedSubject, References, Refs} {
		if len(f.rows) == 0 {
			continue
		}
		got, want := written(t, f.threads(algorithm)), slowThreads(letters, wanted, algorithm)
		if got != want {
			t.Fatalf("algorithm %d: %s, want %s\nof %+v", algorithm, got, want, letters)
		}
	}
}

func TestThreadsAgreeWithTheRules(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		letters := randomLetters(func(n int) int { return rapid.IntRange(0, n-1).Draw(r, "n") })
		skip := rapid.IntRange(0, 20).Draw(r, "skip")
		compareThreads(t, letters, func(i int) bool { return i != skip && i != skip/2 })
	})
}

func FuzzThreads(f *testing.F) {
	f.Add([]byte("\x05\x03 some bytes that say who refers to whom, and when, and about what"))
	f.Fuzz(func(t *testing.T, data []byte) {
		draw := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			v := int(data[0]) % n
			data = data[1:]
			return v
		}
		compareThreads(t, randomLetters(draw), all)
	})
}

// TestHugeThreads: 100,000 messages in shapes that would be deep, slow or endless.
func TestHugeThreads(t *testing.T) {
	const n = 100_000
	chain := func(i, refs int) (list []string) {
		for j := max(0, i-refs); j < i; j++ {
			list = append(list, id(fmt.Sprint(j)))
		}
		return list
	}
	random := rand.New(rand.NewPCG(1, 2))
	shuffled := random.Perm(n)
	shapes := map[string]func(i int) letter{
		"a chain":             func(i int) letter { return letter{id: id(fmt.Sprint(i)), refs: chain(i, 3)} },
		"a chain backwards":   func(i int) letter { return letter{id: id(fmt.Sprint(n - i)), refs: chain(n-i, 3)} },
		"a chain shuffled":    func(i int) letter { return letter{id: id(fmt.Sprint(shuffled[i])), refs: chain(shuffled[i], 2)} },
		"one ring":            func(i int) letter { return letter{id: id(fmt.Sprint(i)), refs: ids(fmt.Sprint((i + 1) % n))} },
		"all below one":       func(i int) letter { return letter{id: id(fmt.Sprint(i)), refs: ids("0")} },
		"all below a dummy":   func(i int) letter { return letter{id: id(fmt.Sprint(i)), refs: ids("none")} },
		"one subject":         func(i int) letter { return letter{subject: "Re: lunch"} },
		"a comb":              func(i int) letter { return letter{id: id(fmt.Sprint(i)), refs: ids(fmt.Sprint(max(0, i&^1-2)))} },
		"many below the deep": deepTargets(n),
	}
	for name, shape := range shapes {
		letters := make([]letter, n)
		for i := range letters {
			letters[i] = shape(i)
			letters[i].uid, letters[i].sent, letters[i].arrived = mailbox.UID(i+1), int64(i), int64(i)
		}
		f := findingOf(letters, all)
		for _, algorithm := range []Algorithm{OrderedSubject, References, Refs} {
			start := time.Now()
			checkOnce(t, f.threads(algorithm), n)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("%s, algorithm %d: %v", name, algorithm, took)
			}
		}
	}
}

// deepTargets first makes a chain of half the messages; then each pair of the others
// hangs below its end, the lower first, which makes a builder that climbs to the top
// climb the whole chain each time.
func deepTargets(n int) func(i int) letter {
	return func(i int) letter {
		switch {
		case i < n/2:
			return letter{id: id(fmt.Sprint(i)), refs: ids(fmt.Sprint(i - 1))}
		case i%2 == 0:
			return letter{refs: ids(fmt.Sprint("pair", i/2))}
		}
		return letter{id: id(fmt.Sprint("pair", i/2)), refs: ids(fmt.Sprint(n/2 - 1))}
	}
}

// checkOnce checks that nodes hold UIDs 1 to n once each, and nest.
func checkOnce(t *testing.T, nodes []ThreadNode, n int) {
	t.Helper()
	seen := make([]bool, n+1)
	var open []uint32 // children that have to come
	for _, node := range nodes {
		for len(open) > 0 && open[len(open)-1] == 0 {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			open[len(open)-1]--
		}
		switch {
		case node.UID == 0 && (len(open) > 0 || node.Children < 2):
			t.Fatalf("a dummy with %d children, %d deep", node.Children, len(open))
		case node.UID != 0 && (int(node.UID) > n || seen[node.UID]):
			t.Fatalf("UID %d twice", node.UID)
		}
		seen[node.UID] = true
		open = append(open, node.Children)
	}
	for uid, ok := range seen[1:] {
		if !ok {
			t.Fatalf("UID %d is missing", uid+1)
		}
	}
	for _, missing := range open {
		if missing > 0 {
			t.Fatalf("%d children are missing", missing)
		}
	}
}

func TestForestAgreesWithClimbing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(r, "nodes")
		f, parent := newForest(n), make([]int32, n)
		for i := range parent {
			parent[i] = noNode
		}
		above := func(root, node int32) bool {
			for ; node != noNode && node != root; node = parent[node] {
			}
			return node == root
		}
		for range rapid.IntRange(1, 120).Draw(r, "steps") {
			a := int32(rapid.IntRange(0, n-1).Draw(r, "a"))
			b := int32(rapid.IntRange(0, n-1).Draw(r, "b"))
			switch {
			case parent[a] != noNode:
				f.cut(a)
				parent[a] = noNode
			default:
				if got, want := f.isAbove(a, b), above(a, b); got != want {
					t.Fatalf("isAbove(%d, %d) is %t", a, b, got)
				}
				f.link(a, b)
				if !above(a, b) {
					parent[a] = b
				}
			}
			if !slices.Equal(f.parent, parent) {
				t.Fatalf("%v, want %v", f.parent, parent)
			}
		}
	})
}

func BenchmarkThreads(b *testing.B) {
	for _, n := range []int{6046, 100_000} {
		letters := make([]letter, n)
		random := rand.New(rand.NewPCG(3, 4))
		for i := range letters {
			l := &letters[i]
			l.uid, l.sent, l.id = mailbox.UID(i+1), int64(random.IntN(n)), id(fmt.Sprint(i))
			l.subject = fmt.Sprintf("Re: subject %d", random.IntN(n/3))
			for j := i - random.IntN(40); j > 0 && j < i && len(l.refs) < 8; j += 1 + random.IntN(8) {
				l.refs = append(l.refs, id(fmt.Sprint(j)))
			}
		}
		f := findingOf(letters, all)
		for algorithm, name := range map[Algorithm]string{OrderedSubject: "ORDEREDSUBJECT", References: "REFERENCES", Refs: "REFS"} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					f.threads(algorithm)
				}
			})
		}
		b.Run(fmt.Sprintf("SortBySubject/%d", n), func(b *testing.B) {
			for b.Loop() {
				f.order([]SortKey{{By: BySubject}})
			}
		})
		b.Run(fmt.Sprintf("Headings/%d", n), func(b *testing.B) {
			for b.Loop() {
				findingOf(letters, all)
			}
		})
	}
}

// TestLongKeysAreToldApart: keys of which more is equal than is kept.
func TestLongKeysAreToldApart(t *testing.T) {
	long := strings.Repeat("x", maxKey)
	letters := []letter{{subject: long + "b"}, {subject: long + "a"}, {subject: long}, {subject: long + "a"}, {subject: "y"}, {subject: "re: " + long}}
	for i := range letters {
		letters[i].uid = mailbox.UID(i + 1)
	}
	f := findingOf(letters, all)
	order := f.order([]SortKey{{By: BySubject}})
	at := func(i uint32) int { return slices.Index(order, i) }
	if order[0] != 2 || order[1] != 5 || order[5] != 4 || at(3) != at(1)+1 {
		t.Errorf("order %v", order)
	}
	if w := f.headings.weight(); w > 16*maxKey {
		t.Errorf("%d octets are kept of %d messages", w, len(letters))
	}
}

// TestDictionaryForgets: what no row has any longer is not kept.
func TestDictionaryForgets(t *testing.T) {
	var letters []letter
	for i := range 1000 {
		letters = append(letters, letter{uid: mailbox.UID(i + 1), subject: fmt.Sprint("subject ", i), id: id(fmt.Sprint(i)), refs: ids(fmt.Sprint(i - 1))})
	}
	h := findingOf(letters, all).headings
	few := make([]mailbox.Record, 0, 10)
	for i := range 10 {
		few = append(few, mailbox.Record{UID: mailbox.UID(100 * (i + 1))})
	}
	rows, unknown := h.place(few, 7)
	if unknown != 0 {
		t.Fatalf("%d unknown", unknown)
	}
	small := h.extended(few, 7, rows, &freshHeadings{})
	if n := small.columns[subjects].values.len(); n != 10 {
		t.Errorf("%d subjects", n)
	}
	if n := small.links.ids.len(); n != 20 {
		t.Errorf("%d ids", n)
	}
	if string(small.columns[subjects].values.at(small.columns[subjects].rank[3])) != "SUBJECT 399" {
		t.Errorf("row 3 is %q", small.columns[subjects].values.at(small.columns[subjects].rank[3]))
	}
	if _, unknown := h.place(few, 8); unknown != 10 {
		t.Error("headings outlive UIDVALIDITY")
	}
	if 3*small.weight() > h.weight() {
		t.Errorf("%d octets, %d before", small.weight(), h.weight())
	}
}
